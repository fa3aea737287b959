// The numbers: tables of what `stat --json` says, each number by its place there, with the shape of its durations.

const SVG = 'http://www.w3.org/2000/svg';
const TIMES = [['total', '/total_ns'], ['mean', '/mean_ns'], ['median', '/p50_ns'], ['90 %', '/p90_ns'], ['99 %', '/p99_ns'], ['longest', '/max_ns']];
/// The start of a histogram's bin as a fraction of its end.
const BIN = 2 ** -.25;
const [SHAPE, TALL] = [180, 26];
/// Room for a number of the axis.
const LABEL = 54;

/// The value at a place of the numbers, such as `/ticks/period/p50_ns`.
const at = place => place.split('/').slice(1).reduce((node, key) => node?.[key], stat);

/// The number at a place, in its unit; times are unknown without the clock, and where nothing was timed.
function number(place) {
  const value = at(place) ?? 0, isTime = place.endsWith('_ns');
  // A time of 0 is one that nothing took.
  const isKnown = !isTime || timed && value > 0;
  const text = !isKnown ? '\u2013' : isTime ? duration(value) : count(value);
  return make('data', { value, 'data-of': place, ...(isTime && isKnown && { title: `${count(value)} ns` }) }, text);
}

/// Rows of numbers; a column is its heading and the place below that of the row. `times`: where below the row its
/// durations are, if it has any; `more`: columns behind those. Without rows there is no table.
function numbers(id, heading, rows, columns, times, more = []) {
  const table = $(id), places = rows.map(([, place]) => place);
  if (!rows.length) return table.closest('.block').remove();
  const axis = times !== undefined && scale(places.map(place => at(place + times).histogram));
  const all = times === undefined ? columns : [...columns, ...TIMES.map(([name, field]) => [name, times + field]), ...more];
  const shape = place => axis ? [make('td', { class: 'shape' }, histogram(at(place + times), axis))] : [];
  const head = all.map(([name]) => make('th', { scope: 'col', class: 'number' }, name));
  if (axis) head.splice(columns.length, 0, make('th', { scope: 'col', class: 'shape' }, make('span', { class: 'hidden' }, 'distribution'), axis.labels()));
  table.tHead.replaceChildren(make('tr', {}, make('th', { scope: 'col' }, heading), ...head));
  table.tBodies[0].replaceChildren(...rows.map(([name, place, ...rest]) => {
    const cells = all.map(([, field]) => make('td', { class: 'number' }, number(place + field)));
    cells.splice(columns.length, 0, ...shape(place));
    return make('tr', {}, make('th', { scope: 'row' }, name), ...cells, ...rest.map(text => make('td', {}, text)));
  }));
}

/// A logarithmic axis for all histograms of a table; none if they are empty.
function scale(histograms) {
  const ends = histograms.flatMap(bins => Object.keys(bins).map(Number)).filter(end => end > 0);
  if (!ends.length || !timed) return undefined;
  const [first, last] = [Math.log10(Math.min(...ends) * BIN), Math.log10(Math.max(...ends))];
  // At least one power of ten, so that one bar does not fill the width.
  const spare = Math.max(1 - (last - first), 0) / 2, [low, high] = [first - spare, last + spare];
  const x = ns => (Math.log10(Math.max(ns, 1)) - low) / (high - low) * SHAPE;
  const rounds = each => Array.from({ length: 12 }, (_, power) => each.map(times => times * 10 ** power)).flat().filter(ns => ns >= 10 ** low && ns <= 10 ** high);
  const powers = rounds([1]), all = powers.length > 1 ? powers : rounds([1, 2, 5]);
  const apart = Math.ceil(LABEL / (x(all[1]) - x(all[0]) || SHAPE)), shown = all.filter((_, i) => i % apart === 0);
  const labels = () => {
    const svg = draw('svg', { viewBox: `0 0 ${SHAPE} 14`, width: SHAPE, height: 14, 'aria-hidden': 'true' });
    for (const ns of shown) {
      const anchor = x(ns) < 18 ? 'start' : x(ns) > SHAPE - 18 ? 'end' : 'middle';
      svg.append(draw('text', { x: x(ns), y: 11, 'text-anchor': anchor }, duration(ns).replace(/\.0+ /, ' ')));
    }
    return svg;
  };
  return { x, shown, labels };
}

/// The bars of one row, and its median as a line. The numbers beside it say the same.
function histogram(times, { x, shown }) {
  const svg = draw('svg', { viewBox: `0 0 ${SHAPE} ${TALL}`, width: SHAPE, height: TALL, 'aria-hidden': 'true' });
  const bins = Object.entries(times.histogram), most = Math.max(...bins.map(([, number]) => number));
  const rect = (x, y, width, height, colour) => svg.append(draw('rect', { x, y, width, height, fill: `var(--${colour})` }));
  shown.forEach(ns => rect(x(ns), 0, 1, TALL, 'rule'));
  for (const [end, number] of bins) {
    const [from, to] = [x(end * BIN), x(+end)], tall = Math.max(number / most * (TALL - 3), 1.5);
    rect(from, TALL - tall, Math.max(to - from - .5, 1), tall, 'user');
  }
  if (bins.length) rect(x(times.p50_ns) - .75, 0, 1.5, TALL, 'ink');
  return svg;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}

/// Fills all tables of numbers.
function fillNumbers() {
  const list = (name, label = row => row.name) => stat[name].map((row, i) => [label(row, i), `/${name}/${i}`]);
  const traps = [['count', '/count'], ['errors', '/errors']], waited = [['waiting', '/ready_ns'], ['asleep', '/asleep_ns']];
  numbers('calls', 'System call', list('system_calls'), traps, '/kernel', waited);
  numbers('traps', 'Trap', list('traps', row => names.short[row.vector]), traps, '/kernel', waited);
  $('asked').append(number('/ticks/asked_ns'));
  const whole = Object.keys(stat.switches.whole).map(why => [why, `/switches/whole/${why}`]);
  const counted = rows => rows.filter(([, place]) => at(place).count);
  numbers('switches', 'Switch', counted([...whole, ['save to load', '/switches/save_to_load'], ['wait', '/switches/wait']]), [['count', '/count']], '');
  numbers('ticks', 'Tick', counted([['period', '/ticks/period'], ['jitter', '/ticks/jitter']]), [['count', '/count']], '');
  const processes = stat.processes.map((process, i) => [who(process.number), `/processes/${i}`, facts.ends[process.number]]);
  numbers('processes', 'Process', processes, [['calls', '/system_calls'], ['errors', '/errors'], ['faults', '/faults'], ['ticks', '/ticks'], ['turns', '/turns'],
    ['user', '/user_ns'], ['kernel', '/kernel_ns'], ['waiting', '/ready_ns'], ['asleep', '/asleep_ns']]);
  $('processes')?.tHead.rows[0].append(make('th', { scope: 'col' }, 'The end'));
  const most = (a, b) => at(b[1]) - at(a[1]), each = (place, label = key => key) => Object.keys(at(place)).map(key => [label(key), `${place}/${key}`]);
  numbers('kinds', 'Events', each('/kinds').sort(most), [['count', '']]);
  numbers('cpu', 'Who had the CPU', each('/cpu', key => key.replace('_ns', '')).sort(most), [['time', '']]);
  numbers('exits', 'VM exit', list('exits', exit => exit.name ?? `reason ${exit.reason}`), [['count', '/count'], ['in the host', '/host_ns'], ['in the guest before', '/guest_ns']]);
}
