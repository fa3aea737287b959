//! The command line: one file a subcommand, each with its `Args` and its `execute`.
//!
//! Output goes to stdout, diagnostics to stderr. The exit code is the value of `execute`, or the one that
//! fits its error.

pub mod check;
pub mod diff;
pub mod doctor;
pub mod export;
pub mod extract;
pub mod list;
mod output;
pub mod programs;
pub mod protocol;
pub mod recover;
pub mod report;
pub mod run;
pub mod stat;
mod stream;
pub mod tour;
pub mod view;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use self::stream::Stream;
use crate::run::{ProgramError, RunError};
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
/// The kernel panicked.
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
crashed; 34 the kernel panicked; 36 time-out; 77 this host has no usable KVM; 130 interrupted.";

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

/// Prints an error and its causes on stderr, and returns the exit code that fits it. A reader of our output that has seen
/// enough, as `head` does, is no error.
pub fn report(error: &anyhow::Error) -> u8 {
    let io = error.downcast_ref::<io::Error>();
    if io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return OK;
    }
    complain(&format!("{error:#}"));
    let run = error.downcast_ref::<RunError>();
    let is_usage = error.is::<Usage>()
        || error.is::<ProgramError>()
        || error.downcast_ref().is_some_and(is_wrong_file)
        || matches!(error.downcast_ref(), Some(WriteError::Exists { .. }))
        || run.is_some_and(RunError::is_usage);
    match (run.is_some_and(RunError::is_missing_kvm), is_usage) {
        (true, _) => NO_KVM,
        (_, true) => USAGE,
        _ => FAILED,
    }
}

/// Whether a file that cannot be opened is the wrong one, and not one that this host fails to read.
fn is_wrong_file(error: &OpenError) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    match error {
        OpenError::Read { cause, .. } => {
            matches!(cause.kind(), IsADirectory | NotADirectory | NotFound | PermissionDenied)
        }
        _ => true,
    }
}

/// Prints a diagnostic on stderr. If stderr is closed, there is no place left to say so.
fn complain(message: &str) {
    let _ = Stream(io::stderr()).write_all(format!("trapline: {message}\n").as_bytes());
}

/// The trace file that the command line names, with a warning of each damage.
fn open(path: &Path) -> Result<Trace, OpenError> {
    let trace = Trace::open(path)?;
    warn(path, trace.damage());
    Ok(trace)
}

fn warn(path: &Path, damage: &[Damage]) {
    let lines = trace::analysis::damage_lines(damage);
    lines.iter().for_each(|line| complain(&format!("warning: {}: {line}", path.display())));
}

/// A duration such as `200us`, `1.5s` or `2m`, from `least` to `most`.
fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let bounds =
        || format!("it can be {} to {}", humantime::format_duration(least), humantime::format_duration(most));
    match humantime::parse_duration(text) {
        Ok(duration) if (least..=most).contains(&duration) => Ok(duration),
        Ok(_) => Err(bounds()),
        Err(error) => Err(format!("{error}; {}", bounds())),
    }
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
    fn durations_have_a_unit_and_bounds() {
        let (least, most) = (Duration::from_micros(200), Duration::from_secs(120));
        assert_eq!(duration("200us", least, most), Ok(least));
        assert_eq!(duration("1.5s", least, most), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m", least, most), Ok(most));
        for wrong in ["", "1", "s", "-1s", "199us", "121s", "nans", "10000000000000000000s", "1e400s"] {
            let error = duration(wrong, least, most).unwrap_err();
            assert!(error.contains("200us to 2m"), "{wrong}: {error}");
        }
    }

    #[test]
    fn errors_have_their_exit_codes() {
        use crate::engine::EngineError;
        use crate::machine::boot::BootError;
        use crate::machine::{host, layout};

        let engine = |error: EngineError| report(&RunError::from(error).into());
        let kvm =
            |errno| engine(host::diagnose(host::DEVICE.into(), io::Error::from_raw_os_error(errno)).into());
        assert_eq!((kvm(libc::ENOENT), kvm(libc::EMFILE)), (NO_KVM, FAILED));
        let reserve = layout::reserve(u64::MAX).unwrap_err();
        assert_eq!(
            engine(BootError::from(reserve).into()),
            FAILED,
            "a host without memory is no wrong usage"
        );
        assert_eq!(engine(BootError::NoPvhNote.into()), USAGE);
        assert_eq!(report(&Usage("--quantum".into()).into()), USAGE);
        assert_eq!(report(&anyhow::anyhow!("anything")), FAILED);
        assert_eq!(report(&io::Error::from(io::ErrorKind::BrokenPipe).into()), OK);
    }
}
