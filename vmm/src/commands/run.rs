//! `trapline run`: boots the kernel with some programs and keeps a trace of what happens.
//!
//! This module is the command line of [`crate::run`]: options, messages, the summary and exit codes. Messages are printed
//! after the trace is closed, so that no record is lost if the reader of a stream does not read it.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use abi::boot::{
    BATCH_DEFAULT, BATCH_MAX, QUANTUM_US_DEFAULT, QUANTUM_US_MAX, QUANTUM_US_MIN, STACK_MIB_DEFAULT,
    STACK_MIB_MAX,
};
use abi::record::{Ending, HostCounter, Policy, Stop, Timer};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::status::StatusLine;
use super::stream::{Stream, is_output};
use super::terminal::{self, TerminalSize};
use super::{STANDARD, Usage, boots, complain, escape, live, programs, sandbox, tour, warn};
use crate::machine::bus::PORTS_MAX;
use crate::machine::kick::TIMEOUT_MAX;
use crate::machine::layout::{MEMORY_DEFAULT_MIB, MEMORY_MAX_MIB, MEMORY_MIN_MIB, MIB};
use crate::run::{
    Accelerator, End, GivenFile, Kernel, Outcome, ProgramError, Run, RunError, Settings, TraceFile,
};
use trace::analysis::filter::Filter;
use trace::analysis::{ProcessSummary, Summary, damage_lines};
use trace::text::put_wrapped;
use trace::{Damage, Meta, Trace, Watcher};

/// Boot the kernel, run programs on it, and record their traps, ticks and switches in a trace file.
///
/// Without a PROGRAM, it runs the tour: several programs that make system calls, are preempted, yield, divide by
/// zero, follow a wild pointer and try a privileged instruction.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Programs to run, each in one process: a name from `trapline list`, or the path of a static x86-64 ELF file.
    /// Quote a program together with its arguments: "counter 1000"
    #[arg(value_name = "PROGRAM")]
    programs: Vec<OsString>,
    /// One more program, and then its arguments, which need no extra quotes
    #[arg(last = true, num_args = 1.., value_names = ["FILE", "ARGS"])]
    command: Vec<OsString>,
    /// A variable for the environment of each Linux program; the environment is empty otherwise. Can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<OsString>,
    /// A file or directory of the host that Linux programs can read at the path GUEST; without GUEST, at the same path
    /// as on the host. A directory is read with all files in it at the start; symbolic links are followed. Can be
    /// repeated
    #[arg(long = "file", value_name = "HOST[:GUEST]", value_parser = file_parser())]
    files: Vec<GivenFile>,
    /// What runs the guest. kvm: this host's CPU, through KVM. qemu: an emulated CPU, by the QEMU on PATH; the times
    /// in the trace then say nothing about hardware
    #[arg(long, default_value = Accelerator::Kvm.name(), value_parser = of(Accelerator::ALL, Accelerator::name))]
    accel: Accelerator,
    /// The trace file. `none`: no trace; the kernel keeps no records, and each trap costs less. `-`: standard output,
    /// which must not be a terminal; the programs then print on standard error, and there is no summary [default: the
    /// first of trapline-1.trap, trapline-2.trap, ... that does not exist]
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Replace the trace file if it exists
    #[arg(long)]
    force: bool,
    /// The scheduling policy. rr: round robin; the timer preempts a process at the end of its quantum. cooperative: no
    /// timer; a process runs until it yields, waits or ends. direct: no limits; each program runs in ring 0
    #[arg(long, default_value = Policy::RoundRobin.name(), value_parser = of(Policy::ALL, Policy::name))]
    policy: Policy,
    /// The quantum: how long a process runs before the timer preempts it, 200us to 4s [default: 10ms; the tour: 2ms]
    #[arg(long, value_name = "TIME", value_parser = quantum)]
    quantum: Option<Duration>,
    /// The mode of the APIC timer
    #[arg(long, default_value = Timer::Periodic.name(), value_parser = of(Timer::ALL, Timer::name))]
    timer: Timer,
    /// Stop the run after this time, such as 3s; at most 1year [default: never; the tour: 30s]
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    timeout: Option<Duration>,
    /// End the run when the trace has this size, at least 1M
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = trace_size)]
    max_trace: u64,
    /// End the run when the guest's output is larger than this in total
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    max_output: u64,
    /// Boot again, up to N times, when the guest crashes or its kernel panics. Each boot has a separate trace file:
    /// t.trap, t-2.trap, t-3.trap, ...
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_value_t = 0, default_missing_value = "1",
        value_parser = clap::value_parser!(u32).range(..=1000))]
    restart_on_crash: u32,
    /// The guest's memory, 8M to 3G
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = memory_size)]
    memory: u64,
    /// How far the stack of a Linux program may grow, 8M to 1G. That of a program of `trapline list` has 32K
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = stack_size)]
    stack: u64,
    /// Boot this kernel, an ELF file with a PVH note, instead of the built-in one
    #[arg(long, value_name = "ELF")]
    kernel: Option<PathBuf>,
    /// How many records the guest collects before it passes them to the host; with 1, it passes each at once
    #[arg(long, value_name = "N", default_value_t = BATCH_DEFAULT,
        value_parser = clap::value_parser!(u64).range(1..=BATCH_MAX))]
    batch: u64,
    /// Exit with the exit status of the program, or with 128 plus the number of the signal that ended it. For a run
    /// of one program
    #[arg(long)]
    exit_status: bool,
    /// Show control characters in the programs' output as `cat -v` does, for programs that you do not trust
    #[arg(long)]
    escape: bool,
    /// Show the events on standard error while they happen, as `view` shows them
    #[arg(long)]
    live: bool,
    /// With --live: show only the events that match this filter of `view`
    #[arg(long, value_name = "FILTER", requires = "live")]
    filter: Option<String>,
    /// Print the summary as JSON on standard output (docs/json.md describes the fields). The programs then print on
    /// standard error
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sandbox: sandbox::Args,
}

