//! The walk over the events: who has the CPU, what each process is doing, which traps are under way.

use std::ops::RangeInclusive;

use abi::record::{Reason, SYSCALL_VECTOR, Timer};
use abi::syscall::{Call, INT_VECTOR};

use super::{Exits, PROCESSES_TIMED, Process, Shares, Stat, Times, Traps, UNKNOWN_CALL};
use crate::analysis::hardware::{EXIT_REASONS, Fault};
use crate::analysis::{End, count};
use crate::file::{Boot, Clock, Origin, Record, What, name_text};

/// The kernel's own number.
const KERNEL: u16 = 0;
/// Vectors below are exceptions.
const EXCEPTIONS: u8 = 32;
/// Results that are minus an error (Linux, `IS_ERR_VALUE`).
const ERRORS: RangeInclusive<i64> = -4095..=-1;

/// Who has the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cpu {
    Unknown,
    Boot,
    Program(u16),
    Kernel(u16),
    Switching,
    Idle,
}

/// What a process that does not run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waits {
    /// It runs, or it is not known.
    #[default]
    No,
    /// Ready since then.
    Ready(u64),
    /// Asleep since then.
    Asleep(u64),
}

/// What is under way in a process.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    /// [`Walk::gaps`] when this was written: records that are missing since then make it void.
    gaps: u64,
    waits: Waits,
    /// It was woken before it was switched away.
    is_awake: bool,
    trap: Option<Trap>,
}

/// A trap under way.
#[derive(Clone, Copy, Debug)]
struct Trap {
    vector: u8,
    call: Option<u32>,
    entered: u64,
    /// Since when the process runs again, and how long it did before.
    running_since: u64,
    kernel: u64,
    ready: u64,
    asleep: u64,
    is_error: bool,
}

/// A switch under way, from a process: when it trapped, and why it leaves.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    reason: Reason,
    entered: u64,
}

pub(super) struct Walk {
    stat: Stat,
    cpu: Cpu,
    cpu_since: u64,
    next_sequence: u64,
    /// The latest time seen.
    latest: u64,
    /// How often records were missing.
    gaps: u64,
    /// By the number of the process, as far as the highest number that was seen.
    tracks: Vec<Track>,
    processes: Vec<Option<Process>>,
    /// How many processes have [`Process::traps`].
    timed: usize,
    /// When the last switch stored its registers.
    saved: Option<u64>,
    leaving: Option<Leaving>,
    last_tick: Option<u64>,
    /// When the next tick should come.
    due: Option<u64>,
    /// What the timer adds to that by itself.
    reload: Option<u64>,
}

impl Walk {
    pub(super) fn new(clock: Clock) -> Walk {
        Walk {
            stat: Stat::new(clock),
            cpu: Cpu::Boot,
            cpu_since: 0,
            next_sequence: 0,
            latest: 0,
            gaps: 0,
            tracks: Vec::new(),
            processes: Vec::new(),
            timed: 0,
            saved: None,
            leaving: None,
            last_tick: None,
            due: None,
            reload: None,
        }
    }

    /// Takes in the next record.
    #[inline]
    pub(super) fn add(&mut self, record: &Record<'_>) {
        count(&mut self.stat.events);
        self.latest = self.latest.max(record.tsc);
        self.stat.kinds.get_mut(usize::from(record.kind)).into_iter().for_each(count);
        match record.origin {
            Origin::Guest => self.add_guest(record),
            Origin::Host => self.add_host(record),
        }
    }

    /// The numbers, when there is no more.
    pub(super) fn finish(mut self) -> Stat {
        let end = self.cpu_since;
        self.stat.nanoseconds = self.stat.clock.nanoseconds(self.latest);
        // The numbers of processes have 16 bits.
        for process in 1..self.tracks.len() as u32 {
            self.stop_waiting(process as u16, end);
        }
        let seen =
            (0..=u16::MAX).zip(self.processes).filter_map(|(number, process)| Some((number, process?)));
        self.stat.processes = seen.collect();
        self.stat
    }

