// A switch, step by step, in the columns of the book's table: operating system, hardware, program. Each step is a
// record of the trace; what the trace does not hold is not told.

/// How many records around a switch are looked at for its trap and its return.
const AROUND = 400;
const COLUMNS = ['system', 'hardware', 'program'];

/// The steps of switch `i`: { record, column, layer, text, values }.
function steps(records, { load, save }, i) {
  const [into, out] = [load[i], save[i]];
  const [from, to] = [records.detail(into), records.process(into)];
  const before = out < 0 ? [] : leave(records, out, from);
  return [...before, ...loaded(records, into, to), ...resume(records, into, to)];
}

/// From the trap to the save.
function leave(records, saved, process) {
  const entry = process ? back(records, saved, process) : -1;
  const rows = entry < 0 ? [] : trapped(records, entry, process);
  for (let i = entry < 0 ? saved : entry + 1; i < saved; i++) {
    const name = names.kinds[records.kind(i)];
    if (['registers', 'trap-entry', 'timer-armed'].includes(name) || isHost(records.kind(i))) continue;
    rows.push({ record: i, column: 'system', text: handled(records, i, name) });
  }
  rows.push({
    record: saved, column: 'system', layer: 'stored',
    text: `Switch, ${named(names.reasons, records.detail(saved))}: stores the registers of ${whom(process)} in its process structure at ${hex(records.word(saved, 0))}.`,
    values: context(records, saved),
  });
  return rows;
}

/// The trap that a process came in by, if it is near.
function back(records, from, process) {
  for (let i = from - 1; i >= Math.max(from - AROUND, 0); i--) {
    if (records.is(i, 'context-loaded') || records.is(i, 'trap-return')) return -1;
    if (records.is(i, 'trap-entry') && records.process(i) === process) return i;
  }
  return -1;
}

function trapped(records, entry, process) {
  const f = frame(records, entry), [vector, arrived] = [records.detail(entry) & 255, records.detail(entry) >> 8 & 255];
  const isCall = vector === names.syscall || vector === names.int;
  const reason = vector < 32 ? fault(vector, records.detail(entry) >>> 16, records.word(entry, 4)) : names.vectors[vector];
  const as = vector === arrived ? '' : `, which this host\u2019s CPU delivers as ${names.short[arrived]}`;
  const rows = [
    { record: entry, column: 'program', text: `${who(process)} runs in ring ${f.cs & 3}; ${isCall ? 'it makes a system call before' : 'it is interrupted at'} ${hex(f.rip)}.` },
    {
      record: entry, column: 'hardware', layer: 'hardware',
      text: `Trap: ${reason}${as}. To kernel mode; on the kernel stack of ${whom(process)} at ${hex(f.address)}:`, values: pushed(f),
    },
  ];
  const beside = entry + 1;
  if (beside < records.count && records.is(beside, 'registers') && !(records.detail(beside) & 0xff)) {
    rows.push({ record: beside, column: 'system', layer: 'stub', text: 'The trap stub pushes the general registers beside them.', values: general(records, beside) });
  }
  return rows;
}

function handled(records, i, name) {
  const [, details] = describe(records, i);
  const of = whom(records.process(i));
  const words = {
    'tick': `Handles the timer interrupt, ${details}.`, 'system-call': `Handles the call ${details}.`,
    'data': `Checks a pointer: ${details}.`, 'system-call-result': `Leaves the result: ${details}.`,
    'sleep': `${of} waits.`, 'wake': `${of} is ready again.`, 'process-exited': `${of} has ended, ${details}.`,
    'process-killed': `Kills ${of}: ${details}.`, 'process-freed': `Frees the memory of ${of}, ${details}.`,
  };
  return words[name] ?? `${name} (${of}): ${details}`;
}

function loaded(records, into, process) {
  const rest = [['cr3', records.word(into, 9)], ['k-stack', records.word(into, 10)]].filter((_, n) => 9 + n < records.size(into));
  return [{
    record: into, column: 'system', layer: 'stored',
    text: `Loads the registers of ${whom(process)} from its process structure at ${hex(records.word(into, 0))}, its page tables, and its kernel stack into the TSS.`,
    values: [...context(records, into), ...rest],
  }];
}

