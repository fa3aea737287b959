//! Kernel panic: the last record, a line on the console, and the exit status.

use abi::record::Panic;
use abi::record::emit::KernelPanic;

use crate::arch::cpu::{out32, read_cr};
use crate::arch::trap_frame::TrapFrame;
use crate::layout::vector;
use crate::trace::Emit;
use crate::{console, trace};

/// Panics for a reason that the kernel found itself; `value` is a detail of it, or 0.
pub fn panic(reason: Panic, value: u64) -> ! {
    let record = KernelPanic { reason: reason as u32, rip: 0, error_code: value, cr2: 0, rsp: 0, rflags: 0 };
    end(record, reason.name())
}

/// Panics because of an exception in kernel mode.
pub fn exception(frame: &TrapFrame) -> ! {
    let cr2 = if frame.vector as u8 == vector::PAGE_FAULT { read_cr!("cr2") } else { 0 };
    let TrapFrame { vector, error, rip, rsp, rflags, .. } = *frame;
    let record = KernelPanic { reason: vector as u32, rip, error_code: error, cr2, rsp, rflags };
    end(record, "an exception in kernel mode")
}

fn end(record: KernelPanic, message: &str) -> ! {
    record.emit();
    [b"trapline kernel: panic: ", message.as_bytes(), b"\n"].into_iter().for_each(console::print);
    power_off(abi::exit::KERNEL_PANIC)
}

/// Rings the doorbell and ends the run with this status. Where no host listens to the port, it waits for ever.
pub fn power_off(status: u32) -> ! {
    trace::ring();
    out32(abi::ports::EXIT, status);
    loop {
        core::hint::spin_loop();
    }
}

/// A Rust panic: a bug of the kernel. Its message is not formatted, because `core::fmt` uses SSE.
#[panic_handler]
fn bug(info: &core::panic::PanicInfo) -> ! {
    panic(Panic::Bug, info.location().map_or(0, |location| location.line().into()))
}
