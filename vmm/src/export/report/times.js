// Distributions: how long calls, switches and ticks took, as histograms over a logarithmic axis with a table of
// the numbers beside each.

const BINS_A_DECADE = 12;
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

function histogram(title, sorted, numbers) {
  const [width, height, base] = [420, 130, 104];
  const bin = ns => Math.floor(Math.log10(Math.max(ns, 1)) * BINS_A_DECADE);
  const low = bin(sorted[0]) - 1, high = bin(sorted[sorted.length - 1]) + 2;
  const bars = new Array(high - low).fill(0);
  sorted.forEach(ns => bars[bin(ns) - low]++);
  const x = ns => (Math.log10(Math.max(ns, 1)) * BINS_A_DECADE - low) / (high - low) * width;
  const most = bars.reduce((a, b) => Math.max(a, b)), step = width / bars.length;
  const label = `${title}: ${plural(sorted.length, 'value')}, ${numbers.map(([name, ns]) => `${name} ${duration(ns)}`).join(', ')}`;
  const svg = shape('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label });
  bars.forEach((height, i) => {
    const tall = height / most * (base - 16);
    if (height) svg.append(shape('rect', { x: i * step + .5, y: base - Math.max(tall, 1), width: Math.max(step - 1, .5), height: Math.max(tall, 1), fill: 'var(--user)' }));
  });
  svg.append(shape('rect', { x: 0, y: base, width, height: 1, fill: 'var(--rule)' }));
  for (let power = Math.ceil(low / BINS_A_DECADE); power <= high / BINS_A_DECADE; power++) {
    svg.append(shape('text', { x: x(10 ** power), y: base + 18, 'text-anchor': 'middle' }, duration(10 ** power)));
    svg.append(shape('rect', { x: x(10 ** power), y: base, width: 1, height: 5, fill: 'var(--soft)' }));
  }
  numbers.slice(0, 3).forEach(([name, ns], i) => {
    svg.append(shape('rect', { x: x(ns), y: 4 + 0 * i, width: 1, height: base - 4, fill: ['var(--accent)', 'var(--tick)', 'var(--fault)'][i] }));
  });
  return svg;
}

function shape(tag, attributes, ...children) {
  const element = document.createElementNS('http' + '://www.w3.org/2000/svg', tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}
