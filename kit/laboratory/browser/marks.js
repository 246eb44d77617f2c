// Markers: which lane a line belongs to is told by a shape besides its colour.

const SHAPES = {
  // In the order of kit.plot.palette.MARKERS. Each draws a path of about radius r around (x, y).
  circle: (c, x, y, r) => c.arc(x, y, r, 0, 2 * Math.PI),
  square: (c, x, y, r) => c.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8),
  triangle: (c, x, y, r) => polygon(c, [[x, y - 1.15 * r], [x + 1.1 * r, y + 0.85 * r], [x - 1.1 * r, y + 0.85 * r]]),
  diamond: (c, x, y, r) => polygon(c, [[x, y - 1.25 * r], [x + 1.1 * r, y], [x, y + 1.25 * r], [x - 1.1 * r, y]]),
  wedge: (c, x, y, r) => polygon(c, [[x, y + 1.15 * r], [x + 1.1 * r, y - 0.85 * r], [x - 1.1 * r, y - 0.85 * r]]),
  plus: (c, x, y, r) => {
    const a = 0.42 * r;
    const b = 1.15 * r;
    polygon(c, [[x - a, y - b], [x + a, y - b], [x + a, y - a], [x + b, y - a], [x + b, y + a], [x + a, y + a],
      [x + a, y + b], [x - a, y + b], [x - a, y + a], [x - b, y + a], [x - b, y - a], [x - a, y - a]]);
  },
};
const SHAPE_NAMES = Object.keys(SHAPES);

function polygon(c, points) {
  points.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
  c.closePath();
}

function mark(c, look, x, y, r, colour, halo) {
  c.beginPath();
  SHAPES[SHAPE_NAMES[look % SHAPE_NAMES.length]](c, x, y, r);
  c.fillStyle = colour;
  c.fill();
  if (halo) {
    c.strokeStyle = halo;
    c.lineWidth = 1;
    c.stroke();
  }
}

function cross(c, x, y, r, colour) {
  c.beginPath();
  c.moveTo(x - r, y - r);
  c.lineTo(x + r, y + r);
  c.moveTo(x - r, y + r);
  c.lineTo(x + r, y - r);
  c.strokeStyle = colour;
  c.lineWidth = 2;
  c.stroke();
}

function star(c, x, y, r, colour, halo) {
  const points = [];
  for (let i = 0; i < 10; i++) {
    const angle = -Math.PI / 2 + (i * Math.PI) / 5;
    const radius = i % 2 ? r * 0.42 : r;
    points.push([x + radius * Math.cos(angle), y + radius * Math.sin(angle)]);
  }
  c.beginPath();
  polygon(c, points);
  c.fillStyle = colour;
  c.fill();
  c.strokeStyle = halo;
  c.lineWidth = 1;
  c.stroke();
}
