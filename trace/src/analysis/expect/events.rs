//! Expectations of events: their order, their number, and events that must not happen.

use super::{Failure, Range, Seen, Selection, Watch, Whole};
use crate::analysis::count;

/// The position of an event.
#[derive(Clone, Debug)]
struct Place {
    at: u64,
    number: String,
    nanoseconds: u64,
}

impl From<&Seen<'_>> for Place {
    fn from(seen: &Seen<'_>) -> Place {
        Place { at: seen.at, number: seen.number(), nanoseconds: seen.event.nanoseconds }
    }
}

/// Checks that the time from the first step to the last is within the limit.
fn in_time(found: &[Place], within: Option<u64>, whole: &Whole<'_>) -> Result<(), Failure> {
    let (Some(first), Some(last), Some(within)) = (found.first(), found.last(), within) else {
        return Ok(());
    };
    let took = last.nanoseconds.saturating_sub(first.nanoseconds);
    if took <= within {
        return Ok(());
    }
    let message = format!(
        "the steps took {}, from {} to {}; the limit is {}",
        whole.duration(took),
        first.number,
        last.number,
        crate::text::duration(within)
    );
    Err(Failure::new(message, Some(last.at)))
}

/// Events in this order, with any others between them.
pub(super) struct Order<'a> {
    steps: &'a [Selection],
    within: Option<u64>,
    /// The events that match the first steps.
    found: Vec<Place>,
    /// For each step, the last event that matched it before all earlier steps had matched.
    early: Vec<Option<Place>>,
}

impl<'a> Order<'a> {
    pub(super) fn new(steps: &'a [Selection], within: Option<u64>) -> Self {
        Order { steps, within, found: vec![], early: vec![None; steps.len()] }
    }
}

impl Watch for Order<'_> {
    fn see(&mut self, seen: &Seen<'_>) {
        let next = self.found.len();
        for (index, (step, early)) in self.steps.iter().zip(&mut self.early).enumerate().skip(next) {
            if !seen.is(step) {
                continue;
            }
            if index == next {
                self.found.push(seen.into());
                return;
            }
            *early = Some(seen.into());
        }
    }

    fn judge(&self, whole: &Whole<'_>) -> Result<(), Failure> {
        let Some(missing) = self.steps.get(self.found.len()) else {
            return in_time(&self.found, self.within, whole);
        };
        let early = self.early.get(self.found.len()).and_then(Option::as_ref);
        let (number, steps) = (self.found.len().saturating_add(1), self.steps.len());
        let mut message = format!("step {number} of {steps}, `{}`, ", missing.text);
        match self.found.last() {
            None => message.push_str("does not happen"),
            Some(last) => {
                message.push_str(&format!("does not happen after the previous step, {}", last.number))
            }
        }
        if let Some(early) = early {
            message.push_str(&format!("; it happens only before that step, {}", early.number));
        }
        Err(Failure::new(message, early.or(self.found.last()).map(|place| place.at)))
    }
}

/// These events in this order, and no others of the events that `among` selects.
pub(super) struct Exactly<'a> {
    steps: &'a [Selection],
    among: &'a Selection,
    within: Option<u64>,
    found: Vec<Place>,
    /// The first event that is not the next step.
    other: Option<Place>,
}

impl<'a> Exactly<'a> {
    pub(super) fn new(steps: &'a [Selection], among: &'a Selection, within: Option<u64>) -> Self {
        Exactly { steps, among, within, found: vec![], other: None }
    }
}

impl Watch for Exactly<'_> {
    fn see(&mut self, seen: &Seen<'_>) {
        if self.other.is_some() || !seen.is(self.among) {
            return;
        }
        match self.steps.get(self.found.len()) {
            Some(step) if seen.is(step) => self.found.push(seen.into()),
            _ => self.other = Some(seen.into()),
        }
    }

    fn judge(&self, whole: &Whole<'_>) -> Result<(), Failure> {
        let done = self.found.len();
        let (next, steps) = (self.steps.get(done), self.steps.len());
        let number = done.saturating_add(1);
        let message = match (&self.other, next) {
            (None, None) => {
                whole.complete()?;
                return in_time(&self.found, self.within, whole);
            }
            (None, Some(step)) => {
                format!(
                    "step {number} of {steps}, `{}`, is missing: `among` selects only {done} events",
                    step.text
                )
            }
            (Some(other), Some(step)) => {
                format!(
                    "{} is not step {number} of {steps}, `{}`, which is expected here",
                    other.number, step.text
                )
            }
            (Some(other), None) => {
                format!("{} follows the last of the {steps} steps; nothing may follow", other.number)
            }
        };
        let place = self.other.as_ref().or(self.found.last());
        Err(Failure::new(message, place.map(|place| place.at)))
    }
}

/// No event is selected.
pub(super) struct Never<'a> {
    pub(super) selection: &'a Selection,
    pub(super) first: Option<(u64, String)>,
}

impl Watch for Never<'_> {
    fn see(&mut self, seen: &Seen<'_>) {
        if self.first.is_none() && seen.is(self.selection) {
            self.first = Some((seen.at, seen.number()));
        }
    }

    fn judge(&self, whole: &Whole<'_>) -> Result<(), Failure> {
        match &self.first {
            None => whole.complete(),
            Some((at, number)) => Err(Failure::new(format!("such an event happens: {number}"), Some(*at))),
        }
    }
}

/// The number of selected events is in a range.
pub(super) struct Count<'a> {
    pub(super) of: &'a Selection,
    pub(super) range: &'a Range,
    pub(super) count: u64,
    /// The last of the events, or the first that exceeds the range.
    pub(super) last: Option<u64>,
}

impl Watch for Count<'_> {
    fn see(&mut self, seen: &Seen<'_>) {
        if !seen.is(self.of) {
            return;
        }
        if self.count <= *self.range.0.end() {
            self.last = Some(seen.at);
        }
        count(&mut self.count);
    }

    fn judge(&self, whole: &Whole<'_>) -> Result<(), Failure> {
        if !self.range.has(self.count) {
            let wanted = self.range.words(|number| number.to_string());
            return Err(Failure::new(
                format!("the trace has {} such events, expected {wanted}", self.count),
                self.last,
            ));
        }
        if *self.range.0.end() == u64::MAX { Ok(()) } else { whole.complete() }
    }
}
