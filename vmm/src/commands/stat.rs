//! `trapline stat`: where the time of a run went.

use std::path::PathBuf;

use clap::ColorChoice;

use super::terminal::Output;
use super::{OK, name_of, open, sandbox};
use trace::analysis::stat::{Stat, json};
use trace::text::stat::text;

/// Show where the time went: by system call, trap, process, switch, tick and VM exit.
///
/// A note under each table explains its numbers. For several traces, the numbers that belong together are in successive
/// lines; `trapline diff` says which differences are real.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The trace files, as `trapline run --trace` wrote them; `-` is standard input
    #[arg(value_name = "TRACE", required = true)]
    pub traces: Vec<PathBuf>,
    /// Print JSON instead of text, with times in nanoseconds (docs/stat.md describes the fields)
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let opened = args.traces.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    let output = Output::new(true, ColorChoice::Auto);
    args.sandbox.read(&args.traces)?;
    let mut traces = Vec::new();
    for (path, trace) in args.traces.iter().zip(opened) {
        let stat = Stat::of(&trace);
        trace.intact()?;
        traces.push((name_of(path).display().to_string(), trace, stat));
    }
    let out = if args.json { format!("{:#}\n", json(&traces)) } else { text(&traces, output.width) };
    output.print(&out)?;
    Ok(OK)
}
