//! `trapline man`: the manual pages.

use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;

use super::{Cli, OK};

/// Write the manual pages, one for each command, such as trapline-run.1.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The folder for the pages, which must exist, such as ~/.local/share/man/man1
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let written = clap_mangen::generate_to(Cli::command(), &args.folder);
    written.with_context(|| format!("cannot write the manual pages in {}", args.folder.display()))?;
    Ok(OK)
}
