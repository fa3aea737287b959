//! Events as rows of named columns: the same for JSONL, CSV, Parquet and Perfetto.
//!
//! Every event has the columns of [`HEAD`]; the others follow from the table in `abi::record`, and an event has those of its
//! kind. Addresses, registers and flags are hexadecimal text, because many readers of JSON keep 53 bits of a number.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::LazyLock;

use abi::record::{Parts, Style, What};
use abi::syscall::Call;

use super::arguments::{self, Arguments};
use super::layout::{Column, Layout, Source};
use crate::analysis::hardware::{exit_reason, vector_name};
use crate::analysis::summary::{kind_name, panic_words};
use crate::file::{Event, Names, Origin, Trace};
use crate::text::{hex_digits, put_hex};

/// The type of a column's values, for the formats that have types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A number that may be negative.
    Signed,
    /// A number.
    Unsigned,
    /// An address, a register or flags.
    Hex,
    /// Text.
    Text,
}

use Holds::{Hex, Signed, Text, Unsigned};

/// The columns of every event: its number among those of its origin, `guest` or `host`, TSC, nanoseconds since the
/// start, process (0: the kernel), the name of the process, and the kind.
pub const HEAD: [(&str, Holds); 7] = [
    ("sequence", Unsigned),
    ("origin", Text),
    ("tsc", Unsigned),
    ("ns", Unsigned),
    ("process", Unsigned),
    ("name", Text),
    ("kind", Text),
];

/// The value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Number(i128),
    Hex(u64),
    Text(Cow<'a, str>),
}

fn number(value: impl Into<i128>) -> Value<'static> {
    Value::Number(value.into())
}

fn text<'a>(value: impl Into<Cow<'a, str>>) -> Value<'a> {
    Value::Text(value.into())
}

/// A cell of a kind's rows: which column it is in, and how its value is found.
#[derive(Clone, Copy, Debug)]
struct Cell {
    column: usize,
    source: Column,
    /// The name of the value instead of its number.
    is_name: bool,
}

/// The columns that an event may have beside [`HEAD`].
#[derive(Debug)]
pub struct Rows {
    columns: Vec<(String, Holds)>,
    /// By the number of a layout: the name of the step, for a step of the boot, and the cells.
    layouts: Vec<(Option<&'static str>, Vec<Cell>)>,
}

/// The column with the name of a step of the boot: the first behind [`HEAD`].
const STEP: usize = 0;

impl Rows {
    /// The columns of all kinds of events.
    pub fn all() -> &'static Rows {
        static ALL: LazyLock<Rows> = LazyLock::new(Rows::make_all);
        &ALL
    }

    fn make_all() -> Rows {
        let mut rows = Rows { columns: vec![("step".into(), Text)], layouts: Vec::new() };
        for layout in Layout::all() {
            let is_shown = |column: &&Column| !matches!(column.source, Source::Kind | Source::Count);
            let shown = layout.columns.iter().filter(is_shown);
            let cells = shown.flat_map(|&source| forms(source)).map(|(name, holds, source, is_name)| Cell {
                column: rows.column(name, holds),
                source,
                is_name,
            });
            let cells = cells.collect();
            let number = usize::from(layout.number);
            // They come in the order of their numbers.
            rows.layouts.resize(number, (None, Vec::new()));
            rows.layouts.push((layout.step, cells));
        }
        rows
    }

    /// The columns in the order of CSV, without [`HEAD`].
    pub fn columns(&self) -> &[(String, Holds)] {
        &self.columns
    }

    /// The place of the column with this name, which is added if it does not exist.
    fn column(&mut self, name: String, holds: Holds) -> usize {
        let mut columns = self.columns.iter_mut().enumerate();
        if let Some((place, (_, known))) = columns.find(|(_, (known, _))| *known == name) {
            if (*known, holds) == (Unsigned, Signed) {
                *known = Signed;
            }
            return place;
        }
        self.columns.push((name, holds));
        self.columns.len().saturating_sub(1)
    }

    /// The cells of an event without its head: the place of the column, and the value. `parts` are those of
    /// [`Arguments::parts`].
    pub(super) fn cells<'a>(
        &'a self,
        what: &'a What,
        parts: &'a Parts,
    ) -> impl Iterator<Item = (usize, Value<'a>)> {
        let layout = self.layouts.get(usize::from(Layout::number_of(what)));
        let (step, cells) = layout.map_or((None, &[][..]), |(step, cells)| (*step, cells));
        let step = step.map(|step| (STEP, text(step)));
        let others = cells.iter().filter_map(move |cell| {
            let source = &cell.source;
            if matches!(source.source, Source::Argument(_)) && parts.count <= arguments::FIRST {
                return None;
            }
            let bits = source.bits(parts);
            let value = match source.style {
                Style::Number => number(bits),
                Style::Signed => number(bits as i64),
                Style::Vector if cell.is_name => text(vector_name(u8::try_from(bits).ok()?)),
                Style::Call if cell.is_name => text(Call::from_number(bits)?.name()),
                Style::Vector | Style::Call => number(bits),
                Style::Name(names) => text(names.iter().find(|(value, _)| *value == bits)?.1),
                Style::Exit => {
                    text(exit_reason(bits as u32).map_or_else(|| bits.to_string().into(), Cow::from))
                }
                Style::Panic => text(panic_words(bits as u32, parts.words[0])),
                Style::Text => text(source.text(parts)),
                Style::Bytes => text(source.bytes(parts).escape_ascii().to_string()),
                Style::Gates => text(gates(what)),
                Style::Hex | Style::Address | Style::Flags | Style::Frame | Style::Context => {
                    Value::Hex(bits)
                }
            };
            Some((cell.column, value))
        });
        step.into_iter().chain(others)
    }

    /// The fields of an event without its head, by name.
    pub(super) fn fields<'a>(
        &'a self,
        what: &'a What,
        parts: &'a Parts,
    ) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.cells(what, parts)
            .filter_map(|(column, value)| Some((self.columns.get(column)?.0.as_str(), value)))
    }
}

