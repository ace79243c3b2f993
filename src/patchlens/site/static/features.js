// Draws the features of every model side by side: colours of components, or similarity to a patch.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const how = document.getElementById("how").elements;
  const said = document.getElementById("said");
  const canvases = [...document.querySelectorAll("canvas[data-model]")];
  const known = {}; // script -> its content
  let chosen = null; // image, and the place of a patch as shares of its height and width

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  window.patchlensFeatures = (found) => {
    const axes = bytes(found.axes);
    known[`${found.model}-${found.layer}`] = {
      ...found, set: bytes(found.set), image: bytes(found.image), axes: new Int8Array(axes.buffer),
    };
    draw();
  };

  // The columns of a model from its last layer to its first.
  const columns = (model) => data.columns.filter((c) => c.model === model)
    .sort((a, b) => b.layer - a.layer);
  const column = (model) => {
    const all = columns(model);
    return all[Math.min(Number(how.layer.value), all.length - 1)];
  };

  function load(one) {
    const name = `${one.model}-${one.layer}`;
    if (name in known) return known[name];
    known[name] = null; // on its way
    const script = document.createElement("script");
    script.src = data.base + one.script;
    document.head.append(script);
    return null;
  }

  function similarity(found, grid, image) {
    const size = grid[0] * grid[1], width = found.width;
    const place = chosen.image * size + at(grid);
    const query = found.axes.subarray(place * width, (place + 1) * width);
    return Float32Array.from({ length: size }, (_, patch) => {
      const start = (image * size + patch) * width;
      let sum = 0;
      for (let i = 0; i < width; i++) sum += query[i] * found.axes[start + i];
      return sum / 16129;
    });
  }

  const at = (grid) => Math.min(grid[0] - 1, Math.floor(chosen.y * grid[0])) * grid[1] +
    Math.min(grid[1] - 1, Math.floor(chosen.x * grid[1]));

  function draw() {
    for (const canvas of canvases) {
      const one = column(canvas.dataset.model), found = load(one);
      if (!found) continue;
      const [height, width] = one.grid, size = height * width;
      const image = Number(canvas.dataset.image);
      canvas.height = height;
      canvas.width = width;
      const context = canvas.getContext("2d", { willReadFrequently: true }), pixels = context.createImageData(width, height);
      const like = how.view.value === "similarity";
      const near = like ? similarity(found, one.grid, image) : null;
      const colours = like ? null : found[how.view.value];
      for (let patch = 0; patch < size; patch++) {
        const level = like ? Math.max(0, near[patch]) : 0;
        for (let c = 0; c < 3; c++) {
          pixels.data[4 * patch + c] = like ? 255 * level ** (1 + c) : colours[3 * (image * size + patch) + c];
        }
        pixels.data[4 * patch + 3] = 255;
      }
      context.putImageData(pixels, 0, 0);
      if (like && image === chosen.image) {
        context.fillStyle = "#00e5ff";
        context.fillRect(at(one.grid) % width, Math.floor(at(one.grid) / width), 1, 1);
      }
    }
  }

  function choose(image, x, y) {
    const inside = (v) => Math.min(0.999, Math.max(0, v));
    chosen = { image, x: inside(x), y: inside(y) };
    how.view.value = "similarity";
    said.textContent = `The chosen patch is in ${data.images[image].id}, ` +
      `${Math.round(100 * chosen.x)} % from the left, ${Math.round(100 * chosen.y)} % from the top.`;
    draw();
  }

  for (const canvas of canvases) {
    const image = Number(canvas.dataset.image);
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      choose(image, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const [height, width] = column(canvas.dataset.model).grid;
      const from = chosen && chosen.image === image ? chosen : { x: 0.5, y: 0.5 };
      choose(image, from.x + step[0] / width, from.y + step[1] / height);
    });
  }
  for (const select of [how.view, how.layer]) {
    select.addEventListener("change", () => {
      if (how.view.value === "similarity" && !chosen) choose(0, 0.5, 0.5);
      else draw();
    });
  }
  draw();
})();
