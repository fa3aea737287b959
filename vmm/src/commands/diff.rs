//! `trapline diff`: did the same programs do the same, and did it take as long?

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};

use super::lines::Lines;
use super::{FAILED, OK, open};
use trace::analysis::diff::{Diff, Difference, Doer, Hunk, Measure, Outcome, Pair, Quantile, Verdict};
use trace::text::stat::{MARGIN, duration, put_wrapped, setting};
use trace::{Event, Trace};

/// Compare two traces: what their processes did, then how long it took.
///
/// Processes are matched by name; of one name, those that did the same, then the others in their order. Compared is what
/// depends on the program alone: how it was loaded, its system calls with arguments, data and results, its faults, its
/// end. Left out is what depends on time or host: ticks, switches, sleeps, what a clock said, how a trap arrived,
/// addresses of the kernel, flags, a process's own number. A process that was cut off by the end of its run is compared
/// as far as it went.
///
/// The steps of a process are aligned as `git diff` aligns lines: those that only one trace has are marked A or B, with
/// some that both have around them.
///
/// Times are compared by median and 99 %. Each stands with the bounds in which 99 of 100 samples of this size have it
/// (from the ranks of the sample, whatever the distribution). A difference is called real where the bounds do not
/// overlap and it is more than 5 %, which runs differ by with nothing changed. A busy host can move whole runs further, so
/// compare several.
///
/// Traces that do not differ at all give no output.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 the processes did the same; 1 they did not; 2 wrong usage, or no trace file."
)]
pub struct Args {
    /// A trace file
    #[arg(value_name = "A")]
    pub first: PathBuf,
    /// The trace file to compare it with
    #[arg(value_name = "B")]
    pub second: PathBuf,
    /// Print JSON instead of text, times in nanoseconds (docs/stat.md has the fields)
    #[arg(long)]
    pub json: bool,
}

/// What stands for the traces.
const SIDES: [&str; 2] = ["A", "B"];
/// The version of the JSON form: fields may be added, none changes its meaning within a version.
const VERSION: u32 = 2;
/// What the table of times means.
const LEGEND: &str = "Time in the kernel of calls and traps; switches from the trap of the old process to the return \
                      into the new. within: bounds of the number on its left, 99 % sure by the spread of this run. real: \
                      the bounds do not overlap, and the difference is above 5 %, by which equal runs differ. not shown: \
                      else. too few: no bounds can be told.";

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let paths = [&args.first, &args.second];
    let [first, second] = [open(paths[0])?, open(paths[1])?];
    let traces = [&first, &second];
    let diff = Diff::of(traces);
    traces.iter().try_for_each(|trace| trace.intact())?;
    let mut lines = [0, 1].map(|side| Lines::new(traces[side].meta(), &diff.created[side]));
    let out = if args.json {
        format!("{:#}\n", as_json(&diff, paths, traces, &mut lines))
    } else if diff.is_empty() {
        String::new()
    } else {
        as_text(&diff, paths, traces, &mut lines)
    };
    io::stdout().write_all(out.as_bytes())?;
    Ok(if diff.is_same_sequence() { OK } else { FAILED })
}

