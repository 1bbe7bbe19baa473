import"./chunk-DZYJTMVV.js";
