//! The summary of a run: events by kind, system calls by name, how each process ended, how the run ended.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use abi::record::{Ending, HostCounter, Kind, Panic, Stop, Wait};
use abi::syscall::Call;
use serde_json::{Value, json};

use super::count;
use super::hardware::{Fault, exit_reason, signal_name, signal_of_vector};
use crate::file::{Damage, Event, Origin, Trace, What, name_text};

/// The most processes, programs that were not loaded, and damages that text lists: it has to fit a screen.
pub const LISTED_MAX: usize = 24;

/// The most processes of a kind that the sentence about the end names.
const NAMED_MAX: usize = 4;

/// What the host counts of accesses that no device answers.
const UNANSWERED: [HostCounter; 4] =
    [HostCounter::UnownedWrites, HostCounter::UnownedReads, HostCounter::BadSize, HostCounter::Mmio];

/// The result of a call that the kernel does not have: minus ENOSYS.
const NO_SUCH_CALL: i64 = -abi::syscall::errno::ENOSYS;

/// The numbers of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// All events.
    pub events: u64,
    /// Events of the guest.
    pub guest_events: u64,
    /// From the first event to the last, in nanoseconds; 0 if the rate of the TSC is unknown.
    pub nanoseconds: u64,
    /// The CPU was emulated, so that time is of the emulation.
    pub is_emulated: bool,
    /// Events by the number of their kind.
    pub kinds: BTreeMap<u8, u64>,
    /// System calls by name, those that the kernel does not have as `unknown`.
    pub calls: BTreeMap<&'static str, u64>,
    /// How often a program asked for a call that the kernel does not have (`-ENOSYS`), by the call's name.
    pub refused: BTreeMap<String, u64>,
    /// Accesses that no device answered, by the name of the host's counter.
    pub unanswered: BTreeMap<&'static str, u64>,
    /// Timer interrupts.
    pub ticks: u64,
    /// Context switches.
    pub switches: u64,
    /// The processes by number.
    pub processes: BTreeMap<u16, ProcessSummary>,
    /// Programs that could not be loaded: name and reason, of the first [`LISTED_MAX`].
    pub not_loaded: Vec<(String, &'static str)>,
    /// How many programs could not be loaded.
    pub not_loaded_count: u64,
    /// Why the kernel panicked, if it did.
    pub panic: Option<String>,
    /// What stopped the run from outside, if anything did.
    pub stopped: Option<Stop>,
    /// The end as the host recorded it: the ending, its status, and Trapline's exit code. `None`: not in the trace.
    pub ending: Option<(Ending, u64, u32)>,
}

/// The numbers of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessSummary {
    /// Its name; empty if its creation is not in the trace.
    pub name: String,
    /// Timer interrupts while it ran.
    pub ticks: u64,
    /// System calls that it made.
    pub calls: u64,
    /// Times it was switched to.
    pub switches_in: u64,
    /// How it ended.
    pub end: End,
    /// The last signal that the kernel sent it.
    sent: Option<u32>,
    /// What it waits for, until it runs again.
    pub(crate) waits: Option<Wait>,
}

impl ProcessSummary {
    /// Its name and number, such as `hello/1`.
    pub(crate) fn label(&self, number: u16) -> String {
        format!("{}/{number}", if self.name.is_empty() { "?" } else { &self.name })
    }

    /// How it ended, or what it waits for.
    pub fn end_words(&self) -> String {
        match (self.end, self.waits) {
            (End::Running, Some(wait)) => format!("waits for {}", wait.name()),
            (end, _) => end.to_string(),
        }
    }

