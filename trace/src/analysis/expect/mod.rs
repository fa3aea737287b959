//! Expectations: a file in TOML says what a trace must show, and this module decides which of its expectations the trace
//! meets.
//!
//! `docs/expect.md` describes the file. Expectations use only the records. Of the text that a process writes, the trace
//! has the first bytes of each call. Where records are missing, an expectation that something does not happen is not met.

mod end;
mod events;
mod file;
mod first;
mod output;
mod stat;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::check::{self, Report, Verdict};
use super::filter::Filter;
use super::stat::{Stat, json_of_one};
use crate::file::{Event, Names, Origin, Trace, What};

pub use file::FileError;
pub use first::first_file;

/// The number of events that are shown before and after the one that differs.
const NEIGHBOURS: u64 = 3;

/// The expectations of a file, in its order; at least one.
#[derive(Clone, Debug)]
pub struct Expectations(Vec<Expectation>);

/// Something that a trace must show.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Its name: from the file, or made from its keys.
    pub name: String,
    /// The number of points that it is worth.
    pub points: f64,
    /// The hint of the file's author for a reader whose trace does not meet it.
    pub hint: Option<String>,
    /// The line in the file where it starts, from 1.
    pub line: usize,
    want: Want,
}

#[derive(Clone, Debug)]
enum Want {
    /// Events in this order; with `among`, these and no others of those that it selects. `within`: nanoseconds from the
    /// first to the last.
    Order {
        steps: Vec<Selection>,
        among: Option<Selection>,
        within: Option<u64>,
    },
    Never(Selection),
    Count {
        of: Selection,
        range: Range,
    },
    End {
        process: String,
        end: end::Wanted,
    },
    Output {
        process: String,
        text: output::Wanted,
    },
    /// Rules of `check`; an empty list stands for all of them.
    Rules(Vec<&'static str>),
    Stat {
        path: String,
        range: Range,
    },
}

/// A filter and its text.
#[derive(Clone, Debug)]
struct Selection {
    text: String,
    filter: Filter,
}

/// A range of numbers that includes both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range(RangeInclusive<u64>);

/// Whether a trace meets an expectation.
#[derive(Clone, Debug)]
pub struct Judgement<'a> {
    /// The expectation.
    pub expectation: &'a Expectation,
    /// Why the trace does not meet it; None: the trace meets it.
    pub failure: Option<Failure>,
}

/// Why an expectation is not met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The reason in words.
    pub message: String,
    /// The first event that differs and its neighbours, in order.
    pub events: Vec<Event>,
    /// The index in `events` of the one that differs.
    pub marked: usize,
    /// The records that created the processes of these events. They hold the names of the processes.
    pub processes: Vec<Event>,
    /// The index in the trace of the event that differs.
    at: Option<u64>,
}

impl Failure {
    fn new(message: impl Into<String>, at: Option<u64>) -> Failure {
        Failure { message: message.into(), at, ..Failure::default() }
    }
}

/// An event with its index.
struct Seen<'a> {
    /// Its index in the trace.
    at: u64,
    event: &'a Event,
    names: &'a Names,
}

impl Seen<'_> {
    fn is(&self, selection: &Selection) -> bool {
        selection.filter.selects(self.event, self.names)
    }

    /// Its number as `check` prints it.
    fn number(&self) -> String {
        let mark = if self.event.origin == Origin::Host { "h#" } else { "#" };
        format!("{mark}{}", self.event.sequence)
    }
}

/// The state of an expectation during the pass over the trace: it receives each event, and at the end the whole trace.
trait Watch {
    fn see(&mut self, seen: &Seen<'_>);

    fn judge(&self, whole: &Whole<'_>) -> Result<(), Failure>;
}

/// The trace as a whole. Results that need their own pass are computed at most once, and only when they are needed.
struct Whole<'a> {
    trace: &'a Trace,
    output: Option<&'a str>,
    report: OnceCell<Report>,
    stat: OnceCell<Value>,
}

impl Whole<'_> {
    /// Fails if records are missing, because then it is unknown what did not happen.
    fn complete(&self) -> Result<(), Failure> {
        match self.trace.damage().first() {
            None => Ok(()),
            Some(damage) => Err(Failure::new(format!("the trace is not complete: {damage}"), None)),
        }
    }

    fn report(&self) -> &Report {
        self.report.get_or_init(|| check::check(self.trace))
    }

    fn stat(&self) -> &Value {
        self.stat.get_or_init(|| json_of_one("", self.trace, &Stat::of(self.trace)))
    }

