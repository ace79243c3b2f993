// Shows the sheet of the chosen model and variant.
"use strict";
(() => {
  const columns = JSON.parse(document.getElementById("columns").textContent);
  const sheets = [...document.querySelectorAll(".sheet")];
  const chooser = document.getElementById("chooser");
  const [model, variant] = chooser.querySelectorAll("select");

  function show(shown) {
    sheets.forEach((sheet, i) => { sheet.hidden = i !== shown; });
  }

  function choose() {
    show(columns.findIndex((c) => c.model === model.value && c.variant === variant.value));
  }

  const first = columns[Number(chooser.dataset.first)];
  model.value = first.model;
  variant.value = first.variant;
  for (const select of [model, variant]) select.addEventListener("change", choose);
  choose();
})();
