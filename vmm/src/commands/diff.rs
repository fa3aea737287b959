//! `trapline diff`: did the same programs do the same, and did it take as long?

use std::io::{self, Write};
use std::path::PathBuf;

use super::{FAILED, OK, open};
use trace::analysis::diff::Diff;
use trace::text::diff::{json, text};

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

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let [first, second] = [open(&args.first)?, open(&args.second)?];
    let traces = [&first, &second];
    let diff = Diff::of(traces);
    traces.iter().try_for_each(|trace| trace.intact())?;
    let [file, other] = [&args.first, &args.second].map(|path| path.display().to_string());
    let files = [file.as_str(), other.as_str()];
    let out =
        if args.json { format!("{:#}\n", json(&diff, files, traces)) } else { text(&diff, files, traces) };
    io::stdout().write_all(out.as_bytes())?;
    Ok(if diff.is_same_sequence() { OK } else { FAILED })
}