    /// Its exit code as a shell shows it: its status, or 128 and the number of the signal that ended it. `None`: it has not
    /// ended.
    pub fn exit_code(&self) -> Option<u8> {
        const BY_SIGNAL: u32 = 128;
        let by_signal = |signal: u32| BY_SIGNAL.saturating_add(signal) as u8;
        match self.end {
            End::Running => None,
            End::Exited(status) => Some(status as u8),
            End::Signaled(signal) => Some(by_signal(signal)),
            // The kernel sends the signal of a fault before it ends the process.
            End::Killed(fault, _) => Some(by_signal(self.sent.unwrap_or(signal_of_vector(fault.vector)))),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It had not ended at the end of the trace.
    #[default]
    Running,
    /// By itself, with this status.
    Exited(i64),
    /// By the kernel, for this fault of the instruction at this address.
    Killed(Fault, u64),
    /// By this signal.
    Signaled(u32),
}

impl End {
    /// The end as JSON: `how`, and what belongs to it.
    pub(crate) fn json(&self) -> Value {
        match self {
            End::Running => json!({ "how": "running" }),
            End::Exited(status) => json!({ "how": "exited", "status": status }),
            End::Signaled(signal) => json!({ "how": "signaled", "signal": signal }),
            End::Killed(fault, rip) => {
                json!({ "how": "killed", "vector": fault.vector, "why": fault.to_string(), "rip": rip })
            }
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Running => f.write_str("still running"),
            End::Exited(status) => write!(f, "exited with {status}"),
            End::Killed(fault, _) => write!(f, "killed by {fault}"),
            End::Signaled(signal) => write!(f, "killed by {}", signal_name(*signal)),
        }
    }
}

impl Summary {
    /// The summary of a trace.
    pub fn of(trace: &Trace) -> Summary {
        let mut summary = Summary { is_emulated: trace.meta().is_emulated(), ..Summary::default() };
        trace.events().for_each(|event| summary.add(&event));
        summary
    }

    /// Takes in the next event.
    pub fn add(&mut self, event: &Event) {
        count(&mut self.events);
        self.nanoseconds = self.nanoseconds.max(event.nanoseconds);
        count(self.kinds.entry(event.what.kind()).or_default());
        match event.origin {
            Origin::Guest => self.add_guest(event),
            Origin::Host => self.add_host(event),
        }
    }

    fn add_guest(&mut self, event: &Event) {
        count(&mut self.guest_events);
        match event.what {
            What::Tick { .. } => count(&mut self.ticks),
            What::ContextLoaded { .. } => count(&mut self.switches),
            What::SystemCall { number, .. } => {
                let name = Call::from_number(number).map_or("unknown", Call::name);
                count(self.calls.entry(name).or_default());
            }
            What::SystemCallResult { number, result: NO_SUCH_CALL } => {
                let name = Call::from_number(number.into());
                let name = name.map_or_else(|| format!("call {number}"), |call| call.name().into());
                if self.refused.len() < LISTED_MAX || self.refused.contains_key(&name) {
                    count(self.refused.entry(name).or_default());
                }
            }
            What::LoadFailed { error, program } => {
                count(&mut self.not_loaded_count);
                if self.not_loaded.len() < LISTED_MAX {
                    self.not_loaded.push((name_text(program), error.name()));
                }
            }
            What::KernelPanic { reason, rip, .. } => self.panic = Some(panic_words(reason, rip)),
            _ => {}
        }
        if event.process == 0 || matches!(event.what, What::LoadFailed { .. } | What::KernelPanic { .. }) {
            return;
        }
        let process = self.processes.entry(event.process).or_default();
        match event.what {
            What::ProcessCreated { program, .. } => process.name = name_text(program),
            What::Tick { .. } => count(&mut process.ticks),
            What::SystemCall { .. } => count(&mut process.calls),
            What::ContextLoaded { .. } => {
                count(&mut process.switches_in);
                process.waits = None;
            }
            What::Blocked { wait, .. } => process.waits = Some(wait),
            What::ProcessExited { status } => process.end = End::Exited(status),
            What::SignalSent { signal, by: 0, .. } => process.sent = Some(signal),
            What::ProcessSignaled { signal, .. } => process.end = End::Signaled(signal),
            What::Executed { program, .. } => process.name = name_text(program),
            What::ProcessKilled { vector, error_code, rip, cr2 } => {
                process.end = End::Killed(Fault { vector, error_code, cr2 }, rip);
            }
            _ => {}
        }
    }

    fn add_host(&mut self, event: &Event) {
        match event.what {
            What::HostCount { counter, value: value @ 1.. } if UNANSWERED.contains(&counter) => {
                self.unanswered.insert(counter.name(), value);
            }
            What::HostStop { stop } => self.stopped = Some(stop),
            What::HostEnd { exit_code, ending, status, .. } => {
                self.ending = Some((ending, status, exit_code))
            }
            _ => {}
        }
    }

    /// How the processes ended, in words. The tour ends so, because some of its programs must be killed.
    fn ends_words(&self) -> String {
        let ended = |is: fn(&End) -> bool| -> Vec<String> {
            let processes = self.processes.iter().filter(|(_, process)| is(&process.end));
            processes.map(|(&number, process)| process.label(number)).collect()
        };
        let well = ended(|end| *end == End::Exited(0)).len() as u64;
        let other = ended(|end| matches!(end, End::Exited(status) if *status != 0));
        let killed = ended(|end| matches!(end, End::Killed(..) | End::Signaled(_)));
        let parts = [
            counted(well, ["process exited with status 0", "processes exited with status 0"], &[]),
            counted(
                other.len() as u64,
                ["process exited with another status", "processes exited with another status"],
                &other,
            ),
            counted(killed.len() as u64, ["process was killed", "processes were killed"], &killed),
            counted(self.not_loaded_count, ["program was not loaded", "programs were not loaded"], &[]),
        ];
        match parts.into_iter().flatten().collect::<Vec<_>>() {
            parts if parts.is_empty() => "a process was killed or failed".into(),
            parts => parts.join("; "),
        }
    }

    /// The summary as JSON; docs/json.md describes it.
    pub fn json(&self) -> Value {
        let processes = self.processes.iter().map(|(number, process)| {
            let ProcessSummary { name, ticks, calls, switches_in, end, .. } = process;
            json!({
                "number": number, "name": name, "end": end.json(),
                "system_calls": calls, "ticks": ticks, "turns": switches_in,
            })
        });
        let not_loaded =
            self.not_loaded.iter().map(|(name, reason)| json!({ "name": name, "reason": reason }));
        let kinds = self.kinds.iter().map(|(&kind, &count)| (kind_name(kind), count));
        json!({
            "events": self.events,
            "duration_ns": self.nanoseconds,
            "is_emulated": self.is_emulated,
            "kinds": kinds.collect::<BTreeMap<_, _>>(),
            "system_calls": self.calls,
            "missing_calls": self.refused,
            "ticks": self.ticks,
            "switches": self.switches,
            "processes": processes.collect::<Vec<_>>(),
            "not_loaded": not_loaded.collect::<Vec<_>>(),
            "not_loaded_count": self.not_loaded_count,
            "kernel_panic": self.panic,
            "ending": self.ending_words(),
        })
    }

    /// How the run ended, in words.
    pub fn ending_words(&self) -> String {
        let Some((ending, status, _)) = self.ending else {
            return "the trace does not say how the run ended".into();
        };
        match (ending, self.stopped) {
            (Ending::Exited, _) => match u32::try_from(status) {
                Ok(abi::exit::ALL_WELL) => "every process exited with status 0".into(),
                Ok(abi::exit::PROCESS_FAILED) => self.ends_words(),
                Ok(abi::exit::KERNEL_PANIC) => "kernel panic".into(),
                Ok(abi::exit::DEADLOCK) => "deadlock: every process waited for another one".into(),
                _ => format!("the guest ended with status {status}"),
            },
            (Ending::Stopped, Some(Stop::TimeOut)) => "stopped by the time-out".into(),
            (Ending::Stopped, Some(Stop::Interrupted)) => "stopped by a signal".into(),
            (Ending::Stopped, None) => "stopped from outside".into(),
            (Ending::TripleFault, _) => {
                "triple fault: the CPU could not deliver a fault, and the guest crashed".into()
            }
            (Ending::KvmError, _) => format!("KVM could not continue (code {status})"),
            (Ending::TraceFailed, _) => "the trace could not be written".into(),
            (Ending::Unexpected, _) => match u32::try_from(status).ok().and_then(exit_reason) {
                Some(reason) => format!("a VM exit that Trapline does not support: {reason}"),
                None => format!("a VM exit that Trapline does not support (KVM's number {status})"),
            },
            (Ending::ContractBroken, _) => "the guest violated the ABI".into(),
            (Ending::Halted, _) => "the guest halted for good: `hlt` with interrupts off".into(),
            (Ending::TraceLimit, _) => format!("the trace reached --max-trace, {status} bytes"),
            (Ending::OutputLimit, _) => format!("the guest's output reached --max-output, {status} bytes"),
        }
    }
}

/// `3 processes were killed (divider/5, wild/6, rogue/7)`; `None` for 0. The words are for one and for more than one.
fn counted(count: u64, [one, many]: [&str; 2], labels: &[String]) -> Option<String> {
    let mut text = match count {
        0 => return None,
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    };
    if !labels.is_empty() {
        let more = labels.len().checked_sub(NAMED_MAX).filter(|&more| more > 0);
        let more = more.map(|more| format!("{more} more"));
        let named = labels.iter().take(NAMED_MAX).cloned().chain(more).collect::<Vec<_>>().join(", ");
        text.push_str(&format!(" ({named})"));
    }
    Some(text)
}

/// The reason of a kernel panic, in words.
pub fn panic_words(reason: u32, rip: u64) -> String {
    match (Panic::try_from(reason).ok(), u8::try_from(reason)) {
        (Some(reason), _) => reason.name().into(),
        (None, Ok(vector)) => {
            format!("{} in the kernel at {rip:#x}", super::hardware::vector_name(vector))
        }
        _ => format!("reason {reason}, which is unknown to this version"),
    }
}

/// Damages of a file as text: the first [`LISTED_MAX`], a sentence each, and how many more there are.
pub fn damage_lines(damage: &[Damage]) -> Vec<String> {
    let more = damage.len().checked_sub(LISTED_MAX).filter(|&more| more > 0);
    let more = more.map(|more| format!("{more} more places are damaged"));
    damage.iter().take(LISTED_MAX).map(ToString::to_string).chain(more).collect()
}

/// The name of a kind of record, by its number.
pub fn kind_name(kind: u8) -> Cow<'static, str> {
    Kind::try_from(kind).map_or_else(|kind| format!("kind-{kind}").into(), |kind| kind.name().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::samples;
    use crate::text::summary::text;

    fn summary() -> Summary {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        samples::write_file(&path, &samples::every_kind(), 10);
        Summary::of(&Trace::open(&path).expect("a whole file"))
    }

    #[test]
    fn a_run_is_counted() {
        let summary = summary();
        assert_eq!(summary.events, samples::every_kind().len() as u64);
        assert_eq!(summary.kinds.values().sum::<u64>(), summary.events);
        assert_eq!((summary.ticks, summary.switches), (1, 3));
        assert_eq!(summary.calls, BTreeMap::from([("write", 1), ("unknown", 1)]));
        let hello = &summary.processes[&1];
        assert_eq!((hello.name.as_str(), hello.ticks, hello.calls, hello.switches_in), ("hello", 1, 2, 3));
        assert_eq!(hello.end, End::Exited(3));
        assert_eq!(
            summary.processes[&2].end.to_string(),
            "killed by #PF page fault: write to 0xdead0000 (not present)"
        );
        assert_eq!(summary.not_loaded, [("hello".to_owned(), "the file is cut short")]);
        assert_eq!(summary.refused, BTreeMap::from([("call 999".into(), 1)]));
        assert_eq!(summary.ending, Some((Ending::Stopped, 0, 36)));
    }

    #[test]
    fn a_run_reads_like_this() {
        let text = text(&summary(), 100);
        let (counts, processes) = text.split_once("\n\n").expect("two parts");
        assert!(
            counts.starts_with("70 events in 0.069 ms (switches 3, ticks 1, system calls 2)\n"),
            "{counts}"
        );
        for width in [60, 80, 100] {
            let narrow = crate::text::summary::text(&summary(), width);
            assert!(narrow.lines().all(|line| line.chars().count() <= width), "{narrow}");
        }
        assert_eq!(
            processes,
            "  process    ticks    calls    turns  end\n  \
               hello/1        1        2        3  exited with 3\n  \
               ?/2            0        0        0  killed by #PF page fault: write to \
             0xdead0000 (not present)\n  \
               hello/4        0        0        0  killed by SIGKILL\n\n  \
               calls that the kernel does not have: call 999 (once)\n\n  \
               hello was not loaded: the file is cut short\n  \
               kernel panic: a bug in the kernel\n\
             The end: stopped by the time-out.\n"
        );
    }

    #[test]
    fn the_end_of_a_process_has_the_exit_code_of_a_shell() {
        let code = |end, sent| ProcessSummary { end, sent, ..ProcessSummary::default() }.exit_code();
        let fault = |vector| End::Killed(Fault { vector, error_code: 0, cr2: 0 }, 0);
        assert_eq!(code(End::Running, None), None);
        assert_eq!(code(End::Exited(7), None), Some(7));
        assert_eq!(code(End::Signaled(15), Some(14)), Some(143));
        assert_eq!((code(fault(0), None), code(fault(6), None)), (Some(136), Some(132)));
        assert_eq!((code(fault(14), None), code(fault(14), Some(7))), (Some(139), Some(135)));
    }

    #[test]
    fn the_end_of_a_run_says_how_its_processes_ended() {
        let divided = End::Killed(Fault { vector: 0, error_code: 0, cr2: 0 }, 0);
        let of = |ends: &[End], not_loaded_count| {
            let processes = ends.iter().zip(1..).map(|(&end, number)| {
                (number, ProcessSummary { name: "p".into(), end, ..ProcessSummary::default() })
            });
            let ending = Some((Ending::Exited, abi::exit::PROCESS_FAILED.into(), 32));
            Summary { processes: processes.collect(), not_loaded_count, ending, ..Summary::default() }
                .ending_words()
        };
        assert_eq!(
            of(&[End::Exited(0), divided, End::Exited(0), End::Signaled(9)], 0),
            "2 processes exited with status 0; 2 processes were killed (p/2, p/4)"
        );
        assert_eq!(
            of(&[End::Exited(3), End::Exited(0)], 1),
            "1 process exited with status 0; 1 process exited with another status (p/1); 1 program was not loaded"
        );
        assert_eq!(of(&[divided; 6], 0), "6 processes were killed (p/1, p/2, p/3, p/4, 2 more)");
        assert_eq!(of(&[], 0), "a process was killed or failed");
    }

    #[test]
    fn calls_that_the_kernel_does_not_have_are_named() {
        let mut summary = Summary::default();
        let mut add = |number, result| {
            let what = What::SystemCallResult { number, result };
            let (origin, process) = (Origin::Guest, 1);
            summary.add(&Event { sequence: 0, origin, tsc: 0, nanoseconds: 0, process, what });
        };
        add(Call::getpid as u32, 7);
        add(999_999, NO_SUCH_CALL);
        (0..2).for_each(|_| add(Call::socket as u32, NO_SUCH_CALL));
        let line = "  calls that the kernel does not have: call 999999 (once), socket (2 times)\n";
        let text = text(&summary, 100);
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_guest_without_records_and_accesses_without_a_device_are_named() {
        let mut summary = Summary::default();
        for (counter, value) in [(HostCounter::UnownedWrites, 3), (HostCounter::UnownedReads, 0)] {
            let what = What::HostCount { counter, value };
            let (origin, process) = (Origin::Host, 0);
            summary.add(&Event { sequence: 0, origin, tsc: 0, nanoseconds: 0, process, what });
        }
        let text = text(&summary, 100);
        for line in
            ["  the guest left no records", "  accesses that no device answered: unowned-port-writes 3"]
        {
            assert!(text.lines().any(|shown| shown == line), "{text}");
        }
    }

    #[test]
    fn a_run_of_many_processes_fits_a_screen() {
        let mut summary = Summary::default();
        let (name, error) = ([b'p'; 16], abi::record::LoadError::NotElf);
        for number in 0..1000 {
            let event = |process, what| Event {
                sequence: number,
                origin: Origin::Guest,
                tsc: 0,
                nanoseconds: 0,
                process,
                what,
            };
            summary.add(&event(number as u16 + 1, What::ProcessExited { status: 0 }));
            summary.add(&event(0, What::LoadFailed { error, program: name }));
        }
        let text = text(&summary, 100);
        assert!(text.lines().count() < 60 && text.contains("and 976 more processes\n"), "{text}");
        assert!(text.contains("and 976 more were not loaded\n"), "{text}");
    }

    #[test]
    fn much_damage_fits_a_screen() {
        assert_eq!(damage_lines(&vec![Damage::NotClosed; LISTED_MAX]).len(), LISTED_MAX);
        let lines = damage_lines(&vec![Damage::NotClosed; 1000]);
        assert_eq!(
            (lines.len(), lines[LISTED_MAX].as_str()),
            (LISTED_MAX + 1, "976 more places are damaged")
        );
    }

    #[test]
    fn no_events_are_no_trouble() {
        let text = text(&Summary::default(), 100);
        assert!(text.ends_with("The end: the trace does not say how the run ended.\n"), "{text}");
    }
}
