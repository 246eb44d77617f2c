// Curves on a canvas. However many points there are, a line has at most four of them in a column of pixels; and a
// drawing that takes long is made in slices between frames, on a sheet that is shown when it is done, so that the page
// answers all the while.

const SLICE_MS = 10; // of drawing, between two frames
const REST_MS = { leading: 130, other: 500 }; // from one drawing to the next, at least; …
const REST_SHARE = 4; // … and so many times what the last one took: the processor is there for the training
const MARKS = 5; // markers along a line
const CROWD = 12; // more lines than this are drawn thinner

class Chart {
  // page: gives curves, runs, colours and the choice of axes; name: of the figure, in its label.
  constructor(page, name, { metric, wide }) {
    Object.assign(this, { page, name, metric, wide });
    this.canvas = element("canvas", { role: "img", tabindex: "0", "aria-label": `${name}: nothing yet.` });
    this.sheet = new OffscreenCanvas(1, 1);
    this.job = null;
    this.drawn = "";
    this.due = 0; // when it may be drawn again
    this.cost = 0; // milliseconds that this drawing has taken so far
  }

  // What the figure depends on: drawn again when it changes.
  state() {
    const { page, canvas } = this;
    const { clientWidth, clientHeight } = canvas;
    return [page.curves.generation, this.version(), page.look, clientWidth, clientHeight, devicePixelRatio,
      this.metric(), JSON.stringify(page.axes), page.revision].join("|");
  }

  // Changes with every point of what it shows.
  version() {
    return this.page.curves.version(this.page.metrics.indexOf(this.metric()));
  }

  // Whether what it shows is not what there is to see.
  outdated() {
    return !this.job && this.state() !== this.drawn && this.seen();
  }

  // Called in a frame: begin a drawing if one is due, or go on with the one that is under way.
  frame() {
    const began = performance.now();
    if (began >= this.due && this.outdated()) {
      this.drawn = this.state();
      this.cost = 0;
      this.job = this.draw();
    }
    if (!this.job) return;
    let done = false;
    while (!done && performance.now() - began < SLICE_MS) done = this.job.next().done;
    if (done) this.show();
    this.cost += performance.now() - began;
    if (done) this.due = performance.now() + Math.max(this.leads ? REST_MS.leading : REST_MS.other, REST_SHARE * this.cost);
  }

  show() {
    this.job = null;
    this.canvas.getContext("bitmaprenderer").transferFromImageBitmap(this.sheet.transferToImageBitmap());
    if (this.wide) this.page.stats.frames += 1;
  }

  // Whether it is on the screen: what nobody sees is not drawn.
  seen() {
    const { top, bottom, width } = this.canvas.getBoundingClientRect();
    return width > 0 && bottom > 0 && top < window.innerHeight;
  }

  // Whether it is what is watched: it moves as often as the eye wants, the others now and then.
  get leads() {
    return this.wide;
  }

  get size() {
    return this.wide ? 12 : 11; // of type, in pixels
  }

