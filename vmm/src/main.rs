//! The `trapline` command.

use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::{SigHandler, Signal, signal};
use trapline::commands;

fn main() -> ExitCode {
    // A limit on the size of files shall be an error of the write, which can be told, and not the end of this process.
    // SAFETY: no handler is installed, so none can do anything that a signal handler must not.
    let _ = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
    let result = commands::Cli::parse().execute();
    ExitCode::from(result.unwrap_or_else(|error| commands::report(&error)))
}