    #[inline]
    fn add_guest(&mut self, record: &Record<'_>) {
        let tsc = record.tsc;
        if record.sequence != self.next_sequence {
            self.forget(tsc);
        } else if record.sequence == 0 {
            self.cpu_since = tsc;
        }
        self.next_sequence = record.sequence.wrapping_add(1);
        count(&mut self.stat.guest_events);
        self.account(tsc);
        self.step(record.process, tsc, record.what());
    }

    #[inline]
    fn step(&mut self, number: u16, tsc: u64, what: What) {
        match what {
            What::TrapEntry { frame, .. } => self.enter(number, frame.vector as u8, tsc),
            What::TrapReturn { .. } => self.leave_kernel(number, tsc),
            What::SystemCall { number: call } => self.call(number, call),
            What::SystemCallResult { result, .. } if ERRORS.contains(&result) => self.call_failed(number),
            What::Tick { .. } => self.tick(number, tsc),
            What::TimerArmed { timer, cycles, .. } => self.armed(timer, cycles, tsc),
            What::ContextSaved { reason, .. } => self.switch_away(number, reason, tsc),
            What::ContextLoaded { .. } => self.switch_to(number, tsc),
            other => self.rare(number, tsc, &other),
        }
    }

    fn rare(&mut self, number: u16, tsc: u64, what: &What) {
        match *what {
            What::Boot(Boot::Ready { .. }) => self.cpu = Cpu::Kernel(KERNEL),
            What::Idle {} => self.cpu = Cpu::Idle,
            What::ProcessCreated { program: name, .. } | What::Executed { program: name, .. } => {
                self.process(number).name = name_text(name);
            }
            What::KernelStackFilled { .. } => self.track(number).waits = Waits::Ready(tsc),
            What::Wake { .. } | What::Woken { .. } => self.wake(number, tsc),
            What::ProcessExited { status } => self.process(number).end = End::Exited(status),
            What::ProcessSignaled { signal, .. } => self.process(number).end = End::Signaled(signal),
            What::ProcessKilled { vector, error_code, rip, cr2 } => {
                self.process(number).end = End::Killed(Fault { vector, error_code, cr2 }, rip);
                self.trap_failed(number);
            }
            What::Called { .. } => self.leave_kernel(number, tsc),
            What::Returned { .. } => self.cpu = Cpu::Kernel(number),
            What::LoadFailed { .. } => {
                self.processes.get_mut(usize::from(number)).into_iter().for_each(|process| *process = None);
            }
            _ => {}
        }
    }

    fn enter(&mut self, number: u16, vector: u8, tsc: u64) {
        self.cpu = Cpu::Kernel(number);
        let trap = Trap {
            vector,
            call: None,
            entered: tsc,
            running_since: tsc,
            kernel: 0,
            ready: 0,
            asleep: 0,
            is_error: false,
        };
        // One that is still open can only be of the kernel itself, which does not go on from there.
        self.track(number).trap = Some(trap);
        count(&mut self.stat.traps.entry(vector).or_default().count);
        if number != KERNEL && vector < EXCEPTIONS {
            count(&mut self.process(number).faults);
        }
    }

    fn leave_kernel(&mut self, number: u16, tsc: u64) {
        self.end_trap(number, tsc);
        if number == KERNEL {
            return;
        }
        self.cpu = Cpu::Program(number);
        if let Some(Leaving { reason, entered }) = self.leaving.take() {
            self.stat.switches.whole.entry(reason).or_default().add(tsc.saturating_sub(entered));
        }
    }

    /// The trap under way is over, or its process is.
    fn end_trap(&mut self, number: u16, tsc: u64) {
        let Some(trap) = self.track(number).trap.take() else { return };
        let kernel = trap.kernel.saturating_add(tsc.saturating_sub(trap.running_since));
        for traps in self.of_trap(trap.vector, trap.call) {
            traps.kernel.add(kernel);
            traps.ready = traps.ready.saturating_add(trap.ready);
            traps.asleep = traps.asleep.saturating_add(trap.asleep);
        }
        if number != KERNEL {
            self.time_trap(number, kernel);
        }
    }

