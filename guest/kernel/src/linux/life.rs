//! The life cycle of processes and threads: start, fork, clone, execve, exit, wait.

use abi::bundle::{Bundle, Program};
use abi::record::emit::{Cloned, Executed, ProcessExited, ProcessSignaled};
use abi::record::{FIRST_RETURN, Wait};
use abi::syscall::errno::{EACCES, EAGAIN, ECHILD, EINVAL, ENOMEM, EPERM, ESRCH};
use abi::syscall::signals::{SIGCHLD, SIGCONT};
use abi::syscall::values::*;

use super::exec::{self, Start, Strings};
use super::space::Space;
use super::task::{self, Alarm, Group, Task, wait, wake_all};
use super::tree::{self, Node};
use super::{Outcome, files, futex, misc, signal, time, user};
use crate::arch::boot::root_table;
use crate::arch::context::Segments;
use crate::arch::cpu::{self, rflags};
use crate::arch::trap_frame::{Registers, TrapFrame};
use crate::layout::{KERNEL_BASE, USER_END};
use crate::memory::address_space::AddressSpace;
use crate::process::{self, NEVER, Process};
use crate::trace::Emit;
use crate::{scheduler, trace};

/// Creates a process for a program of the bundle, ready to run, and returns the process number.
pub fn start(bundle: &Bundle<'static>, program: &Program) -> Outcome<u16> {
    let space = Space::new().ok_or(ENOMEM)?;
    let name = name_of(bundle.text(program.path));
    let Some(id) = process::reserve(AddressSpace::without_frames(space.root()), name, true) else {
        space.release();
        return Err(EAGAIN);
    };
    let made = make(id, space, bundle, program);
    if made.is_err() {
        space.release();
        process::give_up(id, name, abi::record::LoadError::NotElf);
    }
    made.map(|()| id)
}

fn make(id: u16, space: &'static Space, bundle: &Bundle<'static>, program: &Program) -> Outcome<()> {
    let directory = tree::find(bundle.directory()).ok_or(EINVAL)?;
    let [path, arguments, environment] =
        [program.path, program.arguments, program.environment].map(|text| bundle.text(text));
    let (arguments, environment) = (Strings::Packed(arguments), Strings::Packed(environment));
    let start = exec::load(id, space, program.file, path, arguments, environment)?;
    process::fill_kernel_stack(id, |frame| frame.start(start.rip, start.rsp)).ok_or(ENOMEM)?;
    let group = task::new_group(id, None, false).ok_or(ENOMEM)?;
    group.process_group.set(id);
    group.session.set(id);
    group.space.set(Some(space));
    group.program.set(program.file);
    group.directory.set(directory);
    group.umask.set(0o022);
    group.limits.set(misc::first_limits());
    group.name.set(name_of(path));
    files::open_streams(group);
    begin(id, group);
    Ok(())
}

/// Resets the state of a task whose process structure is complete, and adds it to the run queue.
fn begin(id: u16, group: &Group) -> &'static Task {
    let task = task::of(id);
    task.reset(id, group);
    scheduler::add(id);
    task
}

/// The last component of a path, as a program's name.
fn name_of(path: &[u8]) -> [u64; 2] {
    process::name(path.rsplit(|&byte| byte == b'/').next().unwrap_or(path))
}

/// The arguments of `clone`.
#[derive(Clone, Copy, Default)]
pub struct Clone {
    pub flags: u64,
    pub stack: u64,
    pub parent_tid: u64,
    pub child_tid: u64,
    pub tls: u64,
    pub exit_signal: u64,
}

const CLONE_DETACHED: u64 = 0x40_0000;
/// What a child may share with its parent.
const SHARED: u64 = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_SYSVSEM;
/// Where the number of a child is stored, and cleared when it ends.
const NUMBERS: u64 = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
const KNOWN: u64 = SHARED | NUMBERS | CLONE_THREAD | CLONE_VFORK | CLONE_SETTLS | CLONE_DETACHED;
/// The arguments of `clone` that make it `fork`.
pub const FORK: Clone =
    Clone { flags: 0, stack: 0, parent_tid: 0, child_tid: 0, tls: 0, exit_signal: SIGCHLD as u64 };
