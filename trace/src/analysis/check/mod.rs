//! Checks that a trace follows the protocol of limited direct execution, in one pass over its events.
//!
//! A rule gets each event with the state of the `Machine` before it. So a rule keeps little state, and memory does not grow
//! with the trace. Rules use only the records: they cannot see what the kernel did not record, and the report marks a
//! rule that was never tested. Where records are missing, the rules discard their state instead of guessing.

mod calls;
mod linux;
mod machine;
mod steps;
mod switches;
mod symptoms;
#[cfg(test)]
mod tests;
mod time;
mod totals;
mod traps;

use std::collections::BTreeSet;

use abi::record::{Ending, Kind, Policy};
use serde::Serialize;

use crate::analysis::count;
use crate::file::{Damage, Event, Origin, Trace, What};
use Scope::{Any, Limited, Only};
use machine::Machine;

/// The result of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Tested, and never violated.
    Pass,
    /// Violated.
    Fail,
    /// Nothing in the trace tests it.
    NeverTested,
    /// The rule does not apply to the policy of the run.
    DoesNotApply,
}

/// A rule and its result.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its name.
    pub name: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// Its result.
    pub verdict: Verdict,
    /// How often it was tested.
    pub tested: u64,
    /// How often it was violated.
    pub violations: u64,
    /// The first violation.
    pub first: Option<Violation>,
}

/// A violation of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong, in words.
    pub message: String,
    /// The records that show it, in their order.
    pub events: Vec<Event>,
}

impl Violation {
    fn new<'a>(message: impl Into<String>, events: impl IntoIterator<Item = &'a Event>) -> Violation {
        Violation { message: message.into(), events: events.into_iter().copied().collect() }
    }
}

/// What `check` found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The policy of the run, if the trace has it.
    pub policy: Option<Policy>,
    /// The records of the guest that were checked.
    pub guest_records: u64,
    /// Every rule, in a fixed order.
    pub findings: Vec<Finding>,
    /// Under the policy direct: what was lost without limits, one sentence each.
    pub lost: Vec<String>,
    /// The records that created the processes of the violations. They have the names.
    pub processes: Vec<Event>,
}

impl Report {
    /// The trace has no records of a guest.
    pub fn is_empty(&self) -> bool {
        self.guest_records == 0
    }

    /// What was found for a rule.
    pub fn finding(&self, name: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.name == name)
    }

    /// True if no rule was violated.
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Fail)
    }
}

/// For which policies a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Any,
    /// Every policy but direct, under which programs have no limits.
    Limited,
    Only(Policy),
}

impl Scope {
    fn covers(self, policy: Option<Policy>) -> bool {
        match self {
            Scope::Any => true,
            Scope::Limited => policy != Some(Policy::Direct),
            Scope::Only(wanted) => policy == Some(wanted),
        }
    }
}

/// Which records a rule sees.
#[derive(Clone, Copy, Debug)]
enum Seen {
    All,
    /// Those of these kinds.
    Only(&'static [Kind]),
}

/// A rule that is checked.
trait Rule {
    /// The records that it is called for. Most rules see few kinds of record, and an event goes to no other rule.
    fn sees(&self) -> Seen;

    /// The next event that it sees; `machine` is as it was before.
    fn see(&mut self, event: &Event, machine: &Machine, log: &mut Log);

    /// The end of the trace.
    fn end(&mut self, _machine: &Machine, _log: &mut Log) {}

    /// Records are missing here.
    fn forget(&mut self) {}
}

/// What a rule found.
#[derive(Debug, Default)]
struct Log {
    tested: u64,
    violations: u64,
    first: Option<Violation>,
    /// Missing steps, the first of each kind. They count at the end, if this kernel makes records of that kind.
    missed: Vec<(Kind, u64, Violation)>,
}

impl Log {
    fn test(&mut self, holds: bool, violation: impl FnOnce() -> Violation) {
        self.note_test();
        if !holds {
            self.fail(violation);
        }
    }

    fn note_test(&mut self) {
        count(&mut self.tested);
    }

    fn fail(&mut self, violation: impl FnOnce() -> Violation) {
        count(&mut self.violations);
        self.first.get_or_insert_with(violation);
    }

    /// Notes that a record of `kind` should have come before `event`.
    fn miss(&mut self, kind: Kind, violation: impl FnOnce() -> Violation) {
        match self.missed.iter_mut().find(|(missed, ..)| *missed == kind) {
            Some((_, times, _)) => count(times),
            None => self.missed.push((kind, 1, violation())),
        }
    }

