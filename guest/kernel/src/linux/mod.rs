//! Linux programs: static ELF files that were compiled for Linux run here unchanged.
//!
//! The core of the kernel is the kernel of a textbook: it loads a whole program before it starts and has a few calls. For
//! a process that is a Linux program it calls this module instead, at five places: [`start`] makes the processes of a
//! bundle, [`call`] handles a system call, [`page_fault`] creates a page at its first access, [`fault`] turns any other
//! fault into a signal, and [`before_return`] delivers signals before the return to user mode.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `life` | start, fork, clone, execve, exit, wait |
//! | `task` | the state of a thread and of a process, and how a thread waits |
//! | `exec` | ELF files and the stack of a new program |
//! | `space`, `frames`, `memory`, `user` | the mappings, the calls that change them, and the kernel's access to user memory |
//! | `signal` | signals and their frames |
//! | `files`, `pipe`, `eventfd`, `stat`, `tree`, `input` | descriptors, and the objects that they refer to; two connected sockets are two pipes |
//! | `poll`, `epoll` | waiting for one of several files |
//! | `futex`, `time`, `misc` | futexes; clocks, sleep and alarms; facts about the machine and the process |
//!
//! Limits: one CPU; no job control; no files but those that the host passed, which are read-only; no sockets but pairs. A call that
//! is not supported returns `-ENOSYS`.

mod epoll;
mod eventfd;
mod exec;
mod files;
mod frames;
mod futex;
mod input;
mod life;
mod list;
mod memory;
mod misc;
mod pipe;
mod poll;
mod signal;
mod space;
mod stat;
mod task;
mod time;
mod tree;
mod user;

use abi::bundle::Bundle;
use abi::record::emit::{SystemCallResult, TrapReturn};
use abi::syscall::errno::{EINVAL, ENOSYS, EPERM};
use abi::syscall::values::{AT_SYMLINK_NOFOLLOW, CLOCK_MONOTONIC, MADV_NORMAL};
use abi::syscall::{Call, Pointers, data};

use crate::arch::trap_frame::{Registers, TrapFrame};
use crate::layout::{USER_END, vector};
use crate::trace::Emit;
use crate::{scheduler, syscall};
use space::{Bad, Touch};

pub use input::{arrived as input_arrived, is_awaited as awaits_input};
pub use life::start;
pub use misc::STACK_MAX;
pub use signal::{before_return, is_attention_due};

/// A result, or an error number of Linux (positive).
pub type Outcome<T> = Result<T, i64>;

/// The first `size` items, or all where there are fewer.
fn first<T>(items: &[T], size: usize) -> &[T] {
    items.get(..size).unwrap_or(items)
}

/// A zeroed structure, which means that it is not in use.
const fn zeroed<T>() -> T {
    // SAFETY: the structures of this module are cells of numbers, of enums with a value 0, and of options of those.
    unsafe { core::mem::zeroed() }
}

/// Makes a structure as it is when it is not in use.
fn clear<T>(structure: &T) {
    // SAFETY: as for `zeroed`; all fields are cells, and no other code uses the structure meanwhile.
    unsafe { core::ptr::from_ref(structure).cast_mut().write_bytes(0, 1) }
}

/// The bundle whose files Linux programs see.
pub fn set_files(bundle: Bundle<'static>) {
    tree::set(bundle);
}

/// Handles a page fault of the current process: creates the page if the mapping allows the access, and says otherwise why
/// the access is a fault.
fn page_fault(error: u64, address: u64) -> Result<(), Bad> {
    const WRITE: u64 = 2;
    const FETCH: u64 = 16;
    if address >= USER_END {
        return Err(Bad::Unmapped);
    }
    let touch = match error {
        error if error & WRITE != 0 => Touch::Write,
        error if error & FETCH != 0 => Touch::Execute,
        _ => Touch::Read,
    };
    match task::space().touch(address, touch, false) {
        Err(Bad::OutOfMemory) => signal::out_of_memory(),
        other => other,
    }
}

/// Called when the current process runs again after another process had the CPU.
pub fn preempted(frame: &mut TrapFrame) {
    misc::leave_sequence(frame, task::current());
}

/// Handles a fault of the current process: creates the page, or sends a signal.
pub fn fault(frame: &mut TrapFrame, cr2: u64) {
    let mut bad = None;
    if frame.vector as u8 == vector::PAGE_FAULT {
        match page_fault(frame.error, cr2) {
            Ok(()) => return,
            Err(reason) => bad = Some(reason),
        }
    }
    signal::fault(frame, cr2, bad);
}