/// The arguments of `clone` that make it `vfork`.
pub const VFORK: Clone = Clone { flags: CLONE_VM | CLONE_VFORK, ..FORK };

/// `clone3`, which passes the arguments of `clone` in a structure.
#[inline(never)]
pub fn clone3(frame: &TrapFrame, address: u64, size: u64) -> Outcome<u64> {
    const SIZE_MIN: u64 = 64;
    if size < SIZE_MIN {
        return Err(EINVAL);
    }
    let [flags, _, child_tid, parent_tid, exit_signal, stack, stack_size, tls]: [u64; 8] =
        user::read(address)?;
    let stack = if stack == 0 { 0 } else { stack.wrapping_add(stack_size) };
    clone(frame, Clone { flags, stack, parent_tid, child_tid, tls, exit_signal })
}

/// Creates a child of the current task. The child returns 0 from the same call.
#[inline(never)]
pub fn clone(frame: &TrapFrame, what: Clone) -> Outcome<u64> {
    let flags = what.flags;
    let is_thread = flags & CLONE_THREAD != 0;
    // A thread must share its group's files too, and shared signal handlers need the shared memory that they are in.
    let needed = match flags & (CLONE_THREAD | CLONE_SIGHAND) {
        0 => 0,
        CLONE_SIGHAND => CLONE_VM,
        _ => CLONE_VM | CLONE_SIGHAND | CLONE_FILES,
    };
    if flags & !KNOWN != 0 || flags & needed != needed {
        return Err(EINVAL);
    }
    if flags & CLONE_SETTLS != 0 && what.tls >= USER_END {
        return Err(EPERM);
    }
    let parent = task::group();
    let space = match flags & CLONE_VM {
        0 => task::space().settled().copy().ok_or(ENOMEM)?,
        _ => task::space(),
    };
    let Some(id) = process::reserve(AddressSpace::without_frames(space.root()), parent.name.get(), true)
    else {
        return Err(discard(space, flags));
    };
    Cloned { parent: trace::current(), flags, is_thread }.emit_for(id);
    let filled = process::fill_kernel_stack(id, |child| {
        *child = TrapFrame { vector: FIRST_RETURN, ..*frame };
        child.registers.rax = 0;
        if what.stack != 0 {
            child.rsp = what.stack;
        }
    });
    if filled.is_none() {
        process::give_up(id, parent.name.get(), abi::record::LoadError::OutOfMemory);
        return Err(discard(space, flags));
    }
    let group = if is_thread {
        parent.threads.set(parent.threads.get() + 1);
        parent
    } else {
        let Some(group) = new_child_group(id, parent, space, &what) else {
            process::give_up(id, parent.name.get(), abi::record::LoadError::OutOfMemory);
            return Err(discard(space, flags));
        };
        if flags & CLONE_VM != 0 {
            space.share();
        }
        group
    };
    let process = process::get(id);
    copy_cpu_state(process, if flags & CLONE_SETTLS != 0 { Some(what.tls) } else { None });
    let child = begin(id, group);
    let own = task::current();
    child.blocked.set(own.blocked.get());
    if flags & CLONE_VM == 0 {
        child.rseq.set(own.rseq.get());
    }
    if flags & CLONE_VM == 0 || flags & CLONE_VFORK != 0 {
        child.signal_stack.set(own.signal_stack.get());
    }
    if flags & CLONE_CHILD_CLEARTID != 0 {
        child.clear_tid.set(what.child_tid);
    }
    if flags & CLONE_PARENT_SETTID != 0 {
        let _ = user::write(what.parent_tid, u32::from(id));
    }
    if flags & CLONE_CHILD_SETTID != 0 {
        let _ = exec::put(space, what.child_tid, &u32::from(id).to_le_bytes());
    }
    if flags & CLONE_VFORK != 0 {
        child.vfork_parent.set(trace::current());
        while super::task::process_of(id).is_some() && task::of(id).vfork_parent.get() != 0 {
            // As in Linux, only a signal that ends the parent ends this wait.
            if own.group().is_ending() {
                break;
            }
            signal::wait_under(u64::MAX, Wait::Vfork, id);
        }
    }
    Ok(id.into())
}

/// Releases a copy of an address space that is not used after all.
fn discard(space: &Space, flags: u64) -> i64 {
    if flags & CLONE_VM == 0 {
        space.release();
    }
    EAGAIN
}

