//! Two runs on one page, with one clock: both start at 0. Their timelines have one range, and show where the runs differ.
//!
//! The page has the facts and the records of each run as the page of one run has them, and the findings of
//! [`Diff`]. The scripts of the timeline run once for each.

#![allow(clippy::indexing_slicing, reason = "pairs, with one value for each trace, are indexed by 0 or 1")]

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{FRAME, RUN, STYLE, TEMPLATE, clock, facts, fill, write_all, write_zipped_records};
use crate::analysis::diff::{Diff, Doer, Hunk, Outcome};
use crate::file::{Event, Trace, What};
use crate::text::diff::json;

const COMPARE: &str = include_str!("compare.html");
const SCRIPT: &str = include_str!("compare.js");

/// Writes the page of two traces; `names` is what they are called.
pub fn write(traces: [&Trace; 2], names: [&str; 2], mut out: impl Write) -> io::Result<()> {
    let diff = Diff::of(traces);
    let facts = |side: usize| facts::json(traces[side], names[side]);
    // The head of both pages is the same up to the title.
    let head = TEMPLATE.split_once("<title>").map_or("", |(head, _)| head);
    out.write_all(head.as_bytes())?;
    fill(COMPARE, &mut out, |slot, out| match slot {
        "style" => out.write_all(STYLE.as_bytes()),
        "facts a" => out.write_all(facts(0).as_bytes()),
        "facts b" => out.write_all(facts(1).as_bytes()),
        "records a" => write_zipped_records(traces[0], out),
        "records b" => write_zipped_records(traces[1], out),
        "findings" => out.write_all(findings(&diff, traces, names).as_bytes()),
        "frame" => write_all(&FRAME, out),
        "run" => write_all(&RUN, out),
        _ => out.write_all(SCRIPT.as_bytes()),
    })?;
    out.flush()
}

/// What the comparison found, and the places of its differences: for each process a list of times in both runs.
fn findings(diff: &Diff, traces: [&Trace; 2], names: [&str; 2]) -> String {
    let clocks = traces.map(clock);
    let time = |side: usize, event: Option<&Event>| event.map(|event| clocks[side].nanoseconds(event.tsc));
    let places = diff.processes.iter().map(|pair| match &pair.outcome {
        Outcome::Differs(difference) => difference
            .hunks
            .iter()
            .map(|hunk| json!([0, 1].map(|side| time(side, place(hunk, side)))))
            .collect::<Vec<_>>(),
        Outcome::Missing => {
            vec![json!([0, 1].map(|side| time(side, created(diff, side, pair.who[side]))))]
        }
        _ => Vec::new(),
    });
    let places: Vec<Vec<Value>> = places.collect();
    facts::embedded(&json!({ "diff": json(diff, names, traces), "places": places }))
}

/// The event of a run where it differs: its first own step, else the step before the other run's, else the one after.
fn place(hunk: &Hunk, side: usize) -> Option<&Event> {
    hunk.only[side]
        .first()
        .or_else(|| hunk.before.last().map(|pair| &pair[side]))
        .or_else(|| hunk.after.first().map(|pair| &pair[side]))
}

/// The creation of a process.
fn created(diff: &Diff, side: usize, who: Option<Doer>) -> Option<&Event> {
    let is_of = |event: &&Event| {
        matches!(event.what, What::ProcessCreated { .. }) && who == Some(Doer::Guest(event.process))
    };
    diff.created[side].iter().find(is_of)
}
