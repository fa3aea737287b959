//! `trapline run`: boots the kernel with some programs and keeps a trace of what happens.
//!
//! The order is on purpose: all that can be wrong with what the user said is found before KVM is opened, and
//! the trace file is made when there is a VM to trace, so that nothing is overwritten in vain.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use abi::boot::{
    BATCH_DEFAULT, BATCH_MAX, PROCESSES_MAX, QUANTUM_US_DEFAULT, QUANTUM_US_MAX, QUANTUM_US_MIN,
};
use abi::record::{Ending, HostCounter, Stop};
use anyhow::Context;
use nix::time::ClockId;
use sha2::{Digest, Sha256};

use super::programs::{self, Chosen};
use super::stdout::{Stdout, say};
use super::{Usage, complain, duration, tour, warn};
use crate::devices::{Console, Doorbell, ExitPort};
use crate::images;
use crate::machine::boot::{self, Clocks, Entry, Module, Settings};
use crate::machine::bus::Bus;
use crate::machine::clock::{Clock, host_ns};
use crate::machine::layout::{self, MEMORY_DEFAULT_MIB, MEMORY_MAX_MIB, MEMORY_MIN_MIB, Memory};
use crate::machine::run::{self, HostRecord, Outcome};
use crate::machine::vcpu::{APIC_KHZ, Vm};
use crate::machine::{host, kick};
use trace::analysis::Summary;
use trace::{Image, Meta, Options, Program, Trace, WriteError, Writer};

/// Boot the kernel, run programs on it, and keep a trace of everything the CPU did to them.
///
/// Without a PROGRAM it is the tour: processes that between them make system calls, are preempted, yield,
/// divide by zero, follow a wild pointer and try a privileged instruction.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Programs to run, each a process: a name of `trapline list`, or the path of a static x86-64 ELF file.
    /// One with arguments is put in quotes, such as "counter 1000"
    #[arg(value_name = "PROGRAM")]
    programs: Vec<String>,
    /// The trace file [default: the first free of trapline-1.trap, trapline-2.trap, ...]
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Replace the trace file if it exists
    #[arg(long)]
    force: bool,
    /// Who runs next: in turns by the timer (rr), only when a process lets go (cooperative), or the
    /// program without any limits in ring 0 (direct)
    #[arg(long, default_value = abi::boot::ROUND_ROBIN,
        value_parser = [abi::boot::ROUND_ROBIN, abi::boot::COOPERATIVE, abi::boot::DIRECT])]
    policy: String,
    /// How long a turn is, at least 200us [default: 10ms; the tour: 2ms]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    quantum: Option<Duration>,
    /// How the timer is programmed
    #[arg(long, default_value = abi::boot::PERIODIC,
        value_parser = [abi::boot::PERIODIC, abi::boot::ONE_SHOT, abi::boot::DEADLINE])]
    timer: String,
    /// Stop the run after this time, such as 3s [default: never; the tour: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Boot again, up to N times, when the guest crashes or its kernel panics. Each boot has a trace file of its
    /// own: t.trap, t-2.trap, t-3.trap, ...
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_value_t = 0, default_missing_value = "1",
        value_parser = clap::value_parser!(u32).range(..=1000))]
    restart_on_crash: u32,
    /// The guest's memory, 8M to 3G
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = memory_size)]
    memory: u64,
    /// Boot this kernel, an ELF file with a PVH note, instead of the built-in one
    #[arg(long, value_name = "ELF")]
    kernel: Option<PathBuf>,
    /// How many records the guest collects before it tells the host: 1 shows each trap as it happens
    #[arg(long, value_name = "N", default_value_t = BATCH_DEFAULT,
        value_parser = clap::value_parser!(u64).range(1..=BATCH_MAX))]
    batch: u64,
}

const EXAMPLES: &str = "\
Examples:
  trapline run                                      the tour
  trapline run hello counter                        two processes
  trapline run \"counter 1000\" hog --timeout 3s      one with an argument, and one that never ends
  trapline run counter hog --policy cooperative --timeout 1s
  trapline run ./mine --trace mine.trap             a program of your own";

