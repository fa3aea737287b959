//! The command line: one file per subcommand, each with its `Args` and its `execute`.
//!
//! Output goes to stdout, diagnostics to stderr. The exit code is the value of `execute`, or the one that
//! fits its error.

pub mod check;
pub mod completions;
pub mod diff;
pub mod expect;
pub mod export;
pub mod import;
pub mod man;
mod output;
mod progress;
pub mod protocol;
pub mod recover;
pub mod report;
pub mod stat;
mod terminal;
pub mod view;

// The commands that run guests.
#[cfg(kvm)]
pub mod bench;
#[cfg(kvm)]
mod boots;
#[cfg(kvm)]
pub mod doctor;
#[cfg(kvm)]
mod escape;
#[cfg(kvm)]
pub mod extract;
#[cfg(kvm)]
pub mod list;
#[cfg(kvm)]
mod live;
#[cfg(kvm)]
pub mod programs;
#[cfg(kvm)]
pub mod run;
#[cfg(kvm)]
mod sandbox;
#[cfg(kvm)]
mod status;
#[cfg(kvm)]
pub mod strace;
#[cfg(kvm)]
mod stream;
#[cfg(kvm)]
pub mod tour;

#[cfg(any(not(kvm), test))]
pub mod elsewhere;
#[cfg(not(kvm))]
use elsewhere::{
    self as bench, self as doctor, self as extract, self as list, self as run, self as strace, sandbox,
};

use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::LazyLock;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches};
use serde_json::Value;
use trace::{Damage, Meta, OpenError, Trace, WriteError};

/// The command succeeded.
pub const OK: u8 = 0;
/// `check`: the trace has nothing to check.
pub const NOTHING: u8 = 3;
/// Trapline failed.
pub const FAILED: u8 = 1;
/// The command line is wrong, or a file that it names.
pub const USAGE: u8 = 2;
/// A process was killed or failed.
pub const PROCESS_FAILED: u8 = abi::exit::PROCESS_FAILED as u8;
/// The guest crashed: triple fault, or KVM could not go on.
pub const CRASHED: u8 = 33;
/// The kernel panicked.
pub const KERNEL_PANIC: u8 = abi::exit::KERNEL_PANIC as u8;
/// Every process waited for another one.
pub const DEADLOCK: u8 = abi::exit::DEADLOCK as u8;
/// `--timeout` ran out.
pub const TIME_OUT: u8 = 36;
/// The guest halted with interrupts off.
pub const HALTED: u8 = 37;
/// `--max-trace` or `--max-output` ended the run.
pub const LIMIT: u8 = 38;
/// This host has no usable KVM, or with `--accel qemu` no QEMU; test harnesses read this code as "skipped".
pub const NO_KVM: u8 = 77;
/// A signal ended the run.
pub const INTERRUPTED: u8 = 130;

/// The name of a trace that stands for standard input, or for standard output.
const STANDARD: &str = "-";

/// What the user asked for cannot be done: a wrong option, or a file that does not fit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Watch limited direct execution happen on a real virtual CPU.
///
/// Trapline boots a tiny kernel in a virtual machine, and the kernel runs user programs. Trapline records each trap,
/// each timer tick and each switch between processes in a trace file, which you can read with the other commands.
#[derive(clap::Parser, Debug)]
#[command(name = "trapline", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The version, and those of what it reads, writes and runs.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let (abi, format) = (abi::VERSION, trace::format::VERSION);
    let text = format!("{}\nABI {abi}, trace format {format}", env!("CARGO_PKG_VERSION"));
    #[cfg(kvm)]
    let text = format!("{text}\nkernel {} (SHA-256)", crate::run::sha256(crate::images::KERNEL));
    text
});

const EXAMPLES: &str = "\
Start here:
  trapline doctor                      check whether this computer can run Trapline
  trapline run                         run the tour: a few programs that show one idea each
  trapline view trapline-1.trap        show what happened