fn new_child_group(
    id: u16,
    parent: &'static Group,
    space: &'static Space,
    what: &Clone,
) -> Option<&'static Group> {
    let shares_actions = what.flags & CLONE_SIGHAND != 0;
    let group = task::new_group(id, Some(parent), shares_actions)?;
    group.exit_signal.set(what.exit_signal as u32);
    group.space.set(Some(space));
    if !shares_actions {
        signal::copy_actions(parent, group);
    }
    files::pass_descriptors(parent, group, what.flags & CLONE_FILES != 0);
    Some(group)
}

/// Gives the child the FPU registers and segments of the CPU. `tls`: the child's base of FS, if it differs.
fn copy_cpu_state(child: &Process, tls: Option<u64>) {
    // SAFETY: each area is a page of its own, and the child does not run.
    signal::with_fpu(|own| unsafe {
        child.fpu.get().bytes().copy_from_nonoverlapping(own.bytes(), signal::area_size());
    });
    let mut segments = Segments::NULL;
    // SAFETY: a variable of this function.
    unsafe { Segments::store(&raw mut segments) };
    if let Some(base) = tls {
        segments.bases[0] = base;
    }
    child.segments.set(segments);
}

/// `execve`: replaces the program of the current process.
#[inline(never)]
pub fn execve(frame: &mut TrapFrame, directory: u64, path: u64, argv: u64, envp: u64) -> Outcome<u64> {
    let node = tree::resolve_user(directory, path)?;
    let Node::Given(file) = node else { return Err(EACCES) };
    if tree::is_directory(file) || tree::entry(file).mode & 0o111 == 0 {
        return Err(EACCES);
    }
    let path = user::string(path, tree::PATH_MAX as u64)?;
    let name = name_of(path);
    let space = Space::new().ok_or(ENOMEM)?;
    let loaded = exec::load(trace::current(), space, file, path, Strings::User(argv), Strings::User(envp));
    // Another thread may have ended the group meanwhile, or may be replacing its program.
    let loaded = loaded.and_then(|start| if task::group().is_ending() { Err(EAGAIN) } else { Ok(start) });
    let Start { rip, rsp } = loaded.inspect_err(|_| space.release())?;
    end_other_threads();
    let (task, group) = (task::current(), task::group());
    group.own_tables();
    Executed { cr3: space.root(), program: &name }.emit();
    let old = group.space.replace(Some(space));
    scheduler::current().set_root(space.root());
    // SAFETY: the new root table maps the kernel's half.
    unsafe { cpu::load_root(space.root()) };
    release_parent(task);
    if let Some(old) = old {
        old.release();
    }
    group.program.set(file);
    group.name.set(name);
    files::close_on_exec();
    signal::reset_handlers(group);
    task.clear_tid.set(0);
    task.robust_list.set(0);
    task.rseq.set((0, 0));
    signal::with_fpu(|area| area.clear(false));
    Segments::set_bases([0; 2]);
    frame.registers = Registers::default();
    (frame.rip, frame.rsp, frame.rflags) = (rip, rsp, rflags::START);
    Ok(0)
}

/// Ends the other threads of the group, which `execve` does first.
fn end_other_threads() {
    let group = task::group();
    if group.threads.get() == 1 {
        return;
    }
    group.survivor.set(trace::current());
    signal::rouse_all(group);
    task::current().attention.set(false);
    while group.threads.get() > 1 {
        if group.exiting.get() {
            end_task();
        }
        signal::wait_under(u64::MAX, Wait::Threads, group.id.get());
    }
    group.survivor.set(0);
}

/// Ends the whole group: with an exit status, or with a signal.
pub fn end_group(status: u32, by_signal: bool) -> ! {
    let group = task::group();
    if !group.exiting.get() {
        group.exiting.set(true);
        group.status.set(if by_signal { status } else { (status & 0xFF) << 8 });
        signal::rouse_all(group);
    }
    task::current().was_recorded.set(by_signal);
    end_task()
}

