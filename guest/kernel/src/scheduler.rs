//! Who runs: the run queue, the switch from one process to the next, sleep, and the end of a process.
//!
//! Round robin is a queue: who gives up the CPU goes to its end. The cooperative policy is the same queue
//! without a timer to make anybody give it up.

use abi::boot::PROCESSES_MAX;
use abi::record::{FIRST_RETURN, Kind, Reason};

use crate::arch::boot::root_table;
use crate::arch::context::{Context, FpuState, Segments, switch};
use crate::arch::trap_frame::TrapFrame;
use crate::arch::{cpu, gdt};
use crate::cell::Local;
use crate::layout::KERNEL_BASE;
use crate::process::{self, Process, State};
use crate::{timer, trace};

/// The kernel's own entry in the process list.
const KERNEL: u16 = 0;
/// A power of two that holds every process.
const QUEUE_SIZE: usize = PROCESSES_MAX.next_power_of_two();

/// The run queue: runnable processes that wait for the CPU, in order.
struct RunQueue {
    waiting: [u16; QUEUE_SIZE],
    first: usize,
    count: usize,
}

static QUEUE: Local<RunQueue> = Local::new(RunQueue { waiting: [0; QUEUE_SIZE], first: 0, count: 0 });
static CURRENT: Local<u16> = Local::new(KERNEL);
/// Who had the CPU before the last switch, and why no longer.
static PREVIOUS: Local<(u16, Reason)> = Local::new((KERNEL, Reason::Idle));
/// Processes that have not ended, and those of them that sleep.
static ALIVE: Local<u16> = Local::new(0);
static SLEEPING: Local<u16> = Local::new(0);

/// The number of the process that runs; 0: the kernel.
#[inline(always)]
pub fn current_id() -> u16 {
    CURRENT.get()
}

/// The process that runs.
#[inline(always)]
pub fn current() -> &'static mut Process {
    process::get(CURRENT.get())
}

/// A new process joins the run queue.
pub fn add(id: u16) {
    ALIVE.set(ALIVE.get() + 1);
    enqueue(id);
}

fn enqueue(id: u16) {
    // SAFETY: one CPU; the index is below the array's size, and a process waits at most once.
    unsafe {
        let queue = &mut *QUEUE.pointer();
        let at = (queue.first + queue.count) % QUEUE_SIZE;
        queue.waiting[at] = id;
        queue.count += 1;
    }
}

fn dequeue() -> Option<u16> {
    // SAFETY: as for `enqueue`.
    unsafe {
        let queue = &mut *QUEUE.pointer();
        if queue.count == 0 {
            return None;
        }
        let id = queue.waiting[queue.first % QUEUE_SIZE];
        queue.first = (queue.first + 1) % QUEUE_SIZE;
        queue.count -= 1;
        Some(id)
    }
}

/// Runs processes until none is alive. The caller's stack is that of process 0.
pub fn run() {
    let kernel = process::get(KERNEL);
    kernel.space.root = root_table() as u64 - KERNEL_BASE;
    kernel.kernel_stack = crate::layout::stack_top(crate::layout::STACK_BOOT);
    while ALIVE.get() > 0 {
        wake_sleepers();
        match dequeue() {
            Some(next) => switch_to(next, Reason::Idle),
            None => idle(),
        }
    }
}

/// Nobody can run, but somebody sleeps: wait for the timer, which looks for sleepers at each tick.
fn idle() {
    trace::record(Kind::Idle, 0, []);
    trace::ring();
    timer::arm_for_idle(earliest_wake());
    cpu::wait_for_interrupt();
}

/// The quantum of the process that runs is over: the next one's turn. False: there is none, it goes on.
pub fn preempt() -> bool {
    give_up(Reason::Preempted)
}

/// The process that runs lets the next one run, if there is one.
pub fn yield_now() {
    give_up(Reason::Yielded);
}

fn give_up(reason: Reason) -> bool {
    wake_sleepers();
    let Some(next) = dequeue() else { return false };
    enqueue(CURRENT.get());
    switch_to(next, reason);
    true
}

/// The process that runs waits until the TSC reaches `wake`.
pub fn sleep(wake: u64) {
    let process = current();
    process.wake = wake;
    process.state = State::Sleeping;
    SLEEPING.set(SLEEPING.get() + 1);
    trace::record(Kind::Sleep, 0, [wake]);
    leave(Reason::Slept);
}

