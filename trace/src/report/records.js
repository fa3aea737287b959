'use strict';
// The records: unpacked, indexed, and said in words. Layout: a head of 16 bytes (time, kind, words, process,
// detail) and words of 8.

const $ = id => document.getElementById(id);
const facts = JSON.parse($('facts').textContent);
const { names, stat } = facts;
const KIND = Object.fromEntries(Object.entries(names.kinds).map(([number, name]) => [name, +number]));
/// Without the rate of the TSC there are no times: what the records then have are cycles.
const timed = stat.meta.tsc_khz > 0;
const UNITS = timed ? [[1e9, 's'], [1e6, 'ms'], [1e3, 'µs']] : [[1e9, 'G cycles'], [1e6, 'M cycles'], [1, 'cycles']];

/// The records that have others missing before them.
const gaps = new Set(facts.gaps);

/// An element with attributes and children; text is text, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}

const hex = value => '0x' + value.toString(16);
const count = value => value.toLocaleString('en');
const plural = (number, word) => `${count(number)} ${word}${number === 1 ? '' : 's'}`;

/// A moment since the start, to the nanosecond; with `step`, no finer than that.
function stamp(ns, step = 1) {
  const [scale, unit] = UNITS[step >= 1e8 ? 0 : step >= 1e3 ? 1 : 2];
  const digits = Math.max(Math.ceil(Math.log10(scale / step) - 1e-9), 0);
  return `${(ns / scale).toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${unit}`;
}

/// Nanoseconds in three digits and the unit that fits, as `trapline stat` says them.
function duration(ns) {
  if (!timed) return plural(Math.round(ns), 'cycle');
  const units = ['ns', 'µs', 'ms', 's'];
  if (ns < 1000) return `${Math.round(ns)} ns`;
  let unit = 0;
  for (; ns >= 999.5 && unit + 1 < units.length; unit++) ns /= 1000;
  const digits = ns < 9.995 ? 2 : ns < 99.95 ? 1 : 0;
  return `${ns.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: 'halfEven', useGrouping: false })} ${units[unit]}`;
}

class Records {
  constructor(buffer) {
    this.half = new Uint32Array(buffer);
    this.words = new BigUint64Array(buffer);
    this.count = facts.drawn;
    this.at = new Uint32Array(this.count);
    this.time = new Float64Array(this.count);
    for (let i = 0, at = 0; i < this.count; i++) {
      this.at[i] = at;
      this.time[i] = this.half[at + 1] * 2 ** 32 + this.half[at];
      at += 4 + 2 * (this.half[at + 2] >> 8 & 255);
    }
  }
  kind(i) { return this.half[this.at[i] + 2] & 255; }
  size(i) { return this.half[this.at[i] + 2] >> 8 & 255; }
  process(i) { return this.half[this.at[i] + 2] >>> 16; }
  detail(i) { return this.half[this.at[i] + 3]; }
  /// A word, 0 where a record lacks it.
  word(i, n) { return n < this.size(i) ? this.words[this.at[i] / 2 + 2 + n] : 0n; }
  is(i, name) { return this.kind(i) === KIND[name]; }
}

