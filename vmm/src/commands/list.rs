//! `trapline list`: the programs that are built in.

use clap::ColorChoice;
use serde_json::json;

use super::{OK, print_json, terminal};
use crate::images;
use trace::text::put_wrapped;

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
    let names = images::PROGRAMS.iter().map(|program| program.name.len()).max().unwrap_or(0);
    let (mut text, width) = (String::new(), terminal::width_of_lines());
    for program in images::PROGRAMS {
        text.push_str(program.name);
        put_wrapped(&mut text, program.idea, names + 2, width);
    }
    terminal::Output::new(true, ColorChoice::Auto).print(&text)?;
    Ok(OK)
}
