//! The command line: one file a subcommand, each with its `Args` and its `execute`.
//!
//! Output goes to stdout, diagnostics to stderr. The exit code is the value of `execute`, or the one that
//! fits its error.

pub mod check;
pub mod diff;
pub mod doctor;
pub mod export;
pub mod extract;
mod lines;
pub mod list;
mod output;
pub mod programs;
pub mod protocol;
pub mod recover;
pub mod report;
pub mod run;
pub mod stat;
mod stdout;
pub mod tour;
pub mod view;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::machine::host::Missing;
use crate::machine::vcpu::VmError;
use trace::{Damage, OpenError, Trace, WriteError};

/// All is well.
pub const OK: u8 = 0;
/// Trapline failed.
pub const FAILED: u8 = 1;
/// The command line was wrong, or a file that it named.
pub const USAGE: u8 = 2;
/// A process was killed or failed.
pub const PROCESS_FAILED: u8 = abi::exit::PROCESS_FAILED as u8;
/// The guest crashed: triple fault, or KVM could not go on.
pub const CRASHED: u8 = 33;
/// The kernel gave up.
pub const KERNEL_PANIC: u8 = abi::exit::KERNEL_PANIC as u8;
/// `--timeout` ran out.
pub const TIME_OUT: u8 = 36;
/// This host has no usable KVM; test harnesses read this code as "skipped".
pub const NO_KVM: u8 = 77;
/// A signal ended the run.
pub const INTERRUPTED: u8 = 130;

/// What the user asked for cannot be done: a wrong option, or a file that does not fit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl From<OpenError> for Usage {
    fn from(error: OpenError) -> Usage {
        Usage(error.to_string())
    }
}

/// Watch limited direct execution happen on a real virtual CPU.
///
/// Trapline boots a tiny kernel in a virtual machine of its own, lets it run user programs, and keeps a record
/// of everything the CPU did to it: each trap, each tick of the timer, each switch from one process to the
/// other. All of it is in a trace file that you can read when the run is over.
#[derive(clap::Parser, Debug)]
#[command(name = "trapline", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Start here:
  trapline doctor                      can this computer do it?
  trapline run                         the tour: a few seconds, one of everything
  trapline view trapline-1.trap        read what happened

Exit codes: 0 all went well; 1 Trapline failed; 2 wrong usage; 32 a process was killed or failed; 33 the guest
crashed; 34 the kernel gave up; 36 time-out; 77 this host has no usable KVM; 130 interrupted.";

#[derive(clap::Subcommand, Debug)]
enum Command {
    Run(run::Args),
    List(list::Args),
    View(view::Args),
    Protocol(protocol::Args),
    Recover(recover::Args),
    Check(check::Args),
    Stat(stat::Args),
    Diff(diff::Args),
    Report(report::Args),
    Export(export::Args),
    Extract(extract::Args),
    Doctor(doctor::Args),
}

impl Cli {
    /// Runs the command; the value is the exit code.
    pub fn execute(&self) -> anyhow::Result<u8> {
        match &self.command {
            Command::Run(args) => run::execute(args),
            Command::List(args) => list::execute(args),
            Command::View(args) => view::execute(args),
            Command::Protocol(args) => protocol::execute(args),
            Command::Recover(args) => recover::execute(args),
            Command::Check(args) => check::execute(args),
            Command::Stat(args) => stat::execute(args),
            Command::Diff(args) => diff::execute(args),
            Command::Report(args) => report::execute(args),
            Command::Export(args) => export::execute(args),
            Command::Extract(args) => extract::execute(args),
            Command::Doctor(args) => doctor::execute(args),
        }
    }
}

/// Tells an error on stderr, and gives the exit code that fits it. A reader of our output that has seen
/// enough, as `head` does, is no error.
pub fn report(error: &anyhow::Error) -> u8 {
    let io = error.downcast_ref::<io::Error>();
    if io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return OK;
    }
    complain(&chain(error));
    let no_kvm = error.is::<Missing>() || matches!(error.downcast_ref(), Some(VmError::Missing(_)));
    let usage = error.is::<Usage>() || matches!(error.downcast_ref(), Some(WriteError::Exists { .. }));
    match (no_kvm, usage) {
        (true, _) => NO_KVM,
        (_, true) => USAGE,
        _ => FAILED,
    }
}

/// An error and its causes, leaving out those whose words stand in the text already.
fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        text if text.contains(&cause) => text.to_owned(),
        text => format!("{text}: {cause}"),
    })
}

/// A diagnostic on stderr. Nobody can be told that stderr is closed.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "trapline: {message}");
}

/// The trace file that the command line names, with a warning of each damage. That it is none is wrong usage, so that
/// exit code 1 of `check` and `diff` is for what they find.
fn open(path: &Path) -> Result<Trace, Usage> {
    let trace = Trace::open(path)?;
    warn(path, trace.damage());
    Ok(trace)
}

fn warn<'a>(path: &Path, damages: impl IntoIterator<Item = &'a Damage>) {
    damages.into_iter().for_each(|damage| complain(&format!("warning: {}: {damage}", path.display())));
}

/// A duration such as `200us`, `1ms`, `1.5s` or `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 4] = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)];
    let help = || format!("\"{text}\" is no duration; write a number with us, ms, s or m, such as 1ms");
    let (unit, scale) = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(help)?;
    let number = text.strip_suffix(unit).unwrap_or_default();
    if !number.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(help());
    }
    let seconds: f64 = number.parse().map_err(|_| help())?;
    Duration::try_from_secs_f64(seconds * scale).map_err(|_| format!("{text} is longer than time itself"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("200us"), Ok(Duration::from_micros(200)));
        assert_eq!(duration("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "1", "s", "-1s", "1h", "nans", "infs", "1e400s", "+1s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = || anyhow::anyhow!("no room");
        assert_eq!(chain(&error().context("cannot write")), "cannot write: no room");
        assert_eq!(chain(&error().context("cannot write: no room")), "cannot write: no room");
    }

    #[test]
    fn errors_have_their_exit_codes() {
        let missing = || crate::machine::host::diagnose("/dev/kvm".into(), io::ErrorKind::Other.into());
        assert_eq!(report(&missing().into()), NO_KVM);
        assert_eq!(report(&VmError::Missing(missing()).into()), NO_KVM);
        assert_eq!(report(&Usage("--quantum".into()).into()), USAGE);
        assert_eq!(report(&anyhow::anyhow!("anything")), FAILED);
        assert_eq!(report(&io::Error::from(io::ErrorKind::BrokenPipe).into()), OK);
    }
}
