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
//! | `files`, `pipe`, `poll`, `stat`, `tree`, `input` | descriptors, and the objects that they refer to |
//! | `futex`, `time`, `misc` | futexes; clocks, sleep and alarms; facts about the machine and the process |
//!
//! Limits: one CPU; no job control; no files but those that the host passed, which are read-only; no sockets. A call that
//! is not supported returns `-ENOSYS`.

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

use abi::bundle::{Bundle, Program};
use abi::record::emit::{SystemCallResult, TrapReturn};
use abi::syscall::errno::{EINVAL, ENOSYS};
use abi::syscall::{Call, Pointers, data};

use crate::arch::trap_frame::{Registers, TrapFrame};
use crate::layout::{USER_END, vector};
use crate::trace::Emit;
use crate::{scheduler, syscall};
use space::{Bad, Touch};

pub use input::{arrived as input_arrived, is_awaited as awaits_input};
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

/// The bundle whose files Linux programs see.
pub fn set_files(bundle: Bundle<'static>) {
    tree::set(bundle);
}

/// Creates a process for a program of the bundle, and returns the process number.
pub fn start(bundle: &Bundle<'static>, program: &Program) -> Outcome<u16> {
    let directory = tree::find(bundle.directory()).ok_or(EINVAL)?;
    life::start(&life::Program {
        file: program.file,
        path: bundle.text(program.path),
        arguments: bundle.text(program.arguments),
        environment: bundle.text(program.environment),
        directory,
    })
}

/// The result of a page fault of the current process.
pub enum PageFault {
    /// The page is present now, and the instruction is executed again.
    Resolved,
    /// The access is a fault, for this reason.
    Bad(Bad),
}

