// The timeline: which process had the CPU at each time, computed from the records and drawn.
//
// A lane is a row of slices (stretches of time of one class) and marks (moments). For each class a lane keeps the
// running sum of its time, so the share of a class in any pixel takes two binary searches, however many slices
// are in it.

const CLASSES = ['user', 'free', 'call', 'tick', 'fault', 'switch', 'kernel', 'idle', 'missing'];
const CLASS_WORDS = {
  user: 'in user mode', free: 'in ring 0, without limits', call: 'system call', tick: 'timer interrupt', fault: 'fault', switch: 'switch',
  kernel: 'kernel', idle: 'idle', missing: 'records are missing', host: 'the host\u2019s records',
};
const CLASS = Object.fromEntries(CLASSES.map((name, index) => [name, index]));
const MARKS = ['tick', 'fault', 'start', 'end', 'host'];
const MARK_OF = {
  'tick': 'tick', 'process-created': 'start', 'process-exited': 'end', 'process-killed': 'fault',
  'fault-redirected': 'fault', 'load-failed': 'fault', 'kernel-panic': 'fault',
};
/// Marks that look the same are one in the legend.
const MARK_WORDS = { tick: 'tick', fault: 'fault, or process killed', start: 'process created, or ended' };
const [AXIS, ROW, BAR, STRIP] = [28, 34, 18, 5];
/// The most rows of the strip that shows the whole run, and its height.
const [OVERVIEW_ROWS, OVERVIEW] = [16, 48];
/// The rows from the top: what they are called, and of which process they are.
const ROWS = [...stat.processes.map(({ number }) => [who(number), number]), [who(0), 0], ['host', -1]];
/// The narrowest view, in nanoseconds.
const NARROWEST = 200;

class Lane {
  constructor(label, process) {
    Object.assign(this, { label, process, start: [], end: [], kind: [], record: [], open: false });
    this.marks = Object.fromEntries(MARKS.map(name => [name, { time: [], record: [] }]));
  }
  /// A slice starts, and the one before it ends.
  begin(kind, time, record) {
    this.stop(time);
    this.start.push(time); this.kind.push(CLASS[kind]); this.record.push(record);
    this.open = true;
  }
  stop(time) {
    if (this.open) this.end.push(time);
    this.open = false;
  }
  mark(name, time, record) {
    this.marks[name].time.push(time); this.marks[name].record.push(record);
  }
  finish(time) {
    this.stop(time);
    this.start = Float64Array.from(this.start); this.end = Float64Array.from(this.end);
    this.sums = CLASSES.map((_, wanted) => {
      if (!this.kind.includes(wanted)) return null;
      const sums = new Float64Array(this.start.length + 1);
      for (let i = 0; i < this.start.length; i++) {
        sums[i + 1] = sums[i] + (this.kind[i] === wanted ? this.end[i] - this.start[i] : 0);
      }
      return sums;
    });
  }
  has(kind) { return kind === 'host' ? this.marks.host.time.length > 0 : this.sums[CLASS[kind]] !== null; }
  /// The slice at a time, or -1.
  at(time) {
    const slice = lower(this.end, time + 1e-9);
    return slice < this.start.length && this.start[slice] <= time ? slice : -1;
  }
}

