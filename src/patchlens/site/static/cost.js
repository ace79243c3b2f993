// Adds how fast extraction was to the figure of costs and to the table of models: `patchlens serve`
// writes it into the page. It runs before figures.js and tables.js, which take what they find.
"use strict";
(() => {
  const NAME = "images per second";
  const table = document.getElementById("models");
  const place = document.getElementById("speeds");
  if (!table || !place) return;
  const speeds = JSON.parse(place.textContent); // dataset -> model -> speed and device
  const found = (dataset, model) => speeds[dataset]?.[model];
  const models = [...table.tBodies[0].rows].map((row) => row.cells[0].textContent.trim());
  const shown = (dataset) => models.map((model) => found(dataset, model)).filter(Boolean);
  const datasets = Object.keys(speeds).filter((dataset) => shown(dataset).length);
  if (!datasets.length) return;

  // One more choice of the cost: a row for each row of one that is there.
  const text = document.getElementById("spec-cost");
  const select = document.querySelector("#cost select[data-signal='choose_cost']");
  const spec = JSON.parse(text.textContent);
  const { header, rows } = spec.datasets.rows;
  const at = (row, name) => row[header.indexOf(name)];
  const more = rows
    .filter((row) => at(row, "cost") === at(rows[0], "cost"))
    .map((row) => [row, found(at(row, "dataset"), at(row, "model"))?.images_per_second])
    .filter(([, speed]) => speed !== undefined)
    .map(([row, speed]) => {
      const changed = { cost: NAME, value: speed };
      return header.map((name, i) => changed[name] ?? row[i]);
    });
  if (select && more.length) {
    rows.push(...more);
    text.textContent = JSON.stringify(spec);
    select.append(new Option(NAME, NAME));
  }

  // One more column for each dataset.
  for (const dataset of datasets) {
    const head = document.createElement("th");
    head.scope = "col";
    head.className = "number";
    head.textContent = `images/s (${dataset})`;
    table.tHead.rows[0].append(head);
    for (const [i, row] of [...table.tBodies[0].rows].entries()) {
      const speed = found(dataset, models[i])?.images_per_second;
      const cell = row.insertCell();
      cell.className = "number";
      if (speed !== undefined) cell.dataset.value = cell.textContent = String(speed);
    }
  }

  const devices = new Set(datasets.flatMap(shown).map((speed) => speed.device));
  document.getElementById("speed").textContent =
    `Images per second: extraction of the query images on ${[...devices].sort().join(" or ")}, ` +
    "decoding and writing included. They were measured in this folder and vary from run to run.";
})();