/// From the load to user mode.
function resume(records, into, process) {
  const rows = [];
  for (let i = into + 1; i < Math.min(into + AROUND, records.count); i++) {
    if (records.is(i, 'context-saved') || records.is(i, 'trap-entry')) break;
    const name = names.kinds[records.kind(i)];
    if (records.process(i) === process && name === 'registers') {
      rows.push({ record: i, column: 'system', layer: 'stub', text: `The trap stub pops the general registers of ${whom(process)}.`, values: general(records, i) });
    } else if (name === 'trap-return' && records.process(i) === process) {
      return [...rows, ...returned(records, i, process)];
    } else if (name === 'called') {
      return [...rows, { record: i, column: 'program', text: `${who(process)} is called, with no limits.` }];
    } else if (!isHost(records.kind(i))) {
      rows.push({ record: i, column: 'system', text: handled(records, i, name) });
    }
  }
  return rows;
}

function returned(records, i, process) {
  const f = frame(records, i), first = records.detail(i) === names.first_return;
  const of = first ? 'for the first time' : `from ${names.vectors[records.detail(i) & 255]}`;
  return [
    { record: i, column: 'system', text: `Returns from the trap, ${of}.` },
    { record: i, column: 'hardware', layer: 'hardware', text: `iretq pops from the kernel stack of ${whom(process)} at ${hex(f.address)}; to ring ${f.cs & 3}:`, values: pushed(f) },
    { record: i, column: 'program', text: `${who(process)} runs ${first ? 'from its entry' : 'on'} at ${hex(f.rip)}.` },
  ];
}

/// The frame in the order of the pushes.
function pushed(f) {
  return [['ss', f.ss], ['rsp', f.rsp], ['rflags', `${hex(f.rflags)} ${flags(f.rflags)}`], ['cs', f.cs], ['rip', f.rip]];
}
const general = (records, i) => [...names.registers].map((name, n) => [name, records.word(i, n)]).reverse();
const context = (records, i) => names.context.map((name, n) => [name, records.word(i, 1 + n)]);

const LAYER = { hardware: ['hardware pushed', 'hardware popped'], stub: ['stub pushed', 'stub popped'], stored: ['switch stored', 'switch loaded'] };

/// Registers and their values, those that hold 0 in one line.
function values(list) {
  const pair = (name, text) => make('div', {}, make('dt', {}, name), make('dd', {}, text));
  const zero = list.filter(([, word]) => word === 0 || word === 0n).map(([name]) => name);
  const rest = list.filter(([name]) => !zero.includes(name));
  const pairs = rest.map(([name, word]) => pair(name, typeof word === 'string' ? word : hex(word)));
  if (zero.length) {
    const all = pair(zero.join(' '), '= 0');
    all.className = 'zero';
    pairs.push(all);
  }
  return make('dl', { class: 'values' }, ...pairs);
}

/// Fills the table of a switch.
function showSwitch(records, switches, i) {
  const load = switches.load[i];
  const rows = steps(records, switches, i).map(step => {
    const isIn = step.record >= load ? 1 : 0;
    const content = [make('p', {}, step.text)];
    if (step.layer) content.unshift(make('span', { class: `layer ${step.layer}` }, LAYER[step.layer][isIn]));
    if (step.values) content.push(values(step.values));
    const cells = COLUMNS.map(column => column === step.column ? make('td', { class: step.layer ?? 'plain' }, ...content) : make('td'));
    return make('tr', {}, make('th', { scope: 'row', class: 'number' }, stamp(records.time[step.record])), ...cells);
  });
  $('protocol').tBodies[0].replaceChildren(...rows);
  const why = switches.save[i] < 0 ? '' : `, ${named(names.reasons, records.detail(switches.save[i]))}`;
  const text = `${who(records.detail(load))} \u2192 ${who(records.process(load))}${why}`;
  $('h-switch').textContent = `Switch ${count(i + 1)}`;
  $('who').textContent = text;
  $('number').value = i + 1;
  return text;
}
