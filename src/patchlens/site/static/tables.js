// Tables: a button in each heading sorts, a field above filters rows; both work by keyboard.
"use strict";
(() => {
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(text);
    return text !== "" && Number.isFinite(number) ? number : text;
  };

  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };

  const sort = (table, heading) => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const column = heading.cellIndex;
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    const sense = down ? -1 : 1;
    rows.sort(([a], [b]) => (a === "" || b === "" ? compare(a, b) : sense * compare(a, b)));
    body.append(...rows.map(([, row]) => row));
  };

  const filter = (table, words, status) => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    status.textContent = wanted.length ? `${shown} of ${table.tBodies[0].rows.length} rows` : "";
  };

  for (const box of document.querySelectorAll("[data-table]")) {
    const table = box.querySelector("table");
    for (const heading of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, heading));
      heading.append(button);
    }
    if (!("filter" in box.dataset)) continue;
    const label = document.createElement("label");
    const field = document.createElement("input");
    const status = document.createElement("span");
    label.className = "filter";
    field.type = "search";
    field.autocomplete = "off";
    status.setAttribute("role", "status");
    field.addEventListener("input", () => filter(table, field.value, status));
    label.append("Filter rows ", field);
    box.prepend(label, status);
  }
})();