    /// A duration in words. For an emulated CPU the words say so.
    fn duration(&self, nanoseconds: u64) -> String {
        let emulated = if self.trace.meta().is_emulated() { ", emulated" } else { "" };
        format!("{}{emulated}", crate::text::duration(nanoseconds))
    }
}

impl Range {
    const ANY: Range = Range(0..=u64::MAX);

    fn has(&self, value: u64) -> bool {
        self.0.contains(&value)
    }

    /// The range in words, with each number as `show` formats it.
    fn words(&self, show: impl Fn(u64) -> String) -> String {
        match (*self.0.start(), *self.0.end()) {
            (least, most) if least == most => show(least),
            (0, most) => format!("at most {}", show(most)),
            (least, u64::MAX) => format!("at least {}", show(least)),
            (least, most) => format!("{} to {}", show(least), show(most)),
        }
    }
}

impl Expectations {
    /// Decides for each expectation whether a trace meets it. `output`: what the programs printed, if it was kept.
    pub fn judge(&self, trace: &Trace, output: Option<&str>) -> Vec<Judgement<'_>> {
        let mut watches: Vec<_> = self.0.iter().map(|expectation| expectation.want.watch()).collect();
        let mut names = Names::default();
        for (at, event) in (0..).zip(trace.events()) {
            names.learn(&event);
            let seen = Seen { at, event: &event, names: &names };
            watches.iter_mut().for_each(|watch| watch.see(&seen));
        }
        let whole = Whole { trace, output, report: OnceCell::new(), stat: OnceCell::new() };
        let judged = self.0.iter().zip(&watches);
        let mut judgements: Vec<_> = judged
            .map(|(expectation, watch)| Judgement { expectation, failure: watch.judge(&whole).err() })
            .collect();
        add_neighbours(trace, judgements.iter_mut().filter_map(|judged| judged.failure.as_mut()).collect());
        judgements
    }
}

/// Adds the neighbours of the events that differ, in a second pass: the first pass does not know which events will
/// differ.
fn add_neighbours(trace: &Trace, mut failures: Vec<&mut Failure>) {
    failures.retain(|failure| failure.at.is_some());
    if failures.is_empty() {
        return;
    }
    let mut created = BTreeMap::new();
    for (index, event) in (0_u64..).zip(trace.events()) {
        if matches!(event.what, What::ProcessCreated { .. }) {
            created.insert(event.process, event);
        }
        for failure in &mut failures {
            let is_near = failure.at.is_some_and(|at| at.abs_diff(index) <= NEIGHBOURS);
            if !is_near {
                continue;
            }
            if failure.at == Some(index) {
                failure.marked = failure.events.len();
            }
            failure.events.push(event);
            failure.processes.extend(created.get(&event.process));
        }
    }
}

impl Want {
    fn watch(&self) -> Box<dyn Watch + '_> {
        match self {
            Want::Order { steps, among: None, within } => Box::new(events::Order::new(steps, *within)),
            Want::Order { steps, among: Some(among), within } => {
                Box::new(events::Exactly::new(steps, among, *within))
            }
            Want::Never(selection) => Box::new(events::Never { selection, first: None }),
            Want::Count { of, range } => Box::new(events::Count { of, range, count: 0, last: None }),
            Want::End { process, end } => Box::new(end::End::new(process, end)),
            Want::Output { process, text } => Box::new(output::Output::new(process, text)),
            Want::Rules(rules) => Box::new(Rules(rules)),
            Want::Stat { path, range } => Box::new(stat::Number { path, range }),
        }
    }
}

/// Rules of `check`.
struct Rules<'a>(&'a [&'static str]);

impl Watch for Rules<'_> {
    fn see(&mut self, _seen: &Seen<'_>) {}

    fn judge(&self, whole: &Whole<'_>) -> Result<(), Failure> {
        for finding in &whole.report().findings {
            let is_named = self.0.contains(&finding.name);
            let reason = match finding.verdict {
                Verdict::Fail if is_named || self.0.is_empty() => {
                    let first = finding.first.as_ref().map_or("", |violation| &violation.message);
                    format!("`{}` ({}) is violated: {first}", finding.name, finding.rule)
                }
                Verdict::NeverTested if is_named => {
                    format!("no record in the trace tests `{}`", finding.name)
                }
                Verdict::DoesNotApply if is_named => {
                    format!("`{}` does not apply to the policy of this run", finding.name)
                }
                _ => continue,
            };
            let mut failure = Failure::new(reason, None);
            if let Some(violation) = &finding.first {
                failure.events.clone_from(&violation.events);
                failure.marked = violation.events.len();
                failure.processes.clone_from(&whole.report().processes);
            }
            return Err(failure);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
