// The player of videos with linked boxes or carried masks: two models or variants over the same frames.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  // The numbers identify the tracks; colours only help to follow them.
  const COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2", "#ffffff"];
  const data = JSON.parse(document.getElementById("videos-data").textContent);
  const [sequence, speed, play, slider] = ["sequence", "speed", "play", "frame"].map((id) => document.getElementById(id));
  const shownFrame = document.getElementById("shown-frame");
  const arrived = new Map();
  const panels = [];
  let timer = null;

  function element(name, attributes, ...children) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  window.patchlensTracks = (content) => {
    arrived.set(content.sequence, content);
    for (const frame of content.frames) new Image().src = data.base + frame.file;
    slider.max = content.frames.length - 1;
    draw();
  };

  function ask() {
    const chosen = Number(sequence.value);
    slider.value = 0;
    if (arrived.has(chosen)) {
      slider.max = arrived.get(chosen).frames.length - 1;
      draw();
      return;
    }
    const script = document.createElement("script");
    script.src = data.base + data.sequences[chosen];
    document.body.append(script);
  }

  function box([track, x0, y0, x1, y1, switched]) {
    const stroke = COLOURS[(track - 1) % COLOURS.length];
    const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    const name = element("text", { x: x0 + 1, y: Math.max(y0 - 2, 7), class: "track-name" }, `${track}${switched ? " ⇄" : ""}`);
    return [
      element("rect", { ...place, class: "halo" }),
      element("rect", { ...place, stroke, class: switched ? "track switched" : "track" }),
      name,
    ];
  }

  function drawPanel(panel, content, at) {
    const frame = content.frames[at];
    const column = content.columns[panel.column];
    panel.svg.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
    const picture = element("image", { href: data.base + frame.file, width: frame.width, height: frame.height });
    if (column.masks) {
      const mask = element("image", { href: column.masks[at], width: frame.width, height: frame.height, class: "carried" });
      panel.svg.replaceChildren(picture, mask);
      return;
    }
    panel.svg.replaceChildren(picture, ...column.boxes[at].flatMap(box));
    const switches = column.boxes.map((boxes) => boxes.filter((one) => one[5]).length);
    const most = Math.max(1, ...switches);
    panel.timeline.setAttribute("viewBox", `0 0 ${switches.length} 1`);
    panel.timeline.replaceChildren(
      ...switches.flatMap((count, x) => (count ? [element("rect", { x, y: 1 - count / most, width: 0.8, height: count / most })] : [])),
      element("rect", { x: at, y: 0, width: 0.25, height: 1, class: "now" }),
    );
    const so_far = switches.slice(0, at + 1).reduce((sum, count) => sum + count, 0);
    panel.said.textContent = `${column.boxes[at].length} objects; ${so_far} identity switches so far, ${column.switches} in all frames shown.`;
  }

  function draw() {
    const content = arrived.get(Number(sequence.value));
    if (!content) return;
    const at = Number(slider.value);
    shownFrame.textContent = `${at + 1} of ${content.frames.length}`;
    slider.setAttribute("aria-valuetext", `frame ${shownFrame.textContent}`);
    for (const panel of panels) drawPanel(panel, content, at);
  }

  function go(to) {
    slider.value = Math.min(Math.max(to, 0), Number(slider.max));
    draw();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }

  function toggle() {
    if (timer !== null) return stop();
    if (slider.value === slider.max) go(0);
    timer = setInterval(() => {
      if (slider.value === slider.max) stop();
      else go(Number(slider.value) + 1);
    }, 1000 / Number(speed.value));
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
  }

  function set_up(part, column) {
    const svg = element("svg", { role: "img", "aria-label": "The frame with its objects" });
    part.querySelector(".stage").append(svg);
    const panel = { column, svg, timeline: part.querySelector(".timeline"), said: part.querySelector(".said") };
    const [model, variant] = part.querySelectorAll("select");
    model.value = data.columns[column].model;
    variant.value = data.columns[column].variant;
    const paint = () => part.style.setProperty("--model", model.selectedOptions[0].dataset.colour);
    paint();
    for (const select of [model, variant]) {
      select.addEventListener("change", () => {
        panel.column = data.columns.findIndex((c) => c.model === model.value && c.variant === variant.value);
        paint();
        draw();
      });
    }
    panels.push(panel);
  }

  const keys = {
    " ": toggle,
    ArrowLeft: () => go(Number(slider.value) - 1),
    ArrowRight: () => go(Number(slider.value) + 1),
    Home: () => go(0),
    End: () => go(Number(slider.max)),
  };
  document.addEventListener("keydown", (event) => {
    // Fields and buttons handle keys themselves; the keys of the slider are the same as ours.
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest("select, a, button") || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  play.addEventListener("click", toggle);
  document.getElementById("back").addEventListener("click", () => go(Number(slider.value) - 1));
  document.getElementById("on").addEventListener("click", () => go(Number(slider.value) + 1));
  slider.addEventListener("input", draw);
  speed.addEventListener("change", () => {
    if (timer !== null) { stop(); toggle(); }
  });
  sequence.addEventListener("change", () => { stop(); ask(); });
  set_up(document.querySelector("[data-panel=left]"), data.left);
  set_up(document.querySelector("[data-panel=right]"), data.right);
  ask();
})();
