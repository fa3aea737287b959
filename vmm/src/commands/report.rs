//! `trapline report`: a trace as a page for a browser.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    /// Compare the run with that of another trace: both timelines on one page, and the differences that `diff` finds
    #[arg(long, value_name = "TRACE")]
    compare: Option<PathBuf>,
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
    let paths: Vec<PathBuf> = std::iter::once(&args.trace).chain(&args.compare).cloned().collect();
    let traces = paths.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    if let Some(other) = &args.compare {
        Output::file(&args.output, other, args.force)?;
    }
    let output = Output::file(&args.output, &args.trace, args.force)?;
    args.sandbox.make(&paths, &args.output)?;
    let name = |path: &Path| {
        name_of(path).file_name().unwrap_or(OsStr::new("a trace")).to_string_lossy().into_owned()
    };
    output.write(|out| {
        match (&traces[..], &paths[..]) {
            ([first, second], [path, other]) => {
                report::write_compared([first, second], [&name(path), &name(other)], out)?;
            }
            _ => report::write(&traces[0], &name(&args.trace), out)?,
        }
        traces.iter().try_for_each(|trace| trace.intact()).map_err(io::Error::other)
    })?;
    if traces.iter().any(|trace| trace.events().nth(report::EVENTS_MAX).is_some()) {
        let drawn = report::EVENTS_MAX;
        complain(&format!(
            "warning: the page draws only the first {drawn} events; its numbers cover all events"
        ));
    }
    progress::finish();
    writeln!(io::stdout(), "The report is in {}: open it in a browser.", args.output.display())?;
    Ok(super::OK)
}
