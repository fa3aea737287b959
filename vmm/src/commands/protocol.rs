//! `trapline protocol`: the book's tables from a trace.

use std::path::PathBuf;

use clap::ColorChoice;

use super::terminal::Output;
use super::{Usage, open, sandbox};
use trace::analysis::protocol::{self, Excerpt};
use trace::text::protocol as text;

const EXAMPLES: &str = "\
Examples:
  trapline protocol t.trap                   the parts that the book has
  trapline protocol t.trap --first-trap      boot to the first system call
  trapline protocol t.trap --process hello   the life of a process
  trapline protocol t.trap --switch 3        the third switch";

/// Print the book's tables: what the OS, the hardware and the program did, step by step.
///
/// Each row shows a record of the trace; a step that no record proves is not printed. The tables distinguish three
/// places where registers are saved: the hardware's frame, the stub's trap frame, and the context of the switch.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it; `-` is standard input
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Only this switch between two processes, counted from 1
    #[arg(long, value_name = "N", group = "excerpt")]
    switch: Option<usize>,
    /// Only the life of this process: its number, its name or NAME/NUMBER
    #[arg(long, value_name = "PROCESS", group = "excerpt")]
    process: Option<String>,
    /// Only boot, and the first process to the return from its first system call
    #[arg(long, group = "excerpt")]
    first_trap: bool,
    /// The output format: text for people, Markdown, or JSON for scripts
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The width of the text in columns, 60 to 400 [default: that of the terminal, at most 120]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(60..=400))]
    width: Option<u16>,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Markdown,
    Json,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let trace = open(&args.trace)?;
    let output = Output::new(true, ColorChoice::Auto);
    args.sandbox.read(std::slice::from_ref(&args.trace))?;
    let tables = protocol::tables(&trace, &args.excerpt()).map_err(|error| Usage(error.to_string()));
    trace.intact()?;
    let tables = tables?;
    let text = match args.format {
        Format::Text => text::text(trace.meta(), &tables, args.width.map_or(output.width, usize::from)),
        Format::Markdown => text::markdown(trace.meta(), &tables),
        Format::Json => text::json(&trace, &tables)? + "\n",
    };
    output.print(&text)?;
    Ok(super::OK)
}

impl Args {
    fn excerpt(&self) -> Excerpt {
        match (&self.process, self.switch) {
            (Some(process), _) => Excerpt::Process(process.clone()),
            (None, Some(number)) => Excerpt::Switch(number),
            (None, None) if self.first_trap => Excerpt::FirstTrap,
            (None, None) => Excerpt::Whole,
        }
    }
}
