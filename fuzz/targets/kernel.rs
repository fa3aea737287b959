//! Any bytes as a kernel's ELF file: what the rules accept fits into the guest's memory, and starts in its own code.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trapline::machine::kernel::Kernel;
use trapline::machine::layout::{KERNEL_LOWEST, MEMORY_MIN_MIB, MIB, Memory, reserve};

thread_local! {
    static MEMORY: Memory = reserve(MEMORY_MIN_MIB).expect("memory for a guest");
}

fuzz_target!(|file: &[u8]| match Kernel::parse(file, MEMORY_MIN_MIB * MIB) {
    Err(error) => drop(error.to_string()),
    Ok(kernel) => {
        assert!((KERNEL_LOWEST..kernel.end).contains(&kernel.entry) && kernel.end <= MEMORY_MIN_MIB * MIB);
        MEMORY.with(|memory| kernel.load(memory)).expect("its segments are in memory");
    }
});
