// From points to a line in pixels, and what is read off a curve.

// The line of one curve into a path: per column of pixels its first, lowest, highest and last value.
function trace(c, xs, curve, x, y) {
  const { count, values } = curve;
  let i = 0;
  let pen = false;
  const left = Math.floor(Math.min(x.from, x.to));
  while (i < count && x.log && xs(i) <= 0) i++;
  while (i < count) {
    const column = Math.floor(x.at(xs(i)));
    const edge = x.back(column + 1);
    let first = NaN;
    let low = Infinity;
    let high = -Infinity;
    let last = NaN;
    let lowFirst = true;
    const begin = i;
    for (; i < count && (xs(i) < edge || i === begin); i++) {
      const value = values[i];
      if (!Number.isFinite(value) || (y.log && value <= 0)) continue;
      if (first !== first) first = value;
      if (value < low) {
        low = value;
        lowFirst = false;
      }
      if (value > high) {
        high = value;
        lowFirst = true;
      }
      last = value;
    }
    if (first !== first) {
      pen = false;
      continue;
    }
    const place = i - begin === 1 ? x.at(xs(begin)) : Math.max(column, left) + 0.5;
    if (pen) c.lineTo(place, y.at(first));
    else c.moveTo(place, y.at(first));
    pen = true;
    if (low < high) {
      c.lineTo(place, y.at(lowFirst ? low : high));
      c.lineTo(place, y.at(lowFirst ? high : low));
      c.lineTo(place, y.at(last));
    }
  }
}

// Some of the values of curves, sorted, as many from each.
function usualValues(curves) {
  const found = [];
  for (const curve of curves) {
    const every = Math.max(1, Math.floor(curve.count / 200));
    for (let i = curve.count - 1; i >= 0; i -= every) if (Number.isFinite(curve.values[i])) found.push(curve.values[i]);
  }
  return found.sort((a, b) => a - b);
}

// The mean of a curve's last points: the last one alone is mostly luck where it is a batch's.
function tail(curve) {
  const from = Math.max(0, curve.count - Math.max(1, Math.min(20, Math.floor(curve.count / 10))));
  let sum = 0;
  let count = 0;
  for (let i = from; i < curve.count; i++) {
    if (Number.isFinite(curve.values[i])) {
      sum += curve.values[i];
      count += 1;
    }
  }
  return count ? sum / count : NaN;
}

function atOrAfter(curve, xs, value) {
  let low = 0;
  let high = curve.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs(middle) < value) low = middle + 1;
    else high = middle;
  }
  return low < curve.count ? low : -1;
}

function shortened(c, text, width) {
  if (c.measureText(text).width <= width) return text;
  let kept = text;
  while (kept.length > 3 && c.measureText(`${kept}…`).width > width) kept = kept.slice(0, -1);
  return `${kept}…`;
}

function metricWords(metric) {
  return metric.replace(/^train_/, "training_").replaceAll("_", " ");
}
