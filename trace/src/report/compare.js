// Two runs: one timeline above the other, with one range, and what `trapline diff` finds.

const { diff, places } = JSON.parse($('findings').textContent);
const runs = ['a', 'b'].map(run);
const OUTCOMES = { 'same': 'the same', 'cut-short': 'the same, as far as both runs went', 'differs': 'not the same', 'missing': 'in one run only' };
const VERDICTS = { 'real': 'real', 'not-shown': 'not shown', 'too-few': 'too few', 'not-judged': 'not judged' };
const HOST = -1;
/// A difference that is shown has so many nanoseconds around it, at least.
const AROUND = 5e5;

/// The places where the processes differ, numbered from 1: what only A and only B have, and when that was in each run.
const findings = diff.processes.flatMap((process, i) => {
  const processes = process.numbers.map(number => number ?? HOST), { outcome, difference, name, steps } = process;
  const whole = steps.map(count => count ? [`all ${plural(count, 'step')}`] : []);
  if (outcome === 'missing') return [{ name, outcome, processes, only: whole, times: places[i][0] }];
  if (outcome !== 'differs') return [];
  if (!difference) return [{ name, outcome, processes, only: [[], []], times: [null, null] }];
  const more = ({ only, counts }, side) => counts[side] > only[side].length ? [`and ${count(counts[side] - only[side].length)} more`] : [];
  return difference.hunks.map((hunk, n) => ({ name, outcome, processes, only: [0, 1].map(side => [...hunk.only[side], ...more(hunk, side)]), times: places[i][n] }));
}).map((finding, i) => ({ ...finding, number: i + 1 }));

/// The timeline of a run, with the numbers of the findings in it.
const marked = ({ Timeline, AXIS, ROW }, side) => class extends Timeline {
  draw() {
    super.draw();
    if (!this.width) return;
    const { context, colours } = this;
    findings.filter(({ times }) => times[side] !== null).forEach(({ number, processes, times }) => {
      const x = this.x(times[side]), y = this.y(this.laneOf.get(processes[side]) ?? 0), wide = context.measureText(number).width + 6;
      if (x < 0 || x > this.width || y < AXIS) return;
      context.fillStyle = colours.accent;
      context.fillRect(x - 1, y, 2, ROW - 1);
      const left = Math.min(x - 1, this.width - wide);
      context.fillRect(left, y, wide, 13);
      context.fillStyle = colours.paper;
      context.fillText(number, left + 3, y + 7);
    });
  }
};

function fillTables() {
  const names = diff.files, same = diff.processes.filter(({ outcome }) => outcome === 'same' || outcome === 'cut-short').length;
  document.title = `${names.join(' and ')} \u2013 Trapline`;
  $('title').textContent = names.join(' and ');
  $('verdict').textContent = diff.same_sequence ? 'The processes did the same in both runs.' : 'The processes did not do the same in both runs.';
  const isTimed = ({ stat }) => stat.meta.tsc_khz > 0, haveOneUnit = isTimed(runs[0]) === isTimed(runs[1]);
  const warnings = runs.flatMap((run, side) => {
    const { stat: { meta, events }, facts: { drawn } } = run;
    const emulated = meta.emulator ? [`the CPU was emulated by ${meta.emulator}: its times are emulated.`] : [];
    const cycles = haveOneUnit || isTimed(run) ? [] : ['the rate of the TSC is unknown: the timeline shows each cycle as one nanosecond.'];
    const cut = drawn < events ? [`the timeline shows the first ${count(drawn)} of ${count(events)} events; the tables cover all events.`] : [];
    return [...emulated, ...cycles, ...cut, ...diff.damage[side]].map(text => make('p', { class: 'warning' }, `${'AB'[side]}: ${text}`));
  });
  $('warnings').append(...warnings);
  const chance = Object.entries(diff.chance).map(([name, [a, b]]) => `${name} ${count(a)} and ${count(b)}`).join(', ');
  $('counts').textContent = `The same in both: ${count(same)} of ${count(diff.processes.length)} (the processes and the end of the run). Not compared, because they depend on time: ${chance}.`;
  const cell = lines => make('td', {}, ...lines.map(line => make('p', {}, line.replace(/\s+/g, ' ').trim())));
  const place = finding => finding.times.every(time => time === null) ? [] : [make('button', { type: 'button', 'data-show': finding.number }, `Show ${finding.number}`)];
  const differing = findings.map(finding => make('tr', {}, make('th', { scope: 'row' }, finding.name, ' ', ...place(finding)),
    make('td', {}, OUTCOMES[finding.outcome]), ...finding.only.map(cell)));
  const others = diff.processes.filter(({ outcome }) => outcome === 'same' || outcome === 'cut-short').map(({ name, outcome, steps: [a, b] }) =>
    make('tr', {}, make('th', { scope: 'row' }, name), make('td', {}, `${OUTCOMES[outcome]}: ${outcome === 'same' ? plural(a, 'step') : `${count(a)} and ${plural(b, 'step')}`}`), make('td'), make('td')));
  $('steps').tBodies[0].replaceChildren(...differing, ...others);
  $('measures').tBodies[0].replaceChildren(...diff.measures.map(({ name, counts, quantiles: [{ ns, verdict }] }) => {
    const change = ns[0] ? `${ns[1] < ns[0] ? '\u2212' : '+'}${Math.abs(100 * (ns[1] / ns[0] - 1)).toFixed(1)} %` : '\u2013';
    const times = ns.map((value, side) => runs[side].duration(value));
    return make('tr', {}, make('th', { scope: 'row' }, name), ...[...counts.map(count), ...times, change].map(text => make('td', { class: 'number' }, text)), make('td', {}, VERDICTS[verdict]));
  }));
}