/// The process that runs is over; its kernel stack is used for the last time.
pub fn end() -> ! {
    current().state = State::Ended;
    ALIVE.set(ALIVE.get() - 1);
    leave(Reason::Ended);
    // Nobody ever queues this process again.
    loop {
        core::hint::spin_loop();
    }
}

/// The process that runs cannot go on: the next one's turn, or the kernel's if there is none.
fn leave(reason: Reason) {
    wake_sleepers();
    switch_to(dequeue().unwrap_or(KERNEL), reason);
}

/// Sleepers whose time has come join the run queue.
pub fn wake_sleepers() {
    if SLEEPING.get() == 0 {
        return;
    }
    let now = cpu::tsc();
    for process in sleepers().filter(|process| process.wake <= now) {
        process.state = State::Runnable;
        SLEEPING.set(SLEEPING.get() - 1);
        trace::record_of(process.id, Kind::Wake, 0, [process.wake]);
        enqueue(process.id);
    }
}

fn earliest_wake() -> u64 {
    sleepers().map(|process| process.wake).min().unwrap_or(0)
}

fn sleepers() -> impl Iterator<Item = &'static mut Process> {
    (1..=PROCESSES_MAX as u16).map(process::get).filter(|process| process.state == State::Sleeping)
}

/// The switch. It returns when somebody switches back.
fn switch_to(next: u16, reason: Reason) {
    // Pointers, for a sleeper whose time has come already is switched to itself.
    let (from, to) = (&raw mut *current(), &raw mut *process::get(next));
    PREVIOUS.set((CURRENT.get(), reason));
    CURRENT.set(next);
    // SAFETY: both are entries of the process list. Every root table has the kernel's half, so code and stacks stay
    // mapped; `to` was stored by a switch or filled by `create`; its kernel stack is mapped.
    unsafe {
        FpuState::save(&raw mut (*from).fpu);
        cpu::load_root((*to).space.root);
        gdt::set_kernel_stack((*to).kernel_stack);
        FpuState::load(&raw const (*to).fpu);
        Segments::switch(&raw mut (*from).segments, &raw const (*to).segments);
        switch(&raw mut (*from).context, &raw const (*to).context);
    }
    arrived();
}

/// After a switch, on the new one's stack: surfaces both contexts, frees who ended.
fn arrived() {
    let (previous, reason) = PREVIOUS.get();
    let from = process::get(previous);
    let has_ended = from.state == State::Ended;
    let [rbx, rbp, r12, r13, r14, r15, rsp, rip] = words(&from.context);
    let structure = &raw const *from as u64;
    trace::record_of(
        previous,
        Kind::ContextSaved,
        reason as u32,
        [structure, rbx, rbp, r12, r13, r14, r15, rsp, rip],
    );
    let to = current();
    let [rbx, rbp, r12, r13, r14, r15, rsp, rip] = words(&to.context);
    let structure = &raw const *to as u64;
    trace::record(
        Kind::ContextLoaded,
        previous.into(),
        [structure, rbx, rbp, r12, r13, r14, r15, rsp, rip, to.space.root, to.kernel_stack],
    );
    if has_ended {
        process::free(process::get(previous));
    }
    timer::new_turn();
}

fn words(context: &Context) -> [u64; 8] {
    let Context { rbx, rbp, r12, r13, r14, r15, rsp, rip } = *context;
    [rbx, rbp, r12, r13, r14, r15, rsp, rip]
}

/// Policy direct: a program is about to be called.
pub extern "C" fn called(frame: &TrapFrame) {
    arrived();
    trace::record(Kind::Called, 0, [frame.rip, frame.rsp, trace::selectors_and_flags(frame)]);
    trace::ring();
}

/// Policy direct: a program returned.
pub extern "C" fn returned(status: u64) -> ! {
    trace::record(Kind::Returned, 0, [status]);
    crate::syscall::exit(status)
}

/// A process is about to enter user mode for the first time.
pub extern "C" fn started(frame: &TrapFrame) {
    arrived();
    trace::trap_return(frame, FIRST_RETURN);
}
