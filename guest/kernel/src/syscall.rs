//! System calls: one dispatch by number for both entry paths, `syscall` and `int 0x80`.
//!
//! A process names a call by number, never by address, so it cannot choose what code runs in ring 0.
//! Results are Linux's: 0 or more, or minus an error.

use core::mem;

use abi::ports::TO_CONSOLE;
use abi::record::emit::{SystemCallResult, TrapReturn};
use abi::syscall::errno::{EBADF, EFAULT, EINVAL, ENOSYS};
use abi::syscall::{Call, Pointers};

use crate::arch::trap_frame::{Registers, TrapFrame};
use crate::layout::USER_END;
use crate::memory::user;
use crate::process::{Calls, Handler};
use crate::trace::Emit;
use crate::{call_data, console, scheduler, timer};

/// The result of a call: a value, or an error number (positive).
pub type Outcome = Result<u64, i64>;

/// The system call table. Whether the arguments of a call may lead to memory is decided when the kernel is built, so other
/// calls spend no instruction on it.
macro_rules! table {
    ($($call:ident($($argument:ident),*) => $handler:expr,)*) => {{
        let mut handlers: [Handler; _] = [|frame| answer(frame, unknown(&frame.registers)); _];
        $(handlers[Call::$call as usize] = |frame| {
            let handler = |&Registers { $($argument,)* .. }: &Registers| -> Outcome { $handler };
            let outcome = if const { has_pointers(Call::$call) } {
                with_data(Call::$call, &frame.registers, handler)
            } else {
                handler(&frame.registers)
            };
            answer(frame, outcome)
        };)*
        handlers
    }};
}

/// The calls that the kernel has. To add one, add its line to the table in `abi` and its handler here: the data records, the
/// text of `view` and `strace`, and the rules of `check` follow from the types in the table.
pub static CALLS: Calls = Calls {
    is_linux: false,
    handlers: table! {
        read(rdi, rsi, rdx) => read(rdi, rsi, rdx),
        write(rdi, rsi, rdx) => write(rdi, rsi, rdx),
        sched_yield() => sched_yield(),
        nanosleep(rdi) => nanosleep(rdi),
        getpid() => Ok(scheduler::current().group.get().into()),
        exit(rdi) => scheduler::exit(rdi),
        clock_gettime(rdi, rsi) => clock_gettime(rdi, rsi),
        exit_group(rdi) => scheduler::exit(rdi),
        trapline_on_fault(rdi) => on_fault(rdi),
    },
};

const fn has_pointers(call: Call) -> bool {
    !matches!(call.signature().pointers(), Pointers::NONE)
}

/// Answers a call of the process that runs.
#[inline(always)]
pub fn call(number: u64, frame: &mut TrapFrame) {
    match scheduler::calls().handlers.get(number as usize) {
        Some(handler) => handler(frame),
        None => refuse(frame),
    }
}

#[cold]
#[inline(never)]
fn refuse(frame: &mut TrapFrame) {
    answer(frame, Err(ENOSYS));
}

/// Puts the result of a call into RAX: a value, or minus an error. Records it and the return to the process.
#[inline(always)]
pub fn answer(frame: &mut TrapFrame, outcome: Outcome) {
    let result = outcome.unwrap_or_else(|error| error.wrapping_neg() as u64);
    let number = mem::replace(&mut frame.registers.rax, result) as u32;
    SystemCallResult { number, result: result as i64 }.emit_with(TrapReturn { frame: frame.words() });
}

/// Records the memory that the arguments of a call lead to around its handler: what the call reads before, and what it has
/// written after.
#[inline(never)]
fn with_data(call: Call, registers: &Registers, handler: fn(&Registers) -> Outcome) -> Outcome {
    let &Registers { rdi, rsi, rdx, r10, r8, r9, .. } = registers;
    let arguments = [rdi, rsi, rdx, r10, r8, r9];
    let read: call_data::Reader = |address, size| user::readable(root(), address, size);
    call_data::inputs(read, call, &arguments);
    let outcome = handler(registers);
    if let Ok(result) = outcome {
        call_data::outputs(read, call, &arguments, result);
    }
    outcome
}

/// A call that the kernel does not have, with what it would read.
#[inline(never)]
fn unknown(registers: &Registers) -> Outcome {
    let refuse = |_: &Registers| Err(ENOSYS);
    Call::from_number(registers.rax).map_or(Err(ENOSYS), |call| with_data(call, registers, refuse))
}

/// The root table of the process that runs.
fn root() -> u64 {
    scheduler::current().root()
}

fn sched_yield() -> Outcome {
    scheduler::yield_now();
    Ok(0)
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
    if now > 0 && !(user::is_below_end(buffer, count) && user::writable(root(), buffer, now)) {
        return Err(EFAULT);
    }
    Ok(0)
}

fn write(fd: u64, buffer: u64, count: u64) -> Outcome {
    let now = count.min(TRANSFER_MAX);
    let bytes = if now > 0 { user::readable(root(), buffer, now) } else { Some([].as_slice()) };
    if fd as u32 != 1 && fd as u32 != 2 {
        return Err(EBADF);
    }
    if now < count && !user::is_below_end(buffer, count) {
        return Err(EFAULT);
    }
    console::print_of_process(root(), TO_CONSOLE, bytes.ok_or(EFAULT)?);
    Ok(now)
}

const NS_PER_SECOND: u64 = 1_000_000_000;
/// The longest sleep, a hundred years. A longer one is cut to it.
const SECONDS_MAX: u64 = 100 * 366 * 24 * 3600;

fn nanosleep(request: u64) -> Outcome {
    let [seconds, ns]: [u64; 2] = user::read(root(), request).ok_or(EFAULT)?;
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
    user::write(root(), to, time).ok_or(EFAULT)?;
    Ok(0)
}

/// The address of the handler is not checked further: where there is no code, the process faults again.
fn on_fault(handler: u64) -> Outcome {
    if handler >= USER_END {
        return Err(EFAULT);
    }
    scheduler::current().fault_handler.set(handler);
    Ok(0)
}