    /// Adds a trap's time in the kernel to the distribution of its process, if the process has one.
    fn time_trap(&mut self, number: u16, kernel: u64) {
        let may_start = self.timed < PROCESSES_TIMED;
        let traps = &mut self.process(number).traps;
        let starts = traps.is_none() && may_start;
        if starts {
            *traps = Some(Box::new(Times::default()));
        }
        traps.iter_mut().for_each(|times| times.add(kernel));
        self.timed = self.timed.saturating_add(starts.into());
    }

    fn call(&mut self, number: u16, call: u64) {
        let call = Call::from_number(call).map_or(UNKNOWN_CALL, |call| call as u32);
        count(&mut self.stat.calls.entry(call).or_default().count);
        count(&mut self.process(number).calls);
        let is_door = |trap: &&mut Trap| matches!(trap.vector, SYSCALL_VECTOR | INT_VECTOR);
        if let Some(trap) = self.track(number).trap.as_mut().filter(is_door) {
            trap.call = Some(call);
        }
    }

    fn call_failed(&mut self, number: u16) {
        count(&mut self.process(number).errors);
        self.trap_failed(number);
    }

    /// The trap under way is an error: counted now, as it need not end in the trace.
    fn trap_failed(&mut self, number: u16) {
        let Some(trap) = self.track(number).trap.as_mut().filter(|trap| !trap.is_error) else { return };
        trap.is_error = true;
        let (vector, call) = (trap.vector, trap.call);
        self.of_trap(vector, call).for_each(|traps| count(&mut traps.errors));
    }

    /// The numbers that a trap goes into: those of its vector, and those of its call.
    fn of_trap(&mut self, vector: u8, call: Option<u32>) -> impl Iterator<Item = &mut Traps> {
        let call = call.map(|call| self.stat.calls.entry(call).or_default());
        [Some(self.stat.traps.entry(vector).or_default()), call].into_iter().flatten()
    }

    fn switch_away(&mut self, number: u16, reason: Reason, tsc: u64) {
        self.cpu = Cpu::Switching;
        self.saved = Some(tsc);
        let track = self.track(number);
        let is_awake = std::mem::take(&mut track.is_awake);
        track.waits = match reason {
            Reason::Ended | Reason::Idle => Waits::No,
            Reason::Slept | Reason::Blocked if !is_awake => Waits::Asleep(tsc),
            _ => Waits::Ready(tsc),
        };
        let mut entered = None;
        if let Some(trap) = &mut track.trap {
            trap.kernel = trap.kernel.saturating_add(tsc.saturating_sub(trap.running_since));
            trap.running_since = tsc;
            entered = Some(trap.entered);
        }
        self.leaving = entered.map(|entered| Leaving { reason, entered });
        if reason == Reason::Ended {
            self.end_trap(number, tsc);
        }
    }

    fn switch_to(&mut self, number: u16, tsc: u64) {
        self.cpu = Cpu::Kernel(number);
        count(&mut self.stat.switches.count);
        if let Some(saved) = self.saved.take() {
            self.stat.switches.save_to_load.add(tsc.saturating_sub(saved));
        }
        if number == KERNEL {
            self.leaving = None;
            return;
        }
        count(&mut self.process(number).turns);
        if let Waits::Ready(since) = self.track(number).waits {
            self.stat.switches.wait.add(tsc.saturating_sub(since));
        }
        self.stop_waiting(number, tsc);
        if let Some(trap) = &mut self.track(number).trap {
            trap.running_since = tsc;
        }
    }

    fn wake(&mut self, number: u16, tsc: u64) {
        match self.track(number).waits {
            Waits::Asleep(_) => {
                self.stop_waiting(number, tsc);
                self.track(number).waits = Waits::Ready(tsc);
            }
            _ => self.track(number).is_awake = true,
        }
    }

