//! A run: programs, settings and limits in, an [`Outcome`] and a trace file out.
//!
//! ```no_run
//! use trapline::run::{Program, Run};
//!
//! let hello = Program::built_in("hello").expect("a program of `trapline list`");
//! let outcome = Run::new(vec![hello]).execute()?;
//! assert!(outcome.all_well());
//! assert!(outcome.trace()?.events().count() > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A run needs KVM, or QEMU with [`Accelerator::Qemu`]; [`RunError::is_missing_engine`] is true on a host without it. A
//! process runs one guest at a time: a second [`Run::execute`] waits for the first. While a guest runs, SIGINT, SIGTERM
//! and SIGHUP stop it; afterwards they do what they did before.
//!
//! Everything that can fail is done before the trace file gets its name, and the trace is closed before [`Run::execute`]
//! returns.

mod bundle;
mod error;
mod files;
mod input;
mod outcome;
mod program;
mod trace_file;

pub use error::RunError;
pub use files::GivenFile;
pub use outcome::Outcome;
pub use program::{Program, ProgramError};
use trace_file::Place;
pub use trace_file::TraceFile;

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use abi::boot::{BATCH_DEFAULT, PROCESSES_MAX, QUANTUM_US_DEFAULT, STACK_MIB_DEFAULT};
use abi::record::{HostCounter, Policy, Timer};
use nix::sys::signal::{SigSet, SigmaskHow};
use sha2::{Digest, Sha256};
use trace::{Image, Meta, Options, Trace, Watcher, WriteError, Writer};

use crate::devices::{Budget, Console, Doorbell, ExitPort, Input, Reader, Streams, Untraced};
pub use crate::engine::Accelerator;
use crate::engine::{Engine, Guest, Host, Interrupt, kvm};
use crate::images;
use crate::machine;
use crate::machine::boot::Module;
pub use crate::machine::boot::Settings;
use crate::machine::bus::Bus;
pub use crate::machine::bus::{End, Look, Viewer};
use crate::machine::clock::Clock;
use crate::machine::kick::Watch;
use crate::machine::layout::MEMORY_DEFAULT_MIB;
use crate::machine::run::{Ended, HostRecord};
use crate::sandbox::{Files, Role, Sandbox};

/// The default of [`Run::max_trace`]: 4 GiB.
pub const MAX_TRACE_DEFAULT: u64 = 4 << 30;
/// The default of [`Run::max_output`]: 1 GiB.
pub const MAX_OUTPUT_DEFAULT: u64 = 1 << 30;

/// A kernel to boot.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its name in the trace.
    pub name: String,
    /// Its ELF file.
    pub elf: Cow<'static, [u8]>,
}

impl Kernel {
    /// Trapline's own kernel.
    pub fn built_in() -> Kernel {
        Kernel { name: "built in".into(), elf: images::KERNEL.into() }
    }

    /// The kernel in a file. It is checked when it is loaded.
    pub fn from_file(path: &Path) -> Result<Kernel, RunError> {
        let elf = input::read(path).map_err(|source| RunError::Kernel { path: path.into(), source })?;
        Ok(Kernel { name: path.display().to_string(), elf: elf.into() })
    }
}

/// A run that has not started.
#[derive(Clone, Debug)]
pub struct Run {
    /// The programs, each a process; at most [`PROCESSES_MAX`].
    pub programs: Vec<Program>,
    /// The files of the host that Linux programs can read.
    pub files: Vec<GivenFile>,
    /// Linux programs read the standard input of this process. Otherwise theirs is at its end.
    pub has_input: bool,
    /// What runs the guest.
    pub accelerator: Accelerator,
    /// The kernel.
    pub kernel: Kernel,
    /// The settings for the kernel.
    pub settings: Settings,
    /// The guest's memory in MiB, 8 to 3072.
    pub memory_mib: u64,
    /// The run is stopped after this time, boot included. `None`: never.
    pub timeout: Option<Duration>,
    /// The size of the trace, in bytes, at which the run ends.
    pub max_trace: u64,
    /// How many bytes the guest may print. More end the run.
    pub max_output: u64,
    /// Where the trace goes.
    pub trace: TraceFile,
    /// How often this run was booted before and crashed. It is recorded in the trace.
    pub boots_before: u32,
    /// The sandbox that the calling thread enters before the guest's first instruction, and never leaves: see
    /// [`crate::sandbox`].
    pub sandbox: Option<Sandbox>,
}