  // An empty sheet: its context, in the page's pixels, and its size.
  fresh() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = window.devicePixelRatio || 1;
    const [across, down] = [width, height].map((length) => Math.max(1, Math.round(length * ratio)));
    if (this.sheet.width !== across) this.sheet.width = across;
    if (this.sheet.height !== down) this.sheet.height = down;
    const c = this.sheet.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.font = `${this.size}px ${getComputedStyle(this.canvas).fontFamily}`;
    return [c, width, height];
  }

  *draw() {
    const { page } = this;
    const [c, width, height] = this.fresh();
    const colours = page.colours;
    const number = page.metrics.indexOf(this.metric());
    const curves = page.curves.of(number).filter((curve) => page.runs[curve.run] && curve.count);
    const lines = curves.map((curve) => ({ curve, run: page.runs[curve.run], xs: page.clock(curve) }));
    const size = this.size;
    const names = this.names(lines);
    const room = this.wide ? Math.min(width * 0.3, Math.max(24, ...names.map((n) => c.measureText(n.text).width + 26))) : 18;
    const box = { left: this.wide ? 54 : 48, right: width - room, top: 10, bottom: height - 30 - this.size };
    const [x, y] = this.scales(lines, box);
    if (lines.length) this.grid(c, x, y, box, colours, size);
    yield;
    c.save();
    c.beginPath();
    c.rect(box.left, box.top - 4, box.right - box.left + 4, box.bottom - box.top + 8);
    c.clip();
    for (const line of lines) {
      this.line(c, line, x, y, lines.length > CROWD);
      yield;
    }
    for (const line of lines) this.signs(c, line, x, y, colours);
    c.restore();
    if (this.wide) this.label(c, names, x, y, box, colours, size);
    this.say(lines, x, y);
  }

  line(c, { curve, run, xs }, x, y, crowded) {
    c.beginPath();
    trace(c, xs, curve, x, y);
    c.strokeStyle = this.page.colour(run);
    c.globalAlpha = run.kept ? 0.75 : crowded ? 0.7 : 0.9;
    c.lineWidth = crowded ? 1 : 1.4;
    c.setLineDash(run.kept ? [5, 4] : []);
    c.lineJoin = "bevel";
    c.stroke();
    c.globalAlpha = 1;
    c.setLineDash([]);
  }

  scales(lines, box) {
    const { xLog, yLog } = this.page.axes;
    const sound = lines.filter(({ run }) => run.status !== "diverged");
    const measured = sound.length ? sound : lines;
    let low = Infinity;
    let high = -Infinity;
    let end = 0;
    let start = Infinity;
    for (const { curve } of measured) {
      low = Math.min(low, curve.lowest);
      high = Math.max(high, curve.highest);
    }
    for (const { curve, xs } of lines) {
      end = Math.max(end, xs(curve.count - 1));
      const first = xs(0) > 0 ? xs(0) : curve.count > 1 ? xs(1) : Infinity;
      if (first > 0) start = Math.min(start, first);
    }
    const share = this.metric().endsWith("accuracy");
    const usual = usualValues(measured.map(({ curve }) => curve));
    if (!usual.length) [low, high] = [0, 1];
    // A few zeros (a batch that is fitted perfectly) are left out of a logarithmic scale; many make it linear.
    const log = (yLog ?? !share) && usual.length > 0 && usual[Math.floor(usual.length * 0.05)] > 0;
    let bottom = log ? usual[Math.floor(usual.length * 0.005)] : low;
    if (log && !(bottom > 0)) bottom = usual.find((value) => value > 0);
    if (!log && !share && usual.length > 400) high = usual[Math.floor(usual.length * 0.98)]; // spikes would flatten the rest
    if (log) bottom = Math.min(bottom, high);
    const room = log ? (high / bottom) ** 0.05 : (high - bottom) * 0.06 || Math.abs(high) * 0.05 || 0.5;
    let top = log ? high * room : high + room;
    bottom = log ? bottom / room : bottom - room;
    if (share) [bottom, top] = [Math.max(bottom, -0.02), Math.min(top, 1.02)];
    const logX = xLog && Number.isFinite(start) && end > start;
    return [
      new Scale(logX ? start : 0, end || 1, box.left, box.right, logX),
      new Scale(bottom, top, box.bottom, box.top, log),
    ];
  }

  grid(c, x, y, box, colours, size) {
    c.lineWidth = 1;
    c.textBaseline = "middle";
    c.textAlign = "right";
    for (const tick of y.ticks(this.wide ? 7 : 4)) {
      const place = Math.round(y.at(tick)) + 0.5;
      c.strokeStyle = colours.grid;
      c.beginPath();
      c.moveTo(box.left, place);
      c.lineTo(box.right, place);
      c.stroke();
      c.fillStyle = colours.muted;
      c.fillText(numberWords(tick), box.left - 6, place);
    }
    c.textBaseline = "top";
    c.textAlign = "center";
    let free = -Infinity;
    for (const tick of x.ticks(this.wide ? 8 : 4)) {
      const place = Math.round(x.at(tick)) + 0.5;
      const text = numberWords(tick);
      const half = c.measureText(text).width / 2;
      c.strokeStyle = colours.grid;
      c.beginPath();
      c.moveTo(place, box.top);
      c.lineTo(place, box.bottom);
      c.stroke();
      if (place - half < free) continue;
      free = place + half + 8;
      c.fillStyle = colours.muted;
      c.fillText(text, place, box.bottom + 6);
    }
    c.strokeStyle = colours.muted;
    c.beginPath();
    c.moveTo(box.left + 0.5, box.top);
    c.lineTo(box.left + 0.5, box.bottom + 0.5);
    c.lineTo(box.right, box.bottom + 0.5);
    c.stroke();
    c.fillStyle = colours.ink;
    c.fillText(this.page.clockWords(), (box.left + box.right) / 2, box.bottom + 6 + size + 5);
  }

  // Markers along a line, and a cross where a run was lost.
  signs(c, { curve, run, xs }, x, y, colours) {
    const colour = this.page.colour(run);
    const between = (x.to - x.from) / (this.wide ? MARKS : 2);
    const next = x.from + between * (0.3 + 0.11 * ((run.look ?? run.lane) % 6));
    let last = null;
    const radius = this.wide ? 4 : 3;
    // By place, not by point: a hundred points and ten thousand get the same few markers.
    for (let at = next; at < x.to; at += between) {
      const i = atOrAfter(curve, xs, x.back(at));
      if (i < 0) break;
      const value = curve.values[i];
      if (Number.isFinite(value) && !(y.log && value <= 0)) {
        mark(c, run.look ?? run.lane, x.at(xs(i)), y.at(value), radius, colour, colours.surface);
      }
    }
    for (let i = curve.count - 1; i >= 0 && last === null; i--) {
      if (Number.isFinite(curve.values[i]) && !(y.log && curve.values[i] <= 0)) last = i;
    }
    if (last !== null && ["diverged", "failed", "lost"].includes(run.status)) {
      const place = Math.min(Math.max(y.at(curve.values[last]), y.to), y.from);
      cross(c, x.at(xs(last)), place, radius + 1, colour);
    }
  }

  // One name for each lane, at the mean of its ends.
  names(lines) {
    const found = new Map();
    for (const { curve, run, xs } of lines) {
      let i = curve.count - 1;
      while (i > 0 && !Number.isFinite(curve.values[i])) i--;
      const key = `${run.kept || ""}|${run.lane}`;
      if (!found.has(key)) found.set(key, { text: run.name, run, ends: [] });
      if (run.status !== "diverged") found.get(key).ends.push(tail(curve));
    }
    return [...found.values()];
  }

  label(c, names, x, y, box, colours, size) {
    const line = size + 5;
    const placed = names.map((name) => {
      const ends = name.ends.filter((end) => Number.isFinite(end) && !(y.log && end <= 0));
      const mean = ends.length ? ends.map((end) => y.at(end)).reduce((a, b) => a + b) / ends.length : box.top;
      return { ...name, place: Math.min(Math.max(mean, box.top + line / 2), box.bottom - line / 2) };
    }).sort((a, b) => a.place - b.place);
    const fitting = Math.max(1, Math.floor((box.bottom - box.top) / line));
    const shown = placed.slice(0, fitting);
    for (let i = 1; i < shown.length; i++) shown[i].place = Math.max(shown[i].place, shown[i - 1].place + line);
    for (let i = shown.length - 1, limit = box.bottom - line / 2; i >= 0; i--, limit -= line) {
      shown[i].place = Math.min(shown[i].place, limit);
    }
    c.textAlign = "left";
    c.textBaseline = "middle";
    for (const { text, run, place } of shown) {
      mark(c, run.look ?? run.lane, box.right + 10, place, 4, this.page.colour(run), null);
      c.fillStyle = colours.ink;
      c.fillText(shortened(c, text, this.canvas.clientWidth - box.right - 20), box.right + 18, place);
    }
  }

  say(lines, x, y) {
    const metric = metricWords(this.metric());
    const what = this.name.toLowerCase() === metric ? this.name : `${this.name}, ${metric}`;
    const axes = `by ${this.page.clockWords()}, ${y.log ? "logarithmic" : "linear"} scale from ${numberWords(y.low)} to ${numberWords(y.high)}`;
    const text = lines.length ? `${what}: ${lines.length} curves ${axes}. ${this.sentence(lines)}` : `${what}: nothing yet.`;
    if (this.canvas.getAttribute("aria-label") !== text) this.canvas.setAttribute("aria-label", text);
  }

  // What the curves show, from their ends; of the loss that the lab judges by, the kernel says more.
  sentence(lines) {
    const metric = metricWords(this.metric());
    if (this.page.words.toLowerCase().startsWith(`${metric},`)) return this.page.words;
    const ends = this.names(lines).map(({ text, ends: values }) => {
      const finite = values.filter(Number.isFinite);
      return { text, mean: finite.length ? finite.reduce((a, b) => a + b) / finite.length : Infinity };
    }).sort((a, b) => a.mean - b.mean);
    const said = ends.map(({ text, mean }) => `${text}: ${Number.isFinite(mean) ? numberWords(mean) : "no end"}`);
    return `${metric[0].toUpperCase()}${metric.slice(1)} at the end, lowest first: ${said.join("; ")}.`;
  }
}
