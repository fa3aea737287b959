//! Two traces compared: did the same processes do the same, and did it take as long?
//!
//! What a process does is a sequence of steps that depends on its program alone: how it was loaded, its system calls with
//! their arguments, data and results, its faults, its end. When ticks come, and the switches that follow, is chance, as
//! are all times; and a host may let a trap arrive as another. Such things are no steps: see `steps::timeless`.
//!
//! One pass over each trace makes a digest of each process's steps. Only where two digests differ are the traces walked
//! side by side, and the steps aligned. Memory grows neither with the traces nor with what differs.

#![allow(clippy::indexing_slicing, reason = "what is indexed are pairs, one for each trace: by 0 or 1")]

mod align;
mod spread;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::analysis::count;
use crate::analysis::stat::Stat;
use crate::file::{Event, Trace, What, name_text};

pub use align::{Difference, Hunk};
pub use spread::{DEVIATIONS, Measure, QUANTILES, Quantile, Verdict, measures};
pub use steps::{Doer, Step, Steps};

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

impl Entry {
    fn is_same(&self, other: &Entry) -> bool {
        self.steps == other.steps && self.digest.finish() == other.digest.finish()
    }
}

impl Roster {
    fn of(trace: &Trace) -> Roster {
        let mut roster = Roster::default();
        for (doer, event, step) in Steps::of(trace) {
            let name = || program_of(trace, doer).unwrap_or_default();
            let entry =
                roster.entries.entry(doer).or_insert_with(|| Entry { name: name(), ..Entry::default() });
            count(&mut entry.steps);
            step.hash(&mut entry.digest);
            match event.what {
                What::ProcessCreated { program: name, .. } => {
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

/// The name of a process by the head of the file, for one whose creation is missing from the trace.
fn program_of(trace: &Trace, doer: Doer) -> Option<String> {
    let Doer::Guest(number) = doer else { return None };
    let program = trace.meta().programs.get(usize::from(number).checked_sub(1)?)?;
    // As much of it as a record has.
    let bytes = program.name.bytes().chain(std::iter::repeat(0));
    Some(name_text(bytes.take(16).collect::<Vec<_>>().try_into().ok()?))
}

/// Who of one trace is who of the other: by name. Of one name, those that did the same, then the others in their order.
fn pairs(rosters: &[Roster; 2]) -> Vec<[Option<Doer>; 2]> {
    let [firsts, seconds] = rosters.each_ref().map(|roster| &roster.entries);
    let mut found = BTreeMap::new();
    let mut free: Vec<(&Doer, &Entry)> = seconds.iter().collect();
    for must_do_the_same in [true, false] {
        for (doer, entry) in firsts {
            let is_it = |(other, second): &(&Doer, &Entry)| {
                doer.is_like(**other)
                    && entry.name == second.name
                    && (!must_do_the_same || entry.is_same(second))
            };
            if !found.contains_key(doer)
                && let Some(index) = free.iter().position(is_it)
            {
                found.insert(*doer, *free.remove(index).0);
            }
        }
    }
    let firsts = firsts.keys().map(|doer| [Some(*doer), found.get(doer).copied()]);
    firsts.chain(free.into_iter().map(|(doer, _)| [None, Some(*doer)])).collect()
}

fn compare(traces: [&Trace; 2], rosters: &[Roster; 2], who: [Option<Doer>; 2]) -> Pair {
    let entries: [Option<&Entry>; 2] =
        std::array::from_fn(|side| who[side].and_then(|doer| rosters[side].entries.get(&doer)));
    let name = entries.iter().flatten().next().map_or_else(String::new, |entry| entry.name.clone());
    let steps = entries.map(|entry| entry.map_or(0, |entry| entry.steps));
    let outcome = match (entries, who) {
        ([Some(first), Some(second)], [Some(doer), Some(other)]) => {
            if first.is_same(second) {
                Outcome::Same
            } else {
                align_two(traces, [(doer, first), (other, second)])
            }
        }
        // The kernel itself makes a step only when it gives up, the host only when it was not stopped.
        _ if who.iter().flatten().any(|doer| *doer == Doer::Host) => Outcome::CutShort,
        _ => Outcome::Missing,
    };
    Pair { name, who, steps, outcome }
}

fn digest(step: &Step) -> u64 {
    let mut hasher = DefaultHasher::new();
    step.hash(&mut hasher);
    hasher.finish()
}

/// Walks two processes that do not do the same side by side.
fn align_two(traces: [&Trace; 2], who: [(Doer, &Entry); 2]) -> Outcome {
    let difference = align::align([0, 1].map(|side| {
        let (doer, entry) = who[side];
        let steps = Steps::of_one(traces[side], doer).map(|(_, event, step)| (event, digest(&step)));
        align::Side::new(steps, entry.steps, !entry.has_ended)
    }));
    if difference.places == 0 { Outcome::CutShort } else { Outcome::Differs(Box::new(difference)) }
}