    /// Adds up what a process waited for until now.
    fn stop_waiting(&mut self, number: u16, tsc: u64) {
        let track = self.track(number);
        let (ready, asleep) = match std::mem::take(&mut track.waits) {
            Waits::No => return,
            Waits::Ready(since) => (tsc.saturating_sub(since), 0),
            Waits::Asleep(since) => (0, tsc.saturating_sub(since)),
        };
        if let Some(trap) = &mut track.trap {
            trap.ready = trap.ready.saturating_add(ready);
            trap.asleep = trap.asleep.saturating_add(asleep);
        }
        let process = self.process(number);
        process.ready = process.ready.saturating_add(ready);
        process.asleep = process.asleep.saturating_add(asleep);
    }

    fn tick(&mut self, number: u16, tsc: u64) {
        let ticks = &mut self.stat.ticks;
        count(&mut ticks.count);
        if let Some(last) = self.last_tick.replace(tsc) {
            ticks.period.add(tsc.saturating_sub(last));
        }
        if let Some(due) = self.due {
            ticks.jitter.add(tsc.abs_diff(due));
        }
        self.due = self.reload.map(|cycles| tsc.saturating_add(cycles));
        if number != KERNEL {
            count(&mut self.process(number).ticks);
        }
    }

    fn armed(&mut self, timer: Timer, cycles: u64, tsc: u64) {
        self.stat.ticks.asked = cycles;
        self.due = Some(tsc.saturating_add(cycles));
        self.reload = (timer == Timer::Periodic).then_some(cycles);
    }

    fn add_host(&mut self, record: &Record<'_>) {
        match record.what() {
            What::HostExits { reason, count, guest_ns, host_ns } => {
                self.stat.exits.insert(reason.min(EXIT_REASONS), Exits { count, guest_ns, host_ns });
            }
            What::HostCount { counter, value } => {
                self.stat.counters.insert(counter, value);
            }
            // Whoever had the CPU kept it until then.
            What::HostStop { .. } => self.account(record.tsc),
            _ => {}
        }
    }

    /// Credits whoever had the CPU with the time until now.
    #[inline]
    fn account(&mut self, tsc: u64) {
        let cycles = tsc.saturating_sub(self.cpu_since);
        self.cpu_since = self.cpu_since.max(tsc);
        let Shares { boot, programs, kernel, switching, scheduler, idle, unknown } = &mut self.stat.shares;
        let share = match self.cpu {
            Cpu::Unknown => unknown,
            Cpu::Boot => boot,
            Cpu::Program(_) => programs,
            Cpu::Kernel(KERNEL) => scheduler,
            Cpu::Kernel(_) => kernel,
            Cpu::Switching => switching,
            Cpu::Idle => idle,
        };
        *share = share.saturating_add(cycles);
        match self.cpu {
            Cpu::Program(number) => {
                let process = self.process(number);
                process.user = process.user.saturating_add(cycles);
            }
            Cpu::Kernel(number @ 1..) => {
                let process = self.process(number);
                process.kernel = process.kernel.saturating_add(cycles);
            }
            _ => {}
        }
    }

    /// Records are missing: nothing that was under way is known any more.
    fn forget(&mut self, tsc: u64) {
        self.cpu = Cpu::Unknown;
        count(&mut self.gaps);
        (self.saved, self.leaving, self.last_tick) = (None, None, None);
        (self.due, self.reload) = (None, None);
        if self.stat.guest_events == 0 {
            self.cpu_since = tsc;
        }
    }

    #[inline]
    fn process(&mut self, number: u16) -> &mut Process {
        entry(&mut self.processes, number).get_or_insert_default()
    }

    #[inline]
    fn track(&mut self, number: u16) -> &mut Track {
        let gaps = self.gaps;
        let track = entry(&mut self.tracks, number);
        if track.gaps != gaps {
            *track = Track { gaps, ..Track::default() };
        }
        track
    }
}

/// The entry of a number in a table that grows as far as the numbers that are asked for.
#[inline]
#[expect(clippy::indexing_slicing, reason = "the table has the number, or gets it")]
fn entry<T: Default>(table: &mut Vec<T>, number: u16) -> &mut T {
    let index = usize::from(number);
    if table.len() <= index {
        table.resize_with(index.saturating_add(1), T::default);
    }
    &mut table[index]
}