const _: () = assert!(MEMORY_DEFAULT_MIB == 64, "--memory's default says so");

/// Everything about a run that was decided before it.
#[derive(Debug)]
struct Plan {
    programs: Vec<Chosen>,
    is_tour: bool,
    settings: Settings,
    timeout: Option<Duration>,
    memory_mib: u64,
    kernel_name: String,
    kernel: Cow<'static, [u8]>,
    trace: PathBuf,
    force: bool,
    boots_before: u32,
}

/// Runs the command; the value is the exit code, of the last boot if there were several.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let mut plan = Plan::new(args)?;
    let first_trace = plan.trace.clone();
    let _watch = kick::Watch::start(plan.timeout).context("cannot watch for signals")?;
    loop {
        let code = plan.boot()?;
        let code = plan.summarise(code);
        if plan.boots_before == args.restart_on_crash || !matches!(code, super::CRASHED | super::KERNEL_PANIC)
        {
            return Ok(code);
        }
        plan.boots_before += 1;
        plan.trace = trace_of_boot(&first_trace, plan.boots_before + 1);
        complain(&format!("the guest crashed; boot {} follows", plan.boots_before + 1));
    }
}

impl Plan {
    fn new(args: &Args) -> Result<Plan, Usage> {
        let is_tour = args.programs.is_empty();
        let words: Vec<&str> = if is_tour {
            tour::programs().collect()
        } else {
            args.programs.iter().map(String::as_str).collect()
        };
        if words.len() > PROCESSES_MAX {
            return Err(Usage(format!("{} programs are too many; a run takes {PROCESSES_MAX}", words.len())));
        }
        let quantum_default = if is_tour { tour::QUANTUM } else { Duration::from_micros(QUANTUM_US_DEFAULT) };
        let settings = Settings {
            policy: args.policy.clone(),
            quantum_us: quantum_us(args.quantum.unwrap_or(quantum_default))?,
            timer: args.timer.clone(),
            batch: args.batch,
        };
        if args.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Usage(
                "--timeout is zero, and the run would end before it starts; give it a time".into(),
            ));
        }
        let (kernel_name, kernel) = kernel(args.kernel.as_deref())?;
        Ok(Plan {
            programs: words.into_iter().map(programs::choose).collect::<Result<_, _>>()?,
            is_tour,
            settings,
            timeout: args.timeout.or(is_tour.then_some(tour::TIMEOUT)),
            memory_mib: args.memory,
            kernel_name,
            kernel,
            trace: trace_path(args)?,
            force: args.force,
            boots_before: 0,
        })
    }

    /// Boots a machine of its own, which knows nothing of one before it, and gives the exit code.
    fn boot(&self) -> anyhow::Result<u8> {
        let (memory, entry) = self.load()?;
        let kvm = host::open()?;
        let mut vm = Vm::new(&kvm, memory.clone())?;
        vm.vcpu.prepare(entry)?;
        let tsc_khz = vm.vcpu.tsc_khz()?;
        let clocks = Clocks { tsc_khz, apic_khz: APIC_KHZ, epoch_ns: host_ns(ClockId::CLOCK_REALTIME) };
        let command_line = boot::command_line(&self.settings, &clocks);
        boot::write_command_line(&memory, &command_line)?;
        let clock = vm.vcpu.clock(tsc_khz)?;

        let trace = Writer::create(&self.trace, self.force, &self.meta(tsc_khz, command_line))?;
        self.run(&mut vm, &memory, &clock, trace)
    }

    /// Reserves memory and loads kernel and programs.
    fn load(&self) -> Result<(Memory, Entry), Usage> {
        let command_lines: Vec<String> = self.programs.iter().map(Chosen::command_line).collect();
        let modules: Vec<Module> = self
            .programs
            .iter()
            .zip(&command_lines)
            .map(|(program, command_line)| Module { elf: &program.elf, command_line })
            .collect();
        let most = self.memory_mib << 20;
        if let Some(program) = self.programs.iter().find(|program| program.memory() > most) {
            let (name, wanted) = (&program.name, program.memory().div_ceil(1 << 20));
            return Err(Usage(format!(
                "{name} asks for {wanted} MiB of memory and the guest has {}; give it more with --memory",
                self.memory_mib
            )));
        }
        let memory = layout::reserve(self.memory_mib).map_err(|error| Usage(error.to_string()))?;
        let entry = boot::load(&memory, &self.kernel, &modules).map_err(|error| Usage(error.to_string()))?;
        Ok((memory, entry))
    }

    fn meta(&self, tsc_khz: u64, kernel_command_line: String) -> Meta {
        let Settings { policy, quantum_us, timer, batch } = self.settings.clone();
        let program = |chosen: &Chosen| Program {
            name: chosen.name.clone(),
            arguments: chosen.arguments.clone(),
            sha256: sha256(&chosen.elf),
            size: chosen.elf.len() as u64,
        };
        Meta {
            abi_version: abi::VERSION,
            trapline_version: env!("CARGO_PKG_VERSION").into(),
            host_cpu: host::cpu_name(),
            kvm_backend: host::back_end().into(),
            tsc_khz,
            kernel: Image {
                name: self.kernel_name.clone(),
                sha256: sha256(&self.kernel),
                size: self.kernel.len() as u64,
            },
            programs: self.programs.iter().map(program).collect(),
            options: Options {
                policy,
                quantum_us,
                timer,
                batch,
                memory_mib: self.memory_mib,
                timeout_ms: self.timeout.map(|timeout| timeout.as_millis() as u64),
                kernel_command_line,
            },
            recovered: Vec::new(),
        }
    }

    /// Runs the guest, and closes the trace with what the host has to say.
    fn run(&self, vm: &mut Vm, memory: &Memory, clock: &Clock, trace: Writer) -> anyhow::Result<u8> {
        let mut doorbell = Doorbell::new(memory, trace);
        let mut console = Console::new(Stdout::new().context("cannot write to standard output")?);
        let mut exit = ExitPort;
        write(doorbell.trace(), [run::clock_record(clock)])?;
        if self.boots_before > 0 {
            let count = self.boots_before.into();
            write(doorbell.trace(), [run::count_record(clock, HostCounter::BootsBefore, count)])?;
        }

        let mut bus = Bus::new();
        bus.attach(Doorbell::PORTS, &mut doorbell);
        bus.attach(Console::<Stdout>::PORTS, &mut console);
        bus.attach(ExitPort::PORTS, &mut exit);
        let outcome = run::run(vm, &mut bus, clock);
        console.flush();
        if outcome.end.ending == Ending::TraceFailed {
            anyhow::bail!(outcome.end.message.unwrap_or_default());
        }
        doorbell.drain()?;

        let code = self.judge(&outcome, &mut doorbell)?;
        let console_bytes = (HostCounter::ConsoleBytes, console.bytes());
        let counts = doorbell.counts().into_iter().chain([console_bytes]);
        let counts: Vec<_> =
            counts.map(|(counter, value)| run::count_record(clock, counter, value)).collect();
        let last = [run::clock_record(clock), run::end_record(clock, &outcome, code)];
        let mut trace = doorbell.into_trace();
        write(&mut trace, outcome.records.into_iter().chain(counts).chain(last))?;
        trace.finish()?;
        Ok(code)
    }

    /// The exit code of a run, and on stderr what is wrong with it.
    fn judge(&self, outcome: &Outcome, doorbell: &mut Doorbell) -> anyhow::Result<u8> {
        if let Some(fault) = fault(outcome) {
            complain(&fault);
        }
        let mut code = exit_code(outcome);
        // What went down a pipe cannot be read back.
        if self.is_tour && self.trace.is_file() && matches!(code, super::OK | super::PROCESS_FAILED) {
            doorbell.trace().flush()?;
            let surprises = tour::surprises(&Trace::open(&self.trace)?);
            surprises.iter().for_each(|surprise| complain(surprise));
            code = if surprises.is_empty() { super::OK } else { super::PROCESS_FAILED };
        }
        let missing = doorbell.missing();
        if missing > 0 {
            complain(&format!("the trace is not whole: {missing} records or bytes of records are missing"));
            code = if code == super::OK { super::FAILED } else { code };
        }
        Ok(code)
    }

    /// The summary on stdout, and the exit code, which is not 0 if the trace is not whole as it is read back.
    fn summarise(&self, code: u8) -> u8 {
        if !self.trace.is_file() {
            return code;
        }
        let as_it_must = self.is_tour && code == super::OK;
        let tour =
            if as_it_must { "Each process of the tour ended as it must, the killed ones too.\n" } else { "" };
        let path = self.trace.display();
        let is_whole = match Trace::open(&self.trace) {
            Ok(trace) => {
                warn(&self.trace, trace.damage());
                say(&format!(
                    "\n{}\n{tour}The trace is in {path}: read it with `trapline view {path}`.\n",
                    Summary::of(&trace)
                ));
                trace.damage().is_empty()
            }
            Err(error) => {
                complain(&format!("cannot read the trace back: {error}"));
                false
            }
        };
        if code == super::OK && !is_whole { super::FAILED } else { code }
    }
}

