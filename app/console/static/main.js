import"./chunk-UA5RBQ4I.js";