    fn settle(&mut self, machine: &Machine) {
        for (kind, times, violation) in std::mem::take(&mut self.missed) {
            if machine.records(kind) {
                self.violations = self.violations.saturating_add(times);
                self.first.get_or_insert(violation);
            }
        }
    }
}

/// A rule with its name, its description and what it found.
struct Checked {
    name: &'static str,
    words: &'static str,
    scope: Scope,
    rule: Box<dyn Rule>,
    log: Log,
}

impl Checked {
    fn finding(self, machine: &Machine) -> Finding {
        let Checked { name, words, scope, log: Log { tested, violations, first, .. }, .. } = self;
        let verdict = match (scope.covers(machine.policy), violations, tested) {
            (false, ..) => Verdict::DoesNotApply,
            (_, 1.., _) => Verdict::Fail,
            (_, _, 0) => Verdict::NeverTested,
            _ => Verdict::Pass,
        };
        let first = first.filter(|_| verdict == Verdict::Fail);
        Finding { name, rule: words, verdict, tested, violations, first }
    }
}

/// A rule that has found nothing yet.
fn rule(name: &'static str, scope: Scope, words: &'static str, rule: impl Rule + 'static) -> Checked {
    Checked { name, words, scope, rule: Box::new(rule), log: Log::default() }
}

fn rules() -> Vec<Checked> {
    [trap_rules(), switch_rules(), call_rules(), step_rules(), symptom_rules(), linux_rules(), count_rules()]
        .into_iter()
        .flatten()
        .collect()
}

/// Traps: what the hardware and the stub saved.
fn trap_rules() -> Vec<Checked> {
    vec![
        rule(
            "entry-return",
            Any,
            "every trap entry has one return, or the end of its process",
            traps::EntryReturn,
        ),
        rule("user-frames", Limited, "a trap from user mode has CPL 3 and interrupts on", traps::UserFrames),
        rule(
            "handler-flags",
            Limited,
            "interrupts are off while a trap is handled, as RFLAGS in the handler shows",
            traps::HandlerFlags,
        ),
        rule(
            "kernel-code",
            Limited,
            "ring 0 runs only code at kernel addresses",
            traps::KernelCode::default(),
        ),
        rule(
            "frame-kept",
            Any,
            "a trap returns to the frame and registers that it saved, except for results and recorded rewrites",
            traps::FrameKept,
        ),
        rule(
            "kernel-stack",
            Limited,
            "the CPU saves registers on the kernel stack of the running process",
            traps::KernelStack::default(),
        ),
    ]
}

/// Switches, turns and the timer.
fn switch_rules() -> Vec<Checked> {
    vec![
        rule(
            "context-kept",
            Any,
            "a switch loads exactly what the last switch away from that process stored",
            switches::ContextKept,
        ),
        rule(
            "current",
            Any,
            "no process runs while it is not current, before it was created or after its end",
            switches::Current,
        ),
        rule(
            "ticks-armed",
            Any,
            "every tick was armed: a periodic timer once, any other each time",
            time::TicksArmed::default(),
        ),
        rule(
            "turn",
            Only(Policy::RoundRobin),
            "a turn in round robin lasts at most a quantum, plus the time of the kernel and the host",
            time::Turn,
        ),
        rule(
            "no-preemption",
            Only(Policy::Cooperative),
            "a cooperative kernel preempts no process, and the timer runs only while the kernel is idle",
            time::NoPreemption,
        ),
    ]
}

/// System calls and kills.
fn call_rules() -> Vec<Checked> {
    vec![
        rule(
            "call-numbers",
            Any,
            "every system call number is known, or refused with -ENOSYS",
            calls::Numbers,
        ),
        rule(
            "call-results",
            Any,
            "the result of a system call is one that the call can have",
            calls::Results,
        ),
        rule(
            "long-calls",
            Only(Policy::RoundRobin),
            "a call that copies more than 1,024 pages, or makes as many accessible, lets other processes run meanwhile",
            calls::LongCalls::default(),
        ),
        rule("kills", Any, "the kernel kills a process only after a fault that it recorded", calls::Kills),
    ]
}

/// The steps of the book's tables.
fn step_rules() -> Vec<Checked> {
    vec![
        rule(
            "steps-boot",
            Any,
            "boot: trap table, system call handler, in round robin the timer, before the first process runs",
            steps::Boot::default(),
        ),
        rule(
            "steps-process",
            Any,
            "a process is created and loaded, gets its user stack and its kernel stack, and starts by a return-from-trap",
            steps::Birth::default(),
        ),
        rule("steps-trap", Any, "a trap is entered, handled once and returned from", steps::Trap),
        rule(
            "steps-tick",
            Any,
            "each tick is one timer interrupt, and they are numbered without a gap",
            steps::Tick::default(),
        ),
        rule(
            "steps-switch",
            Any,
            "a switch stores A's registers, then loads B's, for the reason that it says",
            steps::Switch::default(),
        ),
        rule("steps-end", Any, "a process ends once, then is switched away from, then freed", steps::End),
    ]
}

/// Typical errors of kernels in development.
fn symptom_rules() -> Vec<Checked> {
    vec![
        rule(
            "same-fault",
            Any,
            "no fault is repeated again and again at the same instruction",
            symptoms::SameFault::default(),
        ),
        rule(
            "timer-silent",
            Only(Policy::RoundRobin),
            "the timer does not stop ticking",
            symptoms::TimerSilent,
        ),
        rule("interrupts-off", Limited, "user mode is entered with interrupts on", symptoms::InterruptsOff),
        rule(
            "never-chosen",
            Limited,
            "a ready process runs before other processes have had many turns",
            symptoms::NeverChosen,
        ),
        rule("iretq-fault", Limited, "no `iretq` causes a fault", symptoms::IretqFault::default()),
    ]
}

/// Processes that wait, and Linux programs.
fn linux_rules() -> Vec<Checked> {
    vec![
        rule("waiting", Limited, "no process gets the CPU while it waits", linux::Waiting),
        rule(
            "wakes",
            Limited,
            "a waiting process wakes once, by the process that runs or because its time is over, and from what it waits for",
            linux::Wakes::default(),
        ),
        rule(
            "children",
            Limited,
            "a child starts with the registers of its parent, and 0 as the result of the call",
            linux::Children::default(),
        ),
        rule(
            "copies",
            Limited,
            "after fork a process writes only to a copy of a page, or to a page that no other process maps any more",
            linux::Copies::default(),
        ),
        rule(
            "signal-frames",
            Limited,
            "a process continues after a signal handler with the registers that the handler interrupted",
            linux::SignalFrames::default(),
        ),
        rule(
            "frames-free",
            Any,
            "when all processes have ended, as many page frames are free as at the start",
            linux::Frames,
        ),
    ]
}

/// What the host counted.
fn count_rules() -> Vec<Checked> {
    vec![
        rule(
            "count-interrupts",
            Any,
            "KVM injected every interrupt that the guest took",
            totals::Interrupts::default(),
        ),
        rule(
            "count-doorbells",
            Any,
            "the doorbell rang at each tick and before idling, and only when records waited",
            totals::Doorbells::default(),
        ),
        rule(
            "count-console",
            Limited,
            "the console received as many bytes as write() returned",
            totals::Console::default(),
        ),
        rule(
            "count-exits",
            Any,
            "KVM counted the exits that the host saw, and the host saw one for each port write",
            totals::Exits::default(),
        ),
    ]
}

/// The rule about the file itself.
const SEQUENCE: (&str, &str) =
    ("sequence", "the sequence is complete: the file holds every record of the run");

/// The names of all rules, in the order of their findings.
pub fn names() -> Vec<&'static str> {
    std::iter::once(SEQUENCE.0).chain(rules().iter().map(|checked| checked.name)).collect()
}

