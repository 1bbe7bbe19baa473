import"./chunk-JXFOWR7I.js";
