// The lab's view. All that is shown comes from the widget's traits (see kit/laboratory/widget.py); all that is done is
// asked of the kernel.

const TRAITS = ["form", "menus", "status", "table", "runs", "metrics", "words", "code", "kept", "landscape", "still"];
const IDLE_MS = 40; // from one look at what has changed to the next
const PAGES = new Map(); // key of a widget -> its page; views come and go

function themeOf(node) {
  const declared = document.body.dataset.jpThemeLight;
  if (declared) return declared === "false" ? "dark" : "light";
  for (let each = node; each; each = each.parentElement) {
    const colour = getComputedStyle(each).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (colour && (colour[3] ?? 1) > 0.5) return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] < 128 ? "dark" : "light";
  }
  return "light";
}

function swatch(page, run) {
  const canvas = element("canvas", { width: 32, height: 32, class: "kit-swatch", "aria-hidden": "true" });
  const c = canvas.getContext("2d");
  mark(c, run.look ?? run.lane, 16, 16, 9, page.colour(run), null);
  return canvas;
}

function pageOf(model) {
  const key = model.get("key");
  if (!PAGES.has(key)) PAGES.set(key, new Page(model));
  return PAGES.get(key);
}

class View {
  constructor(page) {
    this.page = page;
    this.figures = figures(page);
    this.sections = [bar(page), problem(page), lanes(page), this.figures, table(page), results(page)];
    this.root = element("div", { class: "kit-lab", role: "region", "aria-label": "Optimizer lab" },
      ...this.sections.map((each) => each.root));
    this.root.kitLab = page; // for measuring
    keepKeys(this.root);
    this.refresh = () => (this.stale = true);
    this.themes = new MutationObserver(() => this.paint());
  }

  open(host) {
    const { page } = this;
    host.append(this.root);
    page.views.add(this.refresh);
    for (const name of TRAITS) page.model.on(`change:${name}`, this.refresh);
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
    const turn = {};
    this.turn = turn;
    requestAnimationFrame((now) => {
      this.paint();
      this.frame(now, turn);
      this.focused?.focus({ preventScroll: true });
      this.focused = null;
    });
  }

  close() {
    this.turn = null;
    this.focused = this.root.contains(document.activeElement) ? document.activeElement : null;
    this.page.views.delete(this.refresh);
    for (const name of TRAITS) this.page.model.off(`change:${name}`, this.refresh);
    this.themes.disconnect();
  }

  // Take the colours of the notebook's theme.
  paint() {
    const { page, root } = this;
    page.look = themeOf(root.parentElement || root);
    root.dataset.theme = page.look;
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(`--kit-${name}`).trim();
    page.colours = { ink: colour("ink"), muted: colour("muted"), grid: colour("grid"), surface: colour("surface") };
    page.revision += 1;
    this.refresh();
  }

  // turn: ends when the view is closed, or opened anew.
  frame(now, turn) {
    if (this.turn !== turn) return;
    const { page } = this;
    const began = performance.now();
    if (this.stale || this.seen !== page.curves.map.size) {
      this.stale = false;
      this.seen = page.curves.map.size;
      for (const each of this.sections) each.update();
    }
    for (const chart of this.figures.charts) {
      if (performance.now() - began < SLICE_MS) chart.frame(now);
    }
    const spent = performance.now() - began;
    page.stats.longest = Math.max(page.stats.longest, spent);
    page.stats.spent += spent;
    const next = () => requestAnimationFrame((time) => this.frame(time, turn));
    if (this.figures.charts.some((chart) => chart.job)) next();
    else setTimeout(next, IDLE_MS);
  }
}

function render({ model, el }) {
  const page = pageOf(model);
  // The notebook makes a view anew when its output is stored again: what stood open or had the focus stays so.
  const view = page.spare ?? new View(page);
  page.spare = null;
  view.open(el);
  return () => {
    view.close();
    page.spare = view;
  };
}

export default { initialize: ({ model }) => void pageOf(model), render };