/// Handles a call of a Linux program.
#[inline(always)]
pub fn call(number: u64, frame: &mut TrapFrame) {
    match HANDLERS.get(number as usize) {
        Some(handler) => handler(number, frame),
        None => other(number, frame),
    }
}

type Handler = fn(u64, &mut TrapFrame);

/// By number. A call that only returns a number is handled here, as it causes no signal.
static HANDLERS: [Handler; Call::trapline_on_fault as usize + 1] = {
    let mut handlers: [Handler; _] = [other; _];
    handlers[Call::trapline_on_fault as usize] =
        |number, frame| syscall::answer(number, frame, syscall::on_fault(frame.registers.rdi));
    handlers[Call::getpid as usize] =
        |number, frame| syscall::answer(number, frame, Ok(scheduler::current().group.get().into()));
    handlers[Call::gettid as usize] =
        |number, frame| syscall::answer(number, frame, Ok(crate::trace::current().into()));
    handlers[Call::getppid as usize] =
        |number, frame| syscall::answer(number, frame, Ok(task::group().parent.get().into()));
    handlers
};

/// Handles any other call. It may change the frame, and a signal may be due before the return.
fn other(number: u64, frame: &mut TrapFrame) {
    let outcome = answer(frame);
    if outcome == Err(signal::RESTART) {
        let task = task::current();
        task.restart.set(Some(number));
        task.attention.set(true);
    }
    let result = outcome.unwrap_or_else(|error| error.wrapping_neg() as u64);
    frame.registers.rax = result;
    let result = SystemCallResult { number: number as u32, result: result as i64 };
    if !is_attention_due() {
        return result.emit_with(TrapReturn { frame: frame.words() });
    }
    result.emit();
    before_return(frame);
    TrapReturn { frame: frame.words() }.emit();
}

fn answer(frame: &mut TrapFrame) -> Outcome<u64> {
    let call = Call::from_number(frame.registers.rax).ok_or(ENOSYS)?;
    if call.pointers() != Pointers::NONE { with_data(call, frame) } else { handle(call, frame) }
}

/// Handles a call and records the memory that its arguments point to: its input before the call, its output afterwards.
#[inline(never)]
fn with_data(call: Call, frame: &mut TrapFrame) -> Outcome<u64> {
    let arguments = arguments(frame);
    data::inputs(&user::Memory, call, &arguments);
    let outcome = handle(call, frame);
    if let Ok(result) = outcome {
        data::outputs(&user::Memory, call, &arguments, result);
    }
    outcome
}

fn arguments(frame: &TrapFrame) -> [u64; 6] {
    let Registers { rdi, rsi, rdx, r10, r8, r9, .. } = frame.registers;
    [rdi, rsi, rdx, r10, r8, r9]
}

/// Handles a call. Those that need the frame are here; they are not inlined, so that the others save no registers for them.
fn handle(call: Call, frame: &mut TrapFrame) -> Outcome<u64> {
    let [a, b, c, d, e, f] = arguments(frame);
    match call {
        Call::fork => life::clone(frame, life::FORK),
        Call::vfork => life::clone(frame, life::VFORK),
        Call::clone => {
            let (flags, exit_signal) = (a & 0xFFFF_FF00, a & 0xFF);
            life::clone(
                frame,
                life::Clone { flags, stack: b, parent_tid: c, child_tid: d, tls: e, exit_signal },
            )
        }
        Call::clone3 => life::clone3(frame, a, b),
        Call::execve => life::execve(frame, AT_FDCWD, a, b, c),
        Call::execveat if e == 0 => life::execve(frame, a, b, c, d),
        Call::rt_sigreturn => Ok(signal::sigreturn(frame)),
        Call::sigaltstack => signal::sigaltstack(a, b, frame.rsp),
        _ => PLAIN.get(call as usize).map_or(Err(ENOSYS), |handler| handler([a, b, c, d, e, f])),
    }
}

/// The number that stands for the working directory in place of a descriptor.
const AT_FDCWD: u64 = -100_i64 as u64;

