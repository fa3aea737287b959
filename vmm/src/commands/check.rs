//! `trapline check`: does a trace follow the protocol of limited direct execution?

use std::io::{self, Write};
use std::path::PathBuf;

use super::{FAILED, OK, open, sandbox};
use trace::analysis::check::check;
use trace::text::check::{json, text};

/// Check that the kernel followed the protocol of limited direct execution.
///
/// Each line is a rule: its result, how often it was tested, its name, and its text. If a rule is violated, the first
/// violation follows, with the records that show it and their numbers (# for the guest's records, h# for the host's).
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 no rule is violated; 1 a rule is violated; 2 wrong usage, or not a trace file."
)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let trace = open(&args.trace)?;
    args.sandbox.read(std::slice::from_ref(&args.trace))?;
    let report = check(&trace);
    trace.intact()?;
    let out =
        if args.json { format!("{:#}\n", json(&report, trace.meta())) } else { text(&report, trace.meta()) };
    io::stdout().write_all(out.as_bytes())?;
    Ok(if report.passed() { OK } else { FAILED })
}
