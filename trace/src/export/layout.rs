//! Each kind of record as a row of fields of fixed size, for the forms that want a schema: CTF and trace.dat.
//!
//! A record that this version does not know, or that lacks words, has the layout of [`UNKNOWN`], which shows it as it is.

use abi::record::{
    DATA_MAX, Ending, FIRST_RETURN, HostCounter, Kind, LoadError, Panic, REGISTERS, Reason, SYSCALL_VECTOR,
    Step, Stop, Timer, WORDS_MAX,
};
use abi::syscall::{Call, INT_VECTOR};

use crate::analysis::hardware::{EXIT_REASONS, exit_reason, vector_name};
use crate::file::{CONTEXT_REGISTERS, Record, What, name_text};

/// The exception with an address in CR2.
const PAGE_FAULT: u32 = 14;
/// The exceptions' vectors, and behind them the LAPIC timer's.
const LOW_VECTORS: u8 = 33;
/// Size of a text in bytes: a process's name.
pub(super) const TEXT_SIZE: usize = 16;
/// The number that stands for a record of no known kind; no kind has it.
pub(super) const UNKNOWN: u8 = 0;

/// How a field is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Unsigned,
    Signed,
    Hex,
    /// By name, where it has one.
    Named(Vec<(u64, String)>),
    /// Text that is safe to print, padded with zeros.
    Text,
    /// Bytes as they are.
    Bytes,
}

/// Where in a record a field's value is.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// In the detail, from this bit on.
    Detail(u32),
    /// In a word, from this bit on.
    Word(usize, u32),
    /// In as many words as it takes, from this one on.
    Words(usize),
    /// Somewhere that depends on the record.
    Found(fn(&Record<'_>) -> u64),
}

/// A field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// In bytes.
    pub(super) size: usize,
    pub(super) style: Style,
    source: Source,
}

impl Field {
    /// Appends its value in a record, little-endian.
    pub(super) fn push(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let value = match self.source {
            Source::Detail(shift) => u64::from(record.detail >> shift),
            Source::Word(index, shift) => word_of(record, index) >> shift,
            Source::Found(find) => find(record),
            Source::Words(first) if self.style == Style::Text => {
                let words = [first, first + 1].map(|index| word_of(record, index).to_le_bytes());
                let (mut bytes, end) = ([0; TEXT_SIZE], out.len() + TEXT_SIZE);
                bytes.copy_from_slice(words.as_flattened());
                out.extend_from_slice(name_text(bytes).as_bytes());
                out.resize(end, 0);
                return;
            }
            Source::Words(first) => {
                let words = (first..first + self.size / 8).map(|index| word_of(record, index));
                words.for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
                return;
            }
        };
        out.extend_from_slice(&value.to_le_bytes()[..self.size]);
    }

    fn style(self, style: Style) -> Field {
        Field { style, ..self }
    }
}

/// A kind of record.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The kind's number, or [`UNKNOWN`].
    pub(super) kind: u8,
    /// The kind's name, as an identifier.
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

impl Layout {
    /// The layouts of all kinds and of [`UNKNOWN`], in the order of their numbers.
    pub(super) fn all() -> Vec<Layout> {
        let unknown = vec![
            found("kind", 1, |record| record.kind.into()).style(Style::Unsigned),
            detail("detail", 4, 0).style(Style::Hex),
            found("count", 1, |record| record.word_count() as u64).style(Style::Unsigned),
            Field { size: 8 * WORDS_MAX, style: Style::Bytes, ..text("words", 0) },
        ];
        let unknown = Layout { kind: UNKNOWN, name: "unknown".into(), fields: unknown };
        let known = Kind::ALL.iter().map(|&kind| Layout {
            kind: kind as u8,
            name: kind.name().replace('-', "_"),
            fields: fields(kind),
        });
        std::iter::once(unknown).chain(known).collect()
    }

    /// The number of the layout that fits a record.
    pub(super) fn number_of(record: &Record<'_>) -> u8 {
        match What::decode(record) {
            What::Unknown { .. } => UNKNOWN,
            what => what.kind(),
        }
    }
}