impl Run {
    /// A run of these programs with the default settings: KVM, round robin, a quantum of 10 ms, 64 MiB of memory, no
    /// time-out, [`MAX_TRACE_DEFAULT`], [`MAX_OUTPUT_DEFAULT`], and a trace in a new temporary file.
    pub fn new(programs: Vec<Program>) -> Run {
        Run {
            programs,
            files: Vec::new(),
            has_input: false,
            accelerator: Accelerator::Kvm,
            kernel: Kernel::built_in(),
            settings: Settings {
                policy: Policy::RoundRobin,
                quantum_us: QUANTUM_US_DEFAULT,
                timer: Timer::Periodic,
                batch: BATCH_DEFAULT,
                stack_mib: STACK_MIB_DEFAULT,
            },
            memory_mib: MEMORY_DEFAULT_MIB,
            timeout: None,
            max_trace: MAX_TRACE_DEFAULT,
            max_output: MAX_OUTPUT_DEFAULT,
            trace: TraceFile::Temporary,
            boots_before: 0,
            sandbox: None,
        }
    }

    /// Runs the guest to its end and keeps what it prints in [`Outcome::console`].
    pub fn execute(&self) -> Result<Outcome, RunError> {
        let (mut console, mut errors) = (Vec::new(), Vec::new());
        let well = |closing: &mut Closing| u8::from(!closing.outcome.all_well());
        let mut outcome = self.execute_with(&mut console, &mut errors, |_| None, None, well)?;
        (outcome.console, outcome.errors) = (console, errors);
        Ok(outcome)
    }

    /// Runs the guest to its end. What it prints goes to `console` and, if a Linux program prints it on standard error,
    /// to `errors`; neither should buffer. `watcher` may return a function, which is called with each event while the
    /// guest waits. `viewer` is called several times a second while the guest waits. `exit_code` returns the exit code for the trace's last record.
    pub fn execute_with(
        &self,
        console: impl Write,
        errors: impl Write,
        watcher: impl FnOnce(&Meta) -> Option<Watcher>,
        viewer: Option<Viewer>,
        exit_code: impl FnOnce(&mut Closing) -> u8,
    ) -> Result<Outcome, RunError> {
        self.check()?;
        let command_lines: Vec<Vec<u8>> = self.programs.iter().map(Program::command_line).collect();
        let is_direct = self.settings.policy == Policy::Direct;
        // QEMU can pass only one module.
        let is_bundle = self.runs_linux() || self.accelerator == Accelerator::Qemu;
        let bundle = if is_bundle { bundle::build(self, is_direct)? } else { Vec::new() };
        let modules: Vec<Module> = match is_bundle {
            true => vec![Module { elf: &bundle, command_line: b"bundle" }],
            false => {
                let both = self.programs.iter().zip(&command_lines);
                both.map(|(program, command_line)| Module { elf: &program.elf, command_line }).collect()
            }
        };
        let guest = Guest {
            kernel: self.kernel_elf(),
            modules: &modules,
            settings: &self.settings,
            memory_mib: self.memory_mib,
        };
        let _watch = Watch::start(self.timeout)?;
        self.drive(self.accelerator.load(&guest)?.as_mut(), console, errors, watcher, viewer, exit_code)
    }

    /// The kernel's ELF file.
    fn kernel_elf(&self) -> &[u8] {
        if self.trace == TraceFile::None && *self.kernel.elf == *images::KERNEL {
            return images::UNTRACED_KERNEL;
        }
        &self.kernel.elf
    }

    /// Whether a process is a Linux program.
    fn runs_linux(&self) -> bool {
        self.settings.policy != Policy::Direct && self.programs.iter().any(|program| program.is_linux)
    }

