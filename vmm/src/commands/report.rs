//! `trapline report`: a trace as a page for a browser.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::PathBuf;

use super::output::Output;
use super::{complain, name_of, open, progress, sandbox};
use trace::report;

/// Make an HTML page from a trace: a timeline, every switch step by step, and where the time went.
///
/// The page is a single file and needs no network.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it; `-` is standard input
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The HTML file to write
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let trace = open(&args.trace)?;
    let output = Output::file(&args.output, &args.trace, args.force)?;
    args.sandbox.make(&args.trace, &args.output)?;
    let name = name_of(&args.trace).file_name().unwrap_or(OsStr::new("a trace")).to_string_lossy();
    output.write(|out| {
        report::write(&trace, &name, out)?;
        trace.intact().map_err(io::Error::other)
    })?;
    if trace.events().nth(report::EVENTS_MAX).is_some() {
        let drawn = report::EVENTS_MAX;
        complain(&format!(
            "warning: the page draws only the first {drawn} events; its numbers cover all events"
        ));
    }
    progress::finish();
    writeln!(io::stdout(), "The report is in {}: open it in a browser.", args.output.display())?;
    Ok(super::OK)
}
