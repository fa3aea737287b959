//! The system calls of Trapline's own programs. `syscall` and `int 0x80` lead to the same dispatch by number.
//!
//! A process names a call by number, never by address, so it cannot choose what code runs in ring 0.
//! Results are Linux's: 0 or more, or minus an error.

use abi::ports::TO_CONSOLE;
use abi::record::DATA_MAX;
use abi::record::emit::{SystemCallResult, TrapReturn};
use abi::syscall::Call;
use abi::syscall::errno::{EBADF, EFAULT, EINVAL, ENOSYS};

use crate::arch::trap_frame::{Registers, TrapFrame};
use crate::layout::USER_END;
use crate::memory::user;
use crate::trace::Emit;
use crate::{console, scheduler, timer, trace};

/// The result of a call: a value, or an error number (positive).
pub type Outcome = Result<u64, i64>;

/// Handles a call of the process that runs. To add a call, add its line to the table in `abi` and its handler here: the text of
/// `view` and `strace`, and the rules of `check`, follow from the types in the table. A handler records the memory that it
/// reads or writes.
#[inline(never)]
pub fn call(number: u64, frame: &mut TrapFrame) {
    let Registers { rdi, rsi, rdx, .. } = frame.registers;
    let outcome = match Call::from_number(number) {
        Some(Call::read) => read(rdi, rsi, rdx),
        Some(Call::write) => write(rdi, rsi, rdx),
        Some(Call::sched_yield) => {
            scheduler::yield_now();
            Ok(0)
        }
        Some(Call::nanosleep) => nanosleep(rdi),
        Some(Call::getpid) => Ok(scheduler::current().group.get().into()),
        Some(Call::exit | Call::exit_group) => scheduler::exit(rdi),
        Some(Call::clock_gettime) => clock_gettime(rdi, rsi),
        Some(Call::trapline_on_fault) => on_fault(rdi),
        _ => Err(ENOSYS),
    };
    answer(number, frame, outcome);
}

/// Puts the result of a call into RAX: a value, or minus an error. Records it and the return to the process.
#[inline(always)]
pub fn answer(number: u64, frame: &mut TrapFrame, outcome: Outcome) {
    let result = outcome.unwrap_or_else(|error| error.wrapping_neg() as u64);
    frame.registers.rax = result;
    let result = SystemCallResult { number: number as u32, result: result as i64 };
    result.emit_with(TrapReturn { frame: frame.words() });
}

/// Records two words of memory that an argument leads to.
fn record_words(argument: u8, words: [u64; 2]) {
    trace::data(argument, 16, words.map(u64::to_le_bytes).as_flattened());
}

/// The most bytes that one call transfers, as Linux may transfer a part too: interrupts are off meanwhile. The program
/// transfers the rest by another call.
const TRANSFER_MAX: u64 = 4096;

/// Standard input is at its end from the start.
fn read(fd: u64, buffer: u64, count: u64) -> Outcome {
    let now = count.min(TRANSFER_MAX);
    if fd as u32 != 0 {
        return Err(EBADF);
    }
    if now > 0 && !(user::is_below_end(buffer, count) && user::writable(buffer, now)) {
        return Err(EFAULT);
    }
    Ok(0)
}

fn write(fd: u64, buffer: u64, count: u64) -> Outcome {
    let now = count.min(TRANSFER_MAX);
    let bytes = if now > 0 { user::readable(buffer, now) } else { Some([].as_slice()) };
    if count > 0
        && let Some(shown) = bytes.or_else(|| user::readable(buffer, now.min(DATA_MAX as u64)))
    {
        trace::data(1, count, shown);
    }
    if fd as u32 != 1 && fd as u32 != 2 {
        return Err(EBADF);
    }
    if now < count && !user::is_below_end(buffer, count) {
        return Err(EFAULT);
    }
    console::print_of_process(TO_CONSOLE, bytes.ok_or(EFAULT)?);
    Ok(now)
}

const NS_PER_SECOND: u64 = 1_000_000_000;
/// The longest sleep, a hundred years. A longer one is cut to it.
const SECONDS_MAX: u64 = 100 * 366 * 24 * 3600;

fn nanosleep(request: u64) -> Outcome {
    let [seconds, ns]: [u64; 2] = user::read(request).ok_or(EFAULT)?;
    record_words(0, [seconds, ns]);
    if (seconds as i64) < 0 || ns >= NS_PER_SECOND {
        return Err(EINVAL);
    }
    scheduler::sleep(timer::after_ns(seconds.min(SECONDS_MAX) * NS_PER_SECOND + ns));
    Ok(0)
}

fn clock_gettime(clock: u64, to: u64) -> Outcome {
    const REALTIME: u32 = 0;
    const MONOTONIC: u32 = 1;
    let ns = match clock as u32 {
        REALTIME => timer::realtime_ns(),
        MONOTONIC => timer::monotonic_ns(),
        _ => return Err(EINVAL),
    };
    let time = [ns / NS_PER_SECOND, ns % NS_PER_SECOND];
    user::write(to, time).ok_or(EFAULT)?;
    record_words(1, time);
    Ok(0)
}

/// The process's next fault goes to this handler. Its address is not checked further: where there is no code, the process faults
/// again.
pub fn on_fault(handler: u64) -> Outcome {
    if handler >= USER_END {
        return Err(EFAULT);
    }
    scheduler::current().fault_handler.set(handler);
    Ok(0)
}
