// The lab's view. All that is shown comes from the widget's traits (see kit/laboratory/widget.py); all that is done is
// asked of the kernel.

const TRAITS = ["form", "menus", "status", "table", "runs", "metrics", "words", "code", "kept", "landscape", "still"];
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

// A lane's sign, as a picture: every canvas on a page is a layer of its own, which costs something in every frame.
function swatch(page, run) {
  const canvas = element("canvas", { width: 32, height: 32 });
  const c = canvas.getContext("2d");
  mark(c, run.look ?? run.lane, 16, 16, 9, page.colour(run), null);
  return element("img", { src: canvas.toDataURL(), alt: "", class: "kit-swatch" });
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
    this.refresh = () => {
      this.stale = true;
      this.wake();
    };
    this.wake = this.wake.bind(this);
    this.themes = new MutationObserver(() => this.paint());
    // What was not drawn because nobody saw it is drawn when it comes onto the screen, and anew in another size.
    this.sights = new IntersectionObserver(this.wake);
    this.sizes = new ResizeObserver(this.wake);
  }

  open(host) {
    const { page } = this;
    host.append(this.root);
    page.views.add(this);
    for (const name of TRAITS) page.model.on(`change:${name}`, this.refresh);
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
    for (const { canvas } of this.figures.charts) {
      this.sights.observe(canvas);
      this.sizes.observe(canvas);
    }
    this.opened = true;
    requestAnimationFrame(() => {
      if (!this.opened) return;
      this.paint();
      this.focused?.focus({ preventScroll: true });
      this.focused = null;
    });
  }

  close() {
    this.opened = false;
    clearTimeout(this.timer);
    this.focused = this.root.contains(document.activeElement) ? document.activeElement : null;
    this.page.views.delete(this);
    for (const name of TRAITS) this.page.model.off(`change:${name}`, this.refresh);
    for (const observer of [this.themes, this.sights, this.sizes]) observer.disconnect();
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

  // Something has changed: it is drawn in the next frame. A page on which nothing happens does nothing, as every frame
  // that a page asks for is made anew from all that is on it.
  wake() {
    if (!this.opened || this.awake) return;
    this.awake = true;
    requestAnimationFrame(() => {
      this.awake = false;
      if (this.opened) this.frame();
    });
  }

  frame() {
    const { page } = this;
    const { charts } = this.figures;
    const began = performance.now();
    if (this.stale || this.seen !== page.curves.map.size) {
      this.stale = false;
      this.seen = page.curves.map.size;
      for (const each of this.sections) each.update();
    }
    for (const chart of charts) {
      if (performance.now() - began < SLICE_MS) chart.frame();
    }
    const spent = performance.now() - began;
    page.stats.longest = Math.max(page.stats.longest, spent);
    page.stats.spent += spent;
    if (charts.some((chart) => chart.job)) this.wake();
    else this.draw();
  }

  // Points have come: a frame when the main figure may be drawn again, not before; the others go with it.
  draw() {
    const waiting = this.figures.charts.filter((chart) => chart.outdated());
    if (!waiting.length) return;
    const leading = waiting.filter((chart) => chart.leads);
    const due = Math.min(...(leading.length ? leading : waiting).map((chart) => chart.due));
    clearTimeout(this.timer);
    this.timer = setTimeout(this.wake, due - performance.now());
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