/// Checks a trace.
pub fn check(trace: &Trace) -> Report {
    let mut check = Check::new(trace.meta().tsc_khz);
    check.machine.is_emulated = trace.meta().is_emulated();
    trace.events().for_each(|event| check.see(&event));
    check.report(trace.damage())
}

/// The check of a trace, as its events come.
struct Check {
    machine: Machine,
    rules: Vec<Checked>,
    /// Where the rules are that see a kind, by its number.
    by_kind: Vec<Vec<usize>>,
    /// Where the rules are that see all records. Records that this version cannot decode go to them alone.
    of_all: Vec<usize>,
    events: u64,
    guest_records: u64,
}

impl Check {
    fn new(tsc_khz: u64) -> Check {
        let rules = rules();
        let seen_by = |is_seen: &dyn Fn(&'static [Kind]) -> bool| {
            let sees = |checked: &Checked| match checked.rule.sees() {
                Seen::All => true,
                Seen::Only(kinds) => is_seen(kinds),
            };
            (0..).zip(&rules).filter(|(_, checked)| sees(checked)).map(|(place, _)| place).collect()
        };
        let of_kind = |number| seen_by(&|kinds| kinds.iter().any(|&kind| kind as u8 == number));
        let (by_kind, of_all) = ((0..=u8::MAX).map(of_kind).collect(), seen_by(&|_| false));
        Check { machine: Machine::new(tsc_khz), rules, by_kind, of_all, events: 0, guest_records: 0 }
    }

