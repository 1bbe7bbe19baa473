import"./chunk-T52DNKSO.js";
