// The patch explorer: a patch of a query image, and its nearest patches in the memory bank.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const CONTEXT = 1.5; // patches shown around a neighbour, to each side
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const arrived = new Map(); // number of a query image -> its content, unpacked
  const panels = [];
  // Where the patch is, as shares of height and width: grids may differ between models.
  const state = { image: 0, at: [0.5, 0.5], kept: false };

  function element(name, attributes, ...children) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  function bytes(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  }

  function grid(column) {
    return data.columns[column].grid.split("×").map(Number);
  }

  function unpack(content) {
    const labels = {};
    for (const [name, text] of Object.entries(content.patch_labels)) {
      labels[name] = new Uint8Array(bytes(text));
    }
    const found = content.found.map((one) => ({
      ...one,
      places: new (one.bytes === 2 ? Uint16Array : Uint32Array)(bytes(one.places)),
      similarity: new Int16Array(bytes(one.similarity)),
      winners: new Uint8Array(bytes(one.winners)),
    }));
    return { mask: content.mask, labels, found };
  }

  const bankLabels = {};
  for (const [name, text] of Object.entries(data.bank_labels)) {
    bankLabels[name] = new Uint8Array(bytes(text));
  }

  // Scripts of images call this: a page opened from disk may not fetch.
  window.patchlensExplorer = (content) => {
    arrived.set(content.image, unpack(content));
    draw();
  };

  function ask(image) {
    if (arrived.has(image)) return;
    const script = document.createElement("script");
    script.src = data.base + data.images[image].script;
    document.body.append(script);
  }

  function name(label) {
    return label === data.ignore ? "no label" : data.classes[label];
  }

  // The nearest patches of the patch (row, column) of the image that is shown.
  function neighbours(column, row, col) {
    const { labels, found } = arrived.get(state.image);
    const one = found[column];
    const [height, width] = grid(column);
    const bank = bankLabels[data.columns[column].grid];
    const patch = row * width + col;
    const k = one.places.length / (height * width);
    const truth = labels[data.columns[column].grid][patch];
    const nearest = Array.from({ length: k }, (_, i) => {
      const place = one.places[patch * k + i];
      const within = place % (height * width);
      return {
        image: Math.floor(place / (height * width)),
        row: Math.floor(within / width),
        column: within % width,
        similarity: one.similarity[patch * k + i] * one.step,
        label: bank[place],
      };
    });
    return { truth, winner: one.winners[patch], nearest, accuracy: one.accuracy };
  }

  function verdict(truth, label) {
    if (truth === data.ignore) return ["none", "·", "the query patch has no label"];
    return label === truth ? ["right", "✓", "right"] : ["wrong", "✗", "wrong"];
  }

  function crop(column, found, truth, rank) {
    const picture = data.bank[found.image];
    const [height, width] = grid(column);
    const [h, w] = [picture.height / height, picture.width / width];
    const [x, y] = [found.column * w, found.row * h];
    const view = [x - CONTEXT * w, y - CONTEXT * h, (2 * CONTEXT + 1) * w, (2 * CONTEXT + 1) * h];
    const [kind, mark, word] = verdict(truth, found.label);
    const text = `${rank}: ${name(found.label)}, ${word}, similarity ${found.similarity.toFixed(3)}, patch row ${found.row + 1}, column ${found.column + 1} of ${picture.id}`;
    const item = document.createElement("li");
    item.className = kind;
    Object.assign(item.dataset, { ...found });
    item.append(
      element(
        "svg",
        { viewBox: view.join(" "), role: "img", "aria-label": text },
        element("image", { href: data.base + picture.file, width: picture.width, height: picture.height }),
        element("rect", { x, y, width: w, height: h, class: "patch" }),
      ),
    );
    const caption = document.createElement("span");
    caption.setAttribute("aria-hidden", "true");
    const sign = document.createElement("b");
    sign.textContent = `${mark} ${name(found.label)}`;
    caption.append(sign, document.createElement("br"), found.similarity.toFixed(3));
    item.append(caption);
    return item;
  }

  const called = (column) => `${column.model}/${column.variant}`;

  // The view, as the part of the address behind #, so that a link shows the same.
  function address() {
    return new URLSearchParams({
      image: data.images[state.image].id,
      at: state.kept ? state.at.map((share) => share.toFixed(4)).join(",") : "",
      ...Object.fromEntries(panels.map((p) => [p.box.dataset.panel, called(data.columns[p.column])])),
      over: layer.value,
      opacity: opacity.value,
    });
  }

  function keep() {
    history.replaceState(null, "", `#${address()}`);
  }

  // What an address names and there is; all else stays as it was.
  function restore() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const image = data.images.findIndex((one) => one.id === asked.get("image"));
    if (image >= 0) state.image = image;
    const at = (asked.get("at") ?? "").split(",").map(Number);
    if (at.length === 2 && at.every((share) => share >= 0 && share < 1)) {
      Object.assign(state, { at, kept: true });
    }
    for (const panel of panels) {
      const wanted = asked.get(panel.box.dataset.panel);
      const column = data.columns.findIndex((c) => called(c) === wanted);
      if (column >= 0) show(panel, column);
    }
    if ([...layer.options].some((one) => one.value === asked.get("over"))) layer.value = asked.get("over");
    if (asked.get("opacity")) opacity.value = asked.get("opacity");
    document.querySelector(`[name=image][value="${state.image}"]`).checked = true;
    ask(state.image);
    draw();
  }

  function drawPanel(panel) {
    const picture = data.images[state.image];
    const content = arrived.get(state.image);
    const [height, width] = grid(panel.column);
    const [h, w] = [picture.height / height, picture.width / width];
    const row = Math.min(height - 1, Math.floor(state.at[0] * height));
    const col = Math.min(width - 1, Math.floor(state.at[1] * width));
    panel.svg.setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
    for (const part of [panel.photo, panel.overlay]) {
      part.setAttribute("width", picture.width);
      part.setAttribute("height", picture.height);
    }
    panel.photo.setAttribute("href", data.base + picture.file);
    panel.overlay.setAttribute("opacity", opacity.value / 100);
    for (const outline of panel.outlines) {
      const place = { x: col * w, y: row * h, width: w, height: h };
      for (const [key, value] of Object.entries(place)) outline.setAttribute(key, value);
    }
    if (!content) return;
    const chosen = content.found[panel.column];
    panel.overlay.setAttribute("href", layer.value === "mask" ? content.mask : chosen.predicted);
    const { truth, winner, nearest, accuracy } = neighbours(panel.column, row, col);
    const right = nearest.filter((one) => one.label === truth).length;
    const share = accuracy === null ? "" : ` In this image ${(100 * accuracy).toFixed(0)} % of the pixels are right.`;
    panel.answer.textContent = `Row ${row + 1}, column ${col + 1}: ${name(truth)}. ${right} of ${nearest.length} neighbours are right; the vote predicts ${name(winner)}.${share}`;
    panel.list.replaceChildren(...nearest.map((one, i) => crop(panel.column, one, truth, i + 1)));
  }

  function draw() {
    document.getElementById("shown-opacity").textContent = `${opacity.value} %`;
    panels.forEach(drawPanel);
  }

  function choose(panel) {
    const [model, variant] = panel.selects.map((select) => select.value);
    const of = (column) => column.model === model;
    let found = data.columns.findIndex((c) => of(c) && c.variant === variant);
    if (found < 0) found = data.columns.findIndex(of);
    show(panel, found);
    draw();
    keep();
  }

  function show(panel, column) {
    panel.column = column;
    const { model } = data.columns[column];
    const [models, variants] = panel.selects;
    models.value = model;
    panel.box.style.setProperty("--model", models.selectedOptions[0].dataset.colour);
    variants.value = data.columns[column].variant;
    for (const option of variants.options) {
      option.disabled = !data.columns.some((c) => c.model === model && c.variant === option.value);
    }
  }

  function point(panel, event) {
    const box = panel.svg.getBoundingClientRect();
    const inside = (value) => Math.min(Math.max(value, 0), 1 - 1e-9);
    state.at = [
      inside((event.clientY - box.top) / box.height),
      inside((event.clientX - box.left) / box.width),
    ];
    draw();
  }

  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  function press(panel, event) {
    if (event.key === "Escape") {
      state.kept = false;
      keep();
    }
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    state.kept = true;
    state.at = grid(panel.column).map((size, axis) => {
      const place = Math.floor(state.at[axis] * size) + step[axis];
      return (Math.min(Math.max(place, 0), size - 1) + 0.5) / size;
    });
    draw();
    keep();
  }

  function set_up(box, column) {
    const stage = box.querySelector(".stage");
    const panel = {
      box,
      selects: [...box.querySelectorAll("select")],
      answer: box.querySelector(".said"),
      list: box.querySelector(".crops"),
      photo: element("image", {}),
      overlay: element("image", { class: "overlay", preserveAspectRatio: "none" }),
      outlines: [element("rect", { class: "halo" }), element("rect", { class: "patch" })],
    };
    panel.svg = element("svg", { "aria-hidden": "true" }, panel.photo, panel.overlay, ...panel.outlines);
    stage.append(panel.svg);
    stage.addEventListener("pointermove", (event) => {
      if (!state.kept && event.pointerType === "mouse") point(panel, event);
    });
    stage.addEventListener("click", (event) => {
      state.kept = true;
      point(panel, event);
      keep();
    });
    stage.addEventListener("keydown", (event) => press(panel, event));
    panel.selects.forEach((select) => select.addEventListener("change", () => choose(panel)));
    show(panel, column);
    panels.push(panel);
  }

  const opacity = document.getElementById("opacity");
  const layer = document.getElementById("layer");
  opacity.addEventListener("input", draw);
  opacity.addEventListener("change", keep);
  layer.addEventListener("change", () => {
    draw();
    keep();
  });
  for (const radio of document.querySelectorAll("[name=image]")) {
    radio.addEventListener("change", () => {
      state.image = Number(radio.value);
      ask(state.image);
      draw();
      keep();
    });
    if (radio.checked) state.image = Number(radio.value); // as a browser restores it
  }
  set_up(document.querySelector("[data-panel=left]"), data.left);
  set_up(document.querySelector("[data-panel=right]"), data.right);
  addEventListener("hashchange", restore);
  restore();
})();
