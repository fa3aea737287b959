//! Signals: which task receives one, what the signal does, and the frame through which a handler returns.
//!
//! A signal is a bit in the pending set of a task or of its group, and an entry in the queue with its information. A
//! real-time signal may have several entries. Before a task returns to user mode, and before it
//! waits, the kernel looks for a signal that is not blocked. The frame of a handler is on the process's stack, where the
//! process can write it. So the kernel checks the frame like any other input from a process.

use core::arch::x86_64::__cpuid_count;

use abi::record::emit::{ProcessKilled, ProcessSignaled, SignalDelivered, SignalReturned, SignalSent};
use abi::record::{NO_MEMORY, Wait};
use abi::syscall::errno::{EAGAIN, EINTR, EINVAL, ENOMEM, EPERM, ESRCH};
use abi::syscall::signals::*;
use abi::syscall::values::*;

use super::list::List;
use super::space::Bad;
use super::task::{self, Alarm, Group, Task, Woken, wait};
use super::{Outcome, first, life, misc, time, user, zeroed};
use crate::arch::cpu::rflags;
use crate::arch::trap_frame::{Registers, TrapFrame};
use crate::cell::Local;
use crate::layout::{USER_END, selector};
use crate::process::NEVER;
use crate::trace::Emit;
use crate::{fpu, scheduler};

/// Signals are numbered from 1 to this.
pub const COUNT: usize = 64;

/// The action of a group for a signal: `struct kernel_sigaction`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Action {
    handler: u64,
    flags: u64,
    restorer: u64,
    mask: u64,
}

const DEFAULT: u64 = 0;
const IGNORE: u64 = 1;
/// The flags that exist. Linux drops all others.
const SA_KNOWN: u64 = 0xDC00_0807;

/// Information about a signal: the fields of `siginfo_t` that the kernel fills.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Info {
    pub code: i32,
    /// The sender, or the child.
    pub process: u32,
    /// An address, or a child's status.
    pub value: u64,
}

pub const SI_USER: i32 = 0;
const SI_TKILL: i32 = -6;
const SI_KERNEL: i32 = 0x80;

impl Info {
    /// Information about a signal that the kernel sends for its own reasons.
    pub const fn of_kernel() -> Self {
        Self { code: SI_KERNEL, process: 0, value: 0 }
    }
}

/// The error of a call that a signal interrupted and that can be restarted (ERESTARTSYS). Tracers see it; programs do
/// not.
pub const RESTART: i64 = 512;

/// Turns EINTR into RESTART, for a call that is restarted after a handler with `SA_RESTART`.
pub fn restart_after(error: i64) -> i64 {
    if error == EINTR { RESTART } else { error }
}

const STACK_SIZE_MIN: u64 = 2048;

/// The size of the largest frame, with alignment: the value of AT_MINSIGSTKSZ.
pub fn frame_max() -> u64 {
    (size_of::<Frame>() + area_size()).next_multiple_of(64) as u64 + 64 + 16
}

/// The number of alarms that are set, of all groups.
static ALARMS: Local<u32> = Local::new(0);

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// The signals that stop a process: SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU.
const STOPS: u64 = 0b1111 << (SIGSTOP - 1);
/// SIGKILL and SIGSTOP cannot be blocked.
const UNBLOCKABLE: u64 = bit(SIGKILL) | bit(SIGSTOP);

fn is_ignored(action: Action, signal: u32) -> bool {
    match action.handler {
        IGNORE => signal != SIGKILL,
        DEFAULT => matches!(signal, SIGCHLD | SIGURG | SIGWINCH | SIGCONT),
        _ => false,
    }
}

/// True if the end of a child sends no signal to this group, because the group ignores SIGCHLD.
pub fn drops_child_signals(group: &Group) -> bool {
    group.tables().action(SIGCHLD).get().handler == IGNORE
}

/// True if the children of this group leave no zombies.
pub fn ignores_children(group: &Group) -> bool {
    let action = group.tables().action(SIGCHLD).get();
    action.handler == IGNORE || action.flags & SA_NOCLDWAIT != 0
}

/// True if this group receives no signal when a child stops.
pub fn ignores_stops(group: &Group) -> bool {
    group.tables().action(SIGCHLD).get().flags & SA_NOCLDSTOP != 0
}

/// The pending signals that a task does not block.
fn due(task: &Task) -> u64 {
    (task.pending.get() | task.group().pending.get()) & !task.blocked.get()
}

