//! System calls: one dispatch by number for both entry paths, `syscall` and `int 0x80`.
//!
//! A process names a call by number, never by address, so it cannot choose what code runs in ring 0.
//! Results are Linux's: 0 or more, or minus an error.

use abi::record::emit::{SystemCall, SystemCallResult};
use abi::syscall::Call;
use abi::syscall::errno::{EBADF, EFAULT, EINVAL, ENOSYS};

use crate::arch::trap_frame::{Registers, TrapFrame};
use crate::layout::USER_END;
use crate::memory::user;
use crate::trace::Emit;
use crate::{console, linux, scheduler, timer, trace};

/// The result of a call: a value, or an error number (positive).
type Outcome = Result<u64, i64>;

/// Does what the process asks for, and leaves the result in its RAX.
#[inline(always)]
pub fn dispatch(frame: &mut TrapFrame) {
    let number = frame.registers.rax;
    SystemCall { number }.emit();
    if scheduler::runs_linux() && number != Call::trapline_on_fault as u64 {
        let result = linux::call(frame);
        return done(frame, number, result);
    }
    let result = match call(number, &frame.registers) {
        Ok(value) => value,
        Err(error) => error.wrapping_neg() as u64,
    };
    done(frame, number, result);
}

#[inline(always)]
fn done(frame: &mut TrapFrame, number: u64, result: u64) {
    frame.registers.rax = result;
    SystemCallResult { number: number as u32, result: result as i64 }.emit();
}

/// A match on the number itself becomes one jump, where [`Call`]'s table would take two. Each call is a function that is not
/// inlined, so that the shortest call does not save the registers that the longest needs.
#[inline(always)]
fn call(number: u64, &Registers { rdi, rsi, rdx, .. }: &Registers) -> Outcome {
    const READ: u64 = Call::read as u64;
    const WRITE: u64 = Call::write as u64;
    const SCHED_YIELD: u64 = Call::sched_yield as u64;
    const GETPID: u64 = Call::getpid as u64;
    const NANOSLEEP: u64 = Call::nanosleep as u64;
    const CLOCK_GETTIME: u64 = Call::clock_gettime as u64;
    const EXIT: u64 = Call::exit as u64;
    const EXIT_GROUP: u64 = Call::exit_group as u64;
    const ON_FAULT: u64 = Call::trapline_on_fault as u64;
    match number {
        READ => read(rdi, rsi, rdx),
        WRITE => write(rdi, rsi, rdx),
        SCHED_YIELD => sched_yield(),
        GETPID => Ok(trace::current().into()),
        NANOSLEEP => nanosleep(rdi),
        CLOCK_GETTIME => clock_gettime(rdi, rsi),
        EXIT | EXIT_GROUP => scheduler::exit(rdi),
        ON_FAULT => on_fault(rdi),
        _ => Err(ENOSYS),
    }
}

/// The root table of the process that runs.
fn root() -> u64 {
    scheduler::current().root()
}

#[inline(never)]
fn sched_yield() -> Outcome {
    scheduler::yield_now();
    Ok(0)
}

/// Standard input is at its end from the start.
#[inline(never)]
fn read(fd: u64, buffer: u64, count: u64) -> Outcome {
    if fd as u32 != 0 {
        return Err(EBADF);
    }
    if count > 0 && !user::writable(root(), buffer, count) {
        return Err(EFAULT);
    }
    Ok(0)
}

/// The most bytes that one call writes.
const WRITE_MAX: u64 = 4096;

#[inline(never)]
fn write(fd: u64, buffer: u64, count: u64) -> Outcome {
    // Writes a part, as Linux may too, so that a long line does not keep the CPU. The program writes the rest by another
    // call.
    let now = count.min(WRITE_MAX);
    let bytes = if now > 0 { user::readable(root(), buffer, now) } else { Some([].as_slice()) };
    // The bytes are recorded even where the call is then refused.
    if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
        trace::data(1, bytes);
    }
    if fd as u32 != 1 && fd as u32 != 2 {
        return Err(EBADF);
    }
    if now < count && !user::is_below_end(buffer, count) {
        return Err(EFAULT);
    }
    console::print(bytes.ok_or(EFAULT)?);
    Ok(now)
}

const NS_PER_SECOND: u64 = 1_000_000_000;
/// The longest sleep, a hundred years. A longer one is cut to it.
const SECONDS_MAX: u64 = 100 * 366 * 24 * 3600;

#[inline(never)]
fn nanosleep(request: u64) -> Outcome {
    let [seconds, ns]: [u64; 2] = user::read(root(), request).ok_or(EFAULT)?;
    trace::data(0, timespec(&[seconds, ns]));
    if (seconds as i64) < 0 || ns >= NS_PER_SECOND {
        return Err(EINVAL);
    }
    scheduler::sleep(timer::after_ns(seconds.min(SECONDS_MAX) * NS_PER_SECOND + ns));
    Ok(0)
}

#[inline(never)]
fn clock_gettime(clock: u64, to: u64) -> Outcome {
    const REALTIME: u32 = 0;
    const MONOTONIC: u32 = 1;
    let ns = match clock as u32 {
        REALTIME => timer::realtime_ns(),
        MONOTONIC => timer::monotonic_ns(),
        _ => return Err(EINVAL),
    };
    let time = [ns / NS_PER_SECOND, ns % NS_PER_SECOND];
    user::write(root(), to, time).ok_or(EFAULT)?;
    trace::data(1, timespec(&time));
    Ok(0)
}

/// Seconds and nanoseconds as they lie in memory.
fn timespec(words: &[u64; 2]) -> &[u8] {
    // SAFETY: any 16 bytes are bytes.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), size_of::<[u64; 2]>()) }
}

/// The address of the handler is not checked further: where there is no code, the process faults again.
#[inline(never)]
fn on_fault(handler: u64) -> Outcome {
    if handler >= USER_END {
        return Err(EFAULT);
    }
    scheduler::current().fault_handler.set(handler);
    Ok(0)
}
