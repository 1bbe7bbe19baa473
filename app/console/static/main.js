import"./chunk-ETBGM3B2.js";