/// True if the current task must not wait: it has a signal to handle, or its group ends.
pub fn is_due(task: &Task) -> bool {
    check_alarms(task.group());
    due(task) != 0 || task.group().is_ending()
}

/// Changes an alarm, and returns what it was.
pub fn set_alarm(alarm: &Local<Alarm>, new: Alarm) -> Alarm {
    let old = alarm.replace(new);
    ALARMS.set(ALARMS.get() + u32::from(new.next != NEVER) - u32::from(old.next != NEVER));
    old
}

/// Sends the signals of the alarms whose time has come.
fn check_alarms(group: &'static Group) {
    if ALARMS.get() == 0 {
        return;
    }
    for ((clock, alarm), signal) in group.alarms.iter().enumerate().zip([SIGALRM, SIGVTALRM, SIGPROF]) {
        let Alarm { next, interval } = alarm.get();
        let now = if next == NEVER { 0 } else { time::of_alarm(group, clock) };
        if now >= next {
            let next = if interval == 0 { NEVER } else { now.saturating_add(interval) };
            set_alarm(alarm, Alarm { next, interval });
            send(group, None, signal, Info::of_kernel());
        }
    }
}

/// A signal that is pending.
#[derive(Clone, Copy, PartialEq)]
struct Queued {
    /// The number of the task, or the number of the group and [`OF_GROUP`].
    receiver: u32,
    signal: u32,
    info: Info,
}

const OF_GROUP: u32 = 1 << 16;

/// The pending signals of all tasks and groups, in the order in which they were sent. Without room, a signal is pending
/// but has no information.
static QUEUE: List<Queued, 512> = zeroed();

/// Sends a signal to a task of the group, or with `None` to the group: a task that does not block it handles it, or the
/// first task that unblocks it.
pub fn send(group: &'static Group, to: Option<&'static Task>, signal: u32, info: Info) {
    if group.is_zombie() {
        return;
    }
    if signal == SIGCONT {
        forget(group, STOPS);
        resume(group);
    } else if STOPS & bit(signal) != 0 {
        forget(group, bit(SIGCONT));
    }
    let is_open = |task: &Task| task.blocked.get() & bit(signal) == 0;
    let taker = to.or_else(|| group.tasks().map(|(_, task)| task).find(|task| is_open(task)));
    let is_ignored = taker.is_some_and(is_open) && is_ignored(group.tables().action(signal).get(), signal);
    let (code, by) = (info.code.into(), info.process as u16);
    let id = taker.map_or(group.id.get(), |task| task.id.get());
    SignalSent { signal, is_ignored, by, code, about: info.value }.emit_for(id);
    if is_ignored {
        return;
    }
    let (pending, receiver) = match to {
        Some(task) => (&task.pending, task.id.get().into()),
        None => (&group.pending, OF_GROUP | u32::from(group.id.get())),
    };
    if (pending.get() & bit(signal) == 0 || signal >= REAL_TIME) && !QUEUE.is_full() {
        QUEUE.push(Queued { receiver, signal, info });
    }
    pending.set(pending.get() | bit(signal));
    if let Some(task) = taker {
        task.attention.set(true);
        if is_open(task) {
            task::rouse(id);
        }
    }
}

/// Sends a signal to the current task.
pub fn send_to_self(signal: u32) {
    send(task::group(), Some(task::current()), signal, from_program(SI_USER));
}

/// Removes pending signals of the group and of its tasks.
fn forget(group: &Group, signals: u64) {
    forget_of(OF_GROUP | u32::from(group.id.get()), &group.pending, signals);
    group.tasks().for_each(|(id, task)| forget_of(id.into(), &task.pending, signals));
}

fn forget_of(receiver: u32, pending: &Local<u64>, signals: u64) {
    if pending.get() & signals != 0 {
        pending.set(pending.get() & !signals);
        while QUEUE.take(|one| one.receiver == receiver && bit(one.signal) & signals != 0).is_some() {}
    }
}

/// Removes all pending signals of a task that ends, and of its group if it is the last one.
pub fn forget_all(task: &Task) {
    forget_of(task.id.get().into(), &task.pending, u64::MAX);
    let group = task.group();
    if group.is_zombie() {
        forget_of(OF_GROUP | u32::from(group.id.get()), &group.pending, u64::MAX);
    }
}

