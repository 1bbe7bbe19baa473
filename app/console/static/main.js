import"./chunk-IHILOILK.js";
