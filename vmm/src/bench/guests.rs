//! Runs the guests that measure.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use abi::bench::{COALESCED_PORT, Header, Row as Id, SAMPLES};
use abi::boot::BATCH_DEFAULT;
use abi::record::{Ending, Policy, Stop};
use thiserror::Error;

use super::figures::{self, Figures, Samples};
use super::{Bench, Row, meaning};
use crate::devices::{Budget, Console, ExitPort, Streams};
use crate::engine::kvm::Kvm;
use crate::engine::{Engine, EngineError, Guest};
use crate::images;
use crate::machine::bus::{Bus, End};
use crate::machine::clock::{Clock, host_tsc};
use crate::machine::host;
use crate::machine::kick::Watch;
use crate::machine::layout::MEMORY_DEFAULT_MIB;
use crate::run::{MAX_OUTPUT_DEFAULT, Outcome, Program, Run, RunError, TraceFile};

/// How often a guest is launched.
const LAUNCHES: usize = 40;
/// A guest that needs longer is stopped.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why nothing could be measured.
#[derive(Debug, Error)]
pub enum BenchError {
    /// A guest cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A signal stopped it.
    #[error("a signal stopped the measurement")]
    Interrupted,
}

impl From<EngineError> for BenchError {
    fn from(error: EngineError) -> Self {
        BenchError::Run(error.into())
    }
}

/// What a guest sent, or why it sent nothing, and its clock.
struct Sent {
    rows: Result<Vec<Samples>, String>,
    clock: Clock,
}

/// How a program is run.
#[derive(Clone, Copy)]
enum Mode {
    Untraced,
    /// With this batch.
    Traced(u64),
    /// As a Linux program, untraced.
    Linux,
}

/// Measures every row. `progress` is called with the name of a group before it is measured.
///
/// # Errors
/// There is no usable KVM, or a signal came. A row that cannot be measured is no error.
pub fn measure(mut progress: impl FnMut(&str)) -> Result<Bench, BenchError> {
    let mut rows = Vec::new();
    let mut add = |group: &str, name: &str, found: Result<Figures, String>| {
        let (figures, unmeasured) = match found {
            Ok(figures) => (Some(figures), None),
            Err(reason) => (None, Some(reason)),
        };
        let meaning = meaning::of(group, host::back_end()).into();
        rows.push(Row { group: group.into(), name: name.into(), meaning, figures, unmeasured });
    };
    progress("null call");
    for (id, entry) in [(Id::NullSyscall, "syscall"), (Id::NullInterrupt, "int 0x80")] {
        let modes = [
            (Mode::Untraced, "untraced"),
            (Mode::Traced(BATCH_DEFAULT), "batched"),
            (Mode::Traced(1), "--batch 1"),
        ];
        for (mode, name) in modes {
            add("null call", &format!("{entry}, {name}"), program(id, mode)?);
        }
    }
    progress("page fault");
    add("page fault", "first write to a page", program(Id::PageFault, Mode::Linux)?);
    progress("division fault");
    add("division fault", "to its handler", program(Id::Division, Mode::Untraced)?);
    progress("switch");
    for processes in [2, 8, 64] {
        add("switch", &format!("between {processes} processes"), switches(processes)?);
    }
    progress("timer and exit");
    let (sent, tsc_khz) = kernel()?;
    for (id, name, needs) in [
        (Id::OneShotLatency, "latency, one-shot", X2APIC),
        (Id::DeadlineLatency, "latency, deadline", DEADLINE),
        (Id::Period, "period", X2APIC),
        (Id::Jitter, "jitter", X2APIC),
    ] {
        add("timer", name, sent.row(id, needs));
    }
    for (id, name) in [
        (Id::PortWrite, "port write to user space"),
        (Id::CoalescedWrite, "coalesced port write"),
        (Id::Cpuid, "CPUID"),
        (Id::MsrRead, "MSR read"),
        (Id::MmioWrite, "MMIO write to user space"),
    ] {
        add("exit", name, sent.row(id, "the guest did not measure it"));
    }
    add("halt", "HLT and wake", sent.row(Id::HaltWake, X2APIC));
    progress("launch");
    add("launch", "to the first user instruction", launches()?);
    Ok(Bench::new(tsc_khz, rows))
}

const X2APIC: &str = "the CPUID of guests has no x2APIC";
const DEADLINE: &str = "the CPUID of guests has no TSC-deadline timer, or no x2APIC";

impl Sent {
    /// The figures of a row; `absent` is the reason if the guest did not send it.
    fn row(&self, id: Id, absent: &str) -> Result<Figures, String> {
        let rows = self.rows.as_ref().map_err(String::clone)?;
        let row = rows.iter().find(|(header, _)| header.row == id as u64);
        let figures = row.and_then(|(header, samples)| Figures::of(header, samples, &self.clock));
        figures.ok_or_else(|| absent.into())
    }
}

