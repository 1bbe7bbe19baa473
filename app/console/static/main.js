import"./chunk-S76XH4FN.js";