    fn see(&mut self, event: &Event) {
        let Check { machine, rules, by_kind, of_all, events, guest_records } = self;
        count(events);
        if event.origin == Origin::Guest {
            count(guest_records);
        }
        if event.origin == Origin::Guest && machine.missed_some(event) {
            machine.forget();
            rules.iter_mut().for_each(|checked| checked.rule.forget());
        }
        let seen_by = match event.what {
            What::Unknown { .. } => of_all,
            _ => by_kind.get(usize::from(event.what.kind())).unwrap_or(of_all),
        };
        for &place in seen_by {
            if let Some(Checked { rule, log, .. }) = rules.get_mut(place) {
                rule.see(event, machine, log);
            }
        }
        machine.apply(event);
    }

    /// What was found, when there are no more events.
    fn report(self, damage: &[Damage]) -> Report {
        let Check { machine, rules, events, guest_records, .. } = self;
        let mut findings = vec![sequence(damage, events)];
        for mut checked in rules {
            checked.rule.end(&machine, &mut checked.log);
            checked.log.settle(&machine);
            findings.push(checked.finding(&machine));
        }
        let lost = if machine.policy == Some(Policy::Direct) { lost(&machine) } else { vec![] };
        let processes = created(&findings, &machine);
        Report { policy: machine.policy, guest_records, findings, lost, processes }
    }
}

/// The records that name the processes of the violations.
fn created(findings: &[Finding], machine: &Machine) -> Vec<Event> {
    let violations = findings.iter().filter_map(|finding| finding.first.as_ref());
    let events = violations.flat_map(|violation| &violation.events);
    let named = events.flat_map(|event| match event.what {
        What::ContextLoaded { from, .. } => [Some(event.process), u16::try_from(from).ok()],
        _ => [Some(event.process), None],
    });
    let named: BTreeSet<u16> = named.flatten().collect();
    named.into_iter().filter_map(|id| machine.process(id)?.created.as_deref().copied()).collect()
}

fn sequence(damage: &[Damage], events: u64) -> Finding {
    let (name, rule) = SEQUENCE;
    let first = damage.first().map(|damage| Violation::new(damage.to_string(), []));
    let verdict = match (&first, events) {
        (Some(_), _) => Verdict::Fail,
        (None, 0) => Verdict::NeverTested,
        (None, _) => Verdict::Pass,
    };
    Finding { name, rule, verdict, tested: events, violations: damage.len() as u64, first }
}

/// How many process numbers a sentence lists.
const NUMBERS_SHOWN: usize = 8;

/// What was lost without limits.
fn lost(machine: &Machine) -> Vec<String> {
    let mut lost = vec![
        "ring 3: programs ran with all the CPU's privileges, and nothing stood between them and the kernel"
            .into(),
    ];
    if machine.ticks == 0 {
        lost.push("the timer: nothing could take the CPU back from a program".into());
    }
    if let Some(waited) = numbers(machine, |process| process.alive() && !process.ran) {
        lost.push(format!("time sharing: process {waited} never had the CPU"));
    }
    if let Some(unfinished) = numbers(machine, |process| process.alive() && process.ran) {
        lost.push(format!("the end: process {unfinished} did not end"));
    }
    match machine.ending {
        Some(Ending::Stopped | Ending::TraceLimit | Ending::OutputLimit) => {
            lost.push("control: only the host could end the run".into())
        }
        Some(Ending::TripleFault | Ending::KvmError | Ending::Unexpected | Ending::ContractBroken) => {
            lost.push("the machine: a program crashed it".into());
        }
        Some(Ending::Halted) => lost.push("the machine: a program halted it for good".into()),
        _ if machine.panicked => {
            lost.push("the kernel: a program's fault was a fault in the kernel, which panicked".into())
        }
        _ => {}
    }
    lost
}

/// The numbers of the processes that `wanted` selects, as text: the first ones, and how many more there are. `None` if it
/// selects no process.
fn numbers(machine: &Machine, wanted: impl Fn(&machine::Process) -> bool) -> Option<String> {
    let mut picked = machine.processes().filter(|&(id, process)| id != 0 && wanted(process));
    let shown: Vec<String> = picked.by_ref().take(NUMBERS_SHOWN).map(|(id, _)| id.to_string()).collect();
    let more = match picked.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!shown.is_empty()).then(|| shown.join(", ") + &more)
}
