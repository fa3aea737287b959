//! `trapline completions`: a shell's completions of the command line.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, OK};

/// Print completions for a shell.
///
/// For bash: trapline completions bash > ~/.local/share/bash-completion/completions/trapline
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "trapline", &mut script);
    io::stdout().write_all(&script)?;
    Ok(OK)
}