/// Handles a page fault of the current process: creates the page if the mapping allows the access.
pub fn page_fault(error: u64, address: u64) -> PageFault {
    const WRITE: u64 = 2;
    const FETCH: u64 = 16;
    if address >= USER_END {
        return PageFault::Bad(Bad::Unmapped);
    }
    let touch = match error {
        error if error & WRITE != 0 => Touch::Write,
        error if error & FETCH != 0 => Touch::Execute,
        _ => Touch::Read,
    };
    match task::space().touch(address, touch, false) {
        Ok(()) => PageFault::Resolved,
        Err(Bad::OutOfMemory) => signal::out_of_memory(),
        Err(bad) => PageFault::Bad(bad),
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
            PageFault::Resolved => return,
            PageFault::Bad(reason) => bad = Some(reason),
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

/// Handles the calls of Linux programs. To add one, add its line to the table in `abi` and its handler here or in
/// [`plain`]. Handlers are not inlined, so that the shortest call does not save the registers that the longest one needs.
fn handle(call: Call, frame: &mut TrapFrame) -> Outcome<u64> {
    let [a, b, c, d, e, f] = arguments(frame);
    match call {
        Call::exit => life::exit(a),
        Call::exit_group => life::end_group(a as u32, false),
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
        Call::wait4 => life::wait4(a, b, c, d),
        Call::waitid => life::waitid(a, b, c, d),
        Call::rt_sigreturn => Ok(signal::sigreturn(frame)),
        Call::sigaltstack => signal::sigaltstack(a, b, frame.rsp),
        _ => plain(call, [a, b, c, d, e, f]),
    }
}

/// The number that stands for the working directory in place of a descriptor.
const AT_FDCWD: u64 = -100_i64 as u64;

/// Handles the calls that need only their arguments.
fn plain(call: Call, [a, b, c, d, e, f]: [u64; 6]) -> Outcome<u64> {
    let group = task::group();
    match call {
        Call::read => files::read(a, b, c),
        Call::write => files::write(a, b, c),
        Call::pread64 => files::pread(a, b, c, d),
        Call::readv => files::vector(a, b, c, |fd, at, size, _| files::read(fd, at, size)),
        Call::writev => files::vector(a, b, c, |fd, at, size, _| files::write(fd, at, size)),
        Call::preadv => files::vector(a, b, c, |fd, at, size, done| files::pread(fd, at, size, d + done)),
        Call::open => files::open_at(AT_FDCWD, a, b),
        Call::openat => files::open_at(a, b, c),
        Call::close => files::close(a),
        Call::close_range => files::close_range(a, b, c),
        Call::dup => files::dup(a, 0, false),
        Call::dup2 => files::dup_to(a, b, 0, true),
        Call::dup3 => files::dup_to(a, b, c, false),
        Call::fcntl => files::fcntl(a, b, c),
        Call::ioctl => files::ioctl(a, b, c),
        Call::lseek => files::lseek(a, b, c),
        Call::getdents64 => files::getdents(a, b, c),
        Call::access => files::access(AT_FDCWD, a, b),
        Call::faccessat | Call::faccessat2 => files::access(a, b, c),
        Call::readlink => files::readlink(AT_FDCWD, a, b, c),
        Call::readlinkat => files::readlink(a, b, c, d),
        Call::getcwd => files::getcwd(a, b),
        Call::chdir => files::chdir(tree::resolve_user(AT_FDCWD, a)?),
        Call::fchdir => files::chdir(tree::resolve(a, b".")?),
        Call::fstat => stat::fstat(a, b),
        Call::stat => stat::stat_at(AT_FDCWD, a, b, 0),
        Call::lstat => stat::stat_at(AT_FDCWD, a, b, 0x100),
        Call::newfstatat => stat::stat_at(a, b, c, d),
        Call::statx => stat::statx(a, b, c, e),
        Call::statfs => tree::resolve_user(AT_FDCWD, a).and_then(|_| stat::statfs(b)),
        Call::fstatfs => files::open(a).and_then(|_| stat::statfs(b)),
        Call::pipe => pipe::create(a, 0),
        Call::pipe2 => pipe::create(a, b),
        Call::poll => poll::poll(a, b, c),
        Call::ppoll => poll::ppoll(a, b, c, d, e),
        Call::select => poll::select(a, [b, c, d], e),
        Call::pselect6 => poll::pselect(a, [b, c, d], e, f),
        Call::brk => memory::brk(a),
        Call::mmap => memory::mmap(a, b, c, d, e, f),
        Call::munmap => memory::munmap(a, b),
        Call::mprotect => memory::mprotect(a, b, c),
        Call::mremap => memory::mremap(a, b, c, d, e),
        Call::madvise => memory::madvise(a, b, c),
        Call::rt_sigaction => signal::sigaction(a, b, c, d),
        Call::rt_sigprocmask => signal::sigprocmask(a, b, c, d),
        Call::rt_sigpending => signal::sigpending(a),
        Call::rt_sigsuspend => signal::suspend_with(a, b),
        Call::rt_sigtimedwait => signal::timed_wait(a, b, c, d),
        Call::pause => signal::suspend(None),
        Call::kill => signal::kill(a, b),
        Call::tkill => signal::tgkill(None, a, b),
        Call::tgkill => signal::tgkill(Some(a), b, c),
        Call::alarm => time::alarm(a),
        Call::setitimer => time::setitimer(a, b, c),
        Call::getitimer => time::getitimer(a, b),
        Call::nanosleep => time::sleep(None, 0, a, b),
        Call::clock_nanosleep => time::sleep(Some(a), b, c, d),
        Call::clock_gettime => time::gettime(a, b),
        Call::clock_getres => time::getres(a, b),
        Call::gettimeofday => time::gettimeofday(a, b),
        Call::time => time::time(a),
        Call::times => time::times(a),
        Call::getrusage => time::getrusage(a, b),
        Call::futex => futex::futex(a, b, c, d, e, f),
        Call::set_robust_list => {
            task::current().robust_list.set(a);
            Ok(0)
        }
        Call::set_tid_address => {
            task::current().clear_tid.set(a);
            Ok(crate::trace::current().into())
        }
        Call::rseq => misc::rseq(a, b, c, d),
        Call::sched_yield => {
            scheduler::yield_now();
            Ok(0)
        }
        Call::sched_getaffinity => misc::sched_getaffinity(b, c),
        Call::sched_setaffinity => misc::sched_setaffinity(b, c),
        Call::sched_getscheduler => Ok(0),
        Call::sched_get_priority_max => misc::real_time_priority(a, 99),
        Call::sched_get_priority_min => misc::real_time_priority(a, 1),
        Call::sched_getparam => user::write(b, 0_u32).map(|()| 0),
        Call::getpriority => life::of_group(b, |group| (20 - group.nice.get()) as u16),
        Call::setpriority => misc::setpriority(b, c),
        Call::getcpu => misc::getcpu(a, b),
        Call::getpgrp => Ok(group.process_group.get().into()),
        Call::getpgid => life::of_group(a, |group| group.process_group.get()),
        Call::getsid => life::of_group(a, |group| group.session.get()),
        Call::setpgid => life::setpgid(a, b),
        Call::setsid => life::setsid(),
        Call::getuid | Call::geteuid | Call::getgid | Call::getegid => Ok(0),
        Call::setuid | Call::setgid | Call::setreuid | Call::setregid | Call::setresuid | Call::setresgid => {
            Ok(0)
        }
        Call::getresuid | Call::getresgid => misc::root_thrice([a, b, c]),
        Call::getgroups => Ok(0),
        Call::umask => Ok(group.umask.replace(a as u32 & 0o777).into()),
        Call::uname => misc::uname(a),
        Call::sysinfo => misc::sysinfo(a),
        Call::getrlimit => misc::prlimit(0, a, 0, b),
        Call::setrlimit => misc::prlimit(0, a, b, 0),
        Call::prlimit64 => misc::prlimit(a, b, c, d),
        Call::getrandom => misc::getrandom(a, b, c),
        Call::arch_prctl => misc::arch_prctl(a, b),
        Call::prctl => misc::prctl(a, b),
        Call::fsync | Call::fdatasync => files::open(a).and(Err(EINVAL)),
        _ => Err(ENOSYS),
    }
}
