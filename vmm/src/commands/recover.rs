//! `trapline recover`: copies the readable records of a damaged trace to a new trace.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{OK, Usage, load, name_of, print_json, progress, sandbox, terminal};
use trace::text::put_wrapped;
use trace::{Recovered, recover};

/// Write the readable records of a damaged trace to a new trace, and say what is missing.
///
/// The damaged file is not changed. Every command that reads the new file warns of the missing records.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The damaged trace file; `-` is standard input
    #[arg(value_name = "DAMAGED")]
    trace: PathBuf,
    /// The new trace file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the new file if it exists
    #[arg(long)]
    force: bool,
    /// Print JSON instead of text (docs/json.md describes the fields)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    if same(&args.trace, &args.output) {
        let name = args.trace.display();
        return Err(Usage(format!(
            "{name} cannot be both the damaged file and the new one; name another with -o"
        ))
        .into());
    }
    let trace = load(&args.trace)?;
    let width = terminal::width_of_lines();
    args.sandbox.make(std::slice::from_ref(&args.trace), &args.output)?;
    let Recovered { records, missing, bytes } = recover(&trace, &args.output, args.force)?;
    progress::finish();
    if args.json {
        let damage: Vec<_> = trace.damage().iter().map(ToString::to_string).collect();
        print_json(&json!({
            "output": args.output.to_string_lossy(),
            "records": records,
            "missing_records": missing,
            "damaged_bytes": bytes,
            "damage": damage,
        }))?;
        return Ok(OK);
    }
    let mut text = String::new();
    for damage in trace.damage() {
        put_wrapped(&mut text, &damage.to_string(), 0, width);
    }
    if trace.damage().is_empty() {
        put_wrapped(&mut text, &format!("{} is not damaged.", name_of(&args.trace).display()), 0, width);
    }
    let result = format!(
        "{records} records are in {}; {missing} are known to be missing, {bytes} bytes were damaged.",
        args.output.display()
    );
    put_wrapped(&mut text, &result, 0, width);
    io::stdout().write_all(text.as_bytes())?;
    Ok(OK)
}

/// Whether two paths name one file that exists.
fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
