// The paths of a two-parameter problem over the contours of its function.

const LABEL_ROOM = 28;

class Paths extends Chart {
  constructor(page) {
    super(page, "Paths", { metric: () => "position.0", wide: false });
  }

  get leads() {
    return true;
  }

  state() {
    return `${super.state()}|${this.page.landscapeKey}`;
  }

  *draw() {
    const { page } = this;
    const land = page.landscape;
    const [c, width, height] = this.fresh();
    if (!land) return;
    const colours = page.colours;
    const box = { left: 44, right: width - 10, top: 10, bottom: height - LABEL_ROOM };
    const [left, right, bottom, top] = land.window;
    const x = new Scale(left, right, box.left, box.right, false);
    const y = new Scale(bottom, top, box.bottom, box.top, false);
    this.frameLines(c, x, y, box, colours);
    c.save();
    c.beginPath();
    c.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    c.clip();
    for (const level of land.levels) {
      c.beginPath();
      contour(c, land, level, x, y);
      c.strokeStyle = colours.muted;
      c.globalAlpha = 0.55;
      c.lineWidth = 0.8;
      c.stroke();
      yield;
    }
    c.globalAlpha = 1;
    for (const [a, b] of land.minima) star(c, x.at(a), y.at(b), 8, colours.ink, colours.surface);
    const [first, second] = ["position.0", "position.1"].map((name) => page.metrics.indexOf(name));
    const runs = page.curves.of(first).filter((curve) => page.runs[curve.run]);
    for (const curve of runs) {
      const other = page.curves.get(curve.run, second);
      if (other) this.path(c, curve, other, page.runs[curve.run], x, y, colours);
      yield;
    }
    c.restore();
    this.canvas.setAttribute("aria-label", this.sentence(runs, second));
  }

  path(c, across, up, run, x, y, colours) {
    const colour = this.page.colour(run);
    const count = Math.min(across.count, up.count);
    if (!count) return;
    c.beginPath();
    for (let i = 0; i < count; i++) {
      if (!Number.isFinite(across.values[i]) || !Number.isFinite(up.values[i])) break;
      c.lineTo(x.at(across.values[i]), y.at(up.values[i]));
    }
    c.strokeStyle = colour;
    c.lineWidth = 1.8;
    c.setLineDash(run.kept || run.status === "diverged" ? [5, 4] : []);
    c.stroke();
    c.setLineDash([]);
    const every = Math.max(1, Math.floor(count / 8));
    const radius = 3;
    for (let i = every; i < count - 1; i += every) {
      mark(c, run.look ?? run.lane, x.at(across.values[i]), y.at(up.values[i]), radius, colour, colours.surface);
    }
    c.beginPath();
    c.arc(x.at(across.values[0]), y.at(up.values[0]), 5, 0, 2 * Math.PI);
    c.strokeStyle = colours.ink;
    c.lineWidth = 1.4;
    c.stroke();
    mark(c, run.look ?? run.lane, x.at(across.values[count - 1]), y.at(up.values[count - 1]), 6, colour, colours.surface);
  }

  frameLines(c, x, y, box, colours) {
    c.strokeStyle = colours.muted;
    c.lineWidth = 1;
    c.strokeRect(box.left + 0.5, box.top + 0.5, box.right - box.left - 1, box.bottom - box.top - 1);
    c.fillStyle = colours.muted;
    c.textAlign = "center";
    c.textBaseline = "top";
    for (const tick of x.ticks(5)) c.fillText(numberWords(tick), x.at(tick), box.bottom + 5);
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const tick of y.ticks(5)) c.fillText(numberWords(tick), box.left - 6, y.at(tick));
  }

  sentence(runs, second) {
    const said = new Map();
    for (const curve of runs) {
      const run = this.page.runs[curve.run];
      const other = this.page.curves.get(curve.run, second);
      if (!other || said.has(run.name)) continue;
      const place = [curve, other].map((each) => numberWords(each.values[each.count - 1]));
      said.set(run.name, `${run.name} stands at (${place.join(", ")})`);
    }
    const paths = said.size ? `${[...said.values()].join("; ")}.` : "no run yet.";
    return `Paths over the contours of the function, from the ring to the large marker: ${paths}`;
  }
}

// One level line by marching squares: each cell of the grid gives at most two stretches.
function contour(c, land, level, x, y) {
  const { columns, rows, values } = land;
  const [left, right, bottom, top] = land.window;
  const dx = (right - left) / (columns - 1);
  const dy = (top - bottom) / (rows - 1);
  for (let j = 0; j < rows - 1; j++) {
    for (let i = 0; i < columns - 1; i++) {
      const corners = [values[j * columns + i], values[j * columns + i + 1], values[(j + 1) * columns + i + 1],
        values[(j + 1) * columns + i]];
      const above = corners.map((value) => value > level);
      const crossings = [];
      for (let side = 0; side < 4; side++) {
        const next = (side + 1) % 4;
        if (above[side] === above[next]) continue;
        const share = (level - corners[side]) / (corners[next] - corners[side]);
        const [a, b] = [[i + share, j], [i + 1, j + share], [i + 1 - share, j + 1], [i, j + 1 - share]][side];
        crossings.push([x.at(left + a * dx), y.at(bottom + b * dy)]);
      }
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        c.moveTo(...crossings[k]);
        c.lineTo(...crossings[k + 1]);
      }
    }
  }
}
