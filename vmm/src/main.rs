//! The `trapline` command.

use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::{SigHandler, Signal, signal};
use trapline::commands;

fn main() -> ExitCode {
    // A write beyond the limit on the size of files returns an error, instead of ending this process by a signal.
    // SAFETY: no handler is installed, so none can do anything that a signal handler must not.
    let _ = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
    let result = commands::Cli::parse().execute();
    ExitCode::from(result.unwrap_or_else(|error| commands::report(&error)))
}
