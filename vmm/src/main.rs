//! The `trapline` command.

use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::{SigHandler, Signal, signal};
use trapline::commands;

/// What is said when a file that is mapped has lost pages that were to be read.
const CUT_WHILE_READ: &str =
    "trapline: a file was cut short while it was read, or its disk failed: try again\n";

fn main() -> ExitCode {
    // A limit on the size of files shall be an error of the write, which can be told, and not the end of this process.
    // SAFETY: no handler is installed, so none can do anything that a signal handler must not.
    let _ = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
    // SAFETY: the handler calls write(2) and _exit(2) alone, which are async-signal-safe.
    let _ = unsafe { signal(Signal::SIGBUS, SigHandler::Handler(on_lost_pages)) };
    let result = commands::Cli::parse().execute();
    ExitCode::from(result.unwrap_or_else(|error| commands::report(&error)))
}

extern "C" fn on_lost_pages(_: libc::c_int) {
    // SAFETY: the buffer is a constant, and neither call touches anything else of this process.
    unsafe {
        libc::write(libc::STDERR_FILENO, CUT_WHILE_READ.as_ptr().cast(), CUT_WHILE_READ.len());
        libc::_exit(commands::FAILED.into());
    }
}
