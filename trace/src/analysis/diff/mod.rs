//! Compares two traces: did the same processes do the same, and did it take as long?
//!
//! What a process does is a sequence of steps that depends on its program alone: how it was loaded, its system calls with
//! their arguments, data and results, its faults, its end. Times, ticks and the switches that follow differ by chance, and
//! hosts may deliver a trap as another one. So these are not steps: see `steps::timeless`.
//!
//! The first pass over each trace makes a digest of each process's steps. Where the digests of a pair differ, the second pass
//! makes digests of as many steps as both made. Then the steps of the first [`ALIGNED_MAX`] pairs that differ are aligned. So
//! time grows in proportion to the traces, and memory with the number of processes only.

#![allow(clippy::indexing_slicing, reason = "pairs, with one value for each trace, are indexed by 0 or 1")]

mod align;
mod spread;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::analysis::count;
use crate::analysis::stat::Stat;
use crate::analysis::summary::LISTED_MAX;
use crate::file::{Event, Trace, What, name_text};

pub use align::{Difference, Hunk};
pub use spread::{DEVIATIONS, DRIFT, Measure, QUANTILES, Quantile, Verdict, measures, verdict};
pub use steps::{Doer, Step, Steps};

/// How many pairs that differ are aligned: each takes a pass over both traces.
pub const ALIGNED_MAX: usize = LISTED_MAX;

/// What the comparison of two traces found.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The events of each trace that created the processes.
    pub created: [Vec<Event>; 2],
    /// The processes of both, in the order of the first, then those that only the second has.
    pub processes: Vec<Pair>,
    /// Numbers that differ by chance: the name, and the count in each trace.
    pub chance: Vec<(&'static str, [u64; 2])>,
    /// Durations that both have.
    pub measures: Vec<Measure>,
}

/// A process, or the host, in both traces.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Its name.
    pub name: String,
    /// Its number in each trace.
    pub who: [Option<Doer>; 2],
    /// How many steps it made in each trace.
    pub steps: [u64; 2],
    /// The result.
    pub outcome: Outcome,
}

/// How the steps of a process compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The same.
    Same,
    /// The same as far as both go: in one trace the run ended before the process did.
    CutShort,
    /// Not the same.
    Differs(Box<Difference>),
    /// Not the same. The steps that differ are not known, because [`ALIGNED_MAX`] pairs before it differ.
    NotAligned,
    /// Only one trace has this process.
    Missing,
}

