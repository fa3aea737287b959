//! `trapline export`: a trace in the form of another tool.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::{Builder, NamedTempFile};

use super::{Usage, open};
#[cfg(feature = "parquet")]
use crate::export::parquet;
use crate::export::{ctf, fields, perfetto, tracecmd};

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

/// Buffer before the output file, in bytes.
const BUFFER: usize = 1 << 18;

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
    may_write(args)?;
    match args.format {
        Format::Ctf => write_folder(args, |folder| ctf::write(&trace, folder)),
        Format::TraceCmd => write_file(args, |out| tracecmd::write(&trace, out)),
        Format::Perfetto => write_file(args, |out| perfetto::write(&trace, out)),
        Format::Jsonl => write_file(args, |out| fields::write_json_lines(&trace, out)),
        Format::Csv => write_file(args, |out| fields::write_csv(&trace, out)),
        #[cfg(feature = "parquet")]
        Format::Parquet => write_file(args, |out| parquet::write(&trace, out)),
    }
    .with_context(|| format!("cannot write {}", args.output.display()))?;
    Ok(super::OK)
}

/// Refuses a place that holds something already, unless it may be replaced.
fn may_write(args: &Args) -> Result<(), Usage> {
    let Ok(there) = args.output.metadata() else { return Ok(()) };
    let refuse = |why: &str| Err(Usage(format!("{} {why}", args.output.display())));
    if args.trace.metadata().is_ok_and(|trace| (trace.dev(), trace.ino()) == (there.dev(), there.ino())) {
        return refuse("is the trace itself: choose another name with --output");
    }
    let as_expected = if args.format == Format::Ctf { there.is_dir() } else { there.is_file() };
    if !as_expected {
        return refuse("is there and is something else: choose another name with --output");
    }
    if !args.force {
        return refuse("exists already: choose another name with --output, or replace it with --force");
    }
    if there.is_dir() && !holds_only(&args.output, &ctf::FILES) {
        return refuse("holds more than an export: choose another name with --output");
    }
    Ok(())
}

/// Whether a folder has no files but these, so that it can be removed.
fn holds_only(folder: &Path, names: &[&str]) -> bool {
    let is_ours = |entry: io::Result<DirEntry>| {
        entry.is_ok_and(|entry| names.iter().any(|name| entry.file_name() == *name))
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.all(is_ours))
}

/// Has a file written under a name that does not stay, and gives it its own when it is whole.
fn write_file(args: &Args, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
    let path = &args.output;
    let file = place(path, 0o666).tempfile_in(folder(path))?;
    let mut out = BufWriter::with_capacity(BUFFER, file.as_file());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    let named = if args.force { NamedTempFile::persist } else { NamedTempFile::persist_noclobber };
    named(file, path).map_err(|error| error.error)?;
    Ok(())
}

/// The same for a folder of files.
fn write_folder(args: &Args, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let path = &args.output;
    let new = place(path, 0o777).tempdir_in(folder(path))?;
    write(new.path())?;
    if args.force && path.exists() {
        fs::remove_dir_all(path)?;
    }
    fs::rename(new.path(), path)?;
    // What it was made as is no longer there to be removed.
    let _ = new.keep();
    Ok(())
}

/// A new place beside `path`, where nothing but a change of name is left to do. The mode is subject to the umask.
fn place(path: &Path, mode: u32) -> Builder<'_, 'static> {
    let mut builder = Builder::new();
    builder.prefix(path.file_name().unwrap_or(OsStr::new("export")));
    builder.suffix(".partial").permissions(Permissions::from_mode(mode));
    builder
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
