//! `trapline recover`: copies the readable records of a damaged trace to a new trace.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Usage;
use super::sandbox;
use trace::{Recovered, Trace, recover};

/// Write the readable records of a damaged trace to a new trace, and say what is missing.
///
/// The damaged file is not changed. Every command that reads the new file warns of the missing records.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The damaged trace file
    #[arg(value_name = "DAMAGED")]
    trace: PathBuf,
    /// The new trace file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the new file if it exists
    #[arg(long)]
    force: bool,
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
    let trace = Trace::open(&args.trace)?;
    args.sandbox.make(&args.trace, &args.output)?;
    let Recovered { records, missing, bytes } = recover(&trace, &args.output, args.force)?;
    let mut out = io::stdout().lock();
    for damage in trace.damage() {
        writeln!(out, "{damage}")?;
    }
    if trace.damage().is_empty() {
        writeln!(out, "{} is whole.", args.trace.display())?;
    }
    writeln!(
        out,
        "{records} records are in {}; {missing} are known to be missing, {bytes} bytes were damaged.",
        args.output.display()
    )?;
    Ok(super::OK)
}

/// Whether two paths name one file that exists.
fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