fn write(trace: &mut Writer, records: impl IntoIterator<Item = HostRecord>) -> Result<(), WriteError> {
    const HOST: u16 = 0;
    records
        .into_iter()
        .try_for_each(|record| trace.host_record(record.tsc, record.kind, HOST, record.detail, &record.words))
}

fn exit_code(outcome: &Outcome) -> u8 {
    match (outcome.end.ending, outcome.stop) {
        (Ending::Exited, _) => match u32::try_from(outcome.end.status) {
            Ok(abi::exit::ALL_WELL) => super::OK,
            Ok(abi::exit::KERNEL_PANIC) => super::KERNEL_PANIC,
            _ => super::PROCESS_FAILED,
        },
        (Ending::Stopped, Some(Stop::TimeOut)) => super::TIME_OUT,
        (Ending::Stopped, _) => super::INTERRUPTED,
        (Ending::TraceFailed, _) => super::FAILED,
        (Ending::TripleFault | Ending::KvmError | Ending::Unexpected | Ending::ContractBroken, _) => {
            super::CRASHED
        }
    }
}

/// A sentence for an end that needs one.
fn fault(outcome: &Outcome) -> Option<String> {
    let rip = outcome.registers.rip;
    let what = match (outcome.end.ending, &outcome.end.message) {
        (Ending::TripleFault, _) => {
            "triple fault: the guest faulted, and again while it handled that, and the CPU gave up"
        }
        (_, Some(message)) => message,
        _ => return None,
    };
    Some(format!("{what} (RIP {rip:#x}); what led to it is at the end of the trace"))
}

