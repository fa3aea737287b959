//! Events as rows: the same named fields for JSONL, CSV and Parquet, so that scripts need no text to take apart.
//!
//! Every event has the fields of [`HEAD`]; the others of [`COLUMNS`] are there where the kind has them. Addresses,
//! registers and flags are hexadecimal text, because many readers of JSON keep 53 bits of a number.

use std::io::{self, Write};

use abi::syscall::Call;

use crate::analysis::hardware::{exit_reason, vector_name};
use crate::analysis::summary::kind_name;
use crate::file::{Boot, Context, Event, Frame, Names, Origin, Trace, What, name_text};

/// What a column holds, so that forms with types have one for each.
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

/// The fields of every event: its number among those of its origin, `guest` or `host`, TSC, nanoseconds since the
/// start, process (0: the kernel), who that is, and the kind.
pub const HEAD: [(&str, Holds); 7] = [
    ("sequence", Unsigned),
    ("origin", Text),
    ("tsc", Unsigned),
    ("ns", Unsigned),
    ("process", Unsigned),
    ("name", Text),
    ("kind", Text),
];

/// The other fields, in the order of CSV's columns.
pub const COLUMNS: [(&str, Holds); 42] = [
    ("vector", Unsigned),
    ("vector_name", Text),
    ("arrived", Unsigned),
    ("error_code", Unsigned),
    ("rip", Hex),
    ("rsp", Hex),
    ("cs", Hex),
    ("ss", Hex),
    ("rflags", Hex),
    ("cr2", Hex),
    ("frame", Hex),
    ("rax", Hex),
    ("number", Unsigned),
    ("call", Text),
    ("a0", Hex),
    ("a1", Hex),
    ("a2", Hex),
    ("a3", Hex),
    ("a4", Hex),
    ("a5", Hex),
    ("result", Signed),
    ("argument", Unsigned),
    ("data", Text),
    ("ticks", Unsigned),
    ("timer", Text),
    ("value", Unsigned),
    ("cycles", Unsigned),
    ("reason", Text),
    ("from", Unsigned),
    ("structure", Hex),
    ("cr3", Hex),
    ("kernel_stack", Hex),
    ("program", Text),
    ("address", Hex),
    ("size", Unsigned),
    ("status", Signed),
    ("step", Text),
    ("count", Unsigned),
    ("guest_ns", Unsigned),
    ("host_ns", Unsigned),
    ("monotonic_ns", Unsigned),
    ("realtime_ns", Unsigned),
];

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(i128),
    Hex(u64),
    Text(String),
}

pub(super) type Fields = Vec<(&'static str, Value)>;

fn number(value: impl Into<i128>) -> Value {
    Value::Number(value.into())
}

fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

/// Writes an object a line.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    line: String,
}

impl<W: Write> JsonLines<W> {
    /// Lines for `out`.
    pub fn new(out: W) -> Self {
        Self { out, line: String::new() }
    }

    /// Writes an event.
    pub fn event(&mut self, event: &Event, names: &Names) -> io::Result<()> {
        self.line.clear();
        let head = HEAD.map(|(name, _)| name).into_iter().zip(head(event, names));
        for (key, value) in head.chain(fields(&event.what)) {
            self.line.push(if self.line.is_empty() { '{' } else { ',' });
            self.line.push_str(&format!("\"{key}\":"));
            match value {
                Value::Number(number) => self.line.push_str(&number.to_string()),
                Value::Hex(word) => self.line.push_str(&format!("\"{word:#x}\"")),
                Value::Text(text) => self.line.push_str(&serde_json::Value::from(text).to_string()),
            }
        }
        self.line.push('}');
        writeln!(self.out, "{}", self.line)
    }

    /// Passes on what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes a row an event, under a row of names.
pub struct Csv<W: Write> {
    out: csv::Writer<W>,
}

impl<W: Write> Csv<W> {
    /// Rows for `out`, the first of them the names of the columns.
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(HEAD.iter().chain(&COLUMNS).map(|(name, _)| name)).map_err(into_io)?;
        Ok(Self { out })
    }

    /// Writes an event.
    pub fn event(&mut self, event: &Event, names: &Names) -> io::Result<()> {
        let mut fields = fields(&event.what);
        let mut cell = |value: Value| {
            self.out.write_field(match value {
                Value::Number(number) => number.to_string(),
                Value::Hex(word) => format!("{word:#x}"),
                Value::Text(text) => text,
            })
        };
        head(event, names).into_iter().try_for_each(&mut cell).map_err(into_io)?;
        for (column, _) in COLUMNS {
            let found = fields.iter().position(|(key, _)| *key == column);
            let value = found.map_or(Value::Text(String::new()), |index| fields.swap_remove(index).1);
            cell(value).map_err(into_io)?;
        }
        self.out.write_record(None::<&[u8]>).map_err(into_io)
    }

