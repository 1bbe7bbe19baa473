import"./chunk-ZHRQNF2I.js";