Exit codes of `run`: 0 every process exited with status 0; 1 Trapline failed; 2 wrong usage; 32 a process was \
killed or exited with another status; 33 the guest crashed; 34 the kernel panicked; 35 deadlock; 36 time-out; 37 the \
guest halted for good; 38 a limit was reached; 77 this host has no usable KVM, or no QEMU for --accel qemu; 130 a signal \
stopped the run. Every other command exits with 0, 1 or 2, unless its help names other codes.";

#[derive(clap::Subcommand, Debug)]
enum Command {
    Run(run::Args),
    Strace(strace::Args),
    List(list::Args),
    View(view::Args),
    Protocol(protocol::Args),
    Recover(recover::Args),
    Import(import::Args),
    Check(check::Args),
    Expect(expect::Args),
    Stat(stat::Args),
    Diff(diff::Args),
    Report(report::Args),
    Export(export::Args),
    Extract(extract::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Cli {
    /// Parses the command line of this process. Only `--version` works out the hash of the kernel. Help is wrapped at the
    /// terminal's width, and goes through the pager.
    pub fn from_command_line() -> Cli {
        let is_version = std::env::args_os().any(|word| word == "--version");
        let command = Cli::command().term_width(terminal::width());
        let command = if is_version { command.long_version(LONG_VERSION.as_str()) } else { command };
        let error = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
            Ok(cli) => return cli,
            Err(error) => error,
        };
        let code = match error.kind() {
            ErrorKind::DisplayHelp => OK,
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if io::stdout().is_terminal() => USAGE,
            _ => error.exit(),
        };
        let output = terminal::Output::new(true, ColorChoice::Auto);
        let help = error.render();
        let help = if output.colour { help.ansi().to_string() } else { help.to_string() };
        let code = output.print(&help).map_or_else(|error| report(&error.into()), |()| code);
        std::process::exit(code.into())
    }

    /// Runs the command; the value is the exit code.
    pub fn execute(&self) -> anyhow::Result<u8> {
        use Command::{Export, Import, Recover, Report};
        progress::start(matches!(self.command, Export(_) | Import(_) | Recover(_) | Report(_)));
        let result = self.execute_command();
        progress::finish();
        result
    }

    fn execute_command(&self) -> anyhow::Result<u8> {
        match &self.command {
            Command::Run(args) => run::execute(args),
            Command::Strace(args) => strace::execute(args),
            Command::List(args) => list::execute(args),
            Command::View(args) => view::execute(args),
            Command::Protocol(args) => protocol::execute(args),
            Command::Recover(args) => recover::execute(args),
            Command::Import(args) => import::execute(args),
            Command::Check(args) => check::execute(args),
            Command::Expect(args) => expect::execute(args),
            Command::Stat(args) => stat::execute(args),
            Command::Diff(args) => diff::execute(args),
            Command::Report(args) => report::execute(args),
            Command::Export(args) => export::execute(args),
            Command::Extract(args) => extract::execute(args),
            Command::Doctor(args) => doctor::execute(args),
            Command::Bench(args) => bench::execute(args),
            Command::Completions(args) => completions::execute(args),
            Command::Man(args) => man::execute(args),
        }
    }
}

/// Prints an error and its causes on stderr, and returns the exit code that fits it. It is not an error if the reader of our
/// output closed the pipe, as `head` does.
pub fn report(error: &anyhow::Error) -> u8 {
    let io = error.downcast_ref::<io::Error>();
    if io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return OK;
    }
    let text = format!("{error:#}");
    complain(&text);
    #[cfg(kvm)]
    if let Some((what, command)) = reached_limit(error).filter(|(_, command)| !text.contains(command)) {
        complain(&format!("this process may have no more: raise its limit on {what} ({command})"));
    }
    #[cfg(kvm)]
    if error.downcast_ref().is_some_and(crate::run::RunError::is_missing_kvm) {
        complain(run::WITHOUT_KVM);
    }
    let is_usage = error.is::<Usage>()
        || error.downcast_ref().is_some_and(is_wrong_file)
        || matches!(error.downcast_ref(), Some(WriteError::Exists { .. }));
    if is_usage { USAGE } else { run::exit_code_of(error).unwrap_or(FAILED) }
}