/// The form of the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// No summary.
    None,
    /// Text on standard error, because standard output belongs to the programs.
    Text,
    /// JSON on standard output, so the programs print on standard error.
    Json,
}

/// What the exit code means for a run that ended normally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// Whether every process exited with status 0.
    Processes,
    /// Whether each process of the tour ended as it should.
    Tour,
    /// How the one program ended: `--exit-status`.
    Program,
}

const EXAMPLES: &str = "\
Examples:
  trapline run                                      the tour
  trapline run hello counter                        two processes
  trapline run \"counter 1000\" hog --timeout 3s      one with an argument
  trapline run counter hog --policy cooperative --timeout 1s
  trapline run ./mine --trace mine.trap             a program of your own
  trapline run --trace mine.trap -- ./mine a \"b c\"  with its arguments";

/// What to do on a host without KVM, in one line to copy.
pub const WITHOUT_KVM: &str =
    "without KVM, the guest can run on an emulated CPU, which needs QEMU: trapline run --accel qemu";

/// The version of the JSON form: fields may be added, none changes its meaning within a version.
const JSON_VERSION: u32 = 1;

const _: () = assert!(MEMORY_DEFAULT_MIB == 64, "--memory's default says so");

/// Runs the command; the value is the exit code, of the last boot if there were several.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let mut run = plan(args)?;
    run.sandbox = args.sandbox.sandbox();
    let judge = match args.exit_status {
        true if run.programs.len() != 1 => {
            let count = run.programs.len();
            return Err(
                Usage(format!("--exit-status needs exactly one program, but this run has {count}")).into()
            );
        }
        true if run.trace == TraceFile::None => return Err(without_trace("--exit-status")),
        true => Judge::Program,
        false if is_tour(args) => Judge::Tour,
        false => Judge::Processes,
    };
    if args.live && run.trace == TraceFile::None {
        return Err(without_trace("--live"));
    }
    let filter = match &args.filter {
        Some(text) => Filter::parse(text).map_err(|error| Usage(error.to_string()))?,
        None => Filter::default(),
    };
    let form = if args.json { Form::Json } else { Form::Text };
    let columns = terminal::width_of(terminal_size::terminal_size_of(io::stderr()));
    let boot = |run: &Run| {
        let watcher = args.live.then_some(|meta: &Meta| live::view(meta, filter.clone(), columns));
        boot(run, judge, form, args.escape, watcher)
    };
    let deadline = run.timeout.map(|timeout| Instant::now() + timeout);
    let mut first_trace = None;
    loop {
        let may_boot_again = run.boots_before < args.restart_on_crash;
        let (code, trace) = if may_boot_again && run.sandbox.is_some() {
            boots::in_child(|| boot(&run))?
        } else {
            boot(&run)?
        };
        let first_trace = first_trace.get_or_insert(trace);
        if !may_boot_again || !matches!(code, super::CRASHED | super::KERNEL_PANIC) {
            return Ok(code);
        }
        run.boots_before += 1;
        let boot = run.boots_before + 1;
        if run.trace != TraceFile::None {
            run.trace = TraceFile::At { path: trace_of_boot(first_trace, boot), replace: args.force };
        }
        if let Some(deadline) = deadline {
            match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => run.timeout = Some(left),
                _ => return Ok(super::TIME_OUT),
            }
        }
        complain(&format!("the guest crashed; starting boot {boot}"));
    }
}