    /// Passes on what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes all events of a trace as an object a line.
pub fn write_json_lines(trace: &Trace, out: impl Write) -> io::Result<()> {
    let (mut lines, mut names) = (JsonLines::new(out), Names::default());
    for event in trace.events() {
        names.learn(&event);
        lines.event(&event, &names)?;
    }
    lines.flush()
}

/// Writes all events of a trace as a row each, under a row of names.
pub fn write_csv(trace: &Trace, out: impl Write) -> io::Result<()> {
    let (mut rows, mut names) = (Csv::new(out)?, Names::default());
    for event in trace.events() {
        names.learn(&event);
        rows.event(&event, &names)?;
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
pub(super) fn head(event: &Event, names: &Names) -> [Value; HEAD.len()] {
    [
        number(event.sequence),
        text(if event.origin == Origin::Host { "host" } else { "guest" }),
        number(event.tsc),
        number(event.nanoseconds),
        number(event.process),
        text(match (event.origin, event.process) {
            (Origin::Guest, 1..) => names.get(event.process).unwrap_or("?").to_owned(),
            (origin, process) => names.label(origin, process),
        }),
        text(kind_name(event.what.kind())),
    ]
}

/// What the kind has beside the head.
pub(super) fn fields(what: &What) -> Fields {
    match *what {
        What::Boot(step) => boot(&step),
        What::Gate { vector, handler, .. } => [trap(vector), vec![("address", Value::Hex(handler))]].concat(),
        What::TrapEntry { vector, arrived, error_code, frame, cr2, .. } => {
            let own = vec![("arrived", number(arrived)), ("error_code", number(error_code))];
            let cr2 = cr2.map(|cr2| ("cr2", Value::Hex(cr2)));
            [trap(vector), own, of_frame(&frame), cr2.into_iter().collect()].concat()
        }
        What::TrapReturn { vector, frame, rax } => {
            let vector = vector.map(trap).unwrap_or_default();
            [vector, of_frame(&frame), vec![("rax", Value::Hex(rax))]].concat()
        }
        What::KernelStackFilled(frame) | What::Called(frame) => of_frame(&frame),
        What::Registers { at_return, values, .. } => {
            let step = text(if at_return { "return" } else { "entry" });
            vec![("step", step), ("rax", Value::Hex(values[values.len() - 1]))]
        }
        What::SystemCall { number: called, arguments } => {
            const KEYS: [&str; 6] = ["a0", "a1", "a2", "a3", "a4", "a5"];
            [call(called), KEYS.into_iter().zip(arguments.map(Value::Hex)).collect()].concat()
        }
        What::SystemCallResult { number: called, result } => {
            [call(called.into()), vec![("result", number(result))]].concat()
        }
        What::Data { argument, size, shown, ref bytes } => {
            let data = bytes[..shown.into()].escape_ascii().to_string();
            vec![("argument", number(argument)), ("size", number(size)), ("data", text(data))]
        }
        What::Tick { ticks } => vec![("ticks", number(ticks))],
        What::TimerArmed { timer, value, cycles } => {
            vec![("timer", text(timer.name())), ("value", number(value)), ("cycles", number(cycles))]
        }
        What::ContextSaved { reason, context } => {
            [vec![("reason", text(reason.name()))], of_context(&context)].concat()
        }
        What::ContextLoaded { from, context, cr3, kernel_stack_top } => {
            let own = vec![
                ("from", number(from)),
                ("cr3", Value::Hex(cr3)),
                ("kernel_stack", Value::Hex(kernel_stack_top)),
            ];
            [own, of_context(&context)].concat()
        }
        What::KernelPanic { reason, rip, error_code, cr2, rsp, rflags } => vec![
            ("reason", text(crate::analysis::summary::panic_words(reason, rip))),
            ("error_code", number(error_code)),
            ("rip", Value::Hex(rip)),
            ("rsp", Value::Hex(rsp)),
            ("rflags", Value::Hex(rflags)),
            ("cr2", Value::Hex(cr2)),
        ],
        What::Idle => vec![],
        ref other => of_process(other),
    }
}

fn of_process(what: &What) -> Fields {
    match *what {
        What::ProcessCreated { structure, cr3, kernel_stack_top, name } => vec![
            ("program", text(name_text(name))),
            ("structure", Value::Hex(structure)),
            ("cr3", Value::Hex(cr3)),
            ("kernel_stack", Value::Hex(kernel_stack_top)),
        ],
        What::SegmentLoaded { address, memory, .. } => {
            vec![("address", Value::Hex(address)), ("size", number(memory))]
        }
        What::StackBuilt { argc, rsp, argv, .. } => {
            vec![("count", number(argc)), ("rsp", Value::Hex(rsp)), ("address", Value::Hex(argv))]
        }
        What::Sleep { until_tsc: tsc } | What::Wake { wanted_tsc: tsc } => vec![("value", number(tsc))],
        What::ProcessExited { status } | What::Returned { status } => vec![("status", number(status))],
        What::ProcessKilled { vector, error_code, rip, cr2 } => {
            let own =
                [("error_code", number(error_code)), ("rip", Value::Hex(rip)), ("cr2", Value::Hex(cr2))];
            [trap(vector), own.into()].concat()
        }
        What::FaultRedirected { vector, error_code, rip, cr2, handler, rsp } => {
            let own = vec![
                ("error_code", number(error_code)),
                ("rip", Value::Hex(rip)),
                ("cr2", Value::Hex(cr2)),
                ("address", Value::Hex(handler)),
                ("rsp", Value::Hex(rsp)),
            ];
            [trap(vector), own].concat()
        }
        What::ProcessFreed { frames } => vec![("count", number(frames))],
        What::LoadFailed { error, name } => {
            vec![("program", text(name_text(name))), ("reason", text(error.name()))]
        }
        ref other => of_host(other),
    }
}

fn of_host(what: &What) -> Fields {
    match *what {
        What::HostClock { monotonic_ns, realtime_ns } => {
            vec![("monotonic_ns", number(monotonic_ns)), ("realtime_ns", number(realtime_ns))]
        }
        What::HostExits { reason, count, guest_ns, host_ns } => vec![
            ("reason", text(exit_reason(reason).map_or_else(|| reason.to_string(), str::to_owned))),
            ("count", number(count)),
            ("guest_ns", number(guest_ns)),
            ("host_ns", number(host_ns)),
        ],
        What::HostCount { counter, value } => {
            vec![("reason", text(counter.name())), ("count", number(value))]
        }
        What::HostStop(stop) => vec![("reason", text(stop.name()))],
        What::HostEnd { exit_code, ending, status, rip } => vec![
            ("reason", text(ending.name())),
            ("result", number(exit_code)),
            ("status", number(status)),
            ("rip", Value::Hex(rip)),
        ],
        _ => vec![],
    }
}

fn boot(step: &Boot) -> Fields {
    match *step {
        Boot::Started { start, usable, .. } => {
            vec![("step", text("started")), ("address", Value::Hex(start)), ("size", number(usable))]
        }
        Boot::Segments { gdt, .. } => vec![("step", text("segments")), ("address", Value::Hex(gdt))],
        Boot::TrapTable { address, gates } => {
            vec![("step", text("trap-table")), ("address", Value::Hex(address)), ("count", number(gates))]
        }
        Boot::SyscallHandler { lstar, .. } => {
            vec![("step", text("syscall-handler")), ("address", Value::Hex(lstar))]
        }
        Boot::Protection { .. } => vec![("step", text("protection"))],
        Boot::Timer { apic_khz_measured, .. } => {
            vec![("step", text("timer")), ("value", number(apic_khz_measured))]
        }
        Boot::Probed { syscall, .. } => vec![("step", text("probed")), ("arrived", number(syscall))],
        Boot::Policy { policy, quantum_us, .. } => {
            vec![("step", text("policy")), ("reason", text(policy.name())), ("value", number(quantum_us))]
        }
        Boot::Ready { processes } => vec![("step", text("ready")), ("count", number(processes))],
    }
}

fn trap(vector: u8) -> Fields {
    vec![("vector", number(vector)), ("vector_name", text(vector_name(vector)))]
}

fn call(called: u64) -> Fields {
    let name = Call::from_number(called).map(|call| ("call", text(call.name())));
    std::iter::once(("number", number(called))).chain(name).collect()
}

fn of_frame(frame: &Frame) -> Fields {
    vec![
        ("rip", Value::Hex(frame.rip)),
        ("rsp", Value::Hex(frame.rsp)),
        ("cs", Value::Hex(frame.cs.into())),
        ("ss", Value::Hex(frame.ss.into())),
        ("rflags", Value::Hex(frame.rflags.into())),
        ("frame", Value::Hex(frame.address)),
    ]
}

fn of_context(context: &Context) -> Fields {
    let [.., rsp, rip] = context.registers;
    vec![("structure", Value::Hex(context.structure)), ("rsp", Value::Hex(rsp)), ("rip", Value::Hex(rip))]
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
    fn every_field_is_a_column_and_every_column_a_field() {
        let trace = trace();
        let used: Vec<(&str, Value)> = trace.events().flat_map(|event| fields(&event.what)).collect();
        for (key, value) in &used {
            let column = COLUMNS.iter().find(|(name, _)| name == key);
            let fits = match value {
                Value::Number(_) => [Signed, Unsigned].as_slice(),
                Value::Hex(_) => &[Hex],
                Value::Text(_) => &[Text],
            };
            assert!(column.is_some_and(|(_, holds)| fits.contains(holds)), "{key}: {value:?}");
        }
        let is_used = |column: &str| used.iter().any(|(key, _)| *key == column);
        assert_eq!(COLUMNS.into_iter().find(|(column, _)| !is_used(column)), None);
    }

    #[test]
    fn both_forms_say_the_same() {
        let (trace, mut names) = (trace(), Names::default());
        let (mut lines, mut table) = (Vec::new(), Vec::new());
        let mut json = JsonLines::new(&mut lines);
        let mut csv = Csv::new(&mut table).expect("a Vec takes all");
        for event in trace.events() {
            names.learn(&event);
            json.event(&event, &names).expect("a Vec takes all");
            csv.event(&event, &names).expect("a Vec takes all");
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
