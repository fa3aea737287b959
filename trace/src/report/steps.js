// What happened step by step, in the columns of the book's table: operating system, hardware, program. The page has the
// rows of the boot and the first run. The rows of a switch or a system call are made here from the records, in the words
// of `trapline protocol`, because those of a whole trace would not fit into a page. A test compares the two.

const COLUMNS = { os: 'operating system', hardware: 'hardware', program: 'program' };
/// Layers of saved registers: the colour, and what it is called on the way out and on the way in.
const LAYERS = {
  'hardware-frame': ['hardware', 'hardware pushed', 'hardware popped'], 'hardware-registers': ['hardware', 'hardware kept', ''],
  'trap-frame': ['stub', 'stub pushed', 'stub popped'], 'context': ['stored', 'switch stored', 'switch loaded'],
};
const WHY = { preempted: 'its turn is over', yielded: 'it yields', slept: 'it sleeps', blocked: 'it waits', ended: 'it has ended', idle: 'a process is ready' };
/// User addresses end here (canonical addresses of 48 bits).
const USER_END = 1n << 47n;
/// RFLAGS.IF, and the type of an interrupt gate, whose use clears it.
const [IF, INTERRUPT_GATE] = [1n << 9n, 0xe];

/// Switch `i` as rows, from its trap to what proves its return.
function switchSteps(records, { load, save }, i) {
  const from = records.detail(load[i]), first = save[i] < 0 ? load[i] : back(records, save[i], from);
  return excerpt(records, [from, records.process(load[i])], first, forth(records, load[i]));
}

/// A system call as rows, from its trap to what proves its return. Other processes may run in between.
function callSteps(records, call) {
  const process = records.process(call);
  return excerpt(records, [process], back(records, call, process), callEnd(records, call));
}

/// The records of some processes from `first` to `last` as rows.
function excerpt(records, processes, first, last) {
  const shows = r => !isHost(records.kind(r)) && processes.includes(records.process(r)), rows = [];
  for (let r = first; r <= last; r++) if (shows(r)) STEPS[names.kinds[records.kind(r)]]?.(rows, records, r);
  let next = last + 1;
  while (next < records.count && !gaps.has(next) && !shows(next) && !['host-stop', 'host-end'].some(end => records.is(next, end))) next++;
  if (next < records.count && !gaps.has(next) && proves(records, last, next)) arrived(rows, records, last);
  return rows;
}

/// The trap by which a process came in to be switched away from.
function back(records, saved, process) {
  for (let r = saved - 1; r >= 0 && !gaps.has(r + 1); r--) if (records.is(r, 'trap-entry')) return records.process(r) === process ? r : saved;
  return saved;
}

/// The return that ends a system call, or without one the last record of its process before another trap.
function callEnd(records, call) {
  let last = call;
  for (let r = call + 1; r < records.count && !gaps.has(r) && !records.is(last, 'trap-return'); r++) {
    if (isHost(records.kind(r)) || records.process(r) !== records.process(call)) continue;
    if (records.is(r, 'trap-entry')) break;
    last = r;
  }
  return last;
}

/// The return that ends a switch; without one, the switch itself.
function forth(records, into) {
  for (let r = into + 1; r < records.count; r++) {
    if (gaps.has(r) || records.is(r, 'trap-entry') || records.is(r, 'context-saved')) return into;
    if (records.is(r, 'trap-return') || records.is(r, 'called')) return r;
  }
  return into;
}

/// The kernel records a return before it returns. The next record shows whether the return succeeded.
function proves(records, left, next) {
  if (!records.is(left, 'trap-return') && !records.is(left, 'called')) return false;
  const isSame = records.process(next) === records.process(left);
  if (records.is(next, 'trap-entry')) return isSame && frame(records, next).rip < USER_END;
  if (records.is(next, 'host-end')) return records.get(next, 'rip') !== 0n && records.get(next, 'rip') < USER_END;
  return isSame && records.is(next, 'returned');
}

function push(rows, records, record, actor, text, more = {}) {
  rows.push({ record, time: records.time[record], actor, text, details: [], values: [], ...more });
  return rows[rows.length - 1];
}

/// What happens at a record, by its kind.
function ready(rows, records, r) {
  push(rows, records, r, 'os', `${who(records.process(r))} is ready again`);
}

