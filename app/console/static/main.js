import"./chunk-AYP4M36F.js";
