//! Standard output and error: bytes go to the host where they lie, so that a large write costs little more than a
//! small one; where the host has no port for them, to the console byte by byte.

use abi::ports::{self, Output};

use crate::arch::cpu;
use crate::cell::Local;
use crate::console;
use crate::layout::{KERNEL_BASE, PAGE};
use crate::memory::address_space::translate;
use crate::scheduler;
use crate::trace;

static OUTPUT: Local<Output> = Local::new(Output { address: 0, size: 0, stream: 0 });

/// Prints bytes of the process that runs, which are there, to a stream of the host.
pub fn print(stream: u32, bytes: &[u8]) {
    if !trace::has_ports() {
        return console::print(bytes);
    }
    let root = scheduler::current().root();
    let (mut address, end) = (bytes.as_ptr() as u64, bytes.as_ptr() as u64 + bytes.len() as u64);
    while address < end {
        let size = (PAGE - address % PAGE).min(end - address);
        let Some(physical) = translate(root, address, false) else { return };
        OUTPUT.set(Output { address: physical, size: size as u32, stream });
        cpu::out32(ports::OUTPUT, (OUTPUT.pointer() as u64 - KERNEL_BASE) as u32);
        address += size;
    }
}
