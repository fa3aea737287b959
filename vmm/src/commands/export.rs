//! `trapline export`: a trace in the form of another tool.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use super::open;
use super::output::Output;
use trace::Trace;
#[cfg(feature = "parquet")]
use trace::export::parquet;
use trace::export::{ctf, fields, perfetto, tracecmd};

const EXAMPLES: &str = "\
Formats, and what opens them:
  ctf         Common Trace Format 1.8, a folder: babeltrace2, Trace Compass
  trace-cmd   Linux's trace.dat: trace-cmd report, KernelShark
  perfetto    tracks on a time line: ui.perfetto.dev, trace_processor
  jsonl       an object a line, for scripts and jq
  csv         a row an event, for spreadsheets and data frames
  parquet     the same as typed columns: DuckDB, Polars, Spark
              (in builds with: cargo build --release --features parquet)

Examples:
  trapline export t.trap --format jsonl -o t.jsonl
  trapline export t.trap --format csv -o t.csv";

/// Write a trace in the form of another tool.
///
/// What appears under the name that you give is whole: an export that fails leaves nothing there.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The form
    #[arg(long, value_enum)]
    format: Format,
    /// Where to
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Replace what is there
    #[arg(long)]
    force: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Ctf,
    TraceCmd,
    Perfetto,
    Jsonl,
    Csv,
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let trace = open(&args.trace)?;
    let write = |write: fn(&Trace, &mut BufWriter<&File>) -> io::Result<()>| {
        Output::file(&args.output, &args.trace, args.force)?.write(|out| intact(&trace, write(&trace, out)))
    };
    match args.format {
        Format::Ctf => Output::folder(&args.output, &args.trace, args.force, &ctf::FILES)?
            .write_folder(|folder| intact(&trace, ctf::write(&trace, folder))),
        Format::TraceCmd => write(|trace, out| tracecmd::write(trace, out)),
        Format::Perfetto => write(|trace, out| perfetto::write(trace, out)),
        Format::Jsonl => write(|trace, out| fields::write_json_lines(trace, out)),
        Format::Csv => write(|trace, out| fields::write_csv(trace, out)),
        #[cfg(feature = "parquet")]
        Format::Parquet => write(|trace, out| parquet::write(trace, out)),
    }?;
    Ok(super::OK)
}

/// An export of a trace that could not be read to its end is not whole.
fn intact(trace: &Trace, written: io::Result<()>) -> io::Result<()> {
    written.and_then(|()| trace.intact().map_err(io::Error::other))
}