/// The handlers of the calls that need only their arguments, by number. To add a call, add its line to the table in `abi`
/// and its handler here, or in [`handle`].
static PLAIN: [fn([u64; 6]) -> Outcome<u64>; Call::trapline_on_fault as usize + 1] = {
    macro_rules! table {
        ($($($call:ident)|+ ($($argument:tt),*) => $handler:expr,)*) => {{
            let mut handlers: [fn([u64; 6]) -> Outcome<u64>; _] = [|_| Err(ENOSYS); _];
            $(
                let handler: fn([u64; 6]) -> Outcome<u64> = |[$($argument,)* ..]| $handler;
                $(handlers[Call::$call as usize] = handler;)+
            )*
            handlers
        }};
    }
    table! {
        exit(a) => life::exit(a),
        exit_group(a) => life::end_group(a as u32, false),
        wait4(a, b, c, d) => life::wait4(a, b, c, d),
        waitid(a, b, c, d) => life::waitid(a, b, c, d),
        read(a, b, c) => files::read(a, b, c),
        write(a, b, c) => files::write(a, b, c),
        pread64(a, b, c, d) => files::pread(a, b, c, d),
        readv(a, b, c) => files::vector(a, b, c, |fd, at, size, _| files::read(fd, at, size)),
        writev(a, b, c) => files::vector(a, b, c, |fd, at, size, _| files::write(fd, at, size)),
        preadv(a, b, c, d) => files::vector(a, b, c, |fd, at, size, done| files::pread(fd, at, size, d + done)),
        open(a, b) => files::open_at(AT_FDCWD, a, b),
        openat(a, b, c) => files::open_at(a, b, c),
        close(a) => files::close(a),
        close_range(a, b, c) => files::close_range(a, b, c),
        dup(a) => files::dup(a, 0, false),
        dup2(a, b) => files::dup_to(a, b, 0, true),
        dup3(a, b, c) => files::dup_to(a, b, c, false),
        fcntl(a, b, c) => files::fcntl(a, b, c),
        ioctl(a, b, c) => files::ioctl(a, b, c),
        lseek(a, b, c) => files::lseek(a, b, c),
        getdents64(a, b, c) => files::getdents(a, b, c),
        access(a, b) => files::access(AT_FDCWD, a, b),
        faccessat | faccessat2(a, b, c) => files::access(a, b, c),
        readlink(a, b, c) => files::readlink(AT_FDCWD, a, b, c),
        readlinkat(a, b, c, d) => files::readlink(a, b, c, d),
        getcwd(a, b) => files::getcwd(a, b),
        chdir(a) => files::chdir(tree::resolve_user(AT_FDCWD, a)?),
        fchdir(a) => files::chdir(tree::resolve(a, b".")?),
        fstat(a, b) => stat::fstat(a, b),
        stat(a, b) => stat::stat_at(AT_FDCWD, a, b, 0),
        lstat(a, b) => stat::stat_at(AT_FDCWD, a, b, AT_SYMLINK_NOFOLLOW),
        newfstatat(a, b, c, d) => stat::stat_at(a, b, c, d),
        statx(a, b, c, _, e) => stat::statx(a, b, c, e),
        statfs(a, b) => tree::resolve_user(AT_FDCWD, a).and_then(|_| stat::statfs(b)),
        fstatfs(a, b) => files::open(a).and_then(|_| stat::statfs(b)),
        pipe(a) => pipe::create(a, 0),
        pipe2(a, b) => pipe::create(a, b),
        socketpair(a, b, c, d) => pipe::create_sockets(a, b, c, d),
        recvfrom(a, b, c, d) => pipe::receive(a, b, c, d),
        sendto(a, b, c, d) => pipe::send(a, b, c, d),
        poll(a, b, c) => poll::poll(a, b, c),
        ppoll(a, b, c, d, e) => poll::ppoll(a, b, c, d, e),
        select(a, b, c, d, e) => poll::select(a, [b, c, d], e),
        pselect6(a, b, c, d, e, f) => poll::pselect(a, [b, c, d], e, f),
        epoll_create(a) => if (a as i32) > 0 { epoll::create(0) } else { Err(EINVAL) },
        epoll_create1(a) => epoll::create(a),
        epoll_ctl(a, b, c, d) => epoll::control(a, b, c, d),
        epoll_wait(a, b, c, d) => epoll::wait(a, b, c, poll::deadline_ms(d), 0, 0),
        epoll_pwait(a, b, c, d, e, f) => epoll::wait(a, b, c, poll::deadline_ms(d), e, f),
        epoll_pwait2(a, b, c, d, e, f) => epoll::wait(a, b, c, time::deadline(d)?, e, f),
        eventfd(a) => eventfd::create(a, 0),
        eventfd2(a, b) => eventfd::create(a, b),
        brk(a) => memory::brk(a),
        mmap(a, b, c, d, e, f) => memory::mmap(a, b, c, d, e, f),
        munmap(a, b) => memory::munmap(a, b),
        mprotect(a, b, c) => memory::mprotect(a, b, c),
        mremap(a, b, c, d, e) => memory::mremap(a, b, c, d, e),
        madvise(a, b, c) => memory::madvise(a, b, c),
        rt_sigaction(a, b, c, d) => signal::sigaction(a, b, c, d),
        rt_sigprocmask(a, b, c, d) => signal::sigprocmask(a, b, c, d),
        rt_sigpending(a) => signal::sigpending(a),
        rt_sigsuspend(a, b) => signal::suspend(a, b),
        rt_sigtimedwait(a, b, c, d) => signal::timed_wait(a, b, c, d),
        pause() => signal::pause(),
        kill(a, b) => signal::kill(a, b),
        rt_sigqueueinfo(a, b, c) => signal::queue(a, b, c),
        rt_tgsigqueueinfo(a, b, c, d) => signal::tgkill(Some(a), b, c, Some(d)),
        tkill(a, b) => signal::tgkill(None, a, b, None),
        tgkill(a, b, c) => signal::tgkill(Some(a), b, c, None),
        alarm(a) => time::alarm(a),
        setitimer(a, b, c) => time::setitimer(a, b, c),
        getitimer(a, b) => time::getitimer(a, b),
        nanosleep(a, b) => time::sleep(CLOCK_MONOTONIC, 0, a, b),
        clock_nanosleep(a, b, c, d) => time::sleep(a, b, c, d),
        clock_gettime(a, b) => time::gettime(a, b),
        clock_getres(a, b) => time::getres(a, b),
        gettimeofday(a, b) => time::gettimeofday(a, b),
        time(a) => time::time(a),
        times(a) => time::times(a),
        getrusage(a, b) => time::getrusage(a, b),
        futex(a, b, c, d, e, f) => futex::futex(a, b, c, d, e, f),
        set_robust_list(a) => {
            task::current().robust_list.set(a);
            Ok(0)
        },
        set_tid_address(a) => {
            task::current().clear_tid.set(a);
            Ok(crate::trace::current().into())
        },
        get_robust_list(_, b, c) => futex::robust_list(b, c),
        rseq(a, b, c, d) => misc::rseq(a, b, c, d),
        sched_yield() => {
            scheduler::yield_now();
            Ok(0)
        },
        sched_getaffinity(_, b, c) => misc::sched_getaffinity(b, c),
        sched_setaffinity(_, b, c) => misc::sched_setaffinity(b, c),
        sched_getscheduler | sched_setparam() => Ok(0),
        sched_setscheduler(_, b) => if b as u32 == 0 { Ok(0) } else { Err(EPERM) },
        sched_get_priority_max(a) => misc::real_time_priority(a, 99),
        sched_get_priority_min(a) => misc::real_time_priority(a, 1),
        sched_getparam(_, b) => user::write(b, 0_u32).map(|()| 0),
        getpriority(_, b) => life::of_group(b, |group| (20 - group.nice.get()) as u16),
        setpriority(_, b, c) => misc::setpriority(b, c),
        getcpu(a, b) => misc::getcpu(a, b),
        getpgrp() => Ok(task::group().process_group.get().into()),
        getpgid(a) => life::of_group(a, |group| group.process_group.get()),
        getsid(a) => life::of_group(a, |group| group.session.get()),
        setpgid(a, b) => life::setpgid(a, b),
        setsid() => life::setsid(),
        getuid | geteuid | getgid | getegid | getgroups() => Ok(0),
        setuid | setgid | setreuid | setregid | setresuid | setresgid() => Ok(0),
        getresuid | getresgid(a, b, c) => misc::root_thrice([a, b, c]),
        umask(a) => Ok(task::group().umask.replace(a as u32 & 0o777).into()),
        uname(a) => misc::uname(a),
        sysinfo(a) => misc::sysinfo(a),
        getrlimit(a, b) => misc::prlimit(0, a, 0, b),
        setrlimit(a, b) => misc::prlimit(0, a, b, 0),
        prlimit64(a, b, c, d) => misc::prlimit(a, b, c, d),
        getrandom(a, b, c) => misc::getrandom(a, b, c),
        arch_prctl(a, b) => misc::arch_prctl(a, b),
        prctl(a, b) => misc::prctl(a, b),
        fsync | fdatasync(a) => files::sync(a),
        fadvise64 | readahead | flock(a) => files::open(a).map(|_| 0),
        mlock | munlock(a, b) => memory::lock(a, b),
        msync(a, b) => memory::madvise(a, b, MADV_NORMAL),
        mlockall | munlockall() => Ok(0),
    }
};