async function unpack() {
  const text = atob($('records').textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Records(await new Response(stream).arrayBuffer());
}

const processNames = new Map(stat.processes.map(process => [process.number, process.name || '?']));
/// A name of a table, or the number where the table has none.
const named = (table, number) => table[number] ?? `number ${number}`;
const isHost = kind => kind >= 128;
/// A process as lanes and tables call it.
function who(process) { return process ? `${processNames.get(process) ?? '?'}/${process}` : 'kernel'; }

/// The first index in an ascending array whose value is at least `value`.
function lower(array, value, low = 0, high = array.length) {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (array[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

function flags(bits) {
  return names.flags.filter((name, bit) => name !== '-' && bits >>> bit & 1).join(',') || '-';
}

/// CS, SS and RFLAGS of the word that holds all three.
function selectors(word) {
  return { cs: Number(word & 0xffffn), ss: Number(word >> 16n & 0xffffn), rflags: Number(word >> 32n) };
}

/// The exceptions that push an error code.
const WITH_ERROR = [8, 10, 11, 12, 13, 14, 17, 21];

/// Small numbers of either sign in decimal, all others in hexadecimal.
function value(word) {
  const signed = BigInt.asIntN(64, word);
  return signed > -4096n && signed < 4096n ? signed.toString() : hex(word);
}

function result(word) {
  const error = names.errors[(-BigInt.asIntN(64, word)).toString()];
  return error ? '-' + error : value(word);
}

const callName = number => names.calls[number] ?? `syscall_${number}`;

/// Bytes of memory: as a string where they are text, else as words.
function data(records, i) {
  const size = records.detail(i) >>> 8, shown = Math.min(size, 8 * records.size(i));
  const from = 4 * (records.at[i] + 4), bytes = new Uint8Array(records.half.buffer, from, shown);
  const isText = bytes.every(byte => byte >= 32 && byte < 127 || byte === 9 || byte === 10 || byte === 13);
  const what = isText ? JSON.stringify(String.fromCharCode(...bytes)) : raw(records, i);
  return `argument ${records.detail(i) & 255} leads to ${what}${shown < size ? '\u2026' : ''} (${plural(size, 'byte')})`;
}

function call(records, i) {
  const number = records.word(i, 6);
  const given = Array.from({ length: names.arguments[number] ?? 6 }, (_, n) => value(records.word(i, n)));
  return `${callName(number)}(${given.join(', ')})`;
}

function fault(vector, error, cr2) {
  const selector = () => `${error & 2 ? 'gate' : 'selector'} ${hex(error & 2 ? error >> 3 : error & ~7)} of the ${error & 2 ? 'trap table' : error & 4 ? 'LDT' : 'GDT'}`;
  if (names.short[vector] !== '#PF') return names.vectors[vector] + (error && WITH_ERROR.includes(vector) ? `: ${selector()}` : '');
  const verb = error & 16 ? 'execute at' : error & 2 ? 'write to' : 'read from';
  const why = error & 8 ? 'reserved bit set' : error & 1 ? 'not allowed' : 'not present';
  return `${names.vectors[vector]}: ${verb} ${hex(cr2)} (${why}${error & 4 ? '' : ', by the kernel'})`;
}

/// The frame that starts at word `n`: address (none at -1), RIP, RSP, selectors and flags.
function frame(records, i, n = 0) {
  const [address, rip, rsp, rest] = [0, 1, 2, 3].map(offset => n + offset < 0 ? 0n : records.word(i, n + offset));
  return { address, rip, rsp, ...selectors(rest) };
}
const frameText = f => `rip=${hex(f.rip)} rsp=${hex(f.rsp)} cpl=${f.cs & 3} [${flags(f.rflags)}]`;

/// Names beside the words from `from` on, those that are 0 left out.
function registers(records, i, list, from) {
  const set = list.map((name, n) => [name, records.word(i, from + n)]).filter(([, word]) => word);
  return set.map(([name, word]) => `${name}=${hex(word)}`).join(' ');
}

/// What a record says, by the name of its kind.
const say = {
  'boot': (r, i) => `${named(names.steps, r.detail(i))} ${raw(r, i)}`,
  'gate': (r, i) => `${names.vectors[r.detail(i) & 255]} handler=${hex(r.word(i, 0))}`,
  'process-created': (r, i) => `structure=${hex(r.word(i, 0))} cr3=${hex(r.word(i, 1))} kernel-stack=${hex(r.word(i, 2))}`,
  'segment-loaded': (r, i) => `at ${hex(r.word(i, 0))}, ${plural(Number(r.word(i, 1)), 'byte')}`,
  'stack-built': (r, i) => `argc=${r.detail(i)} rsp=${hex(r.word(i, 1))} argv=${hex(r.word(i, 2))}`,
  'kernel-stack-filled': (r, i) => frameText(frame(r, i)),
  'trap-entry': (r, i) => {
    const [vector, arrived] = [r.detail(i) & 255, r.detail(i) >> 8 & 255];
    const as = vector === arrived ? '' : ` (as ${names.short[arrived]})`;
    const of = vector === arrived && vector < 32 ? fault(vector, r.detail(i) >>> 16, r.word(i, 4)) : names.vectors[vector];
    return `${of}${as} ${frameText(frame(r, i))}`;
  },
  'registers': (r, i) => `${(r.detail(i) & 0xff) ? 'to restore' : 'as trapped'} ${registers(r, i, names.registers, 0)}`,
  'system-call': call,
  'system-call-result': (r, i) => `${callName(r.detail(i))} = ${result(r.word(i, 0))}`,
  'data': data,
  'tick': (r, i) => `number ${r.detail(i)}`,
  'timer-armed': (r, i) => `${named(names.timers, r.detail(i))}, in ${plural(Number(r.word(i, 1)), 'cycle')}`,
  'context-saved': (r, i) => `${named(names.reasons, r.detail(i))} ${registers(r, i, names.context, 1)}`,
  'context-loaded': (r, i) => `from ${who(r.detail(i))} ${registers(r, i, names.context, 1)}`,
  'trap-return': (r, i) => {
    const from = r.detail(i) === names.first_return ? 'for the first time' : `from ${names.vectors[r.detail(i) & 255]}`;
    return `${from} ${frameText(frame(r, i))} rax=${hex(r.word(i, 4))}`;
  },
  'process-exited': (r, i) => `with ${BigInt.asIntN(64, r.word(i, 0))}`,
  'process-killed': (r, i) => `${fault(r.detail(i) & 255, r.detail(i) >>> 16, r.word(i, 1))} rip=${hex(r.word(i, 0))}`,
  'process-freed': (r, i) => plural(Number(r.word(i, 0)), 'frame'),
  'load-failed': (r, i) => named(names.load_errors, r.detail(i)),
  'idle': () => 'nobody can run',
  'kernel-panic': (r, i) => `${names.panics[r.detail(i)] ?? names.vectors[r.detail(i) & 255]} rip=${hex(r.word(i, 0))}`,
  'called': (r, i) => frameText(frame(r, i, -1)),
  'returned': (r, i) => `from main with ${BigInt.asIntN(64, r.word(i, 0))}`,
  'fault-redirected': (r, i) => `${fault(r.detail(i) & 255, r.detail(i) >>> 16, r.word(i, 1))} to ${hex(r.word(i, 2))}`,
  'host-exits': (r, i) => `${named(names.exits, r.detail(i))}: ${count(r.word(i, 0))}`,
  'host-count': (r, i) => `${named(names.counters, r.detail(i))}: ${count(r.word(i, 0))}`,
  'host-stop': (r, i) => named(names.stops, r.detail(i)),
  'host-end': (r, i) => `${named(names.endings, r.word(i, 0))}, exit code ${r.detail(i)}`,
};

function raw(records, i) {
  return Array.from({ length: records.size(i) }, (_, n) => hex(records.word(i, n))).join(' ');
}

/// The name of a record's kind, and its details.
function describe(records, i) {
  const name = names.kinds[records.kind(i)] ?? `kind ${records.kind(i)}`;
  return [name, (say[name] ?? raw)(records, i)];
}
