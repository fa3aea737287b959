//! The comparison of two traces as text and as JSON.

#![allow(clippy::indexing_slicing, reason = "what is indexed are pairs, one for each trace: by 0 or 1")]

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::layout::{MARGIN, WIDTH, duration, put_table, put_wrapped, setting};
use super::lines::Lines;
use super::stat::mark;
use crate::analysis::diff::{Diff, Difference, Doer, Hunk, Measure, Outcome, Pair, Quantile, Verdict};
use crate::analysis::summary::LISTED_MAX;
use crate::analysis::{count, damage_lines};
use crate::file::{Event, Trace};

/// What stands for the traces.
const SIDES: [&str; 2] = ["A", "B"];
/// The version of the JSON form: fields may be added, none changes its meaning within a version.
const VERSION: u32 = 3;
/// What the table of times means.
const LEGEND: &str = "Time in the kernel of calls and traps; switches from the trap of the old process to the return \
                      into the new. within: bounds of the number on its left. Over all medians together they hold in \
                      99 % of runs that differ only by chance. real: the bounds do not overlap, and the difference is \
                      above 8 %, by which equal runs differ. not shown: the difference can be chance. too few: there \
                      are no bounds. not judged: this depends more on the host than on the kernel. One pair of runs does \
                      not exclude that the whole host was slower: repeat a comparison before you rely on it.";