/// Stops the group: each task waits before it would return to user mode.
fn stop(group: &'static Group, signal: u32) {
    group.is_stopped.set(true);
    group.tasks().for_each(|(_, task)| task.attention.set(true));
    life::note_stop(group, signal << 8 | 0x7F);
}

/// Continues a group that was stopped.
fn resume(group: &'static Group) {
    if group.is_stopped.replace(false) {
        task::wake_all(Wait::Continue, group.id.get().into(), NEVER, |_| true);
        life::note_stop(group, life::CONTINUED);
    }
}

/// Makes the current task wait under another mask. Afterwards it looks for signals.
pub fn wait_under(mask: u64, what: Wait, object: u16) {
    let task = task::current();
    let blocked = task.blocked.replace(mask);
    let _ = wait(what, object.into(), NEVER);
    task.blocked.set(blocked);
    task.attention.set(true);
}

/// Wakes all tasks of a group, so that each one checks whether it must end.
pub fn rouse_all(group: &Group) {
    for (id, task) in group.tasks() {
        task.attention.set(true);
        task::rouse(id);
    }
}

/// True if the current process must handle a signal, an alarm or its own end before it returns to user mode.
#[inline(always)]
pub fn is_attention_due() -> bool {
    task::current().attention.get() || ALARMS.get() != 0
}

/// Handles signals, alarms and the end of the current process before it returns to user mode.
pub fn before_return(frame: &mut TrapFrame) {
    let task = task::current();
    let group = task.group();
    loop {
        check_alarms(group);
        if group.is_ending() {
            life::end_task();
        }
        task.attention.set(false);
        let signals = due(task);
        if group.is_stopped.get() && signals & bit(SIGKILL) == 0 {
            wait_under(!bit(SIGKILL), Wait::Continue, group.id.get());
            continue;
        }
        if signals == 0 {
            break;
        }
        let (signal, info) = take(task, signals);
        let action = group.tables().action(signal).get();
        match action.handler {
            _ if is_ignored(action, signal) => {}
            DEFAULT if STOPS & bit(signal) != 0 => stop(group, signal),
            DEFAULT => end_by(signal, info),
            _ => call_handler(frame, task, signal, action, info, [0; 3]),
        }
    }
    // No handler ran: the call is restarted under the old mask, as if there had been no signal.
    if let Some(number) = task.restart.replace(None) {
        again(frame, number);
    }
    if let Some(mask) = task.saved_mask.replace(None) {
        set_mask(task, mask);
    }
}

/// Takes one of these pending signals, with its information. As in Linux, signals to the task come before those to its
/// group, synchronous faults before others, and then the lowest number.
fn take(task: &Task, signals: u64) -> (u32, Info) {
    const SYNCHRONOUS: u64 = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGFPE);
    let group = task.group();
    let (pending, receiver) = match task.pending.get() & signals {
        0 => (&group.pending, OF_GROUP | u32::from(group.id.get())),
        _ => (&task.pending, task.id.get().into()),
    };
    let found = pending.get() & signals;
    let first = if found & SYNCHRONOUS != 0 { found & SYNCHRONOUS } else { found };
    let signal = first.trailing_zeros() + 1;
    let is_wanted = |one: Queued| (one.receiver, one.signal) == (receiver, signal);
    let taken = QUEUE.take(is_wanted);
    if !QUEUE.iter().any(is_wanted) {
        pending.set(pending.get() & !bit(signal));
    }
    (signal, taken.map_or(Info::default(), |one| one.info))
}

/// Makes the task execute its `syscall` instruction again: RIP goes back two bytes, and RAX is the call's number.
fn again(frame: &mut TrapFrame, number: u64) {
    frame.registers.rax = number;
    frame.rip -= 2;
}

/// Ends the group of the current task by a signal.
fn end_by(signal: u32, info: Info) -> ! {
    end_with(signal, ProcessSignaled { signal, code: info.code.into(), by: info.process })
}

/// Ends the group of the current task by a signal. `record` says why.
fn end_with(signal: u32, record: impl Emit) -> ! {
    life::leave_memory();
    record.emit();
    life::end_group(signal, true)
}

/// Ends the current task's group, because there is no memory for what the task needs.
pub fn out_of_memory() -> ! {
    end_with(SIGKILL, ProcessSignaled { signal: SIGKILL, code: NO_MEMORY, by: 0 })
}

