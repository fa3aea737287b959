//! Runs code that may fault, and returns which fault it was.
//!
//! The system call `trapline_on_fault` makes this possible: it sets the handler of the process's next fault. It does not
//! work under the policy `direct`, where a fault of the program is a fault in ring 0 and panics the kernel.

use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;

use abi::syscall::Call;

/// A fault, as the kernel passes it to the handler.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The vector of the exception.
    pub vector: u64,
    /// Its error code; 0 where it has none.
    pub error: u64,
    /// The instruction that faulted.
    pub rip: u64,
    /// The address of a page fault, else 0.
    pub address: u64,
}

/// Code to be tried. Its argument is in RDI; its result is ignored.
pub type Code = unsafe extern "C" fn(u64);

struct State {
    fault: UnsafeCell<Fault>,
    /// The stack pointer with which the handler continues.
    stack: UnsafeCell<u64>,
}

// SAFETY: a process is one thread.
unsafe impl Sync for State {}

static STATE: State = State {
    fault: UnsafeCell::new(Fault { vector: 0, error: 0, rip: 0, address: 0 }),
    stack: UnsafeCell::new(0),
};

/// Runs `code(argument)` and returns the fault that ended it; `None` if it returned.
///
/// # Safety
/// `code` keeps to the C ABI up to the instruction that faults, or to its end, and changes no memory that other
/// code relies on. An address where there is no code will do, because the CPU can only fault there.
pub unsafe fn attempt(code: Code, argument: u64) -> Option<Fault> {
    // SAFETY: the caller's promise; `guarded` keeps to the C ABI, and its handler has filled the fault if it returns 1.
    unsafe { (guarded(code, argument) != 0).then(|| *STATE.fault.get()) }
}

/// 0: the code returned; 1: it faulted, and [`STATE`] has the fault.
#[unsafe(naked)]
unsafe extern "C" fn guarded(code: Code, argument: u64) -> u64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "pushfq",
        "mov [rip + {state} + {stack}], rsp",
        "mov r8, rdi",
        "mov r9, rsi",
        "mov eax, {on_fault}",
        "lea rdi, [rip + 2f]",
        "syscall",
        "mov rdi, r9",
        "call r8",
        "mov eax, {on_fault}",
        "xor edi, edi", // no handler any more
        "syscall",
        "xor eax, eax",
        "jmp 3f",
        "2:", // the handler: its arguments are those of a C function
        "mov [rip + {state} + {fault}], rdi",
        "mov [rip + {state} + {fault} + 8], rsi",
        "mov [rip + {state} + {fault} + 16], rdx",
        "mov [rip + {state} + {fault} + 24], rcx",
        "mov eax, 1",
        "3:",
        "mov rsp, [rip + {state} + {stack}]",
        "popfq",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        state = sym STATE,
        fault = const offset_of!(State, fault),
        stack = const offset_of!(State, stack),
        on_fault = const Call::trapline_on_fault as u32,
    )
}

/// The name of an exception.
pub fn name(vector: u64) -> &'static str {
    match vector {
        0 => "#DE",
        1 => "#DB",
        3 => "#BP",
        6 => "#UD",
        7 => "#NM",
        10 => "#TS",
        11 => "#NP",
        12 => "#SS",
        13 => "#GP",
        14 => "#PF",
        17 => "#AC",
        _ => "another exception",
    }
}
