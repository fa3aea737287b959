// The page: fills what needs no records, unpacks them, and ties timeline, switch and tables together.

const EVENTS_A_PAGE = 50;
/// The page opens on so many turns, and on no more records.
const [TURNS, RECORDS] = [10, 120];

function fillFacts() {
  const { meta, events } = stat, options = meta.options;
  const line = program => [program.name, ...program.arguments].join(' ');
  const programs = meta.programs.map(line);
  document.title = `${stat.file} \u2013 Trapline`;
  $('file').textContent = stat.file;
  $('title').textContent = new Intl.ListFormat('en').format(programs.length > 8 ? [...programs.slice(0, 7), `${programs.length - 7} more`] : programs) || 'A run';
  const end = facts.panic ? `kernel panic: ${facts.panic}` : facts.ending;
  $('ending').textContent = `${end[0].toUpperCase()}${end.slice(1)}.`;
  const totals = [['events', '/events'], ['system calls', '/kinds/system-call'], ['switches', '/switches/count'], ['ticks', '/ticks/count'], [meta.emulator ? 'from first to last, emulated' : 'from first to last', '/duration_ns']];
  $('totals').append(...totals.map(([name, place]) => make('div', {}, make('dt', {}, name), make('dd', {}, number(place)))));
  const cut = facts.drawn < events ? [`The timeline draws the first ${count(facts.drawn)} of ${count(events)} events; the numbers cover all events.`] : [];
  // A reader must not take these times for those of hardware.
  const emulated = meta.emulator ? [`The CPU was emulated by ${meta.emulator}: all times are emulated.`] : [];
  if (meta.emulator) document.querySelectorAll('main h2').forEach(heading => heading.append(' (emulated)'));
  const lost = facts.not_loaded.map(([name, reason]) => `${name} was not loaded: ${reason}.`);
  const more = facts.not_loaded_count - lost.length;
  if (more > 0) lost.push(`${count(more)} more were not loaded.`);
  $('warnings').append(...[...emulated, ...stat.damage, ...lost, ...cut].map(text => make('p', { class: 'warning' }, text)));
  $('lanes').append(...ROWS.map(([name]) => make('li', {}, name)));
  // The canvas is as large as the visible rows. Their names beside it give the scrollable height.
  $('canvas').style.height = `${AXIS + ROW * ROWS.length}px`;
  fillNumbers();
  fillStart();
  hintWide();
  const run = [
    ['Programs', programs.join(' | ')], ['Policy', options.policy], ['Quantum', options.quantum_us ? `${count(options.quantum_us)} µs` : ''], ['Timer', options.timer],
    ['Batch', options.batch && count(options.batch)], ['Memory', options.memory_mib && `${count(options.memory_mib)} MiB`], ['Time-out', options.timeout_ms && `${count(options.timeout_ms)} ms`],
    ['Kernel', `${meta.kernel.name} ${meta.kernel.sha256.slice(0, 16)}`.trim()], ['Kernel\u2019s command line', options.kernel_command_line],
    ['Host', [meta.host_cpu, meta.kvm_backend, meta.emulator && `emulated by ${meta.emulator}`].filter(Boolean).join(', ')], ['TSC', timed ? `${count(meta.tsc_khz)} kHz` : 'rate unknown'], ['Trapline', meta.trapline_version],
  ];
  $('run').append(...run.filter(([, text]) => text).flatMap(([name, text]) => [make('dt', {}, name), make('dd', {}, text)]));
}

/// The records in view as rows of a table, a page at a time, made only while it is open.
class EventTable {
  constructor(timeline, records) {
    Object.assign(this, { timeline, records, details: $('events'), first: 0 });
    this.details.addEventListener('toggle', () => this.restart());
    this.details.querySelectorAll('[data-page]').forEach(button =>
      button.addEventListener('click', () => this.turn(+button.dataset.page)));
  }
  restart() {
    if (!this.details.open) return;
    this.low = lower(this.records.time, this.timeline.from);
    this.high = lower(this.records.time, this.timeline.to + 1);
    this.first = this.low;
    this.fill();
  }
  turn(by) {
    const next = this.first + by * EVENTS_A_PAGE;
    if (next < this.high && next > this.low - EVENTS_A_PAGE) this.first = Math.max(next, this.low);
    this.fill();
  }
  fill() {
    const last = Math.min(this.first + EVENTS_A_PAGE, this.high), { records } = this;
    const rows = Array.from({ length: last - this.first }, (_, n) => {
      const i = this.first + n, [name, details] = describe(records, i);
      const of = isHost(records.kind(i)) ? 'host' : who(records.process(i));
      return make('tr', {}, make('td', { class: 'number' }, stamp(records.time[i])), ...[of, name, details].map(text => make('td', {}, text)));
    });
    this.details.querySelector('tbody').replaceChildren(...rows);
    $('page').textContent = rows.length ? `${count(this.first - this.low + 1)} to ${count(last - this.low)} of ${count(this.high - this.low)}` : 'none';
  }
}

