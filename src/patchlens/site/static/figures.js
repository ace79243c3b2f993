// Draws a figure when it comes near the screen, and again when the colours change.
"use strict";
(() => {
  const drawn = new Map(); // plot element -> its Vega view
  const begun = new Set(); // plots that are drawn or will soon be
  const PAPER = { narrow: 330, wide: 680 }; // pixels of a figure in print

  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    const text = { labelColor: of("--muted"), titleColor: of("--ink") };
    const font = getComputedStyle(document.body).fontFamily;
    return {
      background: null,
      font,
      view: { stroke: null },
      axis: {
        ...text,
        gridColor: of("--line"),
        domainColor: of("--line"),
        tickColor: of("--line"),
        labelFontSize: 12,
        titleFontSize: 12,
        titleFontWeight: "normal",
        titlePadding: 8,
      },
      axisY: { grid: true },
      legend: { ...text, labelFontSize: 12 },
      rule: { color: of("--muted") },
      tick: { color: of("--ink") },
      text: { color: of("--ink") },
    };
  };

  // The data come as rows under one header; Vega wants an object a row.
  const read = (plot) => {
    const spec = JSON.parse(document.getElementById(plot.dataset.spec).textContent);
    const named = ({ header, rows }) =>
      rows.map((row) => Object.fromEntries(header.map((name, i) => [name, row[i]])));
    for (const [name, table] of Object.entries(spec.datasets)) spec.datasets[name] = named(table);
    // Vega would put its own words on the box.
    return { ...spec, config: colours(), description: plot.getAttribute("aria-label") };
  };

  // An axis that is titled by the name of a selector says what is chosen there.
  const named = (plot) => (spec) => {
    const signals = [...selects(plot)].map((select) => select.dataset.signal);
    for (const axis of spec.axes ?? []) {
      if (signals.includes(axis.title)) axis.title = { signal: axis.title };
    }
    return spec;
  };

  const draw = async (plot) => {
    begun.add(plot);
    const options = { actions: false, renderer: "svg", patch: named(plot) };
    const result = await vegaEmbed(plot, read(plot), options);
    drawn.get(plot)?.finalize();
    drawn.set(plot, result.view);
    plot.querySelector("svg").setAttribute("aria-hidden", "true"); // the box has the words
    plot.dataset.drawn = "true";
    for (const select of selects(plot)) await choose(plot, select);
    await hide(plot);
  };

  // The names of a legend hide and show their models.
  const names = (plot) => [...plot.closest("figure").querySelectorAll(".legend button")];

  const hide = async (plot) => {
    const hidden = names(plot).filter((name) => name.ariaPressed === "false");
    const view = drawn.get(plot);
    if (view) await view.signal("hidden", hidden.map((name) => name.textContent.trim())).runAsync();
  };

  const legend = (plot) => {
    for (const item of plot.closest("figure").querySelectorAll(".legend li")) {
      const button = document.createElement("button");
      button.type = "button";
      button.ariaPressed = "true";
      button.append(...item.childNodes);
      button.addEventListener("click", () => {
        button.ariaPressed = String(button.ariaPressed === "false");
        hide(plot);
      });
      item.append(button);
    }
  };

  const selects = (plot) => plot.closest("figure").querySelectorAll("select[data-signal]");

  const choose = async (plot, select) => {
    const view = drawn.get(plot);
    if (view) await view.signal(select.dataset.signal, select.value).runAsync();
  };

  const plots = [...document.querySelectorAll(".plot[data-spec]")];
  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        near.unobserve(entry.target);
        if (!begun.has(entry.target)) draw(entry.target);
      }
    },
    { rootMargin: "300px" },
  );
  for (const plot of plots) {
    near.observe(plot);
    legend(plot);
    for (const select of selects(plot)) select.addEventListener("change", () => choose(plot, select));
  }
  document.addEventListener("themechange", () => [...drawn.keys()].forEach(draw));
  // The rest is drawn when there is time, so that it is there to be printed.
  const idle = window.requestIdleCallback ?? ((then) => setTimeout(then, 20));
  addEventListener("load", async () => {
    for (const plot of plots) {
      await new Promise(idle);
      if (!begun.has(plot)) await draw(plot);
    }
  });
  addEventListener("beforeprint", () => {
    for (const [plot, view] of drawn) {
      const wide = plot.closest("figure").classList.contains("wide");
      view.width(wide ? PAPER.wide : PAPER.narrow).run();
    }
  });
  addEventListener("afterprint", () => dispatchEvent(new Event("resize"))); // as wide as their boxes
})();
