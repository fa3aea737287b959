// Distributions: how long calls, switches and ticks took, as histograms with a table of the numbers beside each.

const BINS = 60;
const SVG = 'http://www.w3.org/2000/svg';
const QUANTILES = [['median', .5], ['90%', .9], ['99%', .99]];

/// The durations that the charts show.
function durations(records, model) {
  const { load, save, time } = model.switches;
  const handlers = kind => model.lanes.filter(lane => lane.process > 0).flatMap(lane => {
    const wanted = [];
    for (let i = 0; i < lane.start.length; i++) if (lane.kind[i] === CLASS[kind]) wanted.push(lane.end[i] - lane.start[i]);
    return wanted;
  });
  const costs = [];
  for (let i = 0; i < load.length; i++) if (save[i] >= 0) costs.push(time[i] - records.time[save[i]]);
  const ticks = model.lanes.flatMap(lane => Array.from(lane.marks.tick.time)).sort((a, b) => a - b);
  return [
    ['System calls', 'From the trap to the return, or to the switch away.', handlers('call')],
    ['Switches', 'From storing the old registers to having loaded the new.', costs],
    ['Timer interrupts', 'From the trap to the return, or to the switch away.', handlers('tick')],
    ['Between two ticks', 'From one timer interrupt to the next.', ticks.slice(1).map((tick, i) => tick - ticks[i])],
  ].map(([title, meaning, list]) => ({ title, meaning, sorted: Float64Array.from(list).sort() }));
}

/// The smallest value that at least this part of all values do not exceed.
const quantile = (sorted, part) => sorted[Math.max(Math.ceil(part * sorted.length) - 1, 0)];

function chart({ title, meaning, sorted }) {
  const figure = make('article', {}, make('h3', {}, title), make('p', {}, meaning));
  if (!sorted.length) {
    figure.append(make('p', {}, 'There were none.'));
    return figure;
  }
  const numbers = [...QUANTILES.map(([name, part]) => [name, quantile(sorted, part)]), ['longest', sorted[sorted.length - 1]]];
  figure.append(histogram(title, sorted, numbers));
  const head = make('tr', {}, ...['count', ...numbers.map(([name]) => name)].map(name => make('th', { scope: 'col' }, name)));
  const body = make('tr', {}, ...[count(sorted.length), ...numbers.map(([, ns]) => duration(ns))].map(text => make('td', {}, text)));
  figure.append(make('table', {}, make('thead', {}, head), make('tbody', {}, body)));
  return figure;
}

/// The scale of an axis: logarithmic where the values differ much, so that neither end is lost.
function scale(low, high, width) {
  const isWide = high / low > 8;
  const place = isWide ? Math.log10 : ns => ns;
  const margin = (place(high) - place(low)) * .04 || place(low) * .05 || 1;
  const [first, last] = [place(low) - margin, place(high) + margin];
  return { isWide, x: ns => (place(Math.max(ns, .5)) - first) / (last - first) * width };
}

/// Round values on an axis.
function rounds(low, high, isWide) {
  if (!isWide) {
    const rough = (high - low || low) / 4, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find(times => times * power >= rough);
    return Array.from({ length: 8 }, (_, i) => (Math.ceil(low / step) + i) * step).filter(ns => ns <= high);
  }
  const each = high / low > 3000 ? [1] : [1, 3];
  return Array.from({ length: 14 }, (_, power) => each.map(times => times * 10 ** power)).flat().filter(ns => ns >= low && ns <= high);
}

function histogram(title, sorted, numbers) {
  const [width, height, base, top] = [420, 150, 124, 18];
  const [low, high] = [Math.max(sorted[0], 1), Math.max(sorted[sorted.length - 1], 1)];
  const { isWide, x } = scale(low, high, width);
  const bars = new Array(BINS).fill(0);
  sorted.forEach(ns => bars[Math.min(Math.max(Math.floor(x(ns) / width * BINS), 0), BINS - 1)]++);
  const most = Math.max(...bars), step = width / BINS;
  const label = `${title}: ${plural(sorted.length, 'value')}, ${numbers.map(([name, ns]) => `${name} ${duration(ns)}`).join(', ')}`;
  const svg = shape('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label });
  bars.forEach((number, i) => {
    const tall = Math.max(number / most * (base - top - 4), 1.5);
    if (number) svg.append(shape('rect', { x: i * step + .5, y: base - tall, width: step - 1, height: tall, fill: 'var(--user)' }));
  });
  svg.append(shape('rect', { x: 0, y: base, width, height: 1, fill: 'var(--rule)' }));
  rounds(low, high, isWide).forEach(ns => {
    svg.append(shape('rect', { x: x(ns), y: base, width: 1, height: 5, fill: 'var(--soft)' }));
    svg.append(shape('text', { x: x(ns), y: base + 19, 'text-anchor': 'middle' }, duration(ns)));
  });
  let taken = -Infinity;
  numbers.slice(0, QUANTILES.length).forEach(([name, ns]) => {
    const at = x(ns), isLeft = at > width - 50;
    svg.append(shape('rect', { x: at - .5, y: top - 4, width: 1, height: base - top + 4, fill: 'var(--ink)', opacity: .55 }));
    if (at - taken > 46) svg.append(shape('text', { x: at, y: top - 8, 'text-anchor': isLeft ? 'end' : 'start' }, name));
    taken = at - taken > 46 ? at : taken;
  });
  return svg;
}

function shape(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}
