import"./chunk-ARG6K6BM.js";
