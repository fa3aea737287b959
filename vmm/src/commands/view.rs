//! `trapline view`: a trace as text.

/// Arguments of `trapline view`.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the command; the value is the exit code.
pub fn execute(_args: &Args) -> anyhow::Result<u8> {
    Ok(0)
}
