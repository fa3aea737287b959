//! `trapline list`: the programs that are built in.

use std::io::{self, Write};

use serde_json::json;

use super::{OK, print_json};
use crate::images;

/// List the built-in programs and the idea that each one shows.
#[derive(clap::Args, Debug)]
#[command(after_help = "Run one or several programs:\n  trapline run hello counter\n  \
    trapline run \"counter 1000\" hog --timeout 3s\n\
    Run your own program by its path:\n  trapline run ./mine")]
pub struct Args {
    /// Print JSON instead of text (docs/json.md describes the fields)
    #[arg(long)]
    json: bool,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    if args.json {
        let program = |program: &images::Program| json!({ "name": program.name, "idea": program.idea });
        print_json(&images::PROGRAMS.iter().map(program).collect())?;
        return Ok(OK);
    }
    let mut output = io::stdout().lock();
    let width = images::PROGRAMS.iter().map(|program| program.name.len()).max().unwrap_or(0);
    for program in images::PROGRAMS {
        writeln!(output, "{:width$}  {}", program.name, program.idea)?;
    }
    Ok(OK)
}
