// Draws the page's figures in the reader's theme and width, and redraws them when either changes.
"use strict";
(() => {
  // The chart's own width in pixels, not the page's, decides whether the phone layout is used.
  const isNarrow = (element) => element.clientWidth < (element.closest(".wide") ? 620 : 380);
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme || (prefersDark.matches ? "dark" : "light");

  // "yaxis.tickvals" addresses a field inside the layout, as in Plotly.relayout.
  const changed = (layout, changes) => {
    const copy = structuredClone(layout);
    for (const [path, value] of Object.entries(changes)) {
      const keys = path.split(".");
      const last = keys.pop();
      keys.reduce((at, key) => (at[key] ??= {}), copy)[last] = value;
    }
    return copy;
  };

  const look = (element) => `${theme()} ${isNarrow(element) ? "narrow" : "full"}`;
  const drawn = new Map(); // element -> look and width it was last drawn for
  const draw = async (element) => {
    const { data, layout, narrow } = figures[element.dataset.chart][theme()];
    const [wanted, width] = [look(element), element.clientWidth];
    drawn.set(element, `${wanted} ${width}`);
    const fitted = changed(layout, { ...(isNarrow(element) ? narrow : {}), width });
    await Plotly.react(element, data, fitted, { displayModeBar: false, showTips: false });
    element.dataset.shown = wanted;
  };

  // Pointing at a dataset of the lineage graph lights up the edges that lead to it and away from it.
  const light = (element) => {
    const edges = element.data.flatMap((trace, at) => (Array.isArray(trace.meta) ? [at] : []));
    const emphasize = (name) => Plotly.restyle(element, {
      opacity: edges.map((at) => (!name ? 0.55 : element.data[at].meta.includes(name) ? 1 : 0.12)),
      "line.width": edges.map((at) => (name && element.data[at].meta.includes(name) ? 3.5 : 2)),
    }, edges);
    element.on("plotly_hover", (event) => emphasize(event.points[0].customdata));
    element.on("plotly_unhover", () => emphasize(null));
  };

  const charts = [...document.querySelectorAll(".chart")];
  const redraw = () => charts.forEach((element) => {
    if (drawn.get(element) !== `${look(element)} ${element.clientWidth}`) draw(element);
  });

  const button = document.getElementById("theme");
  const label = () => { button.textContent = theme() === "dark" ? "Light" : "Dark"; };
  button.hidden = false;
  button.setAttribute("aria-label", "Switch between the light and the dark theme");
  button.addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    label();
    redraw();
  });
  prefersDark.addEventListener("change", () => { label(); redraw(); });
  addEventListener("resize", redraw);
  label();

  (async () => {
    for (const element of charts) {
      await draw(element);
      if (element.dataset.chart === "lineage") light(element);
      await new Promise((done) => { setTimeout(done); }); // the page stays responsive between charts
    }
    root.dataset.ready = "true";
  })();
})();