/// Linux's `struct sigcontext`: 32 words. This is the place of each general register, in the order of [`Registers`].
const PLACES: [usize; 15] = [7, 6, 5, 4, 3, 2, 1, 0, 10, 8, 9, 12, 14, 11, 13];
/// The words behind the general registers: RSP, RIP, RFLAGS, then CS, GS, FS and SS with 16 bits each, error code, vector,
/// signal mask, CR2, and the address of the FPU state.
const RSP: usize = 15;
const FPU: usize = 23;

type Context = [u64; 32];

/// Linux's `struct rt_sigframe`, with its `ucontext`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Frame {
    return_address: u64,
    flags: u64,
    link: u64,
    stack: [u64; 3],
    context: Context,
    mask: u64,
    /// Signal number and error, code, then the fields that depend on the signal.
    info: [u64; 16],
}

const _: () = assert!(size_of::<Frame>() == 440);

/// A checksum. It differs if the process changed its general registers, RSP or RIP.
fn sum(context: &Context) -> u64 {
    first(context, RSP + 2).iter().fold(0, |sum: u64, word| sum.rotate_left(1) ^ word)
}

/// SS is saved, and restored unchanged.
const UC_SS: u64 = 2 | 4;
/// The FPU state includes more than FXSAVE stores.
const UC_XSTATE: u64 = 1;

/// Makes the task run a handler when it returns to user mode. `trap`: vector, error code and CR2 of a fault.
fn call_handler(
    frame: &mut TrapFrame,
    task: &'static Task,
    signal: u32,
    action: Action,
    info: Info,
    trap: [u64; 3],
) {
    misc::leave_sequence(frame, task);
    if let Some(number) = task.restart.replace(None) {
        if action.flags & SA_RESTART != 0 {
            again(frame, number);
        } else {
            frame.registers.rax = EINTR.wrapping_neg() as u64;
        }
    }
    let mask = task.saved_mask.replace(None).unwrap_or(task.blocked.get());
    let [stack, _, stack_size] = task.signal_stack.get();
    let top = if action.flags & SA_ONSTACK != 0 && can_switch_stack(task, frame.rsp) {
        stack + stack_size
    } else {
        frame.rsp.wrapping_sub(128)
    };
    let fpu_size = area_size() as u64 + 4;
    let fpu = top.wrapping_sub(fpu_size) & !63;
    let at = (fpu.wrapping_sub(size_of::<Frame>() as u64) & !15).wrapping_sub(8);
    let saved = Frame {
        return_address: action.restorer,
        flags: UC_SS | UC_XSTATE,
        link: 0,
        stack: stack_state(task, frame.rsp),
        context: context_of(frame, mask, trap, fpu),
        mask,
        info: info_words(signal, info),
    };
    let written = user::reach(fpu, fpu_size, true).and_then(|()| user::write(at, saved));
    if action.flags & SA_RESTORER == 0 || written.is_err() {
        end_by_forced(SIGSEGV);
    }
    save_fpu(fpu);
    let sum = sum(&saved.context);
    SignalDelivered { signal, at, handler: action.handler, rip: frame.rip, rsp: frame.rsp, sum }.emit();
    let no_defer = if action.flags & SA_NODEFER != 0 { 0 } else { bit(signal) };
    set_mask(task, task.blocked.get() | action.mask | no_defer);
    if action.flags & SA_RESETHAND != 0 {
        let entry = task.group().tables().action(signal);
        entry.set(Action { handler: DEFAULT, ..action });
    }
    frame.registers.rdi = signal.into();
    frame.registers.rsi = at + core::mem::offset_of!(Frame, info) as u64;
    frame.registers.rdx = at + core::mem::offset_of!(Frame, flags) as u64;
    frame.registers.rax = 0;
    frame.rsp = at;
    frame.rflags &= !(rflags::DF | rflags::TF | rflags::RF);
    frame.rip = action.handler;
    if frame.rip >= USER_END {
        end_by_forced(SIGSEGV);
    }
}

fn context_of(frame: &TrapFrame, mask: u64, [vector, error, cr2]: [u64; 3], fpu: u64) -> Context {
    let mut context = [0; 32];
    for (place, register) in PLACES.into_iter().zip(frame.words()) {
        context[place % 32] = *register;
    }
    let selectors = frame.cs & 0xFFFF | frame.ss << 48;
    let others = [frame.rsp, frame.rip, frame.rflags, selectors, error, vector, mask, cr2, fpu];
    for (word, other) in context.iter_mut().skip(RSP).zip(others) {
        *word = other;
    }
    context
}