/// The option needs records, and there are none.
fn without_trace(option: &str) -> anyhow::Error {
    Usage(format!("{option} needs the records of a trace: leave out `--trace none`")).into()
}

fn is_tour(args: &Args) -> bool {
    args.programs.is_empty() && args.command.is_empty()
}

/// The run that the command line asks for.
fn plan(args: &Args) -> anyhow::Result<Run> {
    let is_tour = is_tour(args);
    let mut chosen = if is_tour {
        tour::programs().map(|text| programs::choose(text.as_ref())).collect::<Result<Vec<_>, _>>()?
    } else {
        args.programs.iter().map(|text| programs::choose(text)).collect::<Result<_, _>>()?
    };
    if let Some((file, arguments)) = args.command.split_first() {
        chosen.push(programs::named(file, arguments.to_vec())?);
    }
    chosen.iter_mut().for_each(|program| program.environment.clone_from(&args.env));
    let quantum_default = if is_tour { tour::QUANTUM } else { Duration::from_micros(QUANTUM_US_DEFAULT) };
    let mut run = Run::new(chosen);
    run.files.clone_from(&args.files);
    run.has_input = true;
    run.accelerator = args.accel;
    run.settings = Settings {
        policy: args.policy,
        quantum_us: args.quantum.unwrap_or(quantum_default).as_micros() as u64, // at most QUANTUM_US_MAX
        timer: args.timer,
        batch: args.batch,
        stack_mib: args.stack,
    };
    run.timeout = args.timeout.or(is_tour.then_some(tour::TIMEOUT));
    run.memory_mib = args.memory;
    (run.max_trace, run.max_output) = (args.max_trace, args.max_output);
    if let Some(path) = &args.kernel {
        run.kernel = Kernel::from_file(path)?;
    }
    run.trace = trace_file(args)?;
    Ok(run)
}

/// Boots a new machine, which shares nothing with an earlier one, and prints the result. Returns the exit code and the path
/// of the trace file, which is empty for a run without a trace. Without a `watcher`, a long run has a status line. With `is_escaped` the output of the guest is shown as
/// `--escape` says.
pub fn boot(
    run: &Run,
    judge: Judge,
    form: Form,
    is_escaped: bool,
    watcher: Option<impl FnOnce(&Meta) -> Watcher>,
) -> anyhow::Result<(u8, PathBuf)> {
    let mut complaints = Vec::new();
    // A process in the sandbox cannot ask for it.
    let terminal = terminal_size::terminal_size_of(io::stderr());
    let status = if watcher.is_none() { StatusLine::new(run) } else { StatusLine::none() };
    let errors = || escape::stream(status.beside(io::stderr()), is_escaped);
    let is_taken = form == Form::Json || run.trace == TraceFile::StandardOutput;
    let console = if is_taken { errors() } else { escape::stream(status.beside(io::stdout()), is_escaped) };
    let watcher = |meta: &Meta| watcher.map(|watcher| watcher(meta));
    let outcome = run.execute_with(console, errors(), watcher, status.viewer(), |closing| {
        let outcome = closing.outcome;
        let mut code = exit_code(&outcome.end, outcome.stop);
        // A trace in a pipe cannot be read back.
        if judge != Judge::Processes
            && outcome.is_readable()
            && matches!(code, super::OK | super::PROCESS_FAILED)
        {
            code = match closing.trace().map(|trace| judge.verdict(&Summary::of(&trace))) {
                Ok((code, surprises)) => {
                    complaints = surprises;
                    code
                }
                Err(error) => {
                    complaints.push(format!("{:#}", anyhow::Error::from(error)));
                    super::FAILED
                }
            };
        }
        if code == super::OK && outcome.missing > 0 { super::FAILED } else { code }
    });
    status.erase();
    let outcome = outcome?;

    if let Some(fault) = fault(&outcome) {
        complain(&fault);
    }
    complaints.iter().for_each(|complaint| complain(complaint));
    if outcome.missing > 0 {
        let missing = outcome.missing;
        complain(&format!("the trace is not complete: {missing} records or bytes of records are missing"));
    }
    let (is_whole, printed) =
        if form == Form::None { (true, Ok(())) } else { summarise(&outcome, judge, form, terminal) };
    let mut code = outcome.exit_code;
    if code == super::OK && !is_whole {
        code = super::FAILED;
    }
    for error in outcome.console_error.iter().chain(&printed.err()) {
        code = output_failed(error, code);
    }
    Ok((code, outcome.trace_path().unwrap_or(Path::new("")).into()))
}

