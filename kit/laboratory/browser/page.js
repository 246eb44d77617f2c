// What one lab's page knows: the traits of its widget, the points that came, the axes that were chosen. It outlives the
// views, so that one that is drawn anew (the notebook shows its last picture, a second tab) begins where it was.

const TRIES = 3; // how often a page says again that it is there
const ANSWER_MS = 5000; // without an answer for so long, the kernel is gone or busy
// What the horizontal axis counts: as it stands in the menu, and below the figure.
const CLOCKS = {
  step: { title: "steps", axis: "step (updates)" },
  samples: { title: "samples", axis: "training samples seen" },
  gradients: { title: "gradient evaluations", axis: "gradients evaluated (one per sample)" },
  seconds: { title: "seconds", axis: "training time (s)" },
};

const CHOSEN = ["validation_loss", "train_loss", "batch_loss"]; // the first that there is, until one is chosen

class Page {
  constructor(model) {
    this.model = model;
    this.curves = new Curves();
    this.axes = { clock: "step", metric: null, xLog: false, yLog: null };
    this.stats = { frames: 0, longest: 0, spent: 0 }; // drawings of the main figure; milliseconds of our work
    this.revision = 0; // changes when something that is drawn did, points aside
    this.asked = 0;
    this.waiting = new Map(); // what was asked and is not answered: id -> timer
    this.tries = 0;
    this.views = new Set();
    this.named = new Set(); // metrics that the kernel was told of
    this.silent = false; // whether the kernel did not answer
    this.fault = "";
    this.heard = false;
    model.on("msg:custom", (content, buffers) => this.hear(content, buffers));
    for (const name of ["runs", "metrics", "landscape", "status"]) model.on(`change:${name}`, () => (this.revision += 1));
    model.on("change:metrics", () => this.demand());
    model.on("comm_live_update", () => this.hello());
    this.hello();
  }

  get runs() {
    return this.model.get("runs");
  }

  get metrics() {
    return this.model.get("metrics");
  }

  get words() {
    return this.model.get("words");
  }

  get landscape() {
    const land = this.model.get("landscape");
    if (!land || !land.values) return null;
    if (this.land?.from !== land) {
      this.land = { ...land, from: land, values: asFloats(land.values, Float32Array) };
      this.landscapeKey = (this.landscapeKey || 0) + 1;
    }
    return this.land;
  }

  // Ask the kernel for something; it answers everything.
  ask(what, more = {}) {
    const id = ++this.asked;
    this.waiting.set(id, setTimeout(() => this.unanswered(what), ANSWER_MS));
    try {
      this.model.send({ do: what, id, ...more });
    } catch {
      this.unanswered(); // the channel to the kernel is closed
    }
  }

  unanswered(what) {
    this.silent = true;
    this.refresh();
    // A page that comes while the kernel's channel is being made anew may go unheard.
    if (what === "hello" && this.tries++ < TRIES) this.hello();
  }

  hear(content, buffers) {
    if (content.kind === "answer") {
      clearTimeout(this.waiting.get(content.id));
      if (this.waiting.delete(content.id)) this.fault = content.fault;
      this.silent = false;
      this.tries = 0;
      this.refresh();
    } else if (content.kind === "report") {
      this.report = { name: content.name, url: URL.createObjectURL(new Blob([buffers[0]], { type: "text/html" })) };
      this.refresh();
    } else {
      this.points(content, asFloats(buffers[0], Float64Array), asFloats(buffers[1], Float32Array));
    }
  }

  points({ kind, generation }, heads, values) {
    if (kind === "snapshot" || generation !== this.curves.generation) {
      this.curves.clear();
      this.curves.generation = generation;
    }
    this.heard = true;
    if (this.curves.take(heads, values)) this.hello(); // some were missed: everything again
    this.demand();
    for (const view of this.views) view.draw();
  }

  // Ask for everything, the metric that is shown among it.
  hello() {
    const metric = this.metric();
    this.named.add(metric);
    this.ask("hello", { metric });
  }

  // The loss of every batch comes only once it is looked at.
  demand() {
    const metric = this.metric();
    const number = this.metrics.indexOf(metric);
    if (number >= 0 && !this.named.has(metric) && !this.curves.blocks.has(number)) this.hello();
  }

  refresh() {
    for (const view of this.views) view.refresh();
  }

  set(axes) {
    Object.assign(this.axes, axes);
    this.demand();
    this.refresh();
  }

  // How a curve's points are read on the x axis: i -> place in the clock's unit.
  clock(curve) {
    const { clock } = this.axes;
    if (clock === "seconds") return (i) => curve.seconds[i];
    if (clock === "step") return (i) => curve.steps[i];
    const { batch } = this.runs[curve.run];
    return (i) => curve.steps[i] * batch;
  }

  clockWords() {
    return CLOCKS[this.axes.clock].axis;
  }

  // The curves that can be chosen: the probes and the paths have figures of their own.
  choices() {
    return this.metrics.filter((name) => !/\.\d+$/.test(name));
  }

  metric() {
    const choices = this.choices();
    if (choices.includes(this.axes.metric)) return this.axes.metric;
    return CHOSEN.find((name) => choices.includes(name)) || choices[0] || CHOSEN[0];
  }

  colour(run) {
    const series = this.model.get("palette")[this.look || "light"];
    const place = run.kept ? (run.lane + 6) % series.length : run.look;
    return series[place % series.length];
  }
}