    /// Refuses an invalid run before memory for a guest is reserved.
    fn check(&self) -> Result<(), RunError> {
        let programs = &self.programs;
        if programs.len() > PROCESSES_MAX {
            return Err(RunError::TooManyPrograms { count: programs.len() });
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(RunError::NoTime);
        }
        let (stack_mib, memory_mib) = (self.settings.stack_mib, self.memory_mib);
        if stack_mib > memory_mib {
            return Err(RunError::StackTooLarge { stack_mib, memory_mib });
        }
        let most = self.memory_mib << 20;
        match programs.iter().find(|program| program.memory() > most) {
            Some(program) => Err(RunError::ProgramTooLarge {
                name: program.name.to_string_lossy().into_owned(),
                wanted_mib: program.memory().div_ceil(1 << 20),
                memory_mib: self.memory_mib,
            }),
            None => Ok(()),
        }
    }

    /// Runs the guest of an engine, and closes the trace with the host's own records.
    fn drive(
        &self,
        engine: &mut dyn Engine,
        console: impl Write,
        errors: impl Write,
        watcher: impl FnOnce(&Meta) -> Option<Watcher>,
        viewer: Option<Viewer>,
        exit_code: impl FnOnce(&mut Closing) -> u8,
    ) -> Result<Outcome, RunError> {
        let (memory, clock) = (engine.memory(), engine.clock());
        let budget = Budget::new(self.max_output);
        let console = RefCell::new(Console::new(console, &budget));
        let mut console_port = &console;
        let mut streams = Streams::new(&memory, &console, errors, &budget);
        let mut input = match engine.interrupt().filter(|_| self.has_input && self.runs_linux()) {
            Some(interrupt) => {
                let (input, reader) = Input::new(&memory, io::stdin()).map_err(RunError::Input)?;
                self.start_reader(reader, interrupt)?;
                Some(input)
            }
            None => None,
        };
        let mut exit = ExitPort;
        let role = engine.calls().map(Role::Run);
        let sandbox = self.sandbox.as_ref().zip(role);
        let sandbox = sandbox.map(|(sandbox, role)| sandbox.prepare(role)).transpose()?;
        let meta = self.meta(engine.host());
        let mut kept = match self.trace.create(&meta, self.sandbox.as_ref())? {
            Some((place, mut trace)) => {
                if let Some(watcher) = watcher(&meta) {
                    trace.watch(&meta, watcher);
                }
                write(&mut trace, self.first_records(&clock))?;
                Some((Doorbell::new(&memory, trace, self.max_trace), place))
            }
            None => None,
        };
        let place = kept.as_ref().map(|(_, place)| place).filter(|place| place.is_readable());
        let trace = place.map(|place| place.path().to_path_buf());
        let mut untraced = Untraced;

        let mut bus = Bus::new();
        match &mut kept {
            Some((doorbell, _)) => bus.attach(doorbell)?,
            None => bus.attach(&mut untraced)?,
        }
        bus.attach(&mut console_port)?;
        bus.attach(&mut streams)?;
        if let Some(input) = &mut input {
            bus.attach(input)?;
        }
        bus.attach(&mut exit)?;
        bus.show(viewer);
        if let Some(sandbox) = sandbox {
            sandbox.enter(Files { read: trace.as_slice(), make_in: None })?;
        }
        let ended = engine.run(&mut bus);

        let closed = close(kept, ended, &clock, exit_code);
        // The rest of the last line is printed after the trace is safe, because its reader may never read it.
        console.borrow_mut().flush();
        let mut outcome = closed?;
        outcome.console_error = console.borrow_mut().take_error();
        Ok(outcome)
    }

    /// Starts the thread that reads standard input. Like the thread that writes the trace, it enters the sandbox and
    /// receives no signal.
    fn start_reader(&self, reader: Reader, interrupt: Interrupt) -> Result<(), RunError> {
        let role = Role::Input(kvm::INTERRUPT_CALLS);
        let entrance = self.sandbox.as_ref().map(|sandbox| sandbox.entrance(role)).transpose()?;
        let work = move || {
            let entered = entrance.map_or(Ok(()), |entrance| entrance.enter());
            // If the thread cannot enter the sandbox, it reads nothing and the guest waits.
            if entered.is_ok() {
                reader.work(interrupt);
            }
        };
        let start = || std::thread::Builder::new().name("input".into()).spawn(work);
        signals_blocked(start).and_then(|started| started).map(drop).map_err(RunError::Input)
    }