impl Judge {
    /// The exit code of a run whose processes have ended, and a sentence for each that did not end as it should.
    fn verdict(self, summary: &Summary) -> (u8, Vec<String>) {
        match self {
            Judge::Tour => {
                let surprises = tour::surprises(summary);
                (if surprises.is_empty() { super::OK } else { super::PROCESS_FAILED }, surprises)
            }
            Judge::Program | Judge::Processes => {
                let first = summary.processes.get(&1).and_then(ProcessSummary::exit_code);
                (first.unwrap_or(super::PROCESS_FAILED), Vec::new())
            }
        }
    }
}

/// The exit code of a run when standard output could not be written; `code` is its exit code otherwise. It is not an
/// error if the reader closed the pipe, as `head` does.
fn output_failed(error: &io::Error, code: u8) -> u8 {
    if error.kind() == ErrorKind::BrokenPipe {
        return code;
    }
    complain(&format!("cannot write to standard output: {error}"));
    if error.kind() == ErrorKind::TimedOut { code } else { super::FAILED }
}

/// Reads the trace back, and prints the summary in one of its two forms. Returns whether the trace is complete, and the
/// error of standard output.
fn summarise(outcome: &Outcome, judge: Judge, form: Form, terminal: TerminalSize) -> (bool, io::Result<()>) {
    let path = outcome.trace_path().unwrap_or(Path::new(""));
    let trace = match outcome.is_readable().then(|| outcome.trace()).transpose() {
        Ok(trace) => trace,
        Err(error) => {
            complain(&format!("{:#}", anyhow::Error::from(RunError::ReadBack(error))));
            return (false, Ok(()));
        }
    };
    let summary = trace.as_ref().map(Summary::of);
    let damage = trace.as_ref().map_or(&[][..], Trace::damage);
    warn(path, damage);
    let printed = match (form, &summary) {
        (Form::Json, _) => print_json(outcome, summary.as_ref(), damage),
        (_, Some(summary)) => {
            print_text(outcome, path, summary, judge, terminal);
            Ok(())
        }
        (_, None) if outcome.trace_path().is_none() => {
            let _ = Stream(io::stderr()).write_all(format!("\n{}\n", untraced(outcome)).as_bytes());
            Ok(())
        }
        // There is no text about a trace that cannot be read back.
        (_, None) => Ok(()),
    };
    (damage.is_empty(), printed)
}

fn print_json(outcome: &Outcome, summary: Option<&Summary>, damage: &[Damage]) -> io::Result<()> {
    let document = json!({
        "version": JSON_VERSION,
        "trace": outcome.trace_path().map(Path::to_string_lossy),
        "exit_code": outcome.exit_code,
        "missing": outcome.missing,
        "damage": damage_lines(damage),
        "summary": summary.map(Summary::json),
    });
    Stream(io::stdout()).write_all(format!("{document:#}\n").as_bytes())
}

fn print_text(outcome: &Outcome, path: &Path, summary: &Summary, judge: Judge, terminal: TerminalSize) {
    let width = terminal::width_of(terminal);
    let as_expected = judge == Judge::Tour && outcome.exit_code == super::OK;
    let path = path.display();
    let mut text = format!("\n{}", trace::text::summary::text(summary, width));
    if as_expected {
        let tour = "Each process of the tour ended as it should; three are killed on purpose.";
        put_wrapped(&mut text, tour, 0, width);
    }
    if !outcome.unowned_writes.is_empty() {
        let ports = outcome.unowned_writes.iter().map(|(port, count)| format!("{port:#x} ({count})"));
        let ports = ports.collect::<Vec<_>>().join(", ");
        let ports = format!(
            "Ports without a device (at most the first {PORTS_MAX}), and the writes to each: {ports}."
        );
        put_wrapped(&mut text, &ports, 0, width);
    }
    let trace = format!("The trace is in {path}: read it with `trapline view {path}`.");
    put_wrapped(&mut text, &trace, 0, terminal.map_or(usize::MAX, |_| width));
    // If standard error is closed, the error cannot be printed anywhere.
    let _ = Stream(io::stderr()).write_all(text.as_bytes());
}

