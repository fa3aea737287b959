//! Which expectations a trace meets: as text for people, and in the forms that graders and CI systems read.

mod forms;

pub use forms::{github_annotations, github_summary, gradescope, junit, tap};

use super::layout::{WIDTH, put_wrapped};
use super::lines::Lines;
use crate::analysis::expect::{Failure, Judgement};
use crate::file::Meta;

/// The margins of a failure's message, and of its events.
const MESSAGE_MARGIN: usize = 6;
const EVENT_MARGIN: &str = "    ";

/// A line for each expectation; under one that is not met, why, the first event that differs (`>`) with its neighbours,
/// and the hint. Lines have at most `width` columns.
pub fn text(judgements: &[Judgement<'_>], meta: &Meta, width: usize) -> String {
    let mut text = String::new();
    for (number, judged) in (1_usize..).zip(judgements) {
        let word = if judged.failure.is_none() { "ok" } else { "FAIL" };
        put!(text, "{word:4} {number:>2}  ");
        put_wrapped(&mut text, &judged.expectation.name, MESSAGE_MARGIN + 3, width);
        if let Some(failure) = &judged.failure {
            put_wrapped(&mut text, &failure.message, MESSAGE_MARGIN, width);
            excerpt(failure, meta, width).iter().for_each(|line| put!(text, "{EVENT_MARGIN}{line}\n"));
            if let Some(hint) = &judged.expectation.hint {
                put_wrapped(&mut text, &format!("Hint: {hint}"), MESSAGE_MARGIN, width);
            }
        }
    }
    put!(text, "\n{}\n", total(judgements));
    text
}

/// How many expectations are met, and the points where they differ.
fn total(judgements: &[Judgement<'_>]) -> String {
    let met = judgements.iter().filter(|judged| judged.failure.is_none());
    let count = met.clone().count();
    let mut text = format!("{count} of {} expectations are met", judgements.len());
    if judgements.iter().any(|judged| judged.expectation.points != 1.0) {
        // An empty sum of f64 is -0.
        let sum = |sum: f64, judged: &Judgement<'_>| sum + judged.expectation.points;
        let (points, most) = (met.fold(0.0, sum), judgements.iter().fold(0.0, sum));
        put!(text, ", {points} of {most} points");
    }
    text + "."
}

/// The events of a failure as `view` has them, the one that differs marked with `>`.
fn excerpt(failure: &Failure, meta: &Meta, width: usize) -> Vec<String> {
    let mut lines = Lines::new(meta, &failure.processes, width);
    let marked = |(index, event)| {
        let mark = if index == failure.marked { '>' } else { ' ' };
        let text = lines.line(event);
        let first = text.lines().take(1).map(move |line| format!("{mark} {line}"));
        first.chain(text.lines().skip(1).map(|line| format!("  {line}"))).collect::<Vec<_>>()
    };
    failure.events.iter().enumerate().flat_map(marked).collect()
}

/// The message of a failure and the hint, a line each.
fn explanation(judged: &Judgement<'_>) -> Vec<String> {
    let Some(failure) = &judged.failure else { return vec![] };
    let hint = judged.expectation.hint.iter().map(|hint| format!("Hint: {hint}"));
    let message = std::iter::once(failure.message.clone()).chain(hint);
    message.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The same, and the events.
fn details(judged: &Judgement<'_>, meta: &Meta) -> Vec<String> {
    let events = judged.failure.iter().flat_map(|failure| excerpt(failure, meta, WIDTH));
    explanation(judged).into_iter().chain(events).collect()
}