/// The words of `siginfo_t`: signal and error number, code; then sender and user, or an address; then a status.
fn info_words(signal: u32, info: Info) -> [u64; 16] {
    let mut words = [0; 16];
    words[0] = signal.into();
    words[1] = u64::from(info.code as u32);
    match signal {
        SIGILL | SIGTRAP | SIGBUS | SIGFPE | SIGSEGV if info.code > 0 => words[2] = info.value,
        _ => (words[2], words[3]) = (info.process.into(), info.value),
    }
    words
}

/// `rt_sigreturn`: the task continues where the signal interrupted it. RAX has the value in the frame.
#[inline(never)]
pub fn sigreturn(frame: &mut TrapFrame) -> u64 {
    let at = frame.rsp.wrapping_sub(8);
    let task = task::current();
    let Ok(saved) = user::read::<Frame>(at) else { end_by_forced(SIGSEGV) };
    let context = &saved.context;
    let [rsp, rip, flags, selectors] = [context[RSP], context[RSP + 1], context[RSP + 2], context[RSP + 3]];
    let forged = selectors & 0xFFFF != selector::USER_CODE.into()
        || selectors >> 48 != selector::USER_DATA.into()
        || rip >= USER_END;
    if forged || restore_fpu(context[FPU]).is_err() {
        end_by_forced(SIGSEGV);
    }
    let words = PLACES.map(|place| context[place % 32]);
    // SAFETY: the registers are as many words and nothing else.
    frame.registers = unsafe { core::mem::transmute::<[u64; 15], Registers>(words) };
    (frame.rip, frame.rsp) = (rip, rsp);
    frame.rflags = flags & rflags::USER | rflags::IF | rflags::FIXED;
    set_mask(task, saved.mask);
    let _ = set_stack(task, saved.stack, rsp);
    task.restart.set(None);
    SignalReturned { at, rip, rsp, sum: sum(context) }.emit();
    frame.registers.rax
}

/// Calls `change` with the FPU area of the current task. During the call, the area holds the task's registers.
pub fn with_fpu<T>(change: impl FnOnce(fpu::Area) -> T) -> T {
    let process = scheduler::current();
    let area = process.fpu.get();
    fpu::store();
    scheduler::load_space(process);
    let result = change(area);
    // SAFETY: the area is the process's.
    unsafe { fpu::switch(area) };
    scheduler::load_space(process);
    result
}

/// The x87 status word, and MXCSR.
fn fpu_status() -> [u32; 2] {
    with_fpu(|area| {
        let words = area.bytes().cast::<u32>();
        // SAFETY: an area is a page, and both words lie in it.
        unsafe { [words.read() >> 16, words.add(6).read()] }
    })
}

/// Magic numbers of an FPU state with more than FXSAVE stores: at byte 464, and after the state (Linux's
/// asm/sigcontext.h).
const XSTATE_MAGIC: [u32; 2] = [0x4650_5853, 0x4650_5845];

/// Stores the FPU registers at `to`, which `reach` made writable. The handler starts with initial registers.
fn save_fpu(to: u64) {
    with_fpu(|area| {
        let size = area_size();
        let components = fpu::components();
        let [mark, mark_at_end] = XSTATE_MAGIC;
        let marks = [mark, size as u32 + 4, components as u32, (components >> 32) as u32, size as u32];
        let to = to as *mut u8;
        // SAFETY: `reach` made these bytes writable. The magic numbers lie in the bytes that FXSAVE leaves to software.
        unsafe {
            to.copy_from_nonoverlapping(area.bytes(), size);
            to.add(464).cast::<[u32; 5]>().write_unaligned(marks);
            to.add(size).cast::<u32>().write_unaligned(mark_at_end);
        }
        area.clear(false);
    });
}

