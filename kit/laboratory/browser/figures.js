// The figures and the choice of their axes.

const CHANGED = "The controls have changed since these runs: Run again trains what they say now.";
const EMPTY = "Press Run: the curves appear here while the lanes train.";

function figures(page) {
  const metric = element("select", { onchange: () => page.set({ metric: metric.value, yLog: null }) });
  const clock = element("select", { onchange: () => page.set({ clock: clock.value }) },
    ...Object.entries(CLOCKS).map(([name, { title }]) => element("option", { value: name }, title)));
  const yScale = element("select", { onchange: () => page.set({ yLog: yScale.value === "log" }) },
    element("option", { value: "log" }, "logarithmic"), element("option", { value: "linear" }, "linear"));
  const xScale = element("select", { onchange: () => page.set({ xLog: xScale.value === "log" }) },
    element("option", { value: "linear" }, "linear"), element("option", { value: "log" }, "logarithmic"));
  const axes = element("div", { class: "kit-fields kit-axes", role: "group", "aria-label": "Axes" },
    field("Curve", metric).root, field("Vertical scale", yScale).root, field("Horizontal axis", clock).root,
    field("Horizontal scale", xScale).root);
  const loss = new Chart(page, "Curves", { metric: () => page.metric(), wide: true });
  const paths = new Paths(page);
  const norm = new Chart(page, "Gradient norm", { metric: () => "gradient_norm", wide: false });
  const ratio = new Chart(page, "Update ratio", { metric: () => "update_ratio", wide: false });
  const empty = element("p", { class: "kit-empty" }, EMPTY);
  const still = element("img", { class: "kit-still", hidden: true });
  const panel = (chart, title, kind) => element("figure", { class: `kit-figure kit-${kind}` }, element("figcaption", {}, title), chart.canvas);
  const title = element("figcaption");
  const main = element("figure", { class: "kit-figure kit-curves" }, title, loss.canvas, empty, still);
  const path = panel(paths, "Paths over the function's contours: first parameter across, second up", "paths");
  const small = [panel(norm, "Gradient norm ‖g‖", "small"), panel(ratio, "Update ratio ‖Δp‖ ∕ ‖p‖", "small")];
  const grid = element("div", { class: "kit-figures" }, main, path, ...small);
  const words = element("p", { class: "kit-words" });
  const changed = element("p", { role: "status", "aria-live": "polite", class: "kit-changed" });
  const root = element("section", { "aria-label": "Figures" }, axes, grid, words, changed);
  const charts = [loss, paths, norm, ratio];
  return {
    root,
    charts,
    update() {
      const choices = page.choices();
      const names = choices.length ? choices : [page.metric()];
      if (metric.dataset.drawn !== names.join()) {
        metric.dataset.drawn = names.join();
        metric.replaceChildren(...names.map((name) => element("option", { value: name }, metricTitle(name))));
      }
      metric.value = page.metric();
      write(title, capital(metricTitle(page.metric())));
      const share = page.metric().endsWith("accuracy");
      yScale.value = (page.axes.yLog ?? !share) ? "log" : "linear";
      clock.value = page.axes.clock;
      xScale.value = page.axes.xLog ? "log" : "linear";
      const drawn = page.curves.map.size > 0;
      const saved = page.model.get("still");
      const alone = !page.heard && Boolean(saved) && page.silent;
      empty.hidden = drawn || alone;
      write(empty, page.model.get("status").state === "idle" ? EMPTY : "The curves appear here with the first reading.");
      still.hidden = !alone;
      if (alone && !still.src) still.src = `data:image/png;base64,${saved}`;
      still.alt = page.words;
      const known = (name) => page.metrics.includes(name);
      path.hidden = !page.landscape;
      small[0].hidden = !known("gradient_norm");
      small[1].hidden = !known("update_ratio");
      grid.classList.toggle("kit-two", Boolean(page.landscape));
      grid.classList.toggle("kit-plain", !page.landscape && small[0].hidden && small[1].hidden);
      write(words, page.words);
      write(changed, page.model.get("status").changed ? CHANGED : "");
    },
  };
}

function metricTitle(name) {
  const words = metricWords(name);
  return name === "batch_loss" ? "loss of each batch" : words;
}

function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
