import"./chunk-2FRAHEH3.js";