/// Loads the FPU state at `address` in the process; 0: the initial state. Clears what the CPU would refuse: bits of MXCSR
/// and of the header that must be 0 (SDM vol. 1, 10.2.3 and 13.4.2).
fn restore_fpu(address: u64) -> Outcome<()> {
    const LEGACY: usize = 512;
    const HEADER: usize = 64;
    const MXCSR_MASK: u32 = 0xFFBF;
    let marks = if address == 0 { [0; 5] } else { user::read::<[u32; 5]>(address.wrapping_add(464))? };
    let is_whole = marks[0] == XSTATE_MAGIC[0] && marks[4] as usize == area_size();
    let size = if is_whole { area_size() } else { LEGACY };
    if address != 0 {
        user::reach(address, size as u64, false)?;
    }
    with_fpu(|area| {
        area.clear(false);
        if address == 0 {
            return;
        }
        let to = area.bytes();
        // SAFETY: `reach` made these bytes readable, and an area is a page.
        unsafe {
            to.copy_from_nonoverlapping(address as *const u8, size);
            let present = if size > LEGACY { to.add(LEGACY).cast::<u64>().read() } else { 0b11 };
            to.add(LEGACY).write_bytes(0, HEADER);
            to.add(LEGACY).cast::<u64>().write(present & fpu::components());
            let mxcsr = to.add(24).cast::<u32>();
            mxcsr.write(mxcsr.read() & MXCSR_MASK);
        }
    });
    Ok(())
}

/// Ends the current group: the handler's memory is not usable, or the process returned an invalid frame.
pub fn end_by_forced(signal: u32) -> ! {
    end_by(signal, Info::of_kernel())
}

fn set_mask(task: &Task, mask: u64) {
    task.blocked.set(mask & !UNBLOCKABLE);
    if due(task) != 0 {
        task.attention.set(true);
    }
}

/// Turns a fault of the current task into a signal, with its code and address.
pub fn fault(frame: &mut TrapFrame, cr2: u64, bad: Option<Bad>) {
    let (signal, code, address) = meaning(frame, cr2, bad);
    let task = task::current();
    let action = task.group().tables().action(signal).get();
    let info = Info { code, process: 0, value: address };
    SignalSent { signal, is_ignored: false, by: 0, code: code.into(), about: address }.emit();
    if task.blocked.get() & bit(signal) != 0 || action.handler <= IGNORE {
        // The task would fault again forever.
        let (vector, error_code) = (frame.vector as u8, frame.error as u16);
        end_with(signal, ProcessKilled { vector, error_code, rip: frame.rip, cr2 });
    }
    call_handler(frame, task, signal, action, info, [frame.vector, frame.error, cr2]);
}

/// Returns the signal, code and address of a fault, as Linux's arch/x86/kernel/traps.c does.
fn meaning(frame: &TrapFrame, cr2: u64, bad: Option<Bad>) -> (u32, i32, u64) {
    match frame.vector {
        0 => (SIGFPE, 1, frame.rip),
        1 => (SIGTRAP, 2, frame.rip),
        3 => (SIGTRAP, SI_KERNEL, 0),
        6 => (SIGILL, 2, frame.rip),
        11 | 12 => (SIGBUS, SI_KERNEL, 0),
        14 => match bad {
            Some(Bad::Forbidden) => (SIGSEGV, 2, cr2),
            Some(Bad::BeyondFile) => (SIGBUS, 2, cr2),
            _ => (SIGSEGV, 1, cr2),
        },
        16 => (SIGFPE, float_code(fpu_status()[0]), frame.rip),
        17 => (SIGBUS, 1, 0),
        19 => {
            let mxcsr = fpu_status()[1];
            (SIGFPE, float_code(mxcsr & !(mxcsr >> 7)), frame.rip)
        }
        _ => (SIGSEGV, SI_KERNEL, 0),
    }
}

/// The signal code of a floating-point exception, from its status bits.
fn float_code(status: u32) -> i32 {
    match status & 0x3F {
        bits if bits & 1 != 0 => 7,
        bits if bits & 4 != 0 => 3,
        bits if bits & 8 != 0 => 4,
        bits if bits & (16 | 2) != 0 => 5,
        bits if bits & 32 != 0 => 6,
        _ => 0,
    }
}

pub fn sigaction(signal: u64, new: u64, old: u64, size: u64) -> Outcome<u64> {
    let signal = signal as u32;
    let unchangeable = signal == SIGKILL || signal == SIGSTOP;
    if size != 8 || signal == 0 || signal as usize > COUNT || (unchangeable && new != 0) {
        return Err(EINVAL);
    }
    let group = task::group();
    let entry = group.tables().action(signal);
    let before = entry.get();
    if new != 0 {
        let mut action: Action = user::read(new)?;
        action.mask &= !UNBLOCKABLE;
        action.flags &= SA_KNOWN;
        entry.set(action);
        let handled = &group.tables().handled;
        handled.set(handled.get() | bit(signal));
        if is_ignored(action, signal) {
            forget(group, bit(signal));
        }
    }
    user::write_if_asked(old, before).map(|()| 0)
}