/// The limit of the process that caused an error, and the shell's command that shows and sets it.
#[cfg(kvm)]
fn reached_limit(error: &anyhow::Error) -> Option<(&'static str, &'static str)> {
    match error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error())? {
        libc::EMFILE => Some(("open files", "`ulimit -n`")),
        libc::EFBIG => Some(("the size of files", "`ulimit -f`")),
        _ => None,
    }
}

/// Whether a file cannot be opened because it is the wrong file, and not because this host failed to read it.
fn is_wrong_file(error: &OpenError) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    match error {
        OpenError::Read { cause, .. } => {
            matches!(cause.kind(), IsADirectory | NotADirectory | NotFound | PermissionDenied)
        }
        _ => true,
    }
}

/// Prints a diagnostic on stderr. If stderr is closed, it cannot be printed anywhere.
fn complain(message: &str) {
    #[cfg(kvm)]
    let mut stderr = stream::Stream(io::stderr());
    #[cfg(not(kvm))]
    let mut stderr = io::stderr();
    progress::beside(|| drop(stderr.write_all(format!("trapline: {message}\n").as_bytes())));
}

/// Opens the trace that the command line names, and prints a warning for each damage.
fn open(path: &Path) -> anyhow::Result<Trace> {
    let trace = load(path)?;
    warn(path, trace.damage());
    Ok(trace)
}

/// Opens the trace that the command line names: a file, or [`STANDARD`] input, which is read into memory.
fn load(path: &Path) -> anyhow::Result<Trace> {
    if path != STANDARD {
        return Ok(progress::open(path)?);
    }
    let input = io::stdin().lock();
    if input.is_terminal() {
        return Err(Usage(
            "standard input is a terminal: name a trace file, or pipe a trace to this command".into(),
        )
        .into());
    }
    Ok(Trace::from_reader(input, name_of(path))?)
}

/// The most that is read of a text file, in bytes: as much as a guest may print by default.
const TEXT_MAX: u64 = 1 << 30;

/// The contents of a text file that the command line names. One that is larger than [`TEXT_MAX`], or never ends, is refused.
fn read_text(path: &Path) -> Result<String, Usage> {
    let cannot = |error: &dyn Display| Usage(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(|error| cannot(&error))?;
    let mut bytes = Vec::new();
    file.take(TEXT_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > TEXT_MAX {
        return Err(cannot(&format_args!("it has more than {TEXT_MAX} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The name of a trace for messages.
fn name_of(path: &Path) -> &Path {
    if path == STANDARD { Path::new("standard input") } else { path }
}

/// Prints a JSON document on standard output.
fn print_json(document: &Value) -> io::Result<()> {
    writeln!(io::stdout(), "{document:#}")
}

/// Prints a note that times are emulated, if they are. The formats of other tools have no field for that.
fn note_emulated(meta: &Meta) {
    if let Some(emulator) = &meta.emulator {
        complain(&format!(
            "note: the CPU was emulated by {}, so all times are emulated",
            trace::printable(emulator)
        ));
    }
}

fn warn(path: &Path, damage: &[Damage]) {
    let lines = trace::analysis::damage_lines(damage);
    lines.iter().for_each(|line| complain(&format!("warning: {}: {line}", name_of(path).display())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_example_is_wrapped_at_80_columns() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let long = help.lines().find(|line| line.starts_with(' ') && line.chars().count() > 80);
            assert_eq!(long, None, "{}", command.get_name());
        }
    }

    #[test]
    fn errors_have_their_exit_codes() {
        assert_eq!(report(&Usage("--quantum".into()).into()), USAGE);
        assert_eq!(report(&anyhow::anyhow!("anything")), FAILED);
        assert_eq!(report(&io::Error::from(io::ErrorKind::BrokenPipe).into()), OK);
    }
}
