import"./chunk-DDWMSHCV.js";
