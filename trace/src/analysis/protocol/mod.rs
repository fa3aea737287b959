//! The book's tables of limited direct execution (OSTEP, chapter 6), made from a trace: who did what, the
//! operating system, the hardware or the program, in the order in which it happened.
//!
//! A row stands for a record, and nothing is printed that no record proves: what `iretq` restored is only shown
//! when the next thing that happened came from there. The columns are the book's; the values are the run's.

mod plan;
pub(crate) mod steps;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::{Serialize, Serializer};

use crate::file::{Event, Origin, Trace, What};

pub use plan::Excerpt;
pub(crate) use plan::FIGURE_TIMER;
use steps::{Known, Steps};

/// Why there is no table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Missing {
    /// No process has this number or name.
    #[error("the trace has no process \"{0}\"; `trapline view` shows the names of all")]
    Process(String),
    /// The trace has fewer switches.
    #[error("there is no switch {wanted} between two processes: the trace has {present}")]
    Switch {
        /// The number that was asked for, counted from 1.
        wanted: usize,
        /// How many there are.
        present: usize,
    },
    /// No process returned from a trap.
    #[error("no process of the trace returned from a trap, so there is no first trap to show")]
    Trap,
    /// No process was ever created.
    #[error("the trace has no process: the run ended earlier, and `trapline view` shows where")]
    NoProcess,
}

/// Who did a step: the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// The operating system, in kernel mode.
    Os,
    /// The CPU and its timer.
    Hardware,
    /// The program, in user mode (without limits: in kernel mode).
    Program,
}

/// The three places where registers are saved: by the hardware, by the stub and by the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// SS, RSP, RFLAGS, CS, RIP and the error code on the kernel stack.
    HardwareFrame,
    /// What `syscall` saves instead: RIP in RCX, RFLAGS in R11.
    HardwareRegisters,
    /// The general registers, which the kernel's stub pushed beside it.
    TrapFrame,
    /// The registers that a switch stores in the process structure.
    Context,
}

impl Layer {
    /// Its name, and where its values were read.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Layer::HardwareFrame => "hardware's frame, in memory",
            Layer::HardwareRegisters => "hardware's, in RCX and R11",
            Layer::TrapFrame => "stub's trap frame, in memory",
            Layer::Context => "switch's context, its record",
        }
    }
}

/// A register or an address of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The name in the manual or the book.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Who did it.
    pub actor: Actor,
    /// Its name, which does not change between versions.
    pub step: &'static str,
    /// The process that it belongs to, or 0.
    pub process: u16,
    /// Nanoseconds since the start of the trace, of the record that proves it.
    pub nanoseconds: u64,
    /// The number of that record among the guest's.
    pub record: u64,
    /// Which of the three layers of saved registers its values are.
    pub layer: Option<Layer>,
    /// What was done, in the book's words.
    pub text: String,
    /// The details, one line each.
    pub details: Vec<String>,
    /// The registers and addresses.
    #[serde(serialize_with = "as_map")]
    pub values: Vec<Value>,
}

fn as_map<S: Serializer>(values: &[Value], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|Value { name, value }| (name, format!("{value:#x}"))))
}

/// An excerpt of the protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The figure of the book that it corresponds to.
    pub figure: &'static str,
    /// The steps, in order.
    pub rows: Vec<Row>,
    /// Where rows were left out, and which.
    pub elided: Option<Elided>,
    /// What a reader must know about this host or the end of this run.
    pub notes: Vec<String>,
}

/// Rows that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Elided {
    /// The index in [`Table::rows`] of the first row after the gap.
    pub before_row: usize,
    /// Traps left out.
    pub traps: u64,
    /// How many of them the timer's.
    pub ticks: u64,
    /// How many of them system calls.
    pub system_calls: u64,
}

/// Part of a trace that becomes a table.
#[derive(Clone, Debug, Default)]
struct Section {
    title: String,
    figure: &'static str,
    /// Positions in the trace.
    ranges: Vec<Range<usize>>,
    /// Only these processes; empty: all.
    processes: Vec<u16>,
    elided: Option<Elided>,
}

impl Section {
    /// Whether an event belongs to the protocol and to this section.
    fn shows(&self, event: &Event) -> bool {
        let about = self.processes.is_empty() || self.processes.contains(&event.process);
        match event.origin {
            Origin::Guest => about,
            Origin::Host => matches!(event.what, What::HostEnd { .. } | What::HostStop { .. }),
        }
    }
}

/// Finds where records of the guest are missing.
struct Gaps {
    /// The number of the next record, once one was seen.
    next: Option<u64>,
    /// How many records the run had.
    total: u64,
}

impl Gaps {
    fn of(trace: &Trace) -> Gaps {
        Gaps { next: None, total: trace.total(Origin::Guest) }
    }

    /// Whether some are missing between the event that was asked for last and this one.
    fn is_before(&mut self, event: &Event) -> bool {
        match (event.origin, event.what) {
            (Origin::Guest, _) => {
                let next = self.next.replace(event.sequence.saturating_add(1));
                next.is_some_and(|next| next != event.sequence)
            }
            (Origin::Host, What::HostEnd { .. }) => self.next.is_some_and(|next| next < self.total),
            _ => false,
        }
    }
}

/// The tables of an excerpt.
pub fn tables(trace: &Trace, excerpt: &Excerpt) -> Result<Vec<Table>, Missing> {
    let mut known = Known::default();
    trace.events().for_each(|event| known.learn(&event));
    let sections = plan::sections(trace, &known, excerpt)?;
    Ok(sections.into_iter().map(|section| table(trace, &known, section)).collect())
}

fn table(trace: &Trace, known: &Known, section: Section) -> Table {
    let mut steps = Steps::new(known);
    let mut elided = section.elided.clone();
    for (part, range) in section.ranges.iter().enumerate() {
        if let (Some(gap), 1) = (&mut elided, part) {
            gap.before_row = steps.count();
        }
        let mut gaps = Gaps::of(trace);
        for event in trace.events().skip(range.start).take(range.len()) {
            if gaps.is_before(&event) {
                steps.lose();
            }
            if section.shows(&event) {
                steps.take(&event);
            }
        }
        // Only what happened next proves that the last return arrived.
        let mut behind = trace.events().skip(range.end).take_while(|event| !gaps.is_before(event));
        let next = behind.find(|event| section.shows(event));
        steps.close(next.as_ref());
    }
    let (rows, notes) = steps.finish();
    Table { title: section.title, figure: section.figure, rows, elided, notes }
}