/// Ends the current task, and its group if the task is the last one.
pub fn end_task() -> ! {
    let (task, group) = (task::current(), task::group());
    let id = trace::current();
    leave_memory();
    if !task.was_recorded.replace(false) {
        match group.status.get() {
            signal @ 1..0x80 => ProcessSignaled { signal, code: 0, by: 0 }.emit(),
            status => ProcessExited { status: (status >> 8).into() }.emit(),
        }
    }
    group.cycles.set(group.cycles.get() + time::cycles_of(id));
    release_parent(task);
    files::release_held(task);
    group.threads.set(group.threads.get() - 1);
    task::forget(id);
    signal::forget_all(task);
    if group.threads.get() == 0 {
        end_last(group);
    } else {
        wake_all(Wait::Threads, group.id.get().into(), NEVER, |_| true);
    }
    leave_space();
    if group.threads.get() == 0
        && let Some(space) = group.space.replace(None)
    {
        space.release();
    }
    scheduler::end()
}

/// The last accesses of a task to its memory, whose pages are freed if the task is the last one. This lets other processes
/// run, so it comes before the record of the end.
pub fn leave_memory() {
    let (task, group) = (task::current(), task::group());
    futex::release_owned(task);
    let clear = task.clear_tid.replace(0);
    if clear != 0 && group.threads.get() > 1 && user::write(clear, 0_u32).is_ok() {
        futex::wake_one_at(clear);
    }
    if group.threads.get() == 1 {
        task::space().clear();
    }
}

/// Loads the kernel's own page tables, so that those of the process can be freed.
fn leave_space() {
    let root = root_table() as u64 - KERNEL_BASE;
    scheduler::current().set_root(root);
    // SAFETY: the kernel's own root table maps everything that the kernel uses.
    unsafe { cpu::load_root(root) };
}

/// Ends a group after its last thread: closes its files, detaches its children, and notifies its parent.
fn end_last(group: &'static Group) {
    files::close_all(group);
    for alarm in &group.alarms {
        signal::set_alarm(alarm, Alarm::NONE);
    }
    if group.status.get() != 0 {
        scheduler::FAILED.set(true);
    }
    for child in group.children() {
        child.parent.set(0);
        if child.is_zombie() {
            child.forget();
        }
    }
    group.free_tables();
    match task::find_group(group.parent.get()) {
        Some(parent) if !parent.is_zombie() => {
            let signal = if signal::drops_child_signals(parent) { 0 } else { group.exit_signal.get() };
            notify(parent, group, signal, group.status.get());
            if signal::ignores_children(parent) {
                group.forget();
            }
        }
        _ => group.forget(),
    }
}

/// Sends a signal about a child with this status to its parent, and wakes the parent if it waits for a child.
fn notify(parent: &'static Group, child: &Group, signal: u32, status: u32) {
    let (code, value) = code_of(status);
    let info = signal::Info { code, process: child.id.get().into(), value: value.into() };
    if (1..=signal::COUNT as u32).contains(&signal) {
        signal::send(parent, None, signal, info);
    }
    wake_all(Wait::Child, parent.id.get().into(), NEVER, |_| true);
}

/// Notifies the parent, which can wait for this, that a signal stopped or continued the group.
pub fn note_stop(group: &Group, status: u32) {
    group.stop_status.set(status);
    if let Some(parent) = task::find_group(group.parent.get()).filter(|parent| !parent.is_zombie()) {
        let signal = if signal::ignores_stops(parent) { 0 } else { SIGCHLD };
        notify(parent, group, signal, status);
    }
}

/// `si_code` and `si_status` for a status in the form of `wait`.
fn code_of(status: u32) -> (i32, u32) {
    match status & 0xFF {
        0 => (1, status >> 8),
        0xFF => (6, SIGCONT),
        0x7F => (5, status >> 8),
        signal => (2, signal),
    }
}

/// Wakes the parent that waits for this child of `vfork`, which does not use its parent's memory any more.
fn release_parent(task: &Task) {
    if task.vfork_parent.replace(0) != 0 {
        wake_all(Wait::Vfork, trace::current().into(), NEVER, |_| true);
    }
}

/// `exit` of one thread.
pub fn exit(status: u64) -> ! {
    let group = task::group();
    if group.threads.get() == 1 && !group.exiting.get() {
        end_group(status as u32, false)
    }
    end_task()
}

/// The status of a child that SIGCONT continued.
pub const CONTINUED: u32 = 0xFFFF;

