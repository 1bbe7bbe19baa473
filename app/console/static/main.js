import"./chunk-YCWQQUVR.js";
