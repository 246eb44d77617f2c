// Axes: from values to places, and the round numbers that stand beside them.

function numberWords(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const tidy = (v) => String(Number(v.toPrecision(4)));
  if (size >= 1e9 || size < 1e-3) {
    const [mantissa, exponent] = value.toExponential(3).split("e");
    return `${Number(mantissa)}e${Number(exponent)}`.replace(/^-/, "−");
  }
  if (size >= 1e6) return `${tidy(value / 1e6)}M`.replace(/^-/, "−");
  if (size >= 1e4) return `${tidy(value / 1e3)}k`.replace(/^-/, "−");
  return tidy(value).replace(/^-/, "−");
}

class Scale {
  // low < high in the data; from, to: places in pixels.
  constructor(low, high, from, to, log) {
    this.log = log && low > 0;
    if (!(high > low)) [low, high] = this.log ? [low / 1.5, low * 1.5] : [low - 0.5, low + 0.5];
    Object.assign(this, { low, high, from, to });
    this.start = this.log ? Math.log(low) : low;
    this.factor = (to - from) / ((this.log ? Math.log(high) : high) - this.start);
  }

  at(value) {
    return this.from + ((this.log ? Math.log(value) : value) - this.start) * this.factor;
  }

  back(place) {
    const value = this.start + (place - this.from) / this.factor;
    return this.log ? Math.exp(value) : value;
  }

  ticks(most) {
    const found = this.log ? this.logTicks(most) : null;
    if (found && found.length >= 2) return found;
    const raw = (this.high - this.low) / Math.max(1, most);
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const ticks = [];
    for (let i = Math.ceil(this.low / step - 1e-9); i * step <= this.high * (1 + 1e-12) + 1e-300; i++) {
      ticks.push(Number((i * step).toPrecision(12)));
    }
    return ticks;
  }

  logTicks(most) {
    const first = Math.floor(Math.log10(this.low));
    const last = Math.ceil(Math.log10(this.high));
    const choices = [[1, 2, 5], [1, 3], [1]].map((steps) => {
      const ticks = [];
      for (let power = first; power <= last; power++) {
        for (const step of steps) ticks.push(Number(`${step}e${power}`));
      }
      return ticks.filter((tick) => tick >= this.low * 0.999 && tick <= this.high * 1.001);
    });
    const fitting = choices.find((ticks) => ticks.length <= most);
    if (fitting) return fitting;
    const powers = choices[2];
    return powers.filter((_, i) => i % Math.ceil(powers.length / most) === 0);
  }
}