/// The status of a child, in the form of `wait`, if the options ask for it.
fn status_of(child: &Group, options: u64) -> Option<u32> {
    let (status, wanted) = match child.stop_status.get() {
        _ if child.is_zombie() => (child.status.get(), WEXITED),
        0 => return None,
        CONTINUED => (CONTINUED, WCONTINUED),
        status => (status, WSTOPPED),
    };
    (options & wanted != 0).then_some(status)
}

/// Waits for a status of a child that `which` selects. `None`: there is no status, and the options say not to wait.
fn wait_for(which: impl Fn(&Group) -> bool, options: u64) -> Outcome<Option<(&'static Group, u32)>> {
    loop {
        let mut children = task::group().children().filter(|child| which(child)).peekable();
        children.peek().ok_or(ECHILD)?;
        let found = children.find_map(|child| Some((child, status_of(child, options)?)));
        if found.is_some() || options & WNOHANG != 0 {
            return Ok(found);
        }
        wait(Wait::Child, task::group().id.get().into(), NEVER).map_err(signal::restart_after)?;
    }
}

/// Removes a child that ended, once the parent has its status. Returns the child's CPU time.
fn reap(child: &Group) -> u64 {
    let cycles = child.cycles.get() + child.children_cycles.get();
    child.stop_status.set(0);
    if child.is_zombie() {
        let own = task::group();
        own.children_cycles.set(own.children_cycles.get() + cycles);
        child.forget();
    }
    cycles
}

pub fn wait4(pid: u64, status: u64, options: u64, usage: u64) -> Outcome<u64> {
    const KNOWN: u64 = WNOHANG | WSTOPPED | WCONTINUED | __WALL | __WCLONE | __WNOTHREAD;
    if options & 0xFFFF_FFFF & !KNOWN != 0 {
        return Err(EINVAL);
    }
    let which = |child: &Group| pid as i32 == -1 || child.is_meant(pid as i32);
    let Some((child, found)) = wait_for(which, options | WEXITED)? else { return Ok(0) };
    user::write_if_asked(status, found)?;
    let id = child.id.get();
    let cycles = reap(child);
    user::write_if_asked(usage, time::usage(cycles))?;
    Ok(id.into())
}

pub fn waitid(kind: u64, id: u64, info: u64, options: u64) -> Outcome<u64> {
    if options & (WEXITED | WSTOPPED | WCONTINUED) == 0 {
        return Err(EINVAL);
    }
    let id = id as u32;
    let which = |child: &Group| match kind as u32 {
        0 => true,
        1 => u32::from(child.id.get()) == id,
        _ => u32::from(child.process_group.get()) == id,
    };
    if kind as u32 > 2 {
        return Err(EINVAL);
    }
    let mut words = [0_u32; 32];
    let found = wait_for(which, options)?;
    if let Some((child, status)) = found {
        let (code, value) = code_of(status);
        [words[0], words[2], words[4], words[6]] = [SIGCHLD, code as u32, child.id.get().into(), value];
    }
    user::write_if_asked(info, words)?;
    if let Some((child, _)) = found.filter(|_| options & WNOWAIT == 0) {
        reap(child);
    }
    Ok(0)
}

/// The group with a process number; 0: the caller's group.
fn named(pid: u64) -> Outcome<&'static Group> {
    match pid as u32 {
        0 => Ok(task::group()),
        pid => u16::try_from(pid).ok().and_then(task::find_group).ok_or(ESRCH),
    }
}

/// The result of `get` for the group with a process number.
pub fn of_group(pid: u64, get: impl Fn(&Group) -> u16) -> Outcome<u64> {
    named(pid).map(|group| get(group).into())
}

pub fn setpgid(pid: u64, to: u64) -> Outcome<u64> {
    let group = named(pid)?;
    let to = if to as u32 == 0 { group.id.get() } else { u16::try_from(to as u32).map_err(|_| EPERM)? };
    group.process_group.set(to);
    Ok(0)
}

pub fn setsid() -> Outcome<u64> {
    let group = task::group();
    let id = group.id.get();
    if group.process_group.get() == id {
        return Err(EPERM);
    }
    group.process_group.set(id);
    group.session.set(id);
    Ok(id.into())
}
