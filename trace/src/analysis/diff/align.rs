//! Aligns two sequences of steps, to find the steps that only one of them has.
//!
//! Equal steps are skipped. Where two steps differ, a window of each sequence is compared as `git diff` compares text. The
//! result for the first half of the window is kept, and the second half is compared again together with the steps after it.
//! So memory does not grow with the sequences.

use std::collections::VecDeque;
use std::ops::Range;

use imara_diff::{Algorithm, InternedInput, Interner};

use crate::analysis::count;
use crate::file::Event;

/// How many equal steps are kept around a difference.
pub(super) const CONTEXT: usize = 3;
/// How many steps of a difference are kept, of each trace.
const SHOWN: usize = 6;
/// How many differences are kept.
const HUNKS: usize = 5;
/// How many steps of each sequence are compared at a time. A longer run of steps that only one sequence has is still found
/// if this sequence is longer by so many steps.
const WINDOW: usize = 4096;

/// The steps of a process that only one trace has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// How many steps only the first trace has, and only the second.
    pub only: [u64; 2],
    /// In how many places.
    pub places: u64,
    /// The first of them.
    pub hunks: Vec<Hunk>,
}

/// A place in which two sequences of steps differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hunk {
    /// The numbers of the first steps that differ, counted from 1.
    pub steps: [u64; 2],
    /// A few steps before it that both have, as each trace has them, without those that an earlier place shows.
    pub before: Vec<[Event; 2]>,
    /// How many steps only one has.
    pub counts: [u64; 2],
    /// The first of them.
    pub only: [Vec<Event>; 2],
    /// A few steps after it that both have.
    pub after: Vec<[Event; 2]>,
}

/// A step: its event, and a digest of the part that is compared.
pub(super) type Step = (Event, u64);

/// The steps of a process in one trace that are not compared yet.
pub(super) struct Side<I> {
    steps: I,
    /// How many there are.
    left: u64,
    /// The run ended before the process did.
    is_cut: bool,
    /// The next of them.
    window: VecDeque<Step>,
}

impl<I: Iterator<Item = Step>> Side<I> {
    pub(super) fn new(steps: I, left: u64, is_cut: bool) -> Side<I> {
        Side { steps, left, is_cut, window: VecDeque::new() }
    }

    /// Reads steps until the window has so many, or there are no more.
    fn look_ahead(&mut self, most: usize) {
        let more = most.saturating_sub(self.window.len());
        self.window.extend(self.steps.by_ref().take(more));
    }

    fn take(&mut self) -> Option<Event> {
        self.left = self.left.saturating_sub(1);
        self.window.pop_front().map(|(event, _)| event)
    }

    /// Whether no step is left because the run ended before the process did.
    fn is_cut_off(&self) -> bool {
        self.is_cut && self.left == 0
    }
}

/// Aligns the steps of a process in two traces. Where one run ended before the process did, further steps in the other are
/// not a difference.
pub(super) fn align<I: Iterator<Item = Step>>(mut sides: [Side<I>; 2]) -> Difference {
    let mut found = Found::default();
    loop {
        sides.iter_mut().for_each(|side| side.look_ahead(1));
        let [first, second] = sides.each_ref().map(|side| side.window.front());
        match (first, second) {
            (Some((_, step)), Some((_, other))) if step == other => found.equal(&mut sides),
            _ if first.is_none() && second.is_none() => break,
            _ if sides.iter().any(|side| side.is_cut_off()) => break,
            _ => found.unequal(&mut sides),
        }
    }
    found.difference
}

/// The result so far.
#[derive(Default)]
struct Found {
    difference: Difference,
    /// How many steps of each side were compared.
    done: [u64; 2],
    /// The last steps that both have and that no place shows.
    before: VecDeque<[Event; 2]>,
    /// The last steps that were compared are in one trace only.
    is_open: bool,
}

