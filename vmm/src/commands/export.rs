//! `trapline export`: a trace in the format of another tool. The formats are those of [`FORMATS`].

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::output::Output;
use super::{OK, note_emulated, open, print_json, progress, sandbox};
use trace::export::{FORMATS, Format, Writes};
use trace::{Meta, Trace};

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
    /// The trace file, as `trapline run --trace` wrote it; `-` is standard input
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The format
    #[arg(long, value_parser = format())]
    format: &'static Format,
    /// The file or folder to write
    #[arg(short, long, value_name = "OUT", required_unless_present = "dataset")]
    output: Option<PathBuf>,
    /// Instead of OUT: write FOLDER/host=HOST/backend=BACKEND/run=RUN/events.FORMAT, the layout that DuckDB and Spark read as
    /// columns. RUN is the name of the trace file without its extension (docs/fleet.md)
    #[arg(long, value_name = "FOLDER", conflicts_with = "output")]
    dataset: Option<PathBuf>,
    /// The host's name in the data set [default: the name of its CPU]
    #[arg(long, value_name = "NAME", requires = "dataset")]
    host: Option<String>,
    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,
    /// Print as JSON what was written (docs/json.md describes the fields)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let trace = open(&args.trace)?;
    let output = match &args.dataset {
        Some(dataset) => &partition(dataset, args, trace.meta())?,
        None => args.output.as_ref().context("--output is required")?,
    };
    args.sandbox.make(std::slice::from_ref(&args.trace), output)?;
    match args.format.writes {
        Writes::File(write) => {
            Output::file(output, &args.trace, args.force)?.write(|out| intact(&trace, write(&trace, out)))?
        }
        Writes::Folder(files, write) => Output::folder(output, &args.trace, args.force, files)?
            .write_folder(|folder| intact(&trace, write(&trace, folder)))?,
    }
    progress::finish();
    note_emulated(trace.meta());
    if args.json {
        let files: Vec<PathBuf> = match args.format.writes {
            Writes::File(_) => vec![output.clone()],
            Writes::Folder(files, _) => files.iter().map(|file| output.join(file)).collect(),
        };
        let files: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
        print_json(&json!({ "format": args.format.name, "files": files }))?;
    }
    Ok(OK)
}

/// The file of a trace in a data set. Its folders are created if they do not exist.
fn partition(dataset: &Path, args: &Args, meta: &Meta) -> anyhow::Result<PathBuf> {
    let host = args.host.as_deref().unwrap_or(&meta.host_cpu);
    let run = args.trace.file_stem().unwrap_or_default().to_string_lossy();
    let values = [("host", host), ("backend", &meta.engine()), ("run", &run)];
    let folder = values
        .iter()
        .fold(dataset.to_owned(), |folder, (key, value)| folder.join(format!("{key}={}", encoded(value))));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder.join(format!("events.{}", args.format.name)))
}

/// A value in the name of a folder. As in a URL, a byte that is not a letter or digit becomes `%` and its hexadecimal
/// number.
fn encoded(value: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(encode).collect()
}

/// A parser of a format by its name.
fn format() -> impl TypedValueParser<Value = &'static Format> {
    let names = FORMATS.iter().map(|format| PossibleValue::new(format.name).help(format.help));
    PossibleValuesParser::new(names)
        .try_map(|name| FORMATS.iter().find(|format| format.name == name).ok_or("unknown format"))
}

/// Fails an export if the trace could not be read to its end.
fn intact(trace: &Trace, written: io::Result<()>) -> io::Result<()> {
    written.and_then(|()| trace.intact().map_err(io::Error::other))
}