/// The summary of a run without a trace: what the host itself counted.
fn untraced(outcome: &Outcome) -> String {
    let counts = [
        (Some(outcome.exits()).filter(|exits| *exits > 0), "exits to the host"),
        (outcome.count(HostCounter::KvmExits), "VM exits in KVM"),
        (outcome.count(HostCounter::KvmEmulated), "instructions of the kernel emulated by KVM"),
    ];
    let counts = counts.iter().filter_map(|(count, what)| Some(format!("{} {what}", (*count)?)));
    let counts = counts.collect::<Vec<_>>().join(", ");
    format!(
        "no trace, so no events: {}",
        if counts.is_empty() { "the host counted nothing" } else { &counts }
    )
}

fn exit_code(end: &End, stop: Option<Stop>) -> u8 {
    match (end.ending, stop) {
        (Ending::Exited, _) => match u32::try_from(end.status) {
            Ok(abi::exit::ALL_WELL) => super::OK,
            Ok(abi::exit::KERNEL_PANIC) => super::KERNEL_PANIC,
            Ok(abi::exit::DEADLOCK) => super::DEADLOCK,
            _ => super::PROCESS_FAILED,
        },
        (Ending::Stopped, Some(Stop::TimeOut)) => super::TIME_OUT,
        (Ending::Stopped, _) => super::INTERRUPTED,
        (Ending::TraceFailed, _) => super::FAILED,
        (Ending::Halted, _) => super::HALTED,
        (Ending::TraceLimit | Ending::OutputLimit, _) => super::LIMIT,
        (Ending::TripleFault | Ending::KvmError | Ending::Unexpected | Ending::ContractBroken, _) => {
            super::CRASHED
        }
    }
}

/// A sentence about the end of the run, if it was not a normal one.
fn fault(outcome: &Outcome) -> Option<String> {
    let what = match (outcome.end.ending, &outcome.end.message) {
        (Ending::TripleFault, _) => {
            "triple fault: the CPU could deliver neither a fault nor the double fault that followed, and shut down"
        }
        (_, Some(message)) => message,
        _ => return None,
    };
    // An emulator does not report RIP.
    let rip = if outcome.rip == 0 { String::new() } else { format!(" (RIP {:#x})", outcome.rip) };
    let trace = if outcome.trace_path().is_some() {
        "the last events of the trace show what happened before"
    } else {
        "record a trace to see what happened before"
    };
    Some(format!("{what}{rip}; {trace}"))
}

/// The trace file that the command line names. An existing file is refused before anything else happens.
fn trace_file(args: &Args) -> Result<TraceFile, Usage> {
    let Some(path) = &args.trace else { return Ok(TraceFile::FirstFree) };
    if path == Path::new("none") {
        return Ok(TraceFile::None);
    }
    if path == STANDARD {
        return to_standard_output(args);
    }
    if path.is_file() && !args.force {
        return Err(Usage(format!(
            "{} already exists: choose another file with --trace, or replace it with --force",
            path.display()
        )));
    }
    if is_output(path) {
        return Err(Usage(format!(
            "{} is standard output, where the programs print; choose another file, or `--trace -`, with which they print \
             on standard error",
            path.display()
        )));
    }
    Ok(TraceFile::At { path: path.clone(), replace: args.force })
}

/// Refuses a trace on standard output if other data goes there.
fn to_standard_output(args: &Args) -> Result<TraceFile, Usage> {
    let taken = if io::stdout().is_terminal() {
        "a trace is not text, and standard output is a terminal; pipe it: trapline run --trace - | trapline view -"
    } else if args.json {
        "--json prints there too; name a trace file"
    } else if args.restart_on_crash > 0 {
        "with --restart-on-crash, each boot needs a separate trace file; name the first"
    } else {
        return Ok(TraceFile::StandardOutput);
    };
    Err(Usage(format!("the trace cannot go to standard output: {taken}")))
}

