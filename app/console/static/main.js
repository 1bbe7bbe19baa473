import"./chunk-DGSP6E2X.js";
