//! `trapline report`: a trace as a page for a browser.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Usage, complain, open};
use crate::export::report;

/// Make a page of a trace: a timeline, every switch step by step, and where the time went.
///
/// The page is one file that needs nothing else: it opens offline, and can be sent and kept.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Where to
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let trace = open(&args.trace)?;
    let file = create(args)?;
    let name = args.trace.file_name().unwrap_or(OsStr::new("a trace")).to_string_lossy();
    if let Err(error) = report::write(&trace, &name, BufWriter::new(&file)) {
        remove_partial(&file, &args.output);
        return Err(error).with_context(|| format!("cannot write {}", args.output.display()));
    }
    if trace.events().nth(report::EVENTS_MAX).is_some() {
        let drawn = report::EVENTS_MAX;
        complain(&format!("warning: the page draws the first {drawn} events only; its totals are of all"));
    }
    writeln!(io::stdout(), "The report is in {}: open it in a browser.", args.output.display())?;
    Ok(super::OK)
}

/// A new file. Like a trace, a page replaces no file unless told to, and never the trace that it is of.
fn create(args: &Args) -> anyhow::Result<File> {
    let path = &args.output;
    let is_file = path.is_file();
    if is_file && same_file(path, &args.trace) {
        return Err(Usage(format!(
            "{} is the trace itself: choose another file with --output",
            path.display()
        ))
        .into());
    }
    if is_file && !args.force {
        return Err(Usage(format!(
            "{} exists already: choose another file with --output, or replace it with --force",
            path.display()
        ))
        .into());
    }
    let context = || format!("cannot write {}", path.display());
    if is_file {
        fs::remove_file(path).with_context(context)?;
    }
    OpenOptions::new().write(true).create(true).truncate(true).open(path).with_context(context)
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.metadata(), b.metadata()), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// Half a page is no page. A device is left as it is.
fn remove_partial(file: &File, path: &Path) {
    if file.metadata().is_ok_and(|meta| meta.is_file()) {
        // Best effort: the error that matters is the one of the write.
        let _: io::Result<()> = fs::remove_file(path);
    }
}