/// Ties the ranges of two timelines together.
function tie(timelines, { stamp, duration }) {
  let busy = false;
  timelines.forEach((timeline, side) => {
    timeline.changed = () => {
      if (busy) return;
      busy = true;
      const { from, to } = timeline, step = 10 ** Math.floor(Math.log10((to - from) / 100));
      timelines[1 - side].show(from, to);
      $('range').textContent = `${stamp(from, step)} to ${stamp(to, step)} (${duration(to - from)})`;
      busy = false;
    };
  });
}

/// Shows a finding in both timelines.
function show({ times, processes, number }, timelines) {
  const known = times.filter(time => time !== null), from = Math.min(...known), to = Math.max(...known), margin = Math.max((to - from) * .1, AROUND);
  timelines[0].show(from - margin, to + margin);
  timelines.forEach((timeline, side) => timeline.scrollTo(timeline.laneOf.get(processes[side]) ?? 0));
  $('h-timelines').scrollIntoView();
  $('h-timelines').focus({ preventScroll: true });
  $('selected').textContent = `Difference ${number}: ${times.map((time, side) => `${'AB'[side]} ${time === null ? 'does not have it' : `at ${runs[side].stamp(time)}`}`).join(', ')}`;
}

async function open() {
  const models = await Promise.all(runs.map(async run => { const records = await run.unpack(); return { records, model: run.build(records) }; }));
  const end = Math.max(...models.map(({ model }) => model.end));
  const timelines = runs.map((run, side) => {
    const { records, model } = models[side], canvas = run.$('canvas');
    model.end = end;
    run.$('name').textContent = `${'AB'[side]}: ${run.stat.file}`;
    run.$('lanes').append(...run.ROWS.map(([name]) => make('li', {}, name)));
    canvas.style.height = `${run.AXIS + run.ROW * run.ROWS.length}px`;
    const timeline = new (marked(run, side))(canvas, model, records);
    const words = (x, y) => {
      const { row, slice, time } = timeline.hit(x, y);
      return `${'AB'[side]}: ${slice < 0 ? `${model.lanes[row].label} at ${run.stamp(time)}` : timeline.words(row, slice)}`;
    };
    run.control(canvas, timeline, run.moves(timeline), { hover: (x, y) => { $('hover').textContent = words(x, y); }, click: (x, y) => { $('selected').textContent = words(x, y); } });
    return timeline;
  });
  $('legend').append(...runs[0].legend(...models.map(({ model }) => model)));
  tie(timelines, runs[0]);
  const actions = runs[0].moves(timelines[0]);
  document.querySelectorAll('[data-do]').forEach(button => button.addEventListener('click', actions[button.dataset.do]));
  document.querySelectorAll('[data-show]').forEach(button => button.addEventListener('click', () => show(findings[button.dataset.show - 1], timelines)));
  timelines[0].show(0, end);
  $('selected').textContent = `${plural(findings.length, 'difference')} between the processes.`;
  hintWide();
  themes(() => timelines.forEach(timeline => timeline.recolour()));
  document.documentElement.dataset.ready = 'yes';
}

fillTables();
addEventListener('DOMContentLoaded', () => open().catch(error => {
  $('warnings').append(make('p', { class: 'warning' }, `This browser could not draw the timelines (${error.message}). Use a browser released since May 2024.`));
}));
