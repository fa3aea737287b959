//! The end of the kernel: the last record, a line on the console, an exit status.

use abi::record::{Kind, Panic};

use crate::arch::cpu::{out32, read_cr};
use crate::arch::trap_frame::TrapFrame;
use crate::layout::vector;
use crate::{console, trace};

/// Gives up for a reason of the kernel's own; `value` says more where there is more.
pub fn panic(reason: Panic, value: u64) -> ! {
    end(reason as u32, reason.name(), [0, value, 0, 0, 0])
}

/// Gives up because of an exception in kernel mode.
pub fn exception(frame: &TrapFrame) -> ! {
    let cr2 = if frame.vector as u8 == vector::PAGE_FAULT { read_cr!("cr2") } else { 0 };
    let words = [frame.rip, frame.error, cr2, frame.rsp, frame.rflags];
    end(frame.vector as u32, "an exception in kernel mode", words)
}

fn end(detail: u32, message: &str, words: [u64; 5]) -> ! {
    trace::record(Kind::KernelPanic, detail, words);
    trace::ring();
    console::print(b"trapline kernel: panic: ");
    console::print(message.as_bytes());
    console::print(b"\n");
    power_off(abi::exit::KERNEL_PANIC)
}

/// Tells the host how it went. It does not come back; if nobody listens, wait for ever.
pub fn power_off(status: u32) -> ! {
    out32(abi::ports::EXIT, status);
    loop {
        core::hint::spin_loop();
    }
}

/// A Rust panic: a fault of the kernel's own. Its message is not formatted: `core::fmt` uses SSE.
#[panic_handler]
fn bug(info: &core::panic::PanicInfo) -> ! {
    panic(Panic::Bug, info.location().map_or(0, |location| location.line().into()))
}
