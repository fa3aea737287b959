//! Two traces compared: did the same processes do the same, and did it take as long?
//!
//! What a process does is a sequence of steps that depends on its program alone: how it was loaded, its system calls with
//! their arguments, data and results, its faults, its end. When ticks come, and the switches that follow, is chance, as
//! are all times; and a host may let a trap arrive as another. Such things are no steps: see `steps::timeless`.
//!
//! One pass over each trace makes a digest of each process's steps. Only where two digests differ are the traces walked
//! side by side to the first difference. So memory grows neither with the traces nor with what differs.

mod spread;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::analysis::stat::Stat;
use crate::trace::{Event, Trace, What, name_text};

pub use spread::{DEVIATIONS, Measure, QUANTILES, Quantile, Verdict, measures};
pub use steps::{Doer, Steps};

/// How many steps before and after a difference are kept.
const CONTEXT: usize = 3;

/// What the comparison of two traces found.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The events that created the processes, of each trace.
    pub created: [Vec<Event>; 2],
    /// The processes of both, in the order of the first, then those that only the second has.
    pub processes: Vec<Pair>,
    /// Numbers that chance decides, of both: name and counts.
    pub chance: Vec<(&'static str, [u64; 2])>,
    /// Durations that both have.
    pub measures: Vec<Measure>,
}

/// A process, or the host, in both traces.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Its name.
    pub name: String,
    /// Who it is in each trace.
    pub who: [Option<Doer>; 2],
    /// How many steps it made in each trace.
    pub steps: [u64; 2],
    /// What came of it.
    pub outcome: Outcome,
}

/// How the steps of a process compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The same.
    Same,
    /// The same as far as they go: in one trace the run ended before the process did.
    CutShort,
    /// Not the same.
    Differs(Box<Difference>),
    /// Only one trace has this process.
    Missing,
}

/// The first difference in the steps of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The number of the step, from 1.
    pub step: u64,
    /// The steps before it, the last few, in each trace.
    pub before: [Vec<Event>; 2],
    /// It and the steps that follow, a few, in each trace. Empty: there are no more.
    pub from: [Vec<Event>; 2],
}

impl Diff {
    /// Compares two traces.
    pub fn of(traces: [&Trace; 2]) -> Diff {
        let rosters = traces.map(Roster::of);
        let stats = traces.map(Stat::of);
        let processes = pairs(&rosters).into_iter().map(|who| compare(traces, &rosters, who)).collect();
        let count = |count: fn(&Stat) -> u64| [count(&stats[0]), count(&stats[1])];
        let chance = vec![
            ("events", count(|stat| stat.events)),
            ("switches", count(|stat| stat.switches.count)),
            ("ticks", count(|stat| stat.ticks.count)),
        ];
        let created = rosters.map(|roster| roster.created);
        Diff { created, processes, chance, measures: measures(&stats) }
    }

    /// The sequences are the same, as far as both runs went.
    pub fn is_same_sequence(&self) -> bool {
        self.processes.iter().all(|pair| matches!(pair.outcome, Outcome::Same | Outcome::CutShort))
    }

    /// Nothing at all differs, not even by chance.
    pub fn is_empty(&self) -> bool {
        self.processes.iter().all(|pair| pair.outcome == Outcome::Same)
            && self.chance.iter().all(|(_, [first, second])| first == second)
            && self.measures.iter().all(Measure::is_same)
    }
}

/// What one pass over a trace learns of each process.
#[derive(Debug, Default)]
struct Roster {
    created: Vec<Event>,
    entries: BTreeMap<Doer, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    name: String,
    steps: u64,
    digest: DefaultHasher,
    has_ended: bool,
}

impl Roster {
    fn of(trace: &Trace) -> Roster {
        let mut roster = Roster::default();
        for (doer, event, step) in Steps::of(trace) {
            let entry = roster.entries.entry(doer).or_default();
            entry.steps += 1;
            step.hash(&mut entry.digest);
            match event.what {
                What::ProcessCreated { name, .. } => {
                    entry.name = name_text(name);
                    // Once each, however often a broken trace has it.
                    if entry.steps == 1 {
                        roster.created.push(event);
                    }
                }
                What::ProcessExited { .. }
                | What::ProcessKilled { .. }
                | What::LoadFailed { .. }
                | What::HostEnd { .. } => entry.has_ended = true,
                _ => {}
            }
        }
        roster
    }
}

/// Who of one trace is who of the other: by name, and those of one name in their order.
fn pairs(rosters: &[Roster; 2]) -> Vec<[Option<Doer>; 2]> {
    let mut seconds: Vec<(&Doer, &Entry)> = rosters[1].entries.iter().collect();
    let mut pairs = Vec::new();
    for (&doer, entry) in &rosters[0].entries {
        let same = |other: &(&Doer, &Entry)| doer.is_like(*other.0) && entry.name == other.1.name;
        let second = seconds.iter().position(same).map(|index| *seconds.remove(index).0);
        pairs.push([Some(doer), second]);
    }
    pairs.extend(seconds.into_iter().map(|(&doer, _)| [None, Some(doer)]));
    pairs
}

fn compare(traces: [&Trace; 2], rosters: &[Roster; 2], who: [Option<Doer>; 2]) -> Pair {
    let entries: [Option<&Entry>; 2] =
        std::array::from_fn(|side| who[side].and_then(|doer| rosters[side].entries.get(&doer)));
    let name = entries.iter().flatten().next().map_or_else(String::new, |entry| entry.name.clone());
    let steps = entries.map(|entry| entry.map_or(0, |entry| entry.steps));
    let outcome = match (entries, who) {
        ([Some(first), Some(second)], [Some(doer), Some(other)]) => {
            let is_same = first.steps == second.steps && first.digest.finish() == second.digest.finish();
            let has_ended = [first.has_ended, second.has_ended];
            if is_same { Outcome::Same } else { first_difference(traces, [doer, other], has_ended) }
        }
        // The kernel itself makes a step only when it gives up, the host only when it was not stopped.
        _ if who.iter().flatten().any(|doer| *doer == Doer::Host) => Outcome::CutShort,
        _ => Outcome::Missing,
    };
    Pair { name, who, steps, outcome }
}

/// Walks two processes side by side up to where they part.
fn first_difference(traces: [&Trace; 2], who: [Doer; 2], has_ended: [bool; 2]) -> Outcome {
    let [mut first, mut second] =
        [0, 1].map(|side| Steps::of(traces[side]).filter(move |(doer, ..)| *doer == who[side]));
    let mut found = Difference::default();
    loop {
        found.step += 1;
        let sides = [first.next(), second.next()];
        match sides {
            [Some((_, a, step)), Some((_, b, other))] if step == other => {
                for (before, event) in found.before.iter_mut().zip([a, b]) {
                    before.push(event);
                    before.drain(..before.len().saturating_sub(CONTEXT));
                }
            }
            _ => {
                let is_cut = |side: usize| sides[side].is_none() && !has_ended[side];
                if is_cut(0) || is_cut(1) {
                    return Outcome::CutShort;
                }
                let rest = |start: Option<_>, more: &mut dyn Iterator<Item = (Doer, Event, What)>| {
                    start.into_iter().chain(more).take(CONTEXT).map(|(_, event, _)| event).collect()
                };
                let [a, b] = sides;
                found.from = [rest(a, &mut first), rest(b, &mut second)];
                return Outcome::Differs(Box::new(found));
            }
        }
    }
}