impl Found {
    /// Moves past the next step of each side, which are equal.
    fn equal<I: Iterator<Item = Step>>(&mut self, sides: &mut [Side<I>; 2]) {
        let [Some(first), Some(second)] = sides.each_mut().map(Side::take) else { return };
        self.is_open = false;
        self.done = self.done.map(|done| done.saturating_add(1));
        match self.shown() {
            Some(hunk) if hunk.after.len() < CONTEXT => hunk.after.push([first, second]),
            _ => {
                self.before.push_back([first, second]);
                if self.before.len() > CONTEXT {
                    self.before.pop_front();
                }
            }
        }
    }

    /// Moves past the next step of one side, which the other does not have.
    fn only<I: Iterator<Item = Step>>(&mut self, sides: &mut [Side<I>; 2], side: usize) {
        let Some(event) = sides[side].take() else { return };
        if !std::mem::replace(&mut self.is_open, true) {
            count(&mut self.difference.places);
            if self.difference.hunks.len() < HUNKS {
                let (steps, before) =
                    (self.done.map(|done| done.saturating_add(1)), self.before.drain(..).collect());
                self.difference.hunks.push(Hunk { steps, before, ..Hunk::default() });
            }
        }
        count(&mut self.done[side]);
        count(&mut self.difference.only[side]);
        if let Some(hunk) = self.shown() {
            count(&mut hunk.counts[side]);
            if hunk.only[side].len() < SHOWN {
                hunk.only[side].push(event);
            }
        }
    }

    /// The latest place, if it is kept.
    fn shown(&mut self) -> Option<&mut Hunk> {
        let Difference { places, hunks, .. } = &mut self.difference;
        hunks.last_mut().filter(|_| *places <= HUNKS as u64)
    }

    /// Compares the steps from a difference on, and moves past at least one.
    fn unequal<I: Iterator<Item = Step>>(&mut self, sides: &mut [Side<I>; 2]) {
        sides.iter_mut().for_each(|side| side.look_ahead(WINDOW));
        let sizes = sides.each_ref().map(|side| side.window.len());
        let is_all = sides.iter().all(|side| side.left == side.window.len() as u64);
        let mut done = [0, 0];
        for [first, second] in compared(sides) {
            let ends = [first.end, second.end];
            // The steps after the window may change the result for all but the first.
            if done != [0, 0] && !is_all && ends.iter().any(|&end| end > WINDOW / 2) {
                return;
            }
            let lengths =
                if ends == sizes && !is_all { without_like(sides) } else { [first.len(), second.len()] };
            (done[0]..first.start).for_each(|_| self.equal(sides));
            if (0..2).any(|side| lengths[side] == 0 && sides[side].is_cut_off()) {
                return;
            }
            for (side, length) in lengths.into_iter().enumerate() {
                (0..length).for_each(|_| self.only(sides, side));
            }
            done = ends;
        }
    }
}

/// The places in which two windows differ.
fn compared<I>(sides: &[Side<I>; 2]) -> Vec<[Range<usize>; 2]> {
    let mut interner = Interner::new(WINDOW);
    let [before, after] = sides
        .each_ref()
        .map(|side| side.window.iter().map(|(_, step)| interner.intern(*step)).collect::<Vec<_>>());
    let input = InternedInput { before, after, interner };
    let mut diff = imara_diff::Diff::compute(Algorithm::Myers, &input);
    diff.postprocess_no_heuristic(&input);
    let range = |range: Range<u32>| range.start as usize..range.end as usize;
    diff.hunks().map(|hunk| [range(hunk.before), range(hunk.after)]).collect()
}

/// How many steps of each side to move past where the windows have no equal steps. If one side has more steps left, the
/// equals of the other side's steps may come later.
fn without_like<I>(sides: &[Side<I>; 2]) -> [usize; 2] {
    let [first, second] = sides;
    let more = |side: &Side<I>, other: &Side<I>| {
        usize::try_from(side.left.saturating_sub(other.left))
            .map_or(usize::MAX, |more| more.min(side.window.len()))
    };
    match [more(first, second), more(second, first)] {
        [0, 0] => [first.window.len(), second.window.len()],
        more => more,
    }
}