const STEPS = {
  'trap-entry': trapEntry,
  'timer-armed'(rows, records, r) {
    const cycles = records.get(r, 'cycles');
    push(rows, records, r, 'os', 'start interrupt timer', { details: [`${named(names.timers, records.get(r, 'timer'))}, value ${records.get(r, 'value')}`] });
    push(rows, records, r, 'hardware', `start timer: interrupt CPU in ${timed ? `${(Number(cycles) / stat.meta.tsc_khz).toFixed(3)} ms` : `${cycles} cycles`}`);
  },
  'system-call'(rows, records, r) {
    const number = records.get(r, 'number'), name = names.calls[number];
    const program = rows.find(row => row.isCall);
    const given = argumentsOf(records, r).slice(0, names.arguments[number] ?? 0).map(word => word < 4096n ? `${word}` : hex(word));
    if (program) program.text = `${who(records.process(r))} calls ${name ? `${name}(${given.join(', ')})` : `number ${number}`}: trap into OS`;
    push(rows, records, r, 'os', 'handle trap: check the system call number', { details: [`number ${number}: ${name ?? 'no call'}`] });
  },
  'system-call-result'(rows, records, r) {
    const signed = BigInt.asIntN(64, records.get(r, 'result')), error = names.errors[`${-signed}`];
    push(rows, records, r, 'os', 'do work of system call', { details: [`result ${error ? `-${error}` : signed}, into the frame's RAX`] });
  },
  'tick': (rows, records, r) => push(rows, records, r, 'os', 'handle the trap', { details: [`tick ${records.get(r, 'ticks')} of the timer`] }),
  'context-saved'(rows, records, r) {
    const of = who(records.process(r)), kept = context(records, r);
    const why = WHY[names.reasons[records.get(r, 'reason')]];
    push(rows, records, r, 'os', `call switch(): save regs(${of}) to proc(${of})`, { layer: 'context', ...kept, details: [`why: ${why}`, ...kept.details] });
  },
  'context-loaded'(rows, records, r) {
    const of = who(records.process(r));
    push(rows, records, r, 'os', `restore regs(${of}) from proc(${of})`, { layer: 'context', ...context(records, r) });
    push(rows, records, r, 'os', `switch to k-stack(${of}) and its page tables`, { values: [['TSS.RSP0', records.get(r, 'kernel_stack_top')], ['CR3', records.get(r, 'cr3')]] });
  },
  'trap-return'(rows, records, r) {
    const { vector } = frame(records, r), from = vector === names.first_return ? ', for the first time' : `, from ${names.vectors[vector & 255]}`;
    general(rows, records, r, true);
    push(rows, records, r, 'os', `return-from-trap (into ${who(records.process(r))})`, { details: [`by \`iretq\`${from}`] });
  },
  'called'(rows, records, r) {
    const f = frame(records, r);
    push(rows, records, r, 'os', 'call main(): no limits', { values: [['RIP', f.rip], ['RSP', f.rsp], ['CS', f.cs], ['RFLAGS', f.rflags]] });
  },
  'sleep': (rows, records, r) => push(rows, records, r, 'os', `${who(records.process(r))} waits`),
  'wake': ready,
  'woken': ready,
  'process-exited': (rows, records, r) => push(rows, records, r, 'os', `${who(records.process(r))} has ended, with status ${BigInt.asIntN(64, records.get(r, 'status'))}`),
  'process-killed': (rows, records, r) =>
    push(rows, records, r, 'os', `end ${who(records.process(r))}`, { details: [fault(Number(records.get(r, 'vector')), Number(records.get(r, 'error_code')), records.get(r, 'cr2'))] }),
  'process-freed': (rows, records, r) =>
    push(rows, records, r, 'os', 'free memory of process, remove from process list', { details: [`${who(records.process(r))}: ${records.get(r, 'frames')} page frames`] }),
  'fault-redirected': (rows, records, r) =>
    push(rows, records, r, 'os', `hand the fault to ${who(records.process(r))}'s own handler`, { values: [['RIP', records.get(r, 'handler')], ['RSP', records.get(r, 'rsp')]] }),
};