/// The comparison as text of at most `width` columns, empty if nothing differs. `files` are the names of the traces.
pub fn text(diff: &Diff, files: [&str; 2], traces: [&Trace; 2], width: usize) -> String {
    if diff.is_empty() {
        return String::new();
    }
    let lines = &mut lines(diff, traces, width);
    let mut out = String::new();
    for side in 0..2 {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  {}", SIDES[side], files[side]);
        put_wrapped(&mut out, &setting(traces[side].meta()), MARGIN, width);
    }
    out.push('\n');
    let mut differing = diff.processes.iter().filter(|pair| pair.outcome != Outcome::Same);
    differing.by_ref().take(LISTED_MAX).for_each(|pair| put_pair(&mut out, pair, lines, width));
    put_more(&mut out, differing, width);
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
    let same = diff.processes.iter().filter(|pair| matches!(pair.outcome, Outcome::Same));
    let (processes, steps) = same.fold((0, 0), |(count, sum): (u64, u64), pair| {
        (count.saturating_add(1), sum.saturating_add(pair.steps[0]))
    });
    let same = format!(
        "The same in both: {processes} of {} (processes and the end of the run), {steps} steps.",
        diff.processes.len()
    );
    put_wrapped(&mut out, &same, 0, width);
    let counts = diff.chance.iter().map(|(name, [first, second])| format!("{name} {first} and {second}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    put_wrapped(&mut out, &format!("Not compared, because they depend on time: {counts}."), 0, width);
    let sides = [0, 1].map(|side| format!("{}{}", SIDES[side], mark(traces[side].meta())));
    put_measures(&mut out, diff.measures.iter().filter(|measure| !measure.is_same()), &sides, width);
    out
}

fn lines(diff: &Diff, traces: [&Trace; 2], width: usize) -> [Lines; 2] {
    [0, 1].map(|side| Lines::new(traces[side].meta(), &diff.created[side], width))
}

fn put_pair(out: &mut String, pair: &Pair, lines: &mut [Lines; 2], width: usize) {
    let name = who(pair);
    let [first, second] = pair.steps;
    let line = match &pair.outcome {
        Outcome::Same => return,
        Outcome::CutShort if name == "host" => {
            let side = SIDES[usize::from(first > second)];
            format!("host: the trace {side} does not show how the run ended")
        }
        Outcome::NotAligned => format!("{name}: {first} steps in A and {second} in B, not the same"),
        Outcome::CutShort => {
            let (side, steps) = if first < second { ("A", first) } else { ("B", second) };
            format!("{name}: the same as far as {side} goes, which was cut off after {steps} steps")
        }
        Outcome::Missing => {
            let side = SIDES[usize::from(pair.who[0].is_none())];
            format!("{name}: only in {side}, {} steps", first.max(second))
        }
        Outcome::Differs(difference) => {
            let [only, other] = difference.only;
            let places =
                if difference.places == 1 { "1 place" } else { &format!("{} places", difference.places) };
            format!("{name}: {only} of {first} steps only in A, {other} of {second} only in B, in {places}")
        }
    };
    put_wrapped(out, &line, 0, width);
    if let Outcome::Differs(difference) = &pair.outcome {
        put_difference(out, difference, lines);
        out.push('\n');
    }
}

/// Counts the processes that have no line of their own.
fn put_more<'a>(out: &mut String, pairs: impl Iterator<Item = &'a Pair>, width: usize) {
    let [mut differ, mut missing, mut cut] = [0_u64; 3];
    for pair in pairs {
        count(match pair.outcome {
            Outcome::Missing => &mut missing,
            Outcome::CutShort => &mut cut,
            _ => &mut differ,
        });
    }
    let counts =
        [(differ, "differ"), (missing, "only in A or only in B"), (cut, "the same as far as they go")];
    let counts: Vec<_> = counts.iter().filter(|(count, _)| *count > 0).collect();
    if !counts.is_empty() {
        let more = counts.iter().fold(0_u64, |sum, (count, _)| sum.saturating_add(*count));
        let counts: Vec<_> = counts.iter().map(|(count, what)| format!("{count} {what}")).collect();
        put_wrapped(out, &format!("and {more} more processes: {}", counts.join(", ")), 0, width);
    }
}

fn put_difference(out: &mut String, difference: &Difference, lines: &mut [Lines; 2]) {
    // What the place before showed ends here in A.
    let mut shown = 0_u64;
    for hunk in &difference.hunks {
        let rendered = Rendered::of(hunk, lines);
        let [step, other] = hunk.steps;
        if step.saturating_sub(hunk.before.len() as u64) > shown.saturating_add(1) || shown == 0 {
            let _ = writeln!(out, "  at step {step} of A, {other} of B");
        }
        rendered.before.iter().for_each(|text| put_step(out, " ", text));
        for (side, letter) in SIDES.iter().enumerate() {
            rendered.only[side].iter().for_each(|text| put_step(out, letter, text));
            let more = hunk.counts[side].saturating_sub(rendered.only[side].len() as u64);
            if more > 0 {
                put_step(out, letter, &format!("... and {more} more"));
            }
        }
        rendered.after.iter().for_each(|text| put_step(out, " ", text));
        shown = step.saturating_add(hunk.counts[0]).saturating_add(hunk.after.len() as u64).saturating_sub(1);
    }
    let more = difference.places.saturating_sub(difference.hunks.len() as u64);
    if more > 0 {
        let _ = writeln!(out, "  and in {more} more {}", if more == 1 { "place" } else { "places" });
    }
}

fn put_step(out: &mut String, side: &str, text: &str) {
    for (index, line) in text.lines().enumerate() {
        let _ = writeln!(out, "  {} {line}", if index == 0 { side } else { " " });
    }
}

/// The events of a hunk, as text; those that both have as A has them.
struct Rendered {
    before: Vec<String>,
    only: [Vec<String>; 2],
    after: Vec<String>,
}

impl Rendered {
    fn of(hunk: &Hunk, lines: &mut [Lines; 2]) -> Rendered {
        let before = render_both(&hunk.before, lines);
        let only =
            [0, 1].map(|side| hunk.only[side].iter().map(|event| render(event, &mut lines[side])).collect());
        Rendered { before, only, after: render_both(&hunk.after, lines) }
    }
}

/// Renders both, so that a result that follows finds its call.
fn render_both(pairs: &[[Event; 2]], lines: &mut [Lines; 2]) -> Vec<String> {
    let both =
        pairs.iter().map(|[first, second]| [render(first, &mut lines[0]), render(second, &mut lines[1])]);
    both.map(|[first, _]| first).collect()
}

fn render(event: &Event, lines: &mut Lines) -> String {
    lines.line(event).trim_end().to_owned()
}

fn who(pair: &Pair) -> String {
    let numbers: Vec<String> = pair.who.iter().flatten().filter_map(|doer| number(*doer)).collect();
    match (pair.who, &numbers[..]) {
        ([Some(Doer::Host), _] | [_, Some(Doer::Host)], _) => "host".into(),
        ([Some(Doer::Guest(0)), _] | [_, Some(Doer::Guest(0))], _) => "kernel".into(),
        (_, [first, second]) if first != second => format!("{}/{first} and /{second}", pair.name),
        (_, [first, ..]) => format!("{}/{first}", pair.name),
        _ => pair.name.clone(),
    }
}

fn number(doer: Doer) -> Option<String> {
    match doer {
        Doer::Guest(number) => Some(number.to_string()),
        Doer::Host => None,
    }
}

fn put_measures<'a>(
    out: &mut String,
    measures: impl Iterator<Item = &'a Measure>,
    sides: &[String; 2],
    width: usize,
) {
    let mut table =
        vec![["Times", "", "count", "median", "within", "99 %", "within"].map(String::from).to_vec()];
    for measure in measures {
        for (side, letter) in sides.iter().enumerate() {
            let name = if side == 0 { measure.name.clone() } else { String::new() };
            let row = [name, letter.clone(), measure.counts[side].to_string()];
            let cells = measure.quantiles.iter().flat_map(|quantile| cells(quantile, side));
            table.push(row.into_iter().chain(cells).collect());
        }
        let verdicts = measure.quantiles.iter().flat_map(|quantile| [change(quantile), word(quantile)]);
        table.push([const { String::new() }; 3].into_iter().chain(verdicts).collect());
    }
    if table.len() == 1 {
        return;
    }
    out.push('\n');
    put_table(out, &table, 2, 2, width);
    put_wrapped(out, LEGEND, MARGIN, width);
}