/// The columns that show a column of a layout: a vector and a call have their names beside their numbers.
fn forms(source: Column) -> Vec<(String, Holds, Column, bool)> {
    let own = |holds| (source.name.to_owned(), holds, source, false);
    match source.style {
        Style::Number => vec![own(Unsigned)],
        Style::Signed => vec![own(Signed)],
        Style::Vector => vec![own(Unsigned), (format!("{}_name", source.name), Text, source, true)],
        Style::Call => vec![own(Unsigned), ("call".to_owned(), Text, source, true)],
        Style::Name(_) | Style::Exit | Style::Panic | Style::Text | Style::Bytes | Style::Gates => {
            vec![own(Text)]
        }
        Style::Hex | Style::Address | Style::Flags | Style::Frame | Style::Context => vec![own(Hex)],
    }
}

/// Gates in words: vector, handler, type and DPL byte, and stack of the TSS of each.
fn gates(what: &What) -> String {
    let What::Gates { first, table } = what else { return String::new() };
    let gates = table.from(*first).map(|gate| {
        format!("{:#04x} {:#x} type={:#x} ist={}", gate.vector, gate.handler, gate.kind, gate.ist)
    });
    gates.collect::<Vec<_>>().join(", ")
}

/// Writes one object per line.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    rows: &'static Rows,
    arguments: Arguments,
    line: Vec<u8>,
}

impl<W: Write> JsonLines<W> {
    /// Lines for `out`.
    pub fn new(out: W) -> Self {
        Self { out, rows: Rows::all(), arguments: Arguments::default(), line: Vec::new() }
    }

    /// Reads the next event, and writes it if `is_wanted`. Every event must be passed, because the arguments of a call are in an
    /// event before it.
    pub fn event(&mut self, event: &Event, names: &Names, is_wanted: bool) -> io::Result<()> {
        let parts = self.arguments.parts(event.origin, event.sequence, event.process, &event.what);
        if !is_wanted {
            return Ok(());
        }
        self.line.clear();
        let head = HEAD.map(|(name, _)| name).into_iter().zip(head(event, names));
        for (key, value) in head.chain(self.rows.fields(&event.what, &parts)) {
            self.line.push(if self.line.is_empty() { b'{' } else { b',' });
            self.line.push(b'"');
            self.line.extend_from_slice(key.as_bytes());
            self.line.extend_from_slice(b"\":");
            match value {
                Value::Number(number) => serde_json::to_writer(&mut self.line, &number)?,
                Value::Text(text) => serde_json::to_writer(&mut self.line, &text)?,
                Value::Hex(word) => {
                    self.line.extend_from_slice(b"\"0x");
                    self.line.extend(hex_digits(word));
                    self.line.push(b'"');
                }
            }
        }
        self.line.extend_from_slice(b"}\n");
        self.out.write_all(&self.line)
    }

    /// Flushes what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes one row per event, below a row of names.
pub struct Csv<W: Write> {
    out: csv::Writer<W>,
    rows: &'static Rows,
    arguments: Arguments,
    /// The cells of a row, those of [`HEAD`] first.
    row: Vec<String>,
}

impl<W: Write> Csv<W> {
    /// Rows for `out`, the first of them the names of the columns.
    pub fn new(out: W) -> io::Result<Self> {
        let (mut out, rows) = (csv::Writer::from_writer(out), Rows::all());
        let names = rows.columns.iter().map(|(name, _)| name.as_str());
        out.write_record(HEAD.iter().map(|(name, _)| *name).chain(names)).map_err(into_io)?;
        let row = vec![String::new(); HEAD.len().saturating_add(rows.columns.len())];
        Ok(Self { out, rows, arguments: Arguments::default(), row })
    }