    /// The host's records at the start of the trace.
    fn first_records(&self, clock: &Clock) -> Vec<HostRecord> {
        let mut records = vec![machine::run::clock_record(clock)];
        if self.boots_before > 0 {
            let count = self.boots_before.into();
            records.push(machine::run::count_record(clock, HostCounter::BootsBefore, count));
        }
        records
    }

    /// The head of the trace.
    fn meta(&self, host: &Host) -> Meta {
        let Settings { policy, quantum_us, timer, batch, .. } = self.settings;
        let text = |text: &std::ffi::OsString| text.to_string_lossy().into_owned();
        let program = |program: &Program| trace::Program {
            name: text(&program.name),
            path: program.path.to_string_lossy().into_owned(),
            arguments: program.arguments.iter().map(text).collect(),
            sha256: sha256(&program.elf),
            size: program.elf.len() as u64,
        };
        Meta {
            abi_version: abi::VERSION,
            trapline_version: env!("CARGO_PKG_VERSION").into(),
            host_cpu: host.cpu.clone(),
            kvm_backend: host.back_end.clone(),
            emulator: host.emulator.clone(),
            tsc_khz: host.tsc_khz,
            kernel: Image {
                name: self.kernel.name.clone(),
                sha256: sha256(&self.kernel.elf),
                size: self.kernel.elf.len() as u64,
            },
            programs: self.programs.iter().map(program).collect(),
            options: Options {
                policy: policy.name().into(),
                quantum_us,
                timer: timer.name().into(),
                batch,
                memory_mib: self.memory_mib,
                timeout_ms: self.timeout.map(|timeout| timeout.as_millis() as u64),
                kernel_command_line: host.kernel_command_line.clone(),
            },
            recovered: Vec::new(),
        }
    }
}

/// A run that has ended and whose trace is not closed yet.
#[derive(Debug)]
pub struct Closing<'a> {
    /// The result of the run.
    pub outcome: &'a Outcome,
    writer: Option<&'a mut Writer>,
}

impl Closing<'_> {
    /// Opens the trace, which has all but its last records.
    pub fn trace(&mut self) -> Result<Trace, RunError> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.flush())?;
        self.outcome.trace().map_err(RunError::ReadBack)
    }
}

/// Closes the trace, if there is one, with the host's own records of a run that has ended.
fn close(
    kept: Option<(Doorbell, Place)>,
    ended: Ended,
    clock: &Clock,
    exit_code: impl FnOnce(&mut Closing) -> u8,
) -> Result<Outcome, WriteError> {
    let Some((doorbell, place)) = kept else {
        let mut outcome = Outcome::new(&ended, *clock, 0, None);
        outcome.exit_code = exit_code(&mut Closing { outcome: &outcome, writer: None });
        return Ok(outcome);
    };
    let missing = doorbell.missing();
    let mut trace = doorbell.into_trace()?;
    write(&mut trace, ended.records.iter().cloned())?;
    let mut outcome = Outcome::new(&ended, *clock, missing, Some(place));
    outcome.exit_code = exit_code(&mut Closing { outcome: &outcome, writer: Some(&mut trace) });
    let clocks = machine::run::clock_record(clock);
    write(&mut trace, [clocks, machine::run::end_record(clock, &ended, outcome.exit_code)])?;
    trace.finish()?;
    Ok(outcome)
}

fn write(trace: &mut Writer, records: impl IntoIterator<Item = HostRecord>) -> Result<(), WriteError> {
    const HOST: u16 = 0;
    records
        .into_iter()
        .try_for_each(|record| trace.host_record(record.tsc, record.kind, HOST, record.detail, &record.words))
}

/// Calls a function with all signals blocked, for example to start a thread: only the vCPU's thread may receive signals.
fn signals_blocked<T>(act: impl FnOnce() -> T) -> io::Result<T> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let done = act();
    before.thread_set_mask()?;
    Ok(done)
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
