//! `trapline view`: a trace as text.

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, IsTerminal};
use std::path::PathBuf;

use anyhow::Context;

use crate::export::text;
use crate::trace::Trace;

/// Show a trace as text: what happened, one event a line
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The trace file, as `trapline run --trace` wrote it
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// Only the events of this process: its number, its name, NAME/NUMBER, `kernel` or `host`
    #[arg(long, value_name = "PROCESS")]
    pub process: Option<String>,
}

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let trace = Trace::open(&args.trace)?;
    for damage in trace.damage() {
        eprintln!("warning: {}: {damage}", args.trace.display());
    }
    let stdout = io::stdout().lock();
    let colour = stdout.is_terminal() && wants_colour(std::env::var_os("NO_COLOR"));
    let options = text::Options { colour, process: args.process.clone() };
    match text::write(&trace, &options, BufWriter::with_capacity(1 << 16, stdout)) {
        Ok(0) if args.process.is_some() => {
            eprintln!("warning: the trace has no event of that process; without --process it shows all");
            Ok(0)
        }
        // Whoever read has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
        other => other.map(|_| 0).context("cannot write the text to standard output"),
    }
}

/// NO_COLOR, set to anything but nothing, asks for none (no-color.org).
fn wants_colour(no_color: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_is_respected() {
        assert!(wants_colour(None) && wants_colour(Some("".into())));
        assert!(!wants_colour(Some("1".into())));
    }

    #[test]
    fn a_missing_file_is_named() {
        let args = Args { trace: "/nonexistent/t.trap".into(), process: None };
        let error = execute(&args).expect_err("there is no such file").to_string();
        assert!(error.contains("/nonexistent/t.trap"), "{error}");
    }
}