fn kernel(path: Option<&Path>) -> Result<(String, Cow<'static, [u8]>), Usage> {
    let Some(path) = path else { return Ok(("built in".into(), images::KERNEL.into())) };
    let bytes = std::fs::read(path)
        .map_err(|error| Usage(format!("cannot read the kernel {} (--kernel): {error}", path.display())))?;
    Ok((path.display().to_string(), bytes.into()))
}

/// The trace file that was asked for, or the first free one. One that is there already is found before
/// anything else happens.
fn trace_path(args: &Args) -> Result<PathBuf, Usage> {
    match &args.trace {
        Some(path) if path.is_file() && !args.force => Err(Usage(format!(
            "{} exists already: choose another file with --trace, or replace it with --force",
            path.display()
        ))),
        Some(path) if is_output(path) => Err(Usage(format!(
            "{} is standard output, where the programs print; choose another file with --trace, or a FIFO",
            path.display()
        ))),
        Some(path) => Ok(path.clone()),
        None => (1_u32..)
            .map(|number| PathBuf::from(format!("trapline-{number}.trap")))
            .find(|path| !path.exists())
            .ok_or_else(|| Usage("there are too many traces here; choose a file with --trace".into())),
    }
}

/// Whether a file is the one that the console prints to, and not a device that forgets both.
fn is_output(path: &Path) -> bool {
    let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    matches!((path.metadata(), stdout), (Ok(trace), Ok(stdout)) if !trace.file_type().is_char_device()
        && (trace.dev(), trace.ino()) == (stdout.dev(), stdout.ino()))
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

fn quantum_us(quantum: Duration) -> Result<u64, Usage> {
    let us = u64::try_from(quantum.as_micros()).unwrap_or(u64::MAX);
    if (QUANTUM_US_MIN..=QUANTUM_US_MAX).contains(&us) {
        return Ok(us);
    }
    let most = QUANTUM_US_MAX / 1_000_000;
    Err(Usage(format!("--quantum is {quantum:?}; it can be {QUANTUM_US_MIN}us to {most}s")))
}

/// A size in MiB from text such as `64M` or `1G`.
fn memory_size(text: &str) -> Result<u64, String> {
    const UNITS: [(char, u64); 2] = [('M', 1), ('G', 1024)];
    let number = |&(unit, scale): &(char, u64)| {
        text.strip_suffix(unit)?.parse::<u64>().ok().map(|number| number.saturating_mul(scale))
    };
    match UNITS.iter().find_map(number) {
        Some(mib) if (MEMORY_MIN_MIB..=MEMORY_MAX_MIB).contains(&mib) => Ok(mib),
        Some(_) => Err(format!("the guest can have {MEMORY_MIN_MIB}M to {MEMORY_MAX_MIB}M")),
        None => Err("write a whole number with M or G, such as 64M".into()),
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::bus::End;
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
            (args.policy.as_str(), args.timer.as_str(), args.batch),
            ("rr", "periodic", BATCH_DEFAULT)
        );
    }

    #[test]
    fn a_wrong_option_is_named() {
        for (option, value) in [
            ("--quantum", "0"),
            ("--memory", "1M"),
            ("--memory", "4G"),
            ("--memory", "99999999999999999999G"),
            ("--memory", "64"),
            ("--policy", "lottery"),
            ("--timer", "hpet"),
            ("--batch", "0"),
            ("--batch", "65537"),
            ("--timeout", "soon"),
        ] {
            let error = parse(&[option, value]).unwrap_err();
            assert!(error.contains(option), "{option} {value}: {error}");
        }
    }

    #[test]
    fn the_quantum_has_bounds() {
        assert_eq!(quantum_us(Duration::from_millis(1)).unwrap(), 1000);
        assert_eq!(quantum_us(Duration::from_micros(QUANTUM_US_MAX)).unwrap(), QUANTUM_US_MAX);
        let over = Duration::from_micros(QUANTUM_US_MAX + 1);
        for wrong in [Duration::ZERO, Duration::from_micros(199), over, Duration::MAX] {
            assert!(quantum_us(wrong).unwrap_err().to_string().contains("--quantum"));
        }
    }

    #[test]
    fn an_existing_trace_is_refused_unless_forced() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let error = trace_path(&parse(&["--trace", path]).unwrap()).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(trace_path(&parse(&["--trace", path, "--force"]).unwrap()).unwrap(), file.path());
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
            exit_code(&Outcome { end, stop, registers: Default::default(), records: vec![] })
        };
        assert_eq!(code(Ending::Exited, 0, None), 0);
        assert_eq!(code(Ending::Exited, 32, None), 32);
        assert_eq!(code(Ending::Exited, 34, None), 34);
        assert_eq!(code(Ending::Exited, 1 << 40, None), 32);
        assert_eq!(code(Ending::Stopped, 0, Some(Stop::TimeOut)), 36);
        assert_eq!(code(Ending::Stopped, 0, Some(Stop::Interrupted)), 130);
        for crash in [Ending::TripleFault, Ending::KvmError, Ending::Unexpected, Ending::ContractBroken] {
            assert_eq!(code(crash, 0, None), 33);
        }
    }
}