pub fn sigprocmask(how: u64, new: u64, old: u64, size: u64) -> Outcome<u64> {
    if size != 8 {
        return Err(EINVAL);
    }
    let task = task::current();
    let before = task.blocked.get();
    if new != 0 {
        let set: u64 = user::read(new)?;
        let mask = match how as u32 {
            0 => before | set,
            1 => before & !set,
            2 => set,
            _ => return Err(EINVAL),
        };
        set_mask(task, mask);
    }
    user::write_if_asked(old, before).map(|()| 0)
}

pub fn sigpending(to: u64) -> Outcome<u64> {
    let task = task::current();
    let pending = (task.pending.get() | task.group().pending.get()) & task.blocked.get();
    user::write(to, pending).map(|()| 0)
}

/// Reads a set of signals, which has `size` bytes.
pub fn read_set(set: u64, size: u64) -> Outcome<u64> {
    if size == 8 { user::read(set) } else { Err(EINVAL) }
}

/// `rt_sigsuspend`: waits for a signal under another mask.
pub fn suspend(set: u64, size: u64) -> Outcome<u64> {
    replace_mask(read_set(set, size)?);
    pause()
}

/// Waits for a signal.
pub fn pause() -> Outcome<u64> {
    loop {
        wait(Wait::Signal, 0, NEVER).inspect_err(|_| task::current().attention.set(true))?;
    }
}

/// Sets another mask until the current call returns and its signal is handled.
pub fn replace_mask(mask: u64) {
    let task = task::current();
    task.saved_mask.set(Some(task.blocked.get()));
    task.attention.set(true);
    set_mask(task, mask);
}

/// `rt_sigtimedwait`: waits for one of these signals, which are blocked, and takes it.
pub fn timed_wait(set: u64, to: u64, time_out: u64, size: u64) -> Outcome<u64> {
    let wanted = read_set(set, size)? & !UNBLOCKABLE;
    let until = time::deadline(time_out)?;
    let task = task::current();
    loop {
        let found = (task.pending.get() | task.group().pending.get()) & wanted;
        if found != 0 {
            let (signal, info) = take(task, found);
            user::write_if_asked(to, info_words(signal, info))?;
            return Ok(signal.into());
        }
        // During the wait, these signals are not blocked.
        let blocked = task.blocked.replace(task.blocked.get() & !wanted);
        let woken = wait(Wait::Signal, wanted, until);
        task.blocked.set(blocked);
        match woken {
            Ok(Woken::TimeOut) => return Err(EAGAIN),
            Err(error) if (task.pending.get() | task.group().pending.get()) & wanted == 0 => {
                return Err(error);
            }
            _ => {}
        }
    }
}

fn is_on_stack(task: &Task, rsp: u64) -> bool {
    let [start, flags, size] = task.signal_stack.get();
    flags & SS_DISABLE == 0 && rsp > start && rsp - start <= size
}

fn can_switch_stack(task: &Task, rsp: u64) -> bool {
    task.signal_stack.get()[1] & SS_DISABLE == 0 && !is_on_stack(task, rsp)
}

fn stack_state(task: &Task, rsp: u64) -> [u64; 3] {
    let [start, flags, size] = task.signal_stack.get();
    [start, if is_on_stack(task, rsp) { SS_ONSTACK } else { flags }, size]
}

fn set_stack(task: &Task, [start, flags, size]: [u64; 3], rsp: u64) -> Outcome<()> {
    if is_on_stack(task, rsp) {
        return Err(EPERM);
    }
    match flags as u32 as u64 {
        SS_DISABLE => task.signal_stack.set([0, SS_DISABLE, 0]),
        0 | SS_ONSTACK if size < STACK_SIZE_MIN => return Err(ENOMEM),
        0 | SS_ONSTACK => task.signal_stack.set([start, 0, size]),
        _ => return Err(EINVAL),
    }
    Ok(())
}

#[inline(never)]
pub fn sigaltstack(new: u64, old: u64, rsp: u64) -> Outcome<u64> {
    let task = task::current();
    let before = stack_state(task, rsp);
    if new != 0 {
        set_stack(task, user::read(new)?, rsp)?;
    }
    user::write_if_asked(old, before).map(|()| 0)
}

/// Information about a signal that the current group sends.
pub fn from_program(code: i32) -> Info {
    Info { code, process: task::group().id.get().into(), value: 0 }
}

