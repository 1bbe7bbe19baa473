import"./chunk-U5MVZ4S5.js";
