// The points that have come, by run and metric. See kit/laboratory/stream.py for how they travel.

const HEAD = 8; // run, metric, offset, first step, distance, count, seconds before, seconds after

class Curve {
  constructor(run, metric) {
    this.run = run;
    this.metric = metric;
    this.count = 0;
    this.steps = new Float64Array(256);
    this.seconds = new Float64Array(256);
    this.values = new Float32Array(256);
    this.lowest = Infinity;
    this.highest = -Infinity;
  }

  grow(count) {
    if (count <= this.values.length) return;
    const size = 2 ** Math.ceil(Math.log2(count));
    for (const name of ["steps", "seconds", "values"]) {
      const wider = new this[name].constructor(size);
      wider.set(this[name].subarray(0, this.count));
      this[name] = wider;
    }
  }

  append(first, distance, before, after, values) {
    this.grow(this.count + values.length);
    for (let i = 0; i < values.length; i++) {
      const at = this.count + i;
      const value = values[i];
      this.steps[at] = first + i * distance;
      this.seconds[at] = before + ((after - before) * (i + 1)) / values.length;
      this.values[at] = value;
      if (Number.isFinite(value)) {
        if (value < this.lowest) this.lowest = value;
        if (value > this.highest) this.highest = value;
      }
    }
    this.count += values.length;
  }
}

class Curves {
  constructor() {
    this.generation = -1;
    this.cleared = 0; // how often
    this.clear();
  }

  clear() {
    this.map = new Map();
    this.blocks = new Map(); // metric -> how many have come
    this.cleared += 1;
  }

  // Changes with every point of a metric, so that a figure knows whether it is up to date.
  version(metric) {
    return `${this.cleared}.${this.blocks.get(metric) ?? 0}`;
  }

  get(run, metric) {
    return this.map.get(run * 4096 + metric);
  }

  // heads, values: as they came. Returns whether points before these are missing.
  take(heads, values) {
    let missing = false;
    let at = 0;
    for (let i = 0; i < heads.length; i += HEAD) {
      const [run, metric, offset, first, distance, count, before, after] = heads.subarray(i, i + HEAD);
      const key = run * 4096 + metric;
      if (!this.map.has(key)) this.map.set(key, new Curve(run, metric));
      const curve = this.map.get(key);
      const known = curve.count - offset; // points of this block that are here already
      if (known < 0) missing = true;
      else if (known < count) {
        const start = before + ((after - before) * known) / count;
        curve.append(first + known * distance, distance, start, after, values.subarray(at + known, at + count));
      }
      this.blocks.set(metric, (this.blocks.get(metric) ?? 0) + 1);
      at += count;
    }
    return missing;
  }

  // The curves of a metric (by its number), in the order of the runs.
  of(metric) {
    return [...this.map.values()].filter((curve) => curve.metric === metric).sort((a, b) => a.run - b.run);
  }
}

function asFloats(view, kind) {
  // A DataView into a larger message need not be aligned: copy.
  return new kind(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