/// The program, measuring one row.
fn program(id: Id, mode: Mode) -> Result<Result<Figures, String>, BenchError> {
    Ok(run(&[vec![id as u64]], mode)?.row(id, "the program did not measure it"))
}

/// A process that measures, and others that yield as often.
fn switches(processes: usize) -> Result<Result<Figures, String>, BenchError> {
    // As many switches for each number of processes, and enough samples for bounds of the median.
    let count = (2 * SAMPLES / processes).clamp(50, SAMPLES) as u64;
    let id = Id::Switch as u64;
    let mut arguments = vec![vec![id, count]; processes];
    arguments[0].push(processes as u64);
    Ok(run(&arguments, Mode::Untraced)?.row(Id::Switch, "the program did not measure it"))
}

/// From the call of [`Run::execute`] to the start of the program.
fn launches() -> Result<Result<Figures, String>, BenchError> {
    let mut samples = Vec::new();
    let mut clock = None;
    for _ in 0..LAUNCHES {
        let start = host_tsc();
        let sent = run(&[vec![Id::Launch as u64]], Mode::Untraced)?;
        let first = match &sent.rows {
            Ok(rows) => rows.first().and_then(|(_, samples)| samples.first().copied()),
            Err(reason) => return Ok(Err(reason.clone())),
        };
        samples.extend(first.map(|first| first.wrapping_sub(sent.clock.guest_tsc(start))));
        clock = Some(sent.clock);
    }
    let header = Header { row: Id::Launch as u64, count: samples.len() as u64, each: 1, own: 0, lost: 0 };
    let figures = clock.and_then(|clock| Figures::of(&header, &samples, &clock));
    Ok(figures.ok_or_else(|| "no launch was measured".into()))
}

/// Runs a process for each list of arguments, without a timer, so that nothing else happens.
fn run(arguments: &[Vec<u64>], mode: Mode) -> Result<Sent, BenchError> {
    let programs = arguments.iter().map(|arguments| Program {
        name: "bench".into(),
        arguments: arguments.iter().map(|number| number.to_string().into()).collect(),
        elf: images::BENCH_PROGRAM.into(),
        path: "bench".into(),
        environment: Vec::new(),
        is_linux: matches!(mode, Mode::Linux),
    });
    let mut run = Run::new(programs.collect());
    run.settings.policy = Policy::Cooperative;
    run.timeout = Some(TIMEOUT);
    match mode {
        Mode::Traced(batch) => run.settings.batch = batch,
        Mode::Untraced | Mode::Linux => run.trace = TraceFile::None,
    }
    let Outcome { end, stop, console, clock, .. } = run.execute()?;
    Ok(Sent { rows: read(&end, stop, &console)?, clock })
}

/// Runs the kernel that measures. Returns the rate of its TSC in kHz too.
fn kernel() -> Result<(Sent, u64), BenchError> {
    let settings = Run::new(Vec::new()).settings;
    let guest = Guest {
        kernel: images::BENCH_KERNEL,
        modules: &[],
        settings: &settings,
        memory_mib: MEMORY_DEFAULT_MIB,
    };
    let _watch = Watch::start(Some(TIMEOUT)).map_err(RunError::from)?;
    let mut engine = Kvm::new(&guest)?;
    engine.collect_writes(COALESCED_PORT)?;
    let (memory, clock, tsc_khz) = (engine.memory(), engine.clock(), engine.host().tsc_khz);
    let mut bytes = Vec::new();
    let budget = Budget::new(MAX_OUTPUT_DEFAULT);
    let console = RefCell::new(Console::new(&mut bytes, &budget));
    let mut streams = Streams::new(&memory, &console, io::sink(), &budget);
    let mut exit = ExitPort;
    let mut bus = Bus::new();
    bus.attach(&mut streams).map_err(RunError::from)?;
    bus.attach(&mut exit).map_err(RunError::from)?;
    let ended = engine.run(&mut bus);
    console.borrow_mut().flush();
    drop(streams);
    drop(console);
    Ok((Sent { rows: read(&ended.end, ended.stop, &bytes)?, clock }, tsc_khz))
}

/// What a guest sent before it ended.
fn read(end: &End, stop: Option<Stop>, console: &[u8]) -> Result<Result<Vec<Samples>, String>, BenchError> {
    if stop == Some(Stop::Interrupted) {
        return Err(BenchError::Interrupted);
    }
    if (end.ending, end.status) != (Ending::Exited, u64::from(abi::exit::ALL_WELL)) {
        let message =
            end.message.clone().unwrap_or_else(|| format!("{:?}, status {}", end.ending, end.status));
        return Ok(Err(format!("the guest did not end well: {message}")));
    }
    Ok(figures::read(console).ok_or_else(|| "the guest sent no whole samples".into()))
}
