//! The scheduler: the run queue, the switch from one process to the next, sleep, and how a process ends.
//!
//! Round robin is a queue: a process that is preempted is added at its tail. The cooperative policy is the same queue
//! without a timer, so a process keeps the CPU until it yields, waits or ends.

use abi::record::Reason;
use abi::record::emit::{ContextLoaded, ContextSaved, Idle, ProcessExited, ProcessKilled, Sleep, Wake};

use crate::arch::context::{Segments, switch};
use crate::arch::{boot, cpu, gdt};
use crate::cell::Local;
use crate::layout::{STACK_BOOT, stack_top};
use crate::process::{self, KERNEL, NEVER, Process, State};
use crate::run_queue::RunQueue;
use crate::trace::Emit;
use crate::{fpu, timer, trace};

static QUEUE: RunQueue<&Process> = RunQueue::new();
/// Which process had the CPU before the last switch, and why it lost it.
static PREVIOUS: Local<(&Process, Reason)> = Local::new((&process::PROCESSES[KERNEL as usize], Reason::Idle));
/// How many processes have not ended.
static ALIVE: Local<u16> = Local::new(0);
/// The process that wakes first, of those that wait for a time; [`KERNEL`] if no process does.
static FIRST_SLEEPER: Local<u16> = Local::new(KERNEL);
/// A process ended with another status than 0, was killed, or could not be created.
pub static FAILED: Local<bool> = Local::new(false);

/// The process that runs is a Linux program. Every system call looks, so it has a place of its own.
pub static RUNS_LINUX: Local<bool> = Local::new(false);
/// The process that runs.
static CURRENT: Local<&Process> = Local::new(&process::PROCESSES[KERNEL as usize]);

/// The process that runs.
#[inline(always)]
pub fn current() -> &'static Process {
    CURRENT.get()
}

/// A new process joins the run queue.
pub fn add(id: u16) {
    ALIVE.set(ALIVE.get() + 1);
    QUEUE.push(process::get(id));
}

/// Runs processes until all have ended; returns how many have not, because each of them waits for another and
/// `awaits_input` says that no input is to come. The caller's stack becomes that of process 0.
pub fn run(awaits_input: fn() -> bool) -> u16 {
    let kernel = process::get(KERNEL);
    kernel.set_root(boot::root());
    kernel.kernel_stack.set(stack_top(STACK_BOOT));
    while ALIVE.get() > 0 {
        wake_sleepers();
        match QUEUE.pop() {
            Some(next) => switch_to(Reason::Idle, next),
            None if FIRST_SLEEPER.get() == KERNEL && !awaits_input() => break,
            None => idle(),
        }
    }
    ALIVE.get()
}

/// No process can run, but some sleep or wait for input: waits for an interrupt. The caller looks for sleepers after each.
fn idle() {
    Idle {}.emit();
    trace::ring();
    if FIRST_SLEEPER.get() != KERNEL {
        timer::arm_for_idle(process::get(FIRST_SLEEPER.get()).wake.get());
    }
    cpu::wait_for_interrupt();
}

/// The quantum is over: the process that runs loses the CPU if another one waits for it. In the idle wait no process
/// runs, and `run` looks for one itself. Returns true if it lost the CPU.
pub fn preempt() -> bool {
    if trace::current() == KERNEL {
        return false;
    }
    let lost = give_way(Reason::Preempted);
    if !lost {
        timer::new_turn();
    }
    lost
}

/// The process that runs lets the next one run, if there is one.
pub fn yield_now() {
    give_way(Reason::Yielded);
}

/// Switches to the next process in the queue; returns false where the queue is empty.
fn give_way(reason: Reason) -> bool {
    wake_sleepers();
    let Some(next) = QUEUE.pop() else { return false };
    QUEUE.push(current());
    switch_to(reason, next);
    true
}

/// The process that runs waits until the TSC reaches `wake`.
pub fn sleep(wake: u64) {
    Sleep { until_tsc: wake }.emit();
    wait(wake, Reason::Slept);
}

/// Ends the turn of a process in the middle of a call that takes long, if the policy limits turns and another process is
/// ready. Interrupts are off in the kernel, so no tick can end it.
pub fn pause() {
    wake_sleepers();
    if timer::ends_turns() && !QUEUE.is_empty() && trace::current() != KERNEL {
        sleep(cpu::tsc());
    }
}

/// The process that runs waits until another one wakes it, or the TSC reaches `until`.
pub fn wait(until: u64, reason: Reason) {
    let process = current();
    process.wake.set(until);
    process.state.set(State::Waiting);
    if until != NEVER {
        let place = sleepers_until(|sleeper| sleeper.wake.get() > until);
        process.next_sleeper.set(place.get());
        place.set(trace::current());
    }
    leave(reason);
}

