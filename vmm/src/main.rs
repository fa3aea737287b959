//! The `trapline` command.

use std::process::ExitCode;

use clap::Parser;
use trapline::commands;

fn main() -> ExitCode {
    let result = commands::Cli::parse().execute();
    ExitCode::from(result.unwrap_or_else(|error| commands::report(&error)))
}