impl Diff {
    /// Compares two traces.
    pub fn of(traces: [&Trace; 2]) -> Diff {
        let rosters = traces.map(Roster::of);
        let stats = traces.map(Stat::of);
        let processes = compare(traces, &rosters);
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

    /// Nothing differs, not even by chance.
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
    /// What it did: how many steps, and their digest.
    fn did(&self) -> (u64, u64) {
        (self.steps, self.digest.finish())
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
                    // A broken trace may have it more than once.
                    if entry.steps == 1 {
                        roster.created.push(event);
                    }
                }
                What::ProcessExited { .. }
                | What::ProcessKilled { .. }
                | What::ProcessSignaled { .. }
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

/// Pairs the processes of one trace with those of the other, by name. Among those with the same name, the ones that did the
/// same are paired first, then the others in their order.
fn pairs(rosters: &[Roster; 2]) -> Vec<[Option<Doer>; 2]> {
    let [firsts, seconds] = rosters.each_ref().map(|roster| &roster.entries);
    let (mut found, mut taken) = (BTreeMap::new(), BTreeSet::new());
    for must_do_the_same in [true, false] {
        let key = |doer: &Doer, entry: &'_ Entry| {
            (doer.class(), entry.name.clone(), must_do_the_same.then(|| entry.did()))
        };
        let mut free = BTreeMap::<_, VecDeque<Doer>>::new();
        for (doer, entry) in seconds.iter().filter(|(doer, _)| !taken.contains(*doer)) {
            free.entry(key(doer, entry)).or_default().push_back(*doer);
        }
        for (doer, entry) in firsts {
            if !found.contains_key(doer)
                && let Some(other) = free.get_mut(&key(doer, entry)).and_then(VecDeque::pop_front)
            {
                found.insert(*doer, other);
                taken.insert(other);
            }
        }
    }
    let only_second = seconds.keys().filter(|doer| !taken.contains(*doer)).map(|doer| [None, Some(*doer)]);
    firsts.keys().map(|doer| [Some(*doer), found.get(doer).copied()]).chain(only_second).collect()
}

/// Compares the processes of two traces.
fn compare(traces: [&Trace; 2], rosters: &[Roster; 2]) -> Vec<Pair> {
    let pairs = pairs(rosters);
    let shared = shared(traces, rosters, &pairs);
    let mut aligned = 0;
    let compare_one = |who: [Option<Doer>; 2]| {
        let entries: [Option<&Entry>; 2] =
            std::array::from_fn(|side| who[side].and_then(|doer| rosters[side].entries.get(&doer)));
        let name = entries.iter().flatten().next().map_or_else(String::new, |entry| entry.name.clone());
        let steps = entries.map(|entry| entry.map_or(0, |entry| entry.steps));
        let outcome = match (entries, who) {
            ([Some(first), Some(second)], _) if first.did() == second.did() => Outcome::Same,
            ([Some(first), Some(second)], [Some(doer), Some(other)]) => {
                let shorter = if first.steps < second.steps { first } else { second };
                let is_cut = first.steps != second.steps && !shorter.has_ended;
                if is_cut && shared[0].get(&doer) == shared[1].get(&other) {
                    Outcome::CutShort
                } else if aligned < ALIGNED_MAX {
                    aligned = aligned.saturating_add(1);
                    Outcome::Differs(Box::new(align_two(traces, [(doer, first), (other, second)])))
                } else {
                    Outcome::NotAligned
                }
            }
            // The host records an end only for a run that it did not stop.
            _ if who.iter().flatten().any(|doer| *doer == Doer::Host) => Outcome::CutShort,
            _ => Outcome::Missing,
        };
        Pair { name, who, steps, outcome }
    };
    pairs.into_iter().map(compare_one).collect()
}

/// In each trace, digests of the first steps of each process whose partner did not do the same: of as many steps as both made.
fn shared(
    traces: [&Trace; 2],
    rosters: &[Roster; 2],
    pairs: &[[Option<Doer>; 2]],
) -> [BTreeMap<Doer, u64>; 2] {
    let mut left: [BTreeMap<Doer, (u64, DefaultHasher)>; 2] = Default::default();
    for who in pairs {
        let [Some(first), Some(second)] = *who else { continue };
        let entries = [rosters[0].entries.get(&first), rosters[1].entries.get(&second)];
        let [Some(one), Some(other)] = entries else { continue };
        if one.did() != other.did() {
            let steps = one.steps.min(other.steps);
            left[0].insert(first, (steps, DefaultHasher::new()));
            left[1].insert(second, (steps, DefaultHasher::new()));
        }
    }
    std::array::from_fn(|side| {
        let mut left = std::mem::take(&mut left[side]);
        // Most pairs of traces need no second pass.
        let steps = (!left.is_empty()).then(|| Steps::of(traces[side]));
        for (doer, _, step) in steps.into_iter().flatten() {
            if let Some((steps @ 1.., digest)) = left.get_mut(&doer) {
                *steps = steps.saturating_sub(1);
                step.hash(digest);
            }
        }
        left.into_iter().map(|(doer, (_, digest))| (doer, digest.finish())).collect()
    })
}

fn digest(step: &Step) -> u64 {
    let mut hasher = DefaultHasher::new();
    step.hash(&mut hasher);
    hasher.finish()
}

/// Finds where two processes did not do the same.
fn align_two(traces: [&Trace; 2], who: [(Doer, &Entry); 2]) -> Difference {
    align::align([0, 1].map(|side| {
        let (doer, entry) = who[side];
        let steps = Steps::of_one(traces[side], doer).map(|(_, event, step)| (event, digest(&step)));
        align::Side::new(steps, entry.steps, !entry.has_ended)
    }))
}
