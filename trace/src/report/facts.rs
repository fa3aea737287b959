//! What the page has besides the records: the numbers of `trapline stat --json`, how the run ended, the columns
//! of each kind of record, and the names of what the records hold as numbers.

use std::sync::LazyLock;

use abi::record::{ARGUMENTS, CONTEXT, Kind, Panic, Place, REGISTERS, Reason, Step, Style, Timer};
use abi::syscall::{Call, errno};
use serde_json::{Map, Value, json};

use crate::analysis::Summary;
use crate::analysis::hardware::{EXIT_REASONS, exit_reason, flags, short_name, vector_name};
use crate::analysis::protocol::{self, Excerpt, Table};
use crate::analysis::stat::{Stat, json_of_one};
use crate::export::layout::{Column, FIRST_STEP, Layout, Source, UNKNOWN};
use crate::file::{Origin, Trace, printable};

/// What the page of every trace has, as an object.
static CONSTANTS: LazyLock<String> =
    LazyLock::new(|| embedded(&json!({ "names": names(), "columns": columns() })));

/// The facts, as JSON for a `<script>`.
pub(super) fn json(trace: &Trace, name: &str) -> String {
    let summary = Summary::of(trace);
    let facts = json!({
        "stat": json_of_one(name, trace, &Stat::of(trace)),
        "drawn": summary.events.min(super::EVENTS_MAX as u64),
        "gaps": gaps(trace),
        "start": start(trace),
        "ending": summary.ending_words(),
        "ends": summary.processes.iter().map(|(number, process)| (number.to_string(), process.end_words().into())).collect::<Map<_, _>>(),
        "panic": summary.panic,
        "not_loaded": summary.not_loaded,
        "not_loaded_count": summary.not_loaded_count,
    });
    let facts = embedded(&facts);
    // One object of two.
    [facts.strip_suffix('}'), CONSTANTS.strip_prefix('{')].map(Option::unwrap_or_default).join(",")
}

/// JSON that is safe inside a `<script>`: only `<` can end the element, and in JSON it occurs in strings only.
pub(super) fn embedded(value: &Value) -> String {
    printable(&value.to_string()).replace('<', "\\u003c")
}

/// The records that have others missing before them, by their places among those that are drawn.
fn gaps(trace: &Trace) -> Vec<usize> {
    let (mut records, mut next, mut gaps) = (trace.records(), 0, Vec::new());
    for place in 0..super::EVENTS_MAX {
        let Some(record) = records.next() else { break };
        if record.origin == Origin::Guest {
            if record.sequence != next {
                gaps.push(place);
            }
            next = record.sequence.wrapping_add(1);
        }
    }
    gaps
}

/// The tables of the boot, the first run and the end of the first process. The page makes those of switches itself.
fn start(trace: &Trace) -> Vec<Value> {
    let tables = protocol::tables(trace, &Excerpt::Whole).unwrap_or_default();
    tables.iter().filter(|table| table.figure != protocol::FIGURE_TIMER).map(start_table).collect()
}

fn start_table(table: &Table) -> Value {
    let rows = table.rows.iter().map(|row| {
        let values = row.values.iter().map(|value| (value.name, format!("{:#x}", value.value)));
        json!({
            "time": row.nanoseconds,
            "actor": row.actor,
            "layer": row.layer,
            "text": row.text,
            "details": row.details,
            "values": values.collect::<Vec<_>>(),
        })
    });
    json!({
        "title": table.title,
        "figure": table.figure,
        "rows": rows.collect::<Vec<_>>(),
        "elided": table.elided.as_ref().map(|elided| (elided.before_row, elided.to_string())),
        "notes": table.notes,
    })
}

/// Number to name.
fn table(entries: impl Iterator<Item = (u64, &'static str)>) -> Value {
    entries.map(|(number, name)| (number.to_string(), name.into())).collect::<Map<_, _>>().into()
}

macro_rules! names_of {
    ($what:ident) => {
        table($what::ALL.iter().map(|&value| (value as u64, value.name())))
    };
}

fn names() -> Value {
    json!({
        "kinds": names_of!(Kind),
        "steps": names_of!(Step),
        "timers": names_of!(Timer),
        "reasons": names_of!(Reason),
        "panics": names_of!(Panic),
        "calls": table(Call::ALL.iter().map(|&call| (call as u64, call.name()))),
        "arguments": Call::ALL.iter().map(|&call| ((call as u64).to_string(), call.arguments().into()))
            .collect::<Map<_, _>>(),
        "errors": table(errno::ALL.iter().map(|&(error, name, _)| (error as u64, name))),
        "exits": table((0..=EXIT_REASONS).filter_map(|reason| Some((reason.into(), exit_reason(reason)?)))),
        "vectors": (0..=u8::MAX).map(vector_name).collect::<Vec<_>>(),
        "short": (0..=u8::MAX).map(short_name).collect::<Vec<_>>(),
        "flags": (0..32).map(|bit| flags(1 << bit)).collect::<Vec<_>>(),
        "registers": REGISTERS,
        "context": CONTEXT,
        "argument_registers": ARGUMENTS.map(|index| REGISTERS.get(index)),
        "syscall": abi::record::SYSCALL_VECTOR,
        "int": abi::syscall::INT_VECTOR,
        "first_return": abi::record::FIRST_RETURN,
    })
}

/// The columns of each kind by its number, and of each step of the boot by `boot` and its number: name, style and place, as the
/// table of records declares them.
fn columns() -> Value {
    let all = Layout::all().iter().filter(|layout| layout.number != UNKNOWN).map(|layout| {
        let number = match layout.number.checked_sub(FIRST_STEP) {
            Some(step) => format!("boot {step}"),
            None => layout.number.to_string(),
        };
        (number, layout.columns.iter().filter_map(column).collect())
    });
    all.collect::<Map<_, _>>().into()
}

fn column(column: &Column) -> Option<Value> {
    let Source::Place(place) = column.source else { return None };
    let place = match place {
        Place::Detail(from, to) => json!(["detail", from, to]),
        Place::Word(word) => json!(["word", word]),
        Place::Words(from, to) => json!(["words", from, to]),
    };
    let names = match column.style {
        Style::Name(names) => table(names.iter().copied()),
        _ => Value::Null,
    };
    Some(json!({ "name": column.name, "style": column.style.name(), "place": place, "names": names }))
}
