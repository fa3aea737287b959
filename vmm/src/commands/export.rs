//! `trapline export`: a trace in the format of another tool. The formats are those of [`FORMATS`].

use std::io;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::open;
use super::output::Output;
use super::sandbox;
use trace::Trace;
use trace::export::{FORMATS, Format, Writes};

const EXAMPLES: &str = "\
Examples:
  trapline export t.trap --format jsonl -o t.jsonl
  trapline export t.trap --format csv -o t.csv";

/// Write a trace in the format of another tool.
///
/// If the export fails, it leaves no file or folder at OUT.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The format
    #[arg(long, value_parser = format())]
    format: &'static Format,
    /// The file or folder to write
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let trace = open(&args.trace)?;
    args.sandbox.make(&args.trace, &args.output)?;
    match args.format.writes {
        Writes::File(write) => Output::file(&args.output, &args.trace, args.force)?
            .write(|out| intact(&trace, write(&trace, out)))?,
        Writes::Folder(files, write) => Output::folder(&args.output, &args.trace, args.force, files)?
            .write_folder(|folder| intact(&trace, write(&trace, folder)))?,
    }
    Ok(super::OK)
}

/// A parser of a format by its name.
fn format() -> impl TypedValueParser<Value = &'static Format> {
    let names = FORMATS.iter().map(|format| PossibleValue::new(format.name).help(format.help));
    PossibleValuesParser::new(names)
        .try_map(|name| FORMATS.iter().find(|format| format.name == name).ok_or("no such format"))
}

/// Fails an export if the trace could not be read to its end.
fn intact(trace: &Trace, written: io::Result<()>) -> io::Result<()> {
    written.and_then(|()| trace.intact().map_err(io::Error::other))
}