    /// Reads the next event, and writes it if `is_wanted`. Every event must be passed, because the arguments of a call are in an
    /// event before it.
    pub fn event(&mut self, event: &Event, names: &Names, is_wanted: bool) -> io::Result<()> {
        let parts = self.arguments.parts(event.origin, event.sequence, event.process, &event.what);
        if !is_wanted {
            return Ok(());
        }
        self.row.iter_mut().for_each(String::clear);
        let cells = self.rows.cells(&event.what, &parts);
        let cells = cells.map(|(column, value)| (HEAD.len().saturating_add(column), value));
        for (column, value) in (0..).zip(head(event, names)).chain(cells) {
            let Some(cell) = self.row.get_mut(column) else { continue };
            match value {
                Value::Number(number) => _ = write!(cell, "{number}"),
                Value::Hex(word) => put_hex(cell, word),
                Value::Text(text) => cell.push_str(&text),
            }
        }
        self.out.write_record(&self.row).map_err(into_io)
    }

    /// Flushes what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes all events of a trace, one object per line.
pub fn write_json_lines(trace: &Trace, out: impl Write) -> io::Result<()> {
    let (mut lines, mut names) = (JsonLines::new(out), Names::default());
    for event in trace.events() {
        names.learn(&event);
        lines.event(&event, &names, true)?;
    }
    lines.flush()
}

/// Writes all events of a trace, one row per event, below a row of names.
pub fn write_csv(trace: &Trace, out: impl Write) -> io::Result<()> {
    let (mut rows, mut names) = (Csv::new(out)?, Names::default());
    for event in trace.events() {
        names.learn(&event);
        rows.event(&event, &names, true)?;
    }
    rows.flush()
}

fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// The values of [`HEAD`].
pub(super) fn head<'a>(event: &Event, names: &'a Names) -> [Value<'a>; HEAD.len()] {
    [
        number(event.sequence),
        text(if event.origin == Origin::Host { "host" } else { "guest" }),
        number(event.tsc),
        number(event.nanoseconds),
        number(event.process),
        text(match (event.origin, event.process) {
            (Origin::Guest, 1..) => names.get(event.process).unwrap_or("?").into(),
            (origin, process) => names.label(origin, process),
        }),
        text(kind_name(event.what.kind())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::samples;

    fn trace() -> Trace {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        samples::write_file(&path, &samples::every_kind(), 1000);
        Trace::open(&path).expect("a whole file")
    }

    #[test]
    fn every_value_fits_its_column() {
        let (trace, rows) = (trace(), Rows::all());
        let mut arguments = Arguments::default();
        for event in trace.events() {
            let parts = arguments.parts(event.origin, event.sequence, event.process, &event.what);
            for (column, value) in rows.cells(&event.what, &parts) {
                let (name, holds) = &rows.columns[column];
                let fits = match value {
                    Value::Number(_) => [Signed, Unsigned].as_slice(),
                    Value::Hex(_) => &[Hex],
                    Value::Text(_) => &[Text],
                };
                assert!(fits.contains(holds), "{name}: {value:?}");
            }
        }
    }

    #[test]
    fn a_call_has_its_arguments_where_it_is_the_only_event_that_is_wanted() {
        let (trace, names, mut out) = (trace(), Names::default(), Vec::new());
        let mut json = JsonLines::new(&mut out);
        for event in trace.events() {
            let is_wanted = matches!(event.what, What::SystemCall { number: 1 });
            json.event(&event, &names, is_wanted).expect("a Vec takes all");
        }
        let call: serde_json::Value = serde_json::from_slice(&out).expect("one object");
        let entries = trace.events().filter(|event| event.sequence < call["sequence"].as_u64().unwrap_or(0));
        let frame = entries.filter_map(|event| Some(event.trap()?.frame)).last().expect("a trap before it");
        let arguments = arguments::NAMES.map(|name| call[name].as_str().unwrap_or_default().to_owned());
        assert_eq!(arguments, frame.arguments().map(|value| format!("{value:#x}")));
    }

    #[test]
    fn both_forms_say_the_same() {
        let (trace, mut names) = (trace(), Names::default());
        let (mut lines, mut table) = (Vec::new(), Vec::new());
        let mut json = JsonLines::new(&mut lines);
        let mut csv = Csv::new(&mut table).expect("a Vec takes all");
        for event in trace.events() {
            names.learn(&event);
            json.event(&event, &names, true).expect("a Vec takes all");
            csv.event(&event, &names, true).expect("a Vec takes all");
        }
        csv.flush().expect("a Vec takes all");
        drop(csv);
        let mut rows = csv::Reader::from_reader(&table[..]);
        let columns = rows.headers().expect("a row of names").clone();
        let objects = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let objects: Vec<serde_json::Value> =
            objects.map(|line| serde_json::from_slice(line).expect("JSON")).collect();
        let rows: Vec<csv::StringRecord> = rows.records().map(|row| row.expect("a row")).collect();
        assert_eq!((objects.len(), rows.len()), (trace.events().count(), trace.events().count()));
        for (object, row) in objects.iter().zip(&rows) {
            let cells = columns.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
            let object = object.as_object().expect("an object");
            let values = object.iter().filter(|(_, value)| value.as_str() != Some(""));
            assert_eq!(cells.clone().count(), values.count(), "{object:?}");
            for (column, cell) in cells {
                let value = &object[column];
                assert_eq!(value.as_str().map_or_else(|| value.to_string(), str::to_owned), cell);
            }
        }
    }
}