class Page {
  constructor(records, model) {
    Object.assign(this, { records, model, timeline: new Timeline($('canvas'), model, records) });
    this.table = new EventTable(this.timeline, records);
    this.overview = new Overview($('strip'), $('window'), this.timeline);
    this.timeline.changed = () => this.viewChanged();
    $('legend').append(...legend(model));
    $('of-calls').textContent = `of ${count(model.calls.length)}`;
    $('call-number').max = model.calls.length;
    $('of').textContent = `of ${count(model.switches.load.length)}`;
    $('number').max = model.switches.load.length;
    this.actions = {
      ...moves(this.timeline),
      up: () => this.choose(this.timeline.chosen - 1), down: () => this.choose(this.timeline.chosen + 1), middle: () => this.chooseMiddle(),
      previousCall: () => this.goCall(this.call - 1), nextCall: () => this.goCall(this.call + 1),
      showCall: () => this.showNear(this.records.time[model.calls[this.call]], [this.records.process(model.calls[this.call])]),
      print: () => { document.documentElement.dataset.print = 'switch'; print(); },
      previous: () => this.go(this.timeline.switch - 1), next: () => this.go(this.timeline.switch + 1),
      show: () => { this.reveal(true); this.lookAt(); },
    };
    document.querySelectorAll('[data-do]').forEach(button => button.addEventListener('click', this.actions[button.dataset.do]));
    $('number').addEventListener('change', ({ target }) => this.go(target.value ? Math.trunc(target.valueAsNumber) - 1 : this.timeline.switch));
    $('call-number').addEventListener('change', ({ target }) => this.goCall(target.value ? Math.trunc(target.valueAsNumber) - 1 : this.call));
    addEventListener('afterprint', () => delete document.documentElement.dataset.print);
    // The address has the view, so a link to a heading must not replace it.
    document.addEventListener('click', event => {
      const heading = event.target.closest('a[href^="#h-"]') && document.querySelector(event.target.hash);
      if (!heading) return;
      event.preventDefault();
      heading.scrollIntoView();
      heading.focus({ preventScroll: true });
    });
    control($('canvas'), this.timeline, this.actions, { hover: (x, y) => this.hover(x, y), click: (x, y) => this.click(x, y) });
    this.timeline.show(...this.opening());
    this.call = -1;
    $('call').hidden = !model.calls.length;
    $('switch').hidden = !model.switches.load.length;
    if (model.calls.length) this.selectCall(0);
    if (model.switches.load.length) this.select(this.firstOfInterest());
    else this.say();
    this.restore();
    addEventListener('hashchange', () => this.restore());
    this.isOpen = true;
  }
  /// The first turns of the first processes, as many as can be distinguished.
  opening() {
    const { load, time } = this.model.switches, { records, model } = this;
    const first = load.findIndex(record => records.process(record));
    if (first < 0) return [0, model.end];
    const last = Math.min(time[first + TURNS] ?? model.end, records.time[load[first] + RECORDS] ?? model.end);
    const margin = (last - time[first]) * .03;
    return [time[first] - margin, last + margin];
  }
  /// Shows what the fragment of the address says.
  restore() {
    const parts = new URLSearchParams(location.hash.slice(1)), get = name => parts.has(name) ? +parts.get(name) : NaN;
    const row = this.timeline.laneOf.get(get('process'));
    if (get('to') > get('from')) this.timeline.show(get('from'), get('to'));
    if (get('call') > 0 && this.model.calls.length) this.selectCall(Math.trunc(get('call')) - 1);
    if (get('switch') > 0 && this.model.switches.load.length) this.select(Math.trunc(get('switch')) - 1);
    if (row !== undefined) this.chooseSlice(row, this.model.lanes[row].at(get('at')));
  }
  /// Puts the view and the selection into the fragment of the address.
  remember() {
    const { from, to, chosen, slice, switch: selected } = this.timeline, lane = this.model.lanes[chosen];
    const parts = { from: Math.floor(from), to: Math.ceil(to) };
    if (selected >= 0) parts.switch = selected + 1;
    if (this.call >= 0) parts.call = this.call + 1;
    if (slice >= 0) Object.assign(parts, { process: lane.process, at: lane.start[slice] });
    history.replaceState(null, '', `#${new URLSearchParams(parts)}`);
  }
  /// A switch by the timer to a process that has run before shows all of the protocol.
  firstOfInterest() {
    const { load, save } = this.model.switches, { records } = this, known = new Set([0]);
    const found = load.findIndex((into, i) => {
      const hasRun = known.has(records.process(into));
      known.add(records.process(into));
      return records.process(into) && hasRun && save[i] >= 0 && names.reasons[records.detail(save[i])] === 'preempted';
    });
    return Math.max(found, 0);
  }
  viewChanged() {
    const { from, to } = this.timeline, step = 10 ** Math.floor(Math.log10((to - from) / 100));
    $('range').textContent = `${stamp(from, step)} to ${stamp(to, step)} (${duration(to - from)})`;
    this.overview.place();
    this.later(() => this.table.restart());
  }
  /// Does what a change leads to when there was no other change for a while.
  later(also = () => {}) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => { also(); if (this.isOpen) this.remember(); }, 150);
  }
  say(...text) {
    $('selected').replaceChildren(...text);
    if (this.isOpen) this.later(() => this.table.restart());
  }
  /// Shows the nearest switch.
  select(i) {
    const { switches } = this.model, known = Math.min(Math.max(i, 0), switches.load.length - 1);
    this.timeline.switch = known;
    this.timeline.redraw();
    const text = showSwitch(this.records, switches, known);
    this.say(`Switch ${count(known + 1)}: ${text} (`, make('a', { href: '#h-switch' }, 'step by step'), ')');
  }
  /// Shows a switch, and where it is.
  go(i) {
    if (!this.model.switches.load.length) return;
    this.select(i);
    this.reveal();
  }
  /// Shows the steps of a system call, of the nearest that there is.
  selectCall(i) {
    this.call = Math.min(Math.max(i, 0), this.model.calls.length - 1);
    const text = showCall(this.records, this.model.calls, this.call);
    this.say(`System call ${count(this.call + 1)}: ${text} (`, make('a', { href: '#h-call' }, 'step by step'), ')');
  }
  goCall(i) { if (this.model.calls.length) this.selectCall(i); }
  /// Shows what is around a time, and scrolls to the rows of the processes.
  showNear(time, processes) {
    const { from, to } = this.timeline, half = Math.min(to - from, 2e6) / 2;
    this.timeline.show(time - half, time + half);
    processes.forEach(process => this.timeline.scrollTo(this.timeline.laneOf.get(process) ?? 0));
    this.lookAt();
  }
  lookAt() {
    $('canvas').scrollIntoView({ block: 'center' });
    $('canvas').focus({ preventScroll: true });
  }
  /// Brings the switch into view, from near if asked.
  reveal(near = false) {
    const { load, time } = this.model.switches, i = this.timeline.switch, { from, to } = this.timeline;
    const span = near ? Math.min(to - from, 2e6) : to - from;
    if (near || time[i] < from || time[i] > to) this.timeline.show(time[i] - span / 2, time[i] + span / 2);
    [this.records.detail(load[i]), this.records.process(load[i])].forEach(process => this.timeline.scrollTo(this.timeline.laneOf.get(process) ?? 0));
  }
  choose(row) {
    const lanes = this.model.lanes;
    this.timeline.chosen = Math.min(Math.max(row, 0), lanes.length - 1);
    this.timeline.slice = -1;
    this.timeline.scrollTo(this.timeline.chosen);
    [...$('lanes').children].forEach((item, i) => item.classList.toggle('chosen', i === this.timeline.chosen));
    const lane = lanes[this.timeline.chosen];
    this.say(`${lane.label}: ${plural(lower(lane.start, this.timeline.to) - lower(lane.end, this.timeline.from), 'block')} in view`);
    this.timeline.redraw();
  }
  chooseMiddle() { this.chooseSlice(this.timeline.chosen, this.model.lanes[this.timeline.chosen].at((this.timeline.from + this.timeline.to) / 2)); }
  chooseSlice(row, slice) {
    this.choose(row);
    if (slice < 0) return this.say(`${this.model.lanes[row].label}: nothing there`);
    this.timeline.slice = slice;
    const lane = this.model.lanes[row], called = CLASSES[lane.kind[slice]] === 'call' ? this.timeline.callOf(lane.record[slice]) : -1;
    if (called < 0) return this.say(this.timeline.words(row, slice));
    this.selectCall(lower(this.model.calls, called));
    this.say(`${this.timeline.words(row, slice)} (`, make('a', { href: '#h-call' }, 'step by step'), ')');
  }
  click(x, y) {
    const hit = this.timeline.hit(x, y);
    this.chooseSlice(hit.row, hit.slice);
    if (hit.switch >= 0) this.select(hit.switch);
    else if (hit.slice < 0 && hit.mark !== undefined) this.say(`${stamp(this.records.time[hit.mark])}: ${describe(this.records, hit.mark).join(' ')}`);
  }
  hover(x, y) {
    const { row, slice, time } = this.timeline.hit(x, y);
    $('hover').textContent = slice < 0 ? `${this.model.lanes[row].label} at ${stamp(time)}` : this.timeline.words(row, slice);
  }
}

async function open() {
  const records = await unpack();
  const model = build(records);
  const page = new Page(records, model);
  themes(() => { page.timeline.recolour(); page.overview.draw(); });
  document.documentElement.dataset.ready = 'yes';
}

// Fill what needs no records before the records are unpacked.
fillFacts();
addEventListener('DOMContentLoaded', () => open().catch(error => {
  $('warnings').append(make('p', { class: 'warning' }, `This browser could not draw the timeline (${error.message}). Use a browser released since May 2024.`));
}));