/// The trace file of a later boot of the same run, such as t-2.trap after t.trap.
fn trace_of_boot(first: &Path, boot: u32) -> PathBuf {
    let mut name = first.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{boot}"));
    if let Some(extension) = first.extension() {
        name.push(".");
        name.push(extension);
    }
    first.with_file_name(name)
}

/// The exit code that fits an error of a run; `None` if it is not an error of a run.
pub fn exit_code_of(error: &anyhow::Error) -> Option<u8> {
    let run = error.downcast_ref::<RunError>();
    if run.is_some_and(RunError::is_missing_engine) {
        Some(super::NO_KVM)
    } else if error.is::<ProgramError>() || run.is_some_and(RunError::is_usage) {
        Some(super::USAGE)
    } else {
        None
    }
}

/// A duration such as `200us`, `1.5s` or `2m`, from `least` to `most`.
fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let bounds = || {
        format!("the range is {} to {}", humantime::format_duration(least), humantime::format_duration(most))
    };
    match humantime::parse_duration(text) {
        Ok(duration) if (least..=most).contains(&duration) => Ok(duration),
        Ok(_) => Err(bounds()),
        Err(error) => Err(format!("{error}; {}", bounds())),
    }
}

/// A variable of the environment.
pub fn variable(text: &str) -> Result<OsString, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.into()),
        _ => Err("expected a name, `=` and a value, such as LANG=C".into()),
    }
}

/// A parser of `--file`.
pub fn file_parser() -> impl TypedValueParser<Value = GivenFile> {
    clap::builder::OsStringValueParser::new().map(given_file)
}

/// The last colon separates the two paths, unless the whole text is the name of a file.
fn given_file(text: OsString) -> GivenFile {
    let bytes = text.as_bytes();
    match bytes.iter().rposition(|&byte| byte == b':') {
        Some(colon) if !Path::new(&text).exists() => GivenFile {
            host: OsStr::from_bytes(&bytes[..colon]).into(),
            guest: OsStr::from_bytes(&bytes[colon + 1..]).into(),
        },
        _ => GivenFile { host: text.clone().into(), guest: text.into() },
    }
}

fn quantum(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_micros(QUANTUM_US_MIN), Duration::from_micros(QUANTUM_US_MAX))
}

fn timeout(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_micros(1), TIMEOUT_MAX)
}

/// Bytes from text such as `64M` or `1.5G`, where M and G are powers of 1024.
fn size(text: &str) -> Result<u64, parse_size::Error> {
    parse_size::Config::new().with_binary().parse_size(text)
}

/// A limit on a trace in bytes, at least [`MIB`], so that the start and the end of the trace fit.
fn trace_size(text: &str) -> Result<u64, String> {
    const LEAST: &str = "it must be at least 1M";
    match size(text).map_err(|error| format!("{error}; {LEAST}"))? {
        bytes if bytes < MIB => Err(LEAST.into()),
        bytes => Ok(bytes),
    }
}

fn memory_size(text: &str) -> Result<u64, String> {
    size_in_mib(text, MEMORY_MIN_MIB, MEMORY_MAX_MIB)
}

fn stack_size(text: &str) -> Result<u64, String> {
    size_in_mib(text, STACK_MIB_DEFAULT, STACK_MIB_MAX)
}

/// A size in MiB from text such as `64M` or `1.5G`, where M and G are powers of 1024, from `least` to `most`.
fn size_in_mib(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let bounds = format!("the range is {least}M to {most}M");
    match size(text).map_err(|error| format!("{error}; {bounds}"))? {
        bytes if !(least * MIB..=most * MIB).contains(&bytes) => Err(bounds),
        bytes if !bytes.is_multiple_of(MIB) => Err("it must be a whole number of MiB, such as 64M".into()),
        bytes => Ok(bytes / MIB),
    }
}