/// Information about a signal that a program fills itself, for `sigqueue`. A program must not pretend to be the kernel,
/// or another program that calls `kill`.
fn read_info(address: u64, receiver: u64) -> Outcome<Info> {
    let [_, code, process, value]: [u64; 4] = user::read(address)?;
    let code = code as i32;
    if (code >= 0 || code == SI_TKILL) && receiver as u32 != u32::from(task::group().id.get()) {
        return Err(EPERM);
    }
    Ok(Info { code, process: process as u32, value })
}

/// Checks the number of a signal. 0 is allowed: it only checks whether the receiver exists.
fn check(signal: u64) -> Outcome<u32> {
    if signal as u32 as usize > COUNT { Err(EINVAL) } else { Ok(signal as u32) }
}

pub fn kill(pid: u64, signal: u64) -> Outcome<u64> {
    let own = task::group();
    send_where(signal, from_program(SI_USER), |group| match pid as i32 {
        -1 => group.id.get() != own.id.get(),
        pid => group.is_meant(pid),
    })
}

/// `rt_sigqueueinfo`.
pub fn queue(pid: u64, signal: u64, info: u64) -> Outcome<u64> {
    let info = read_info(info, pid)?;
    if signal as u32 >= REAL_TIME && QUEUE.is_full() {
        return Err(EAGAIN);
    }
    send_where(signal, info, |group| u32::from(group.id.get()) == pid as u32)
}

/// Sends a signal to the groups for which `is_wanted` returns true.
fn send_where(signal: u64, info: Info, is_wanted: impl Fn(&Group) -> bool) -> Outcome<u64> {
    let signal = check(signal)?;
    let mut found = Err(ESRCH);
    for group in task::groups().filter(|group| is_wanted(group)) {
        found = Ok(0);
        if signal != 0 {
            send(group, None, signal, info);
        }
    }
    found
}

/// `tgkill`; `tkill` has no group. `info`: the address of the information of `rt_tgsigqueueinfo`.
pub fn tgkill(group: Option<u64>, tid: u64, signal: u64, info: Option<u64>) -> Outcome<u64> {
    let signal = check(signal)?;
    if tid as i32 <= 0 || group.is_some_and(|group| group as i32 <= 0) {
        return Err(EINVAL);
    }
    let info = match info {
        Some(address) => read_info(address, group.unwrap_or(tid))?,
        None => from_program(SI_TKILL),
    };
    let id = u16::try_from(tid as u32).map_err(|_| ESRCH)?;
    let process = super::task::process_of(id).filter(|process| process.is_linux.get()).ok_or(ESRCH)?;
    let task = task::of(process.id.get());
    if group.is_some_and(|group| u32::from(task.group().id.get()) != group as u32) {
        return Err(ESRCH);
    }
    if signal != 0 {
        send(task.group(), Some(task), signal, info);
    }
    Ok(0)
}

/// Resets the handlers for `execve`, because the code of the handlers does not exist any more.
pub fn reset_handlers(group: &Group) {
    let tables = group.tables();
    for action in handled(group).map(|signal| tables.action(signal)) {
        if action.get().handler != IGNORE {
            action.set(Action::default());
        }
    }
    task::current().signal_stack.set([0, SS_DISABLE, 0]);
}

/// The signals whose action is not the default.
fn handled(group: &Group) -> impl Iterator<Item = u32> {
    let mut left = group.tables().handled.get();
    core::iter::from_fn(move || {
        let signal = (left != 0).then(|| left.trailing_zeros() + 1)?;
        left &= left - 1;
        Some(signal)
    })
}

/// Copies the parent's actions to a child of `fork`.
pub fn copy_actions(parent: &Group, child: &Group) {
    for signal in handled(parent) {
        child.tables().action(signal).set(parent.tables().action(signal).get());
    }
    child.tables().handled.set(parent.tables().handled.get());
}

/// How many bytes of an area for vector registers are in use.
pub fn area_size() -> usize {
    const LEGACY: usize = 512;
    const HEADER: u32 = 64;
    let components = fpu::components();
    if components == fpu::X87_AND_SSE.into() {
        return LEGACY;
    }
    let ends = (2..63).filter(|bit| components & 1 << bit != 0).map(|bit| {
        // Size and offset of the component (SDM vol. 1, 13.2).
        let leaf = __cpuid_count(0xD, bit);
        leaf.eax + leaf.ebx
    });
    ends.fold(LEGACY as u32 + HEADER, u32::max) as usize
}
