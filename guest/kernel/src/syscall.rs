//! System calls: one dispatch by number for both entry paths, `syscall` and `int 0x80`.
//!
//! A process names a call by number, never by address, so it cannot choose what code runs in ring 0.
//! Results are Linux's: 0 or more, or minus an error.

use abi::ports::TO_CONSOLE;
use abi::syscall::errno::{EBADF, EFAULT, EINVAL, ENOSYS};
use abi::syscall::{Call, Pointers};

use crate::arch::trap_frame::{Registers, TrapFrame};
use crate::layout::USER_END;
use crate::memory::user;
use crate::{call_data, console, linux, process, scheduler, timer, trace};

/// The result of a call: a value, or an error number (positive).
type Outcome = Result<u64, i64>;

/// A call. It takes its arguments from the registers and returns what goes into RAX.
pub type Handler = fn(&Registers) -> u64;

/// The system call table, by number. Whether the arguments of a call may lead to memory is decided when the kernel is built, so
/// other calls spend no instruction on it.
macro_rules! table {
    ($($call:ident($($argument:ident),*) => $handler:expr,)*) => {{
        let mut table: [Handler; _] = [|registers| rax(unknown(registers)); _];
        $(table[Call::$call as usize] = |registers| {
            let handler = |&Registers { $($argument,)* .. }: &Registers| -> Outcome { $handler };
            rax(if const { has_pointers(Call::$call) } {
                with_data(Call::$call, registers, handler)
            } else {
                handler(registers)
            })
        };)*
        table
    }};
}

/// The calls that the kernel has. To add one, add its line to the table in `abi` and its handler here: the data records, the
/// text of `view` and `strace`, and the rules of `check` follow from the types in the table.
static TABLE: [Handler; process::NATIVE_CALLS as usize] = table! {
    read(rdi, rsi, rdx) => read(rdi, rsi, rdx),
    write(rdi, rsi, rdx) => write(rdi, rsi, rdx),
    sched_yield() => sched_yield(),
    nanosleep(rdi) => nanosleep(rdi),
    getpid() => Ok(trace::current().into()),
    exit(rdi) => scheduler::exit(rdi),
    clock_gettime(rdi, rsi) => clock_gettime(rdi, rsi),
    exit_group(rdi) => scheduler::exit(rdi),
    trapline_on_fault(rdi) => on_fault(rdi),
};

const fn has_pointers(call: Call) -> bool {
    !matches!(call.signature().pointers(), Pointers::NONE)
}

fn rax(outcome: Outcome) -> u64 {
    outcome.unwrap_or_else(|error| error.wrapping_neg() as u64)
}

/// The function that answers a call of the process that runs. `None`: [`other`] does.
#[inline(always)]
pub fn native(number: u64) -> Option<Handler> {
    // SAFETY: no process has more calls than the table.
    (number < scheduler::native_calls()).then(|| unsafe { *TABLE.get_unchecked(number as usize) })
}

/// Answers a call of a Linux program, or one that there is not.
pub fn other(frame: &mut TrapFrame) -> u64 {
    const ON_FAULT: u64 = Call::trapline_on_fault as u64;
    match frame.registers.rax {
        ON_FAULT => rax(on_fault(frame.registers.rdi)),
        _ if scheduler::runs_linux() => linux::call(frame),
        _ => rax(unknown(&frame.registers)),
    }
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

/// Standard input is at its end from the start.
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

fn write(fd: u64, buffer: u64, count: u64) -> Outcome {
    // Writes a part, as Linux may too, so that a long line does not keep the CPU. The program writes the rest by another
    // call.
    let now = count.min(WRITE_MAX);
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