/// A parser that accepts one of these values by its name.
fn of<T: Copy + Send + Sync + 'static>(
    values: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let names = values.iter().map(move |value| name(*value));
    let find = move |text: String| values.iter().copied().find(|value| name(*value) == text);
    PossibleValuesParser::new(names).try_map(move |text| find(text).ok_or("no such value"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Result<Args, String> {
        let words = std::iter::once(&"run").chain(words);
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn options_and_programs_may_be_mixed() {
        let args = parse(&["hello", "counter 10", "--quantum", "1ms", "hog", "--memory", "1G"]).unwrap();
        assert_eq!(args.programs, ["hello", "counter 10", "hog"]);
        assert_eq!((args.quantum, args.memory), (Some(Duration::from_millis(1)), 1024));
        assert_eq!(
            (args.policy, args.timer, args.batch),
            (Policy::RoundRobin, Timer::Periodic, BATCH_DEFAULT)
        );
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

        let engine = |error: EngineError| exit_code_of(&RunError::from(error).into());
        let kvm =
            |errno| engine(host::diagnose(host::DEVICE.into(), io::Error::from_raw_os_error(errno)).into());
        assert_eq!((kvm(libc::ENOENT), kvm(libc::EMFILE)), (Some(super::super::NO_KVM), None));
        let reserve = layout::reserve(u64::MAX).unwrap_err();
        assert_eq!(engine(BootError::from(reserve).into()), None, "a host without memory is not wrong usage");
        assert_eq!(engine(BootError::NoPvhNote.into()), Some(super::super::USAGE));
    }

    #[test]
    fn a_wrong_option_is_named() {
        for (option, value) in [
            ("--quantum", "0"),
            ("--quantum", "199us"),
            ("--quantum", "4.1s"),
            ("--timeout", "0s"),
            ("--memory", "8.5M"),
            ("--max-trace", "1023K"),
            ("--max-output", "many"),
            ("--memory", "1M"),
            ("--memory", "4G"),
            ("--memory", "99999999999999999999G"),
            ("--memory", "64"),
            ("--stack", "7M"),
            ("--stack", "8.5M"),
            ("--stack", "1025M"),
            ("--policy", "lottery"),
            ("--timer", "hpet"),
            ("--batch", "0"),
            ("--batch", "65537"),
            ("--timeout", "soon"),
            ("--timeout", "366d"),
            ("--timeout", "10000000000000000000s"),
        ] {
            let error = parse(&[option, value]).unwrap_err();
            assert!(error.contains(option), "{option} {value}: {error}");
        }
    }

    #[test]
    fn an_existing_trace_is_refused_unless_forced() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let error = trace_file(&parse(&["--trace", path]).unwrap()).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        let forced = trace_file(&parse(&["--trace", path, "--force"]).unwrap()).unwrap();
        assert_eq!(forced, TraceFile::At { path: path.into(), replace: true });
        assert_eq!(trace_file(&parse(&[]).unwrap()).unwrap(), TraceFile::FirstFree);
    }

    #[test]
    fn each_boot_of_a_run_has_a_trace_file() {
        assert_eq!(trace_of_boot("a/t.trap".as_ref(), 2), Path::new("a/t-2.trap"));
        assert_eq!(trace_of_boot("a.b/trace".as_ref(), 10), Path::new("a.b/trace-10"));
        let restarts = |words: &[&str]| parse(words).unwrap().restart_on_crash;
        let (none, bare) = (restarts(&["hello"]), restarts(&["--restart-on-crash", "hello"]));
        assert_eq!((none, bare, restarts(&["--restart-on-crash=3"])), (0, 1, 3));
    }

    #[test]
    fn each_ending_has_its_exit_code() {
        let code = |ending, status, stop| {
            let end = End { ending, status, message: None };
            exit_code(&end, stop)
        };
        assert_eq!(code(Ending::Exited, 0, None), 0);
        assert_eq!(code(Ending::Exited, 32, None), 32);
        assert_eq!(code(Ending::Exited, 34, None), 34);
        assert_eq!(code(Ending::Exited, 35, None), 35);
        assert_eq!(code(Ending::Exited, 1 << 40, None), 32);
        assert_eq!(code(Ending::Stopped, 0, Some(Stop::TimeOut)), 36);
        assert_eq!(code(Ending::Stopped, 0, Some(Stop::Interrupted)), 130);
        assert_eq!(code(Ending::Halted, 0, None), 37);
        assert_eq!(code(Ending::TraceLimit, 1 << 20, None), 38);
        assert_eq!(code(Ending::OutputLimit, 1 << 20, None), 38);
        for crash in [Ending::TripleFault, Ending::KvmError, Ending::Unexpected, Ending::ContractBroken] {
            assert_eq!(code(crash, 0, None), 33);
        }
    }
}