fn cells(quantile: &Quantile, side: usize) -> [String; 2] {
    let within = quantile.within_ns[side];
    let range = |(low, high)| format!("{} to {}", duration(low), duration(high));
    [duration(quantile.ns[side]), within.map_or_else(|| "-".into(), range)]
}

fn change(quantile: &Quantile) -> String {
    match quantile.ns {
        [0, _] => "-".into(),
        [first, second] => format!("{:+.1} %", 100.0 * (second as f64 / first as f64 - 1.0)),
    }
}

fn word(quantile: &Quantile) -> String {
    let word = match quantile.verdict {
        Verdict::Real => "real",
        Verdict::NotShown => "not shown",
        Verdict::TooFew => "too few",
        Verdict::NotJudged => "not judged",
    };
    word.into()
}

/// The comparison as JSON. `files` are the names of the traces.
pub fn json(diff: &Diff, files: [&str; 2], traces: [&Trace; 2]) -> Value {
    let lines = &mut lines(diff, traces, WIDTH);
    let damage = traces.map(|trace| damage_lines(trace.damage()));
    let chance: Map<String, Value> =
        diff.chance.iter().map(|(name, counts)| ((*name).into(), json!(counts))).collect();
    let processes: Vec<Value> = diff.processes.iter().map(|pair| pair_json(pair, lines)).collect();
    json!({
        "version": VERSION,
        "files": files,
        "meta": traces.map(Trace::meta),
        "damage": damage,
        "same_sequence": diff.is_same_sequence(),
        "processes": processes,
        "chance": chance,
        "measures": diff.measures.iter().map(measure_json).collect::<Vec<_>>(),
    })
}

fn pair_json(pair: &Pair, lines: &mut [Lines; 2]) -> Value {
    let outcome = match pair.outcome {
        Outcome::Same => "same",
        Outcome::CutShort => "cut-short",
        Outcome::Differs(_) | Outcome::NotAligned => "differs",
        Outcome::Missing => "missing",
    };
    let difference = match &pair.outcome {
        Outcome::Differs(difference) => {
            let hunks = difference.hunks.iter().map(|hunk| hunk_json(hunk, lines)).collect::<Vec<_>>();
            json!({ "only": difference.only, "places": difference.places, "hunks": hunks })
        }
        _ => Value::Null,
    };
    let numbers = pair.who.map(|who| match who {
        Some(Doer::Guest(number)) => Some(number),
        _ => None,
    });
    json!({
        "name": who(pair), "numbers": numbers, "steps": pair.steps, "outcome": outcome,
        "difference": difference,
    })
}

fn hunk_json(hunk: &Hunk, lines: &mut [Lines; 2]) -> Value {
    let Rendered { before, only, after } = Rendered::of(hunk, lines);
    json!({ "steps": hunk.steps, "before": before, "counts": hunk.counts, "only": only, "after": after })
}

fn measure_json(measure: &Measure) -> Value {
    let quantile = |quantile: &Quantile| {
        json!({
            "part": quantile.part, "ns": quantile.ns, "within_ns": quantile.within_ns,
            "verdict": quantile.verdict,
        })
    };
    json!({
        "name": measure.name, "counts": measure.counts, "totals_ns": measure.totals_ns,
        "quantiles": measure.quantiles.iter().map(quantile).collect::<Vec<_>>(),
    })
}