fn as_text(diff: &Diff, paths: [&PathBuf; 2], traces: [&Trace; 2], lines: &mut [Lines; 2]) -> String {
    let mut out = String::new();
    for side in 0..2 {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  {}", SIDES[side], paths[side].display());
        put_wrapped(&mut out, &setting(traces[side].meta()), MARGIN);
    }
    out.push('\n');
    diff.processes.iter().for_each(|pair| put_pair(&mut out, pair, lines));
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
    let same = diff.processes.iter().filter(|pair| matches!(pair.outcome, Outcome::Same));
    let (processes, steps) = same.fold((0, 0), |(count, sum), pair| (count + 1, sum + pair.steps[0]));
    let _ = writeln!(
        out,
        "The same in both: {processes} of {} (processes and the end of the run), {steps} steps.",
        diff.processes.len()
    );
    let counts = diff.chance.iter().map(|(name, [first, second])| format!("{name} {first} and {second}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    put_wrapped(&mut out, &format!("Decided by time, and not compared: {counts}."), 0);
    put_measures(&mut out, diff.measures.iter().filter(|measure| !measure.is_same()));
    out
}

fn put_pair(out: &mut String, pair: &Pair, lines: &mut [Lines; 2]) {
    let name = who(pair);
    let [first, second] = pair.steps;
    let _ = match &pair.outcome {
        Outcome::Same => Ok(()),
        Outcome::CutShort if name == "host" => {
            let side = SIDES[usize::from(first > second)];
            writeln!(out, "host: how {side} ended by itself is not in its trace")
        }
        Outcome::CutShort => {
            let (side, steps) = if first < second { ("A", first) } else { ("B", second) };
            writeln!(out, "{name}: the same as far as {side} goes, which was cut off after {steps} steps")
        }
        Outcome::Missing => {
            let side = SIDES[usize::from(pair.who[0].is_none())];
            writeln!(out, "{name}: only in {side}, {} steps", first.max(second))
        }
        Outcome::Differs(difference) => {
            let [only, other] = difference.only;
            let places =
                if difference.places == 1 { "1 place" } else { &format!("{} places", difference.places) };
            let _ = writeln!(
                out,
                "{name}: {only} of {first} steps only in A, {other} of {second} only in B, in {places}"
            );
            put_difference(out, difference, lines);
            writeln!(out)
        }
    };
}

fn put_difference(out: &mut String, difference: &Difference, lines: &mut [Lines; 2]) {
    // What the place before showed ends here in A.
    let mut shown = 0;
    for hunk in &difference.hunks {
        let told = Told::of(hunk, lines);
        let [step, other] = hunk.steps;
        if step - hunk.before.len() as u64 > shown + 1 || shown == 0 {
            let _ = writeln!(out, "  at step {step} of A, {other} of B");
        }
        told.before.iter().for_each(|text| put_step(out, " ", text));
        for (side, letter) in SIDES.iter().enumerate() {
            told.only[side].iter().for_each(|text| put_step(out, letter, text));
            let more = hunk.counts[side] - told.only[side].len() as u64;
            if more > 0 {
                put_step(out, letter, &format!("... and {more} more"));
            }
        }
        told.after.iter().for_each(|text| put_step(out, " ", text));
        shown = step + hunk.counts[0] + hunk.after.len() as u64 - 1;
    }
    let more = difference.places - difference.hunks.len() as u64;
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
struct Told {
    before: Vec<String>,
    only: [Vec<String>; 2],
    after: Vec<String>,
}

impl Told {
    fn of(hunk: &Hunk, lines: &mut [Lines; 2]) -> Told {
        let before = say_both(&hunk.before, lines);
        let only =
            [0, 1].map(|side| hunk.only[side].iter().map(|event| say(event, &mut lines[side])).collect());
        Told { before, only, after: say_both(&hunk.after, lines) }
    }
}

/// Said on both sides, so that a result that follows knows its call.
fn say_both(pairs: &[[Event; 2]], lines: &mut [Lines; 2]) -> Vec<String> {
    let said = pairs.iter().map(|[first, second]| [say(first, &mut lines[0]), say(second, &mut lines[1])]);
    said.map(|[first, _]| first).collect()
}

fn say(event: &Event, lines: &mut Lines) -> String {
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

fn put_measures<'a>(out: &mut String, measures: impl Iterator<Item = &'a Measure>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["Times", "", "count", "median", "within", "99 %", "within"]);
    for measure in measures {
        for (side, letter) in SIDES.into_iter().enumerate() {
            let name = if side == 0 { measure.name.clone() } else { String::new() };
            let row = [name, letter.into(), measure.counts[side].to_string()];
            let cells = measure.quantiles.iter().flat_map(|quantile| cells(quantile, side));
            table.add_row(row.into_iter().chain(cells));
        }
        let verdicts = measure.quantiles.iter().flat_map(|quantile| [change(quantile), word(quantile)]);
        table.add_row([String::new(), String::new(), String::new()].into_iter().chain(verdicts));
    }
    if table.row_count() == 0 {
        return;
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if index < 2 { CellAlignment::Left } else { CellAlignment::Right });
        column.set_padding((2 * u16::from(index > 0), 0));
    }
    out.push('\n');
    table.lines().for_each(|line| {
        let _ = writeln!(out, "{}", line.trim_end());
    });
    put_wrapped(out, LEGEND, MARGIN);
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
    };
    word.into()
}

fn as_json(diff: &Diff, paths: [&PathBuf; 2], traces: [&Trace; 2], lines: &mut [Lines; 2]) -> Value {
    let damage = traces.map(|trace| trace::analysis::damage_lines(trace.damage()));
    let chance: Map<String, Value> =
        diff.chance.iter().map(|(name, counts)| ((*name).into(), json!(counts))).collect();
    let processes: Vec<Value> = diff.processes.iter().map(|pair| pair_json(pair, lines)).collect();
    json!({
        "version": VERSION,
        "files": paths.map(|path| path.display().to_string()),
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
        Outcome::Differs(_) => "differs",
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
    let Told { before, only, after } = Told::of(hunk, lines);
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