/// Lanes and switches of the records.
function build(records) {
  const all = ROWS.map(([label, process]) => new Lane(label, process)), lanes = new Map(all.map(lane => [lane.process, lane]));
  const [kernel, host] = all.slice(-2);
  const switches = { load: [], save: [], time: [] }, calls = [];
  const entryClass = vector => vector === names.syscall || vector === names.int ? 'call' : vector < 32 ? 'fault' : 'tick';
  let saved = -1, booted = false, latest = 0;
  const steps = {
    'trap-entry'(lane, time, i) {
      const kind = entryClass(Number(records.get(i, 'vector')));
      lane.begin(kind, time, i);
      if (lane !== kernel) kernel.begin(kind, time, i);
      if (kind === 'fault') lane.mark('fault', time, i);
    },
    'trap-return'(lane, time, i) {
      lane.begin(lane === kernel ? 'idle' : records.get(i, 'cs') & 3n ? 'user' : 'free', time, i);
      if (lane !== kernel) kernel.stop(time);
    },
    'context-saved'(lane, time, i) {
      lane.stop(time);
      kernel.begin('switch', time, i);
      saved = i;
    },
    'context-loaded'(lane, time, i) {
      switches.load.push(i); switches.save.push(saved); switches.time.push(time);
      if (saved < 0) kernel.begin('switch', time, i);
      saved = -1;
      lane.begin(lane === kernel ? 'kernel' : 'switch', time, i);
    },
    'system-call'(_, __, i) { calls.push(i); },
    'idle'(_, time, i) { kernel.begin('idle', time, i); },
    'called'(lane, time, i) { lane.begin('free', time, i); kernel.stop(time); },
    'returned'(lane, time, i) { lane.stop(time); kernel.begin('kernel', time, i); },
  };
  const byKind = Object.entries(steps).reduce((list, [name, step]) => { list[KIND[name]] = step; return list; }, []);
  const marks = Object.entries(MARK_OF).reduce((list, [name, mark]) => { list[KIND[name]] = mark; return list; }, []);
  for (let i = 0; i < records.count; i++) {
    const kind = records.kind(i), time = records.time[i];
    if (isHost(kind)) { host.mark('host', time, i); continue; }
    const lane = lanes.get(records.process(i)) ?? kernel;
    if (gaps.has(i)) {
      // When the current blocks ended is unknown; the next records show what the CPU runs.
      all.forEach(each => each.stop(latest));
      kernel.begin('missing', latest, i);
      saved = -1;
    } else if (!booted) kernel.begin('kernel', time, i);
    [booted, latest] = [true, time];
    byKind[kind]?.(lane, time, i);
    if (marks[kind]) lane.mark(marks[kind], time, i);
  }
  const last = records.count ? records.time[records.count - 1] : 0;
  all.forEach(lane => lane.finish(last));
  return { lanes: all, switches, calls, end: Math.max(last, NARROWEST) };
}

