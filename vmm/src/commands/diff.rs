//! `trapline diff`: did the programs do the same in both runs, and did they take the same time?

use std::path::PathBuf;

use clap::ColorChoice;

use super::terminal::Output;
use super::{FAILED, OK, name_of, open, sandbox};
use trace::analysis::diff::Diff;
use trace::text::diff::{json, text};

/// Compare two traces: what their processes did, then how long it took.
///
/// Processes are matched by name. Of several processes with the same name, those that did the same are matched first,
/// and then the others in their order. `diff` compares what depends only on the program: how it was loaded, its system
/// calls with arguments, data and results, its faults, and its end. It does not compare what depends on time or on the
/// host: ticks, switches, sleeps, times and random numbers that a call returned, how a trap arrived, kernel addresses,
/// flags, and the process number. If the end of a run cut a process off, `diff` compares the steps up to there.
///
/// The steps of a process are aligned as `git diff` aligns lines. A step that only one trace has is marked A or B, and a
/// few common steps are shown around it.
///
/// Times are compared by their median, with an interval that is computed from ranks, so it holds for any distribution. A
/// difference is called real if the intervals do not overlap and it is more than 8 %. The intervals are wide enough for
/// many comparisons at once. On a busy host, whole runs can differ by more, so compare several runs. 99th percentiles, the
/// jitter of ticks and the wait for the CPU are shown but not judged, because they depend on the host.
///
/// If the traces do not differ, there is no output.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 the processes did the same; 1 they did not; 2 wrong usage, or not a trace file."
)]
pub struct Args {
    /// A trace file; `-` is standard input
    #[arg(value_name = "A")]
    pub first: PathBuf,
    /// The trace file to compare it with
    #[arg(value_name = "B")]
    pub second: PathBuf,
    /// Print JSON instead of text, with times in nanoseconds (docs/stat.md describes the fields)
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let [first, second] = [open(&args.first)?, open(&args.second)?];
    let output = Output::new(true, ColorChoice::Auto);
    args.sandbox.read(&[args.first.clone(), args.second.clone()])?;
    let traces = [&first, &second];
    let diff = Diff::of(traces);
    traces.iter().try_for_each(|trace| trace.intact())?;
    let [file, other] = [&args.first, &args.second].map(|path| name_of(path).display().to_string());
    let files = [file.as_str(), other.as_str()];
    let out = if args.json {
        format!("{:#}\n", json(&diff, files, traces))
    } else {
        text(&diff, files, traces, output.width)
    };
    output.print(&out)?;
    Ok(if diff.is_same_sequence() { OK } else { FAILED })
}