function trapEntry(rows, records, r) {
  const f = frame(records, r), { vector } = f, arrived = Number(records.get(r, 'arrived')), error = Number(records.get(r, 'error_code'));
  const of = who(records.process(r)), isSyscall = vector === names.syscall && arrived === vector;
  program(rows, records, r, f);
  const what = vector === names.syscall || vector === names.int ? 'trap' : vector < 32 && names.short[vector][0] === '#' ? names.short[vector] : 'timer interrupt';
  const text = isSyscall ? '`syscall`: keep PC and flags in RCX and R11' : `${what}: save regs(${of}) to k-stack(${of})`;
  const details = [...isSyscall ? ['no frame, no stack switch'] : [], f.cs & 3 ? `move to kernel mode: CPL ${f.cs & 3} \u2192 0` : 'already in kernel mode: CPL 0', ...handler(records, arrived)];
  if (names.short[vector] === '#PF') details.push(`CR2 = ${hex(records.get(r, 'cr2'))}`);
  // RFLAGS is the one word that the kernel rewrites without a copy on record.
  const changed = [['frame', f.address], ['RIP', records.get(r, 'arrived_rip')], ['CS', f.cs], ['RSP', f.rsp], ['SS', f.ss], ['error', error]];
  const pushed = [...frameValues(f), ...WITH_ERROR.includes(vector) ? [['error', error]] : []];
  const layer = isSyscall ? 'hardware-registers' : 'hardware-frame';
  push(rows, records, r, 'hardware', text, { layer, details, rip: f.rip, values: isSyscall ? [] : vector === arrived ? pushed : changed });
  const stub = isSyscall ? `switch to k-stack(${of}), build the frame` : `handle it as \`${names.vectors[vector]}\`: correct PC and flags`;
  if (isSyscall || vector !== arrived) push(rows, records, r, 'os', stub, { layer: 'trap-frame', values: frameValues(f) });
  general(rows, records, r, false);
}

/// The general registers of a trap frame, saved or restored.
function general(rows, records, r, isReturn) {
  const of = who(records.process(r)), all = names.registers.map(name => [name, records.get(r, name)]).reverse();
  const trap = rows.find(row => row.layer === 'hardware-registers'), kept = Object.fromEntries(all);
  if (trap && !isReturn && kept.rcx === trap.rip) trap.values = [['RCX', kept.rcx], ['R11', kept.r11]];
  const text = isReturn ? `restore general registers of ${of}` : `save general registers of ${of} beside the frame`;
  push(rows, records, r, 'os', text, { layer: 'trap-frame', ...notZero(all) });
}

/// The row of the program that trapped.
function program(rows, records, r, f) {
  const { vector } = f, of = who(records.process(r)), isCall = vector === names.syscall || vector === names.int;
  if (!isCall && (f.rip >= USER_END || vector >= 32 && rows.at(-1)?.actor === 'program')) return;
  const text = isCall ? `${of} calls system: trap into OS`
    : vector < 32 ? `${of} faults: ${fault(vector, Number(records.get(r, 'error_code')), records.get(r, 'cr2'))}` : `${of} runs\u2026`;
  push(rows, records, r, 'program', text, { isCall, details: [`${isCall ? 'PC after the trap' : 'PC'} ${hex(f.rip)}`, `CPL ${f.cs & 3}`] });
}

/// The return arrived.
function arrived(rows, records, left) {
  const isReturn = records.is(left, 'trap-return'), f = frame(records, left), of = who(records.process(left));
  const isFirst = !isReturn || f.vector === names.first_return;
  if (isReturn) {
    const mode = f.cs & 3 ? `move to user mode: CPL 0 \u2192 ${f.cs & 3}` : 'stay in kernel mode: CPL 0';
    push(rows, records, left, 'hardware', `restore regs(${of}) from k-stack(${of})`,
      { layer: 'hardware-frame', values: frameValues(f), details: [mode, `jump to ${isFirst ? 'main' : 'PC'}: ${hex(f.rip)}`] });
  }
  push(rows, records, left, 'program', isFirst ? `${of} runs main()\u2026` : `${of} goes on\u2026`, { details: [`PC ${hex(f.rip)}`, `CPL ${f.cs & 3}`] });
}

/// The handler of this vector, and that interrupts are off in it, as the kernel set the trap table at boot.
function handler(records, vector) {
  const { gates, syscall } = known(records), off = by => `interrupts off: ${by}`;
  if (vector === names.syscall) return syscall ? [...syscall.sfmask & IF ? [off('SFMASK clears IF')] : [], `jump to trap handler: LSTAR = ${hex(syscall.lstar)}`] : [];
  const gate = gates.get(vector);
  if (!gate) return [];
  const at = `jump to trap handler: gate 0x${vector.toString(16).padStart(2, '0')} = ${hex(gate.handler)}`;
  return [...(gate.kind & 0xf) === INTERRUPT_GATE ? [off('an interrupt gate')] : [], at];
}

function known(records) {
  if (records.known) return records.known;
  records.known = { gates: new Map() };
  for (let r = 0; r < records.count; r++) {
    if (records.is(r, 'gates')) gatesOf(records, r).forEach(gate => records.known.gates.set(gate.vector, gate));
    else if (records.is(r, 'boot') && names.steps[records.detail(r)] === 'syscall-handler') records.known.syscall = { lstar: records.get(r, 'lstar'), sfmask: records.get(r, 'sfmask') };
  }
  return records.known;
}

