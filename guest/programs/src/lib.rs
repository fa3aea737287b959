//! What a program needs below its `main`: the entry, its arguments, system calls and lines of text.
//!
//! There is no heap, no thread and no SSE but in [`registers`]: a program may be run in ring 0 (the policy `direct`),
//! on a host that emulates ring 0 without it.

#![no_std]

pub mod args;
pub mod fault;
pub mod kernel;
mod memory;
pub mod print;
pub mod registers;
pub mod syscall;
pub mod wide;

use core::arch::naked_asm;
use core::panic::PanicInfo;

pub use args::Args;
pub use print::Hex;

/// The status of a program that was called with arguments it does not understand.
pub const STATUS_USAGE: i32 = 2;
/// The status of a program that panicked, as Rust's own programs have it.
pub const STATUS_PANIC: i32 = 101;

/// Makes a function `fn(Args) -> i32` the program: what it returns is the exit status.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        /// The runtime calls it.
        #[unsafe(no_mangle)]
        fn user_main(args: $crate::Args) -> i32 {
            let main: fn($crate::Args) -> i32 = $main;
            main(args)
        }
    };
}

unsafe extern "Rust" {
    /// What [`program!`] defines.
    safe fn user_main(args: Args) -> i32;
}

/// The first instruction. No code called it, so there is no return address: the stack is as the kernel built it.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "xor ebp, ebp",  // the end of the chain of frames, for debuggers
        "mov rdi, rsp",  // argc and argv lie here
        "mov rsi, rdx",  // what to call at exit
        "and rsp, -16",  // as the C ABI wants it at a call
        "call {start}",
        start = sym start,
    )
}

/// Calls `main` and ends the process with its result, by a trap: the call `exit`. Under the policy `direct` the kernel
/// calls the program like a function, and passes a function to call at exit (System V ABI, AMD64 supplement, 3.4.1);
/// then that function is called instead.
unsafe extern "C" fn start(stack: *const u64, at_exit: Option<extern "C" fn(i32)>) -> ! {
    // SAFETY: `_start` passes the stack pointer it was entered with.
    let args = unsafe { Args::from_stack(stack) };
    let status = user_main(args);
    if let Some(at_exit) = at_exit {
        at_exit(status);
    }
    syscall::exit_group(status)
}

/// Prints where the panic was, without formatting its message, and ends the process.
#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    match info.location() {
        Some(place) => say!("panic at ", place.file(), ":", u64::from(place.line())),
        None => say!("panic"),
    }
    syscall::exit_group(STATUS_PANIC)
}

/// The prebuilt `core` refers to it. With panic=abort it is never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