fn word_of(record: &Record<'_>, index: usize) -> u64 {
    record.word(index).unwrap_or(0)
}

fn detail(name: &'static str, size: usize, shift: u32) -> Field {
    Field { name, size, style: Style::Unsigned, source: Source::Detail(shift) }
}

/// A word in hexadecimal.
fn hex(name: &'static str, index: usize) -> Field {
    Field { name, size: 8, style: Style::Hex, source: Source::Word(index, 0) }
}

/// A word that is a number.
fn count(name: &'static str, index: usize) -> Field {
    hex(name, index).style(Style::Unsigned)
}

fn text(name: &'static str, index: usize) -> Field {
    Field { name, size: TEXT_SIZE, style: Style::Text, source: Source::Words(index) }
}

fn found(name: &'static str, size: usize, find: fn(&Record<'_>) -> u64) -> Field {
    Field { name, size, style: Style::Hex, source: Source::Found(find) }
}

/// Hexadecimal words, from `first` on.
fn hexes(first: usize, names: &[&'static str]) -> Vec<Field> {
    names.iter().enumerate().map(|(index, name)| hex(name, first + index)).collect()
}

/// RIP, RSP, selectors and flags, from a word on.
fn frame(first: usize) -> Vec<Field> {
    let part = |name, size, shift| Field { size, source: Source::Word(first + 2, shift), ..hex(name, 0) };
    vec![hex("rip", first), hex("rsp", first + 1), part("cs", 2, 0), part("ss", 2, 16), part("rflags", 4, 32)]
}

/// A vector in the detail.
fn vector(name: &'static str, size: usize, shift: u32) -> Field {
    let low = (0..LOW_VECTORS).chain([INT_VECTOR, SYSCALL_VECTOR]);
    let mut names: Vec<(u64, String)> = low.map(|vector| (vector.into(), vector_name(vector))).collect();
    if size > 1 {
        names.push((FIRST_RETURN.into(), "first return".into()));
    }
    detail(name, size, shift).style(Style::Named(names))
}

fn error_code() -> Field {
    detail("error_code", 2, 16).style(Style::Hex)
}

/// The names of a numbered type of the contract.
macro_rules! names_of {
    ($what:ident) => {
        Style::Named($what::ALL.iter().map(|&value| (value as u64, value.name().into())).collect())
    };
}

fn fields(kind: Kind) -> Vec<Field> {
    match kind {
        Kind::TrapEntry => {
            let own = vec![vector("vector", 1, 0), vector("arrived", 1, 8), error_code(), hex("frame", 0)];
            [own, frame(1), vec![found("cr2", 8, cr2)]].concat()
        }
        Kind::TrapReturn => {
            [vec![vector("vector", 4, 0), hex("frame", 0)], frame(1), vec![hex("rax", 4)]].concat()
        }
        Kind::KernelStackFilled => [vec![hex("frame", 0)], frame(1)].concat(),
        Kind::Called => frame(0),
        Kind::Registers => {
            let steps = vec![(0, "entry".into()), (1, "return".into())];
            let own = [
                detail("step", 1, 0).style(Style::Named(steps)),
                detail("handler_flags", 4, 8).style(Style::Hex),
            ];
            [own.into(), hexes(0, &REGISTERS)].concat()
        }
        Kind::SystemCall => {
            [vec![call(hex("number", 6))], hexes(0, &["a0", "a1", "a2", "a3", "a4", "a5"])].concat()
        }
        Kind::SystemCallResult => vec![call(detail("number", 4, 0)), hex("result", 0).style(Style::Signed)],
        Kind::Data => vec![
            detail("argument", 1, 0),
            detail("size", 4, 8),
            Field { size: DATA_MAX, style: Style::Bytes, ..text("data", 0) },
        ],
        Kind::Tick => vec![detail("ticks", 4, 0)],
        Kind::TimerArmed => {
            vec![detail("timer", 4, 0).style(names_of!(Timer)), count("value", 0), count("cycles", 1)]
        }
        Kind::ContextSaved => [vec![detail("reason", 4, 0).style(names_of!(Reason))], context()].concat(),
        Kind::ContextLoaded => {
            let own = vec![hex("cr3", 9), hex("kernel_stack", 10)];
            [vec![detail("from", 4, 0)], context(), own].concat()
        }
        Kind::Boot => boot(),
        Kind::Gate => vec![
            vector("vector", 1, 0),
            detail("type", 1, 8).style(Style::Hex),
            detail("ist", 1, 16),
            hex("handler", 0),
        ],
        Kind::Idle => vec![],
        _ => of_process(kind),
    }
}

fn of_process(kind: Kind) -> Vec<Field> {
    match kind {
        Kind::ProcessCreated => {
            [hexes(0, &["structure", "cr3", "kernel_stack"]), vec![text("program", 3)]].concat()
        }
        Kind::SegmentLoaded => {
            vec![
                detail("flags", 4, 0).style(Style::Hex),
                hex("address", 0),
                count("memory", 1),
                count("file", 2),
            ]
        }
        Kind::StackBuilt => [vec![detail("argc", 4, 0)], hexes(0, &["lowest", "rsp", "argv"])].concat(),
        Kind::Sleep => vec![count("until_tsc", 0)],
        Kind::Wake => vec![count("wanted_tsc", 0)],
        Kind::ProcessExited | Kind::Returned => vec![hex("status", 0).style(Style::Signed)],
        Kind::ProcessKilled => {
            [vec![vector("vector", 1, 0), error_code()], hexes(0, &["rip", "cr2"])].concat()
        }
        Kind::FaultRedirected => {
            [vec![vector("vector", 1, 0), error_code()], hexes(0, &["rip", "cr2", "handler", "rsp"])].concat()
        }
        Kind::ProcessFreed => vec![count("frames", 0)],
        Kind::LoadFailed => vec![detail("error", 4, 0).style(names_of!(LoadError)), text("program", 0)],
        Kind::KernelPanic => {
            let exceptions = (0..LOW_VECTORS - 1).map(|vector| (vector.into(), vector_name(vector)));
            let reasons = Panic::ALL.iter().map(|&reason| (reason as u64, reason.name().into()));
            let reason = detail("reason", 4, 0).style(Style::Named(exceptions.chain(reasons).collect()));
            [vec![reason], hexes(0, &["rip", "error_code", "cr2", "rsp", "rflags"])].concat()
        }
        _ => of_host(kind),
    }
}

fn of_host(kind: Kind) -> Vec<Field> {
    match kind {
        Kind::HostClock => vec![count("monotonic_ns", 0), count("realtime_ns", 1)],
        Kind::HostExits => {
            let known =
                (0..EXIT_REASONS).filter_map(|reason| Some((reason.into(), exit_reason(reason)?.into())));
            let reason = detail("reason", 4, 0).style(Style::Named(known.collect()));
            vec![reason, count("count", 0), count("guest_ns", 1), count("host_ns", 2)]
        }
        Kind::HostCount => vec![detail("counter", 4, 0).style(names_of!(HostCounter)), count("value", 0)],
        Kind::HostStop => vec![detail("stop", 4, 0).style(names_of!(Stop))],
        Kind::HostEnd => {
            let ending = count("ending", 0).style(names_of!(Ending));
            vec![detail("exit_code", 4, 0), ending, count("status", 1), hex("rip", 2)]
        }
        _ => vec![],
    }
}

/// The words mean something else at each step, so they keep no names but their places.
fn boot() -> Vec<Field> {
    [vec![detail("step", 4, 0).style(names_of!(Step))], hexes(0, &["word0", "word1", "word2", "word3"])]
        .concat()
}

fn context() -> Vec<Field> {
    [vec![hex("structure", 0)], hexes(1, &CONTEXT_REGISTERS)].concat()
}

fn call(field: Field) -> Field {
    let calls = Call::ALL.iter().map(|&call| (call as u64, call.name().into()));
    field.style(Style::Named(calls.collect()))
}

/// The address of a page fault; 0 for other traps.
fn cr2(record: &Record<'_>) -> u64 {
    if record.detail & 0xFF == PAGE_FAULT { word_of(record, 4) } else { 0 }
}