/// Gates as they lie in the trap table: offset 0..16, selector, IST, type and DPL, offset 16..32; then offset 32..64.
function gatesOf(records, r) {
  const { place: [, from, to] } = records.columns(r).find(column => column.style === 'gates'), gates = [];
  for (let n = from; n + 1 < Math.min(records.size(r), to); n += 2) {
    const low = records.word(r, n), handler = low & 0xffffn | low >> 48n << 16n | records.word(r, n + 1) << 32n;
    gates.push({ vector: Number(records.get(r, 'first')) + gates.length, kind: Number(low >> 40n & 0xffn), handler });
  }
  return gates;
}

/// In the order of addresses, as it lies in memory.
const frameValues = f => [['frame', f.address], ['RIP', f.rip], ['CS', f.cs], ['RFLAGS', f.rflags], ['RSP', f.rsp], ['SS', f.ss]];

/// The registers that are not 0, and a line about the others.
function notZero(all) {
  const values = all.filter(([, word]) => word), zero = all.length - values.length;
  return { values, details: zero ? [!values.length ? 'all 0' : zero === 1 ? 'the other is 0' : `the other ${zero} are 0`] : [] };
}

function context(records, r) {
  const { values, details } = notZero(names.context.map(name => [name, records.get(r, name)]));
  return { values: [['proc', records.get(r, 'structure')], ...values], details };
}

/// Instructions stand in backticks.
const withCode = text => text.split('`').map((part, i) => i % 2 ? make('code', {}, part) : part);

/// A row of the table.
function rowOf({ time, actor, text, layer, details, values }) {
  const content = [make('p', {}, ...withCode(text))];
  const [colour, out, into] = LAYERS[layer] ?? [''];
  if (layer) content.unshift(make('span', { class: `layer ${colour}` }, text.startsWith('restore') ? into : out));
  const pair = ([name, word]) => make('div', {}, make('dt', {}, name), make('dd', {}, hex(word) + (['RFLAGS', 'R11'].includes(name) ? ` [${flags(Number(word))}]` : '')));
  if (values.length) content.push(make('dl', { class: 'values' }, ...values.map(pair)));
  if (details.length) content.push(make('ul', { class: 'details' }, ...details.map(line => make('li', {}, ...withCode(line)))));
  const cells = Object.keys(COLUMNS).map(column => column === actor ? make('td', { class: colour, 'data-actor': COLUMNS[actor] }, ...content) : make('td'));
  return make('tr', {}, make('th', { scope: 'row', class: 'number' }, timed ? stamp(time) : '\u2013'), ...cells);
}

/// Fills the table of a switch.
function showSwitch(records, switches, i) {
  const load = switches.load[i];
  $('protocol').tBodies[0].replaceChildren(...switchSteps(records, switches, i).map(rowOf));
  const why = switches.save[i] < 0 ? '' : `, ${named(names.reasons, records.detail(switches.save[i]))}`;
  const text = `${who(records.detail(load))} \u2192 ${who(records.process(load))}${why}`;
  $('h-switch').textContent = `Switch ${count(i + 1)}`;
  $('who').textContent = text;
  $('number').value = i + 1;
  return text;
}

/// Fills the table of a system call.
function showCall(records, calls, i) {
  const text = `${who(records.process(calls[i]))}: ${call(records, calls[i])}`;
  $('call-steps').tBodies[0].replaceChildren(...callSteps(records, calls[i]).map(rowOf));
  $('h-call').textContent = `System call ${count(i + 1)}`;
  $('what').textContent = text;
  $('call-number').value = i + 1;
  return text;
}

/// Fills the tables of the boot and the first run.
function fillStart() {
  const tables = facts.start.map(({ title, figure, rows, elided, notes }) => {
    const lines = rows.map(row => rowOf({ ...row, values: row.values.map(([name, word]) => [name, BigInt(word)]) }));
    if (elided) lines.splice(elided[0], 0, make('tr', {}, make('td', { colspan: 4, class: 'elided' }, elided[1])));
    const table = make('table', { class: 'protocol' }, $('protocol').tHead.cloneNode(true), make('tbody', {}, ...lines));
    return [make('h3', {}, title), make('p', { class: 'note' }, figure),
      make('div', { class: 'wide', role: 'region', tabindex: 0, 'aria-label': title }, table),
      ...notes.map(note => make('p', { class: 'note' }, ...withCode(note)))];
  });
  $('start').append(...tables.flat());
  $('start').hidden = !tables.length;
}