/// A process that waits joins the run queue. It does not matter if it does not wait.
pub fn wake(id: u16) {
    let process = process::get(id);
    if process.state.get() != State::Waiting {
        return;
    }
    if process.wake.get() != NEVER {
        sleepers_until(|sleeper| sleeper.id.get() == id).set(process.next_sleeper.get());
    }
    process.state.set(State::Runnable);
    QUEUE.push(process);
}

/// The link to the first sleeper that `found` accepts, or the last link.
fn sleepers_until(found: impl Fn(&Process) -> bool) -> &'static Local<u16> {
    let mut link = &FIRST_SLEEPER;
    while link.get() != KERNEL && !found(process::get(link.get())) {
        link = &process::get(link.get()).next_sleeper;
    }
    link
}

/// The process that runs ends by itself.
#[cold]
pub fn exit(status: u64) -> ! {
    let status = status & 0xFF;
    if status != 0 {
        FAILED.set(true);
    }
    ProcessExited { status: status as i64 }.emit();
    end()
}

/// The process that runs ends because of a fault.
pub fn kill(fault: ProcessKilled) -> ! {
    FAILED.set(true);
    fault.emit();
    end()
}

/// The process that runs ends. Its kernel stack is in use until the switch, so the next process frees its memory.
pub fn end() -> ! {
    current().state.set(State::Ended);
    ALIVE.set(ALIVE.get() - 1);
    leave(Reason::Ended);
    // Not reached: a process that ended is in no queue.
    loop {
        core::hint::spin_loop();
    }
}

/// The process that runs cannot continue: switches to the next one, or to the kernel if no process waits.
fn leave(reason: Reason) {
    wake_sleepers();
    switch_to(reason, QUEUE.pop().unwrap_or(process::get(KERNEL)));
}

/// Sleepers whose time has come join the run queue.
#[inline(always)]
pub fn wake_sleepers() {
    if FIRST_SLEEPER.get() != KERNEL {
        wake_those_due();
    }
}

#[cold]
#[inline(never)]
fn wake_those_due() {
    while FIRST_SLEEPER.get() != KERNEL {
        let id = FIRST_SLEEPER.get();
        let due = process::get(id).wake.get();
        if due > cpu::tsc() {
            return;
        }
        Wake { wanted_tsc: due }.emit_for(id);
        wake(id);
    }
}

/// The switch. It returns when another switch comes back to the process that called it. A sleeper whose time has
/// already come is switched to itself.
fn switch_to(reason: Reason, to: &'static Process) {
    let (from, next) = (current(), to.id.get());
    PREVIOUS.set((from, reason));
    let now = cpu::tsc();
    from.cycles.set(from.cycles.get().wrapping_add(now));
    to.cycles.set(to.cycles.get().wrapping_sub(now));
    trace::CURRENT.set(next);
    CURRENT.set(to);
    RUNS_LINUX.set(to.is_linux.get());
    // SAFETY: both are entries of the process list. Every root table has the kernel's half, so code and stacks stay
    // mapped; `to` was stored by a switch or filled by `create`; its kernel stack is mapped.
    unsafe {
        if next != KERNEL {
            fpu::switch(to.fpu.get());
        }
        load_space(to);
        Segments::switch(from.segments.pointer(), to.segments.pointer());
        switch(from.context.pointer(), to.context.pointer());
    }
    arrived();
}

/// Loads the address space of a process, and sets the stack for its traps.
#[inline(always)]
pub fn load_space(process: &Process) {
    // SAFETY: every root table has the kernel's half, so code and stacks stay mapped.
    unsafe { cpu::load_root(process.root()) };
    gdt::set_kernel_stack(process.kernel_stack.get());
}

/// Runs after every switch, on the new process's stack: records both contexts and frees a process that ended.
pub fn arrived() {
    let (from, reason) = PREVIOUS.get();
    let previous = from.id.get();
    ContextSaved { reason, structure: from.address(), context: from.saved() }.emit_with_for(previous, || {
        let to = current();
        let loaded = ContextLoaded {
            from: previous.into(),
            structure: to.address(),
            context: to.saved(),
            cr3: to.root(),
            kernel_stack_top: to.kernel_stack.get(),
        };
        (trace::current(), loaded)
    });
    // Read again, so that no register is kept for it.
    if PREVIOUS.get().1 == Reason::Ended {
        process::free(PREVIOUS.get().0.id.get());
    }
    timer::new_turn();
}
