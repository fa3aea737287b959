//! The `trapline` command.

use std::process::ExitCode;

use trapline::commands;

fn main() -> ExitCode {
    #[cfg(unix)]
    return_errors_of_long_files();
    let result = commands::Cli::from_command_line().execute();
    ExitCode::from(result.unwrap_or_else(|error| commands::report(&error)))
}

/// Makes a write beyond the limit on the size of files return an error instead of ending this process by SIGXFSZ.
#[cfg(unix)]
fn return_errors_of_long_files() {
    use nix::sys::signal::{SigHandler, Signal, signal};

    // SAFETY: no handler is installed, so none can do anything that a signal handler must not.
    let _ = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
}
