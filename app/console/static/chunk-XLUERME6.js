import{g as e}from"./chunk-SCY4OTSA.js";var o=e(!1),t=e(!1),s=e(!1),a=e([]);export{o as a,t as b,s as c,a as d};