class Timeline {
  constructor(canvas, model, records) {
    Object.assign(this, { canvas, model, records, from: 0, to: model.end, chosen: 0, slice: -1, switch: -1, scroller: canvas.parentElement });
    this.context = canvas.getContext('2d');
    this.changed = () => {};
    this.laneOf = new Map(model.lanes.map((lane, row) => [lane.process, row]));
    this.recolour();
    this.resize();
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.scroller.addEventListener('scroll', () => this.redraw());
  }
  recolour() {
    // The browser does not apply forced colours to a canvas.
    const probe = document.body.appendChild(make('i', { style: 'forced-color-adjust: none' }));
    this.colours = {};
    for (const name of [...CLASSES, 'host', 'ink', 'soft', 'rule', 'paper', 'accent']) {
      probe.style.color = `var(--${name})`;
      this.colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    // Contrast as WCAG defines it, with an approximation of the curve of sRGB.
    const light = name => this.colours[name].match(/[\d.]+/g).reduce((sum, part, n) => sum + (part / 255) ** 2.2 * ([.2126, .7152, .0722][n] ?? 0), .05);
    const far = (name, other) => Math.abs(Math.log(light(name) / light(other)));
    this.textOn = Object.fromEntries(CLASSES.map(name => [name, this.colours[far(name, 'ink') > far(name, 'paper') ? 'ink' : 'paper']]));
    this.font = `11px ${getComputedStyle(document.documentElement).getPropertyValue('--sans')}`;
    this.draw();
  }
  resize() {
    this.ratio = devicePixelRatio || 1;
    [this.width, this.height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    this.canvas.width = Math.round(this.width * this.ratio);
    this.canvas.height = Math.round(this.height * this.ratio);
    this.draw();
  }
  /// Draws once at the next frame, however often it is called before.
  redraw() {
    this.waiting ??= requestAnimationFrame(() => { this.waiting = undefined; this.draw(); });
  }
  /// Shows a stretch of time, as near as the run allows.
  show(from, to) {
    const span = Math.min(Math.max(to - from, NARROWEST), this.model.end);
    this.from = Math.min(Math.max((from + to - span) / 2, 0), this.model.end - span);
    this.to = this.from + span;
    this.redraw();
    this.changed();
  }
  /// Zooms about a place: the selected switch if it is in view and no other is named.
  zoom(factor, x = this.anchor()) {
    const time = this.time(x);
    this.show(time - (time - this.from) * factor, time + (this.to - time) * factor);
  }
  anchor() {
    const x = this.switch < 0 ? -1 : this.x(this.model.switches.time[this.switch]);
    return x > 0 && x < this.width ? x : this.width / 2;
  }
  pan(part) {
    const span = this.to - this.from;
    const from = Math.min(Math.max(this.from + part * span, 0), this.model.end - span);
    this.show(from, from + span);
  }
  /// Scrolls to a row, no farther than needed.
  scrollTo(row) {
    const top = row * ROW;
    this.scroller.scrollTop = Math.max(Math.min(this.scroller.scrollTop, top), top + ROW + AXIS - this.height);
  }
  /// Where a row begins in the canvas.
  y(row) { return AXIS + row * ROW - this.scroller.scrollTop; }
  x(time) { return (time - this.from) / (this.to - this.from) * this.width; }
  time(x) { return this.from + x / this.width * (this.to - this.from); }

  draw() {
    if (!this.width) return;
    const { context, width } = this;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, width, this.height);
    context.font = this.font;
    this.drawAxis();
    context.save();
    context.beginPath();
    context.rect(0, AXIS, width, this.height);
    context.clip();
    this.drawSwitches();
    this.model.lanes.forEach((lane, row) => {
      const y = this.y(row);
      if (y + ROW > AXIS && y < this.height) this.drawLane(lane, y);
    });
    this.drawSelection();
    context.restore();
  }
  drawAxis() {
    const { context, colours } = this;
    const span = this.to - this.from, rough = span / Math.max(this.width / (timed ? 110 : 150), 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find(times => power * times >= rough);
    context.textBaseline = 'middle';
    for (let time = Math.ceil(this.from / step) * step; time <= this.to; time += step) {
      const x = Math.round(this.x(time)), label = stamp(time, step);
      context.fillStyle = colours.rule;
      context.fillRect(x, AXIS - 6, 1, this.height);
      context.fillStyle = colours.soft;
      if (x + context.measureText(label).width < this.width) context.fillText(label, x + 3, 11);
    }
  }
  drawLane(lane, y) {
    const { context, colours } = this;
    if (lane.process > 0) this.drawLife(lane, y + ROW / 2);
    const first = lower(lane.end, this.from), last = lower(lane.start, this.to);
    const top = y + (ROW - BAR - STRIP) / 2;
    if (last - first < this.width / 2) this.drawSlices(lane, first, last, top);
    else drawShares(context, colours, lane, this, top, BAR);
    MARKS.forEach(name => this.drawMarks(lane.marks[name], name, top + BAR));
    context.fillStyle = colours.rule;
    context.fillRect(0, y + ROW - 1, this.width, 1);
  }
  /// From a process's creation to its end, whichever process had the CPU.
  drawLife(lane, y) {
    const start = lane.marks.start.time[0] ?? 0;
    const end = lane.end.length ? lane.end[lane.end.length - 1] : start;
    const [from, to] = [Math.max(this.x(start), 0), Math.min(this.x(end), this.width)];
    this.context.fillStyle = this.colours.kernel;
    if (to > from) this.context.fillRect(from, y - 3, to - from, 1);
  }
  drawSlices(lane, first, last, top) {
    const { context, colours } = this;
    for (let i = first; i < last; i++) {
      const from = Math.max(this.x(lane.start[i]), 0), to = Math.min(this.x(lane.end[i]), this.width);
      const name = CLASSES[lane.kind[i]], wide = to - from;
      context.fillStyle = colours[name];
      context.fillRect(from, top, Math.max(wide - (wide > 3 ? .5 : 0), .75), BAR);
      if (wide < 34) continue;
      const label = this.label(lane, i);
      if (context.measureText(label).width + 8 > wide) continue;
      context.fillStyle = this.textOn[name];
      context.fillText(label, from + 4, top + BAR / 2 + .5);
    }
  }
  /// A word for a slice.
  label(lane, i) {
    const record = lane.record[i], name = CLASSES[lane.kind[i]];
    if (name === 'fault') return names.short[this.records.get(record, 'vector')];
    const called = name === 'call' ? this.callOf(record) : -1;
    if (name === 'free') return 'ring 0';
    return called < 0 ? name : callName(this.records.get(called, 'number'));
  }
  /// The record of the call that a trap was, or -1.
  callOf(entry) {
    return [entry + 1, entry + 2].find(i => i < this.records.count && this.records.is(i, 'system-call')) ?? -1;
  }
  /// Draws moments, at most one per pixel.
  drawMarks({ time }, name, top) {
    const { context, colours } = this;
    const [high, wide] = { tick: [STRIP - 1, 1], fault: [STRIP + 3, 3], host: [BAR, 1.5] }[name] ?? [STRIP + 1, 2];
    context.fillStyle = colours[{ start: 'ink', end: 'ink' }[name] ?? name];
    let i = lower(time, this.from);
    while (i < time.length && time[i] <= this.to) {
      const x = Math.floor(this.x(time[i]));
      context.fillRect(x - wide / 2, top + (name === 'host' ? -BAR : 1), wide, high);
      i = lower(time, this.time(x + 1), i + 1);
    }
  }
  /// From lane to lane, while there is room to distinguish them.
  drawSwitches() {
    const { switches } = this.model;
    const first = lower(switches.time, this.from), last = lower(switches.time, this.to);
    if (last - first > this.width / 6) return;
    for (let i = first; i < last; i++) this.drawSwitch(i, this.colours.switch, .45);
  }
  drawSwitch(i, colour, alpha) {
    const { load, time } = this.model.switches, context = this.context;
    const rows = [this.records.detail(load[i]), this.records.process(load[i])].map(process => this.laneOf.get(process));
    if (rows.includes(undefined)) return;
    const [from, to] = rows.map(row => this.y(row) + ROW / 2).sort((a, b) => a - b);
    context.globalAlpha = alpha;
    context.fillStyle = colour;
    context.fillRect(Math.round(this.x(time[i])) - .5, from, alpha === 1 ? 2 : 1, to - from);
    context.globalAlpha = 1;
  }
  drawSelection() {
    const { context, colours } = this;
    if (this.switch >= 0) this.drawSwitch(this.switch, colours.accent, 1);
    if (this.slice < 0) return;
    const lane = this.model.lanes[this.chosen];
    const from = Math.max(this.x(lane.start[this.slice]), 1), to = Math.min(this.x(lane.end[this.slice]), this.width - 1);
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    if (to > 0 && from < this.width) {
      context.strokeRect(from, this.y(this.chosen) + (ROW - BAR - STRIP) / 2 - 1, Math.max(to - from, 2), BAR + 2);
    }
  }
  /// What is at a place: a row, and the slice, mark or switch there.
  hit(x, y) {
    const row = Math.min(Math.max(Math.floor((Math.max(y, AXIS) - this.y(0)) / ROW), 0), this.model.lanes.length - 1);
    const lane = this.model.lanes[row], time = this.time(x), near = 5 * (this.to - this.from) / this.width;
    const nearest = nearestTo(this.model.switches.time, time, near);
    const slice = lane.at(time);
    const isSwitch = slice >= 0 && CLASSES[lane.kind[slice]] === 'switch';
    // Where lines are far enough apart, the pointer must be on the line. Every switch has a part in the kernel's row.
    const apart = slice < 0 ? lane.process !== 0 : lane.end[slice] - lane.start[slice] > 2 * near;
    const after = isSwitch ? lower(this.model.switches.load, lane.record[slice]) : -1;
    const mark = MARKS.map(name => lane.marks[name])
      .map(marks => marks.record[nearestTo(marks.time, time, near)]).find(record => record !== undefined);
    return { row, time, slice, mark, switch: isSwitch ? after : apart && !this.crosses(nearest, row) ? -1 : nearest };
  }
  /// Whether the line of a switch runs through or ends in a row.
  crosses(i, row) {
    if (i < 0) return false;
    const load = this.model.switches.load[i];
    const rows = [this.records.detail(load), this.records.process(load)].map(process => this.laneOf.get(process) ?? -1);
    return Math.min(...rows) <= row && row <= Math.max(...rows);
  }
  /// A slice in words.
  words(row, slice) {
    const lane = this.model.lanes[row], kind = CLASSES[lane.kind[slice]], record = lane.record[slice];
    const called = kind === 'call' ? this.callOf(record) : -1;
    const [name, details] = called < 0 ? describe(this.records, record) : ['', call(this.records, called)];
    const took = duration(lane.end[slice] - lane.start[slice]);
    const what = kind === 'missing' ? '' : `: ${called < 0 ? `${name} ` : ''}${details}`;
    return `${lane.label}: ${CLASS_WORDS[kind]} for ${took}, from ${stamp(lane.start[slice])}${what}`;
  }
}

/// A lane in `tall` pixels, each column of pixels as the shares of its time.
function drawShares(context, colours, lane, { from, to, width }, top, tall) {
  const step = (to - from) / width, present = CLASSES.map((_, index) => index).filter(index => lane.sums[index]);
  // The sums of each class at the edges of the pixels.
  const sums = present.map(() => new Float64Array(width + 1));
  for (let x = 0, slice = 0; x <= width; x++) {
    const time = from + x * step;
    slice = lower(lane.end, time, slice);
    const part = slice < lane.start.length ? Math.max(time - lane.start[slice], 0) : 0;
    for (let n = 0; n < present.length; n++) sums[n][x] = lane.sums[present[n]][slice] + (lane.kind[slice] === present[n] ? part : 0);
  }
  // One class after another: to change the colour for each pixel costs more than all else.
  const bottoms = new Float64Array(width).fill(top + tall);
  present.forEach((index, n) => {
    context.fillStyle = colours[CLASSES[index]];
    for (let x = 0; x < width; x++) {
      const height = (sums[n][x + 1] - sums[n][x]) / step * tall;
      if (height < .01) continue;
      context.fillRect(x, bottoms[x] - height, 1, height);
      bottoms[x] -= height;
    }
  });
}

/// The whole run in a strip: the first processes and the kernel, and a window around what the timeline shows.
class Overview {
  constructor(canvas, window, timeline) {
    Object.assign(this, { canvas, window, timeline });
    new ResizeObserver(() => this.draw()).observe(canvas);
    const move = event => {
      if (event.type !== 'pointerdown' && !event.buttons) return;
      const { from, to, model } = timeline, time = event.offsetX / canvas.clientWidth * model.end, half = (to - from) / 2;
      if (event.type === 'pointerdown' && event.isTrusted) canvas.setPointerCapture(event.pointerId);
      timeline.show(time - half, time + half);
    };
    ['pointerdown', 'pointermove'].forEach(type => canvas.addEventListener(type, move));
    this.draw();
    this.place();
  }
  draw() {
    const { canvas, timeline: { model, colours } } = this, ratio = devicePixelRatio || 1, width = canvas.clientWidth;
    const lanes = model.lanes.slice(0, -2).slice(0, OVERVIEW_ROWS - 1).concat(model.lanes.at(-2)), tall = OVERVIEW / lanes.length;
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(OVERVIEW * ratio)];
    // The strip stands exactly above the timeline.
    $('overview').style.gridTemplateColumns = `${$('lanes').offsetWidth}px minmax(0, 1fr)`;
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (width) lanes.forEach((lane, row) => drawShares(context, colours, lane, { from: 0, to: model.end, width }, row * tall, tall - Math.min(1, tall / 4)));
  }
  place() {
    const { from, to, model } = this.timeline, percent = time => `${100 * time / model.end}%`;
    Object.assign(this.window.style, { left: percent(from), width: percent(to - from) });
  }
}

/// The colours and marks that occur in these models.
function legend(...models) {
  const lanes = models.flatMap(model => model.lanes), has = kind => lanes.some(lane => lane.has(kind));
  const marks = Object.keys(MARK_WORDS).filter(name => lanes.some(lane => lane.marks[name].time.length));
  return [
    ...[...CLASSES, 'host'].filter(has).map(name => make('li', {}, make('i', { style: `background:var(--${name})` }), CLASS_WORDS[name])),
    ...marks.map(name => make('li', {}, make('i', { class: `mark ${name}` }), MARK_WORDS[name])),
    ...models.some(model => model.switches.load.length) ? [make('li', {}, make('i', { class: 'mark line' }), 'from one process to the next')] : [],
  ];
}

/// The index of the time nearest to `time`, if it is nearer than `near`; else -1.
function nearestTo(times, time, near) {
  const after = lower(times, time);
  const [best] = [after - 1, after].filter(i => i >= 0 && i < times.length)
    .sort((a, b) => Math.abs(times[a] - time) - Math.abs(times[b] - time));
  return best !== undefined && Math.abs(times[best] - time) <= near ? best : -1;
}

/// What each key does.
const KEYS = { '+': 'in', '=': 'in', '-': 'out', '0': 'fit', ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down',
  Home: 'first', End: 'last', Enter: 'middle', n: 'next', p: 'previous' };

/// What moves the view of every timeline.
const moves = timeline => ({
  in: () => timeline.zoom(1 / 1.6), out: () => timeline.zoom(1.6), left: () => timeline.pan(-.2), right: () => timeline.pan(.2),
  fit: () => timeline.show(0, timeline.model.end), first: () => timeline.pan(-Infinity), last: () => timeline.pan(Infinity),
});

/// Keys, wheel and pointer on a timeline.
function control(canvas, timeline, actions, { hover, click }) {
  canvas.addEventListener('keydown', event => {
    const action = actions[KEYS[event.key]];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  canvas.addEventListener('wheel', event => {
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!event.ctrlKey && !event.metaKey && !sideways) return;
    event.preventDefault();
    if (sideways) timeline.pan((event.deltaX || event.deltaY) / 1000);
    else timeline.zoom(Math.exp(Math.min(Math.max(event.deltaY, -100), 100) * .004), event.offsetX);
  }, { passive: false });
  let start, moved;
  canvas.addEventListener('pointerdown', event => {
    [start, moved] = [{ x: event.offsetX, from: timeline.from, to: timeline.to }, false];
  });
  canvas.addEventListener('pointermove', event => {
    if (!start) return hover(event.offsetX, event.offsetY);
    const by = event.offsetX - start.x;
    if (!moved && Math.abs(by) < 4) return;
    if (!moved) canvas.setPointerCapture(event.pointerId);
    moved = true;
    const span = start.to - start.from, from = Math.min(Math.max(start.from - by / timeline.width * span, 0), timeline.model.end - span);
    timeline.show(from, from + span);
  });
  canvas.addEventListener('pointerup', event => {
    if (start && !moved) click(event.offsetX, event.offsetY);
    start = undefined;
  });
  canvas.addEventListener('pointercancel', () => { start = undefined; });
  canvas.addEventListener('dblclick', event => timeline.zoom(1 / 4, event.offsetX));
}
