//! What programs and the kernel print. The host takes the bytes of a program from where they lie, so that a long line costs no
//! more than a short one. Where there is no host that does so, the console's port takes one byte a write.

use abi::ports::{self, CONSOLE, Output};

use crate::arch::cpu::{self, read_cr};
use crate::cell::Local;
use crate::layout::{KERNEL_BASE, PAGE};
use crate::memory::address_space::translate;
use crate::trace;

static OUTPUT: Local<Output> = Local::new(Output { address: 0, size: 0, stream: 0 });

/// Prints bytes of the kernel.
pub fn print(bytes: &[u8]) {
    bytes.iter().for_each(|&byte| cpu::out8(CONSOLE, byte));
}

/// Prints bytes of the process that runs, which it can read, on the console or to a stream of the host.
#[inline(always)]
pub fn print_of_process(stream: u32, mut bytes: &[u8]) {
    if !trace::has_ports() {
        return print(bytes);
    }
    while !bytes.is_empty() {
        let address = bytes.as_ptr() as u64;
        let (page, rest) = bytes.split_at_checked((PAGE - address % PAGE) as usize).unwrap_or((bytes, &[]));
        let Some(physical) = translate(read_cr!("cr3"), address, false) else { return };
        OUTPUT.set(Output { address: physical, size: page.len() as u32, stream });
        cpu::out32(ports::OUTPUT, (OUTPUT.pointer() as u64 - KERNEL_BASE) as u32);
        bytes = rest;
    }
}
