// The records: unpacked, indexed, and described in words. Each is a head of 16 bytes (time, kind, words, process, detail) and
// words of 8 bytes. What the words mean comes from the table of records: no field is listed here.

const facts = JSON.parse($('facts').textContent);
const { names, stat } = facts;
const KIND = Object.fromEntries(Object.entries(names.kinds).map(([number, name]) => [name, +number]));
/// Without the rate of the TSC there are no times: what the records then have are cycles.
const timed = stat.meta.tsc_khz > 0;
const UNITS = timed ? [[1e9, 's'], [1e6, 'ms'], [1e3, 'µs']] : [[1e9, 'G cycles'], [1e6, 'M cycles'], [1, 'cycles']];

/// The records that have others missing before them.
const gaps = new Set(facts.gaps);

const hex = value => '0x' + value.toString(16);
/// A moment since the start, to the nanosecond; with `step`, no finer than that.
function stamp(ns, step = 1) {
  const [scale, unit] = UNITS[step >= 1e8 ? 0 : step >= 1e3 ? 1 : 2];
  const digits = Math.max(Math.ceil(Math.log10(scale / step) - 1e-9), 0);
  return `${(ns / scale).toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${unit}`;
}

/// Nanoseconds in three digits and the unit that fits, as `trapline stat` prints them.
function duration(ns) {
  if (!timed) return plural(Math.round(ns), 'cycle');
  const units = ['ns', 'µs', 'ms', 's'];
  if (ns < 1000) return `${Math.round(ns)} ns`;
  let unit = 0;
  for (; ns >= 999.5 && unit + 1 < units.length; unit++) ns /= 1000;
  const digits = ns < 9.995 ? 2 : ns < 99.95 ? 1 : 0;
  // The exact value is rounded, as Rust does. Only multiples of 1/8 can lie exactly in the middle, which `toFixed` always rounds up.
  const text = Number.isInteger(8 * ns)
    ? ns.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: 'halfEven', useGrouping: false })
    : ns.toFixed(digits);
  return `${text} ${units[unit]}`;
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
  /// The columns of the record's kind; a step of the boot has its own.
  columns(i) { return facts.columns[this.kind(i) === KIND.boot ? `boot ${this.detail(i)}` : this.kind(i)] ?? []; }
  /// The value of a column, as an unsigned number of 64 bits.
  value(i, { place: [where, from, to] }) {
    return where === 'detail' ? BigInt(this.detail(i)) >> BigInt(from) & (1n << BigInt(to - from)) - 1n : this.word(i, from);
  }
  /// The value of the column of this name; 0 if the kind has none.
  get(i, name) {
    const column = this.columns(i).find(column => column.name === name);
    return column ? this.value(i, column) : 0n;
  }
}

/// The viewer puts the records here as they are; those of a report are in the page, compressed.
const unpack = async () => new Records(window.unpackedRecords ?? await unzip($('records')));

const processNames = new Map(stat.processes.map(process => [process.number, process.name || '?']));
/// A name of a table, or the number where the table has none.
const named = (table, number) => table[number] ?? `number ${number}`;
const isHost = kind => kind >= 128;
/// A process as lanes and tables call it.
function who(process) { return process ? `${processNames.get(process) ?? '?'}/${process}` : 'kernel'; }

function flags(bits) {
  return names.flags.filter((name, bit) => name !== '-' && bits >>> bit & 1).join(',') || '-';
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

/// The bytes of a column of several words, as many as the record has.
function bytes(records, i, { place: [, from, to] }) {
  const start = 4 * records.at[i] + 16 + 8 * from;
  return new Uint8Array(records.half.buffer, start, 8 * Math.max(Math.min(records.size(i), to) - from, 0));
}

/// Bytes of memory: as a string if they are text, else in hexadecimal.
function data(all, size) {
  const shown = all.subarray(0, size);
  const isText = shown.every(byte => byte >= 32 && byte < 127 || byte === 9 || byte === 10 || byte === 13);
  const text = isText ? JSON.stringify(String.fromCharCode(...shown)) : [...shown].map(byte => byte.toString(16).padStart(2, '0')).join(' ');
  return text + (shown.length < size ? '\u2026' : '');
}

/// The arguments of a system call: they are in the frame of its trap.
function argumentsOf(records, i) {
  let entry = i - 1;
  while (entry >= 0 && !(records.is(entry, 'trap-entry') && records.process(entry) === records.process(i))) entry--;
  return names.argument_registers.map(name => entry < 0 ? 0n : records.get(entry, name));
}

function call(records, i) {
  const number = records.get(i, 'number');
  return `${callName(number)}(${argumentsOf(records, i).slice(0, names.arguments[number] ?? 6).map(value).join(', ')})`;
}

function fault(vector, error, cr2) {
  const selector = () => `${error & 2 ? 'gate' : 'selector'} ${hex(error & 2 ? error >> 3 : error & ~7)} of the ${error & 2 ? 'trap table' : error & 4 ? 'LDT' : 'GDT'}`;
  if (names.short[vector] !== '#PF') return names.vectors[vector] + (error && WITH_ERROR.includes(vector) ? `: ${selector()}` : '');
  const verb = error & 16 ? 'execute at' : error & 2 ? 'write to' : 'read from';
  const why = error & 8 ? 'reserved bit set' : error & 1 ? 'not allowed' : 'not present';
  return `${names.vectors[vector]}: ${verb} ${hex(cr2)} (${why}${error & 4 ? '' : ', by the kernel'})`;
}

/// A trap frame: its values by name.
function frame(records, i) {
  const get = name => records.get(i, name);
  return { address: get('frame'), vector: Number(get('vector')), rip: get('rip'), rsp: get('rsp'), cs: Number(get('cs')), ss: Number(get('ss')), rflags: Number(get('rflags')) };
}

/// A value in words, by the style of its column.
const STYLES = {
  number: value => count(value),
  signed: value => BigInt.asIntN(64, value).toString(),
  hex, address: hex,
  flags: value => `[${flags(Number(value & 0xffffffffn))}]`,
  vector: value => value === BigInt(names.first_return) ? 'first return' : names.vectors[value] ?? hex(value),
  call: value => callName(value),
  exit: value => named(names.exits, value),
  panic: value => names.panics[value] ?? names.vectors[value] ?? `number ${value}`,
  name: (value, { names }) => named(names, value),
};
/// A column of several words in words.
const BLOCKS = {
  text: all => new TextDecoder().decode(all).replace(/\0.*$/, ''),
  bytes: (all, records, i) => data(all, Number(records.get(i, 'size')) || all.length),
  gates: all => plural(all.length / 16, 'gate'),
};

/// The name of a record's kind, and its columns. A register or address that is 0 is left out.
function describe(records, i) {
  const name = names.kinds[records.kind(i)] ?? `kind ${records.kind(i)}`;
  const shown = records.columns(i).map(column => {
    if (BLOCKS[column.style]) return `${column.name}=${BLOCKS[column.style](bytes(records, i, column), records, i)}`;
    const value = records.value(i, column);
    return value || !['hex', 'address'].includes(column.style) ? `${column.name}=${STYLES[column.style](value, column)}` : '';
  });
  const step = records.is(i, 'boot') ? [named(names.steps, records.detail(i))] : [];
  const known = [...step, ...shown.filter(text => text)];
  return [name, known.length || records.columns(i).length ? known.join(' ') : raw(records, i)];
}

/// The words of a record whose kind is not known.
function raw(records, i) {
  return Array.from({ length: records.size(i) }, (_, n) => hex(records.word(i, n))).join(' ');
}
