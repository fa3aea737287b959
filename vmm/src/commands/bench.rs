//! `trapline bench`: what do traps and exits cost on this host?

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::output::Output;
use super::{INTERRUPTED, OK, Usage, complain, print_json, read_text};
use crate::bench::compare::{compare, differences};
use crate::bench::page::page;
use crate::bench::text::{comparison, text};
use crate::bench::{Bench, BenchError, VERSION, measure};

/// Measure what traps and exits cost on this host.
///
/// Small guests measure on the virtual CPU, with its clock: system calls, faults, switches, timers, exits, HLT, and the
/// launch of a guest. docs/costs.md explains each row. Run it on a machine without other work.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 it measured, whatever the result; 2 wrong usage, or no result of an earlier run; \
    77 this host has no usable KVM; 130 interrupted."
)]
pub struct Args {
    /// Print JSON instead of text, for a later --compare (docs/json.md describes the fields)
    #[arg(long)]
    json: bool,
    /// Say for each row whether it is better or worse than in this result, which `bench --json` printed, or whether the
    /// difference is noise
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Also write the result as a page for a browser, with a chart, to this HTML file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let old = args.compare.as_deref().map(read).transpose()?;
    let output =
        args.output.as_deref().map(|path| Output::file(path, Path::new(""), args.force)).transpose()?;
    let new = match measure(progress) {
        Err(BenchError::Interrupted) => return Ok(INTERRUPTED),
        Err(BenchError::Run(error)) => return Err(error.into()),
        Ok(bench) => bench,
    };
    if let Some(output) = output {
        output.write(|out| out.write_all(page(&new).as_bytes()))?;
    }
    let compared = old.as_ref().map(|old| (old, compare(old, &new)));
    if args.json {
        let mut document = json!(new);
        if let Some((old, rows)) = &compared {
            document["compared"] = json!(rows);
            differences(old, &new).iter().for_each(|difference| complain(difference));
        }
        print_json(&document)?;
        return Ok(OK);
    }
    let mut out = text(&new);
    if let Some((old, rows)) = &compared {
        out += "\n";
        out += &comparison(old, &new, rows);
    }
    io::stdout().write_all(out.as_bytes()).context("cannot print the result")?;
    Ok(OK)
}

/// Reads an earlier result.
fn read(path: &Path) -> Result<Bench, Usage> {
    let path_shown = path.display();
    let bench: Bench = serde_json::from_str(&read_text(path)?).map_err(|error| {
        Usage(format!("{path_shown} is not a result of `trapline bench --json`: {error}"))
    })?;
    if bench.version != VERSION {
        return Err(Usage(format!(
            "{path_shown} is a result of version {}, and this Trapline compares version {VERSION}: measure again with the \
             Trapline that is to be compared",
            bench.version
        )));
    }
    Ok(bench)
}

/// Says on a terminal what is being measured.
fn progress(group: &str) {
    if io::stderr().is_terminal() {
        eprintln!("measuring: {group}");
    }
}
