//! Trapline's guest kernel: it sets up the CPU, makes a process of every module, runs them in user mode by limited
//! direct execution, and records every trap, tick and switch for the host (the crate `abi` has the formats).
//!
//! Where to start reading: [`kernel_main`] boots, [`arch::entry`] enters and leaves the kernel, [`trap`] handles traps,
//! [`scheduler`] switches processes. There is one CPU, no SSE, no `core::fmt`, and no
//! interrupt in the kernel except in the idle wait.

#![no_std]
#![no_main]

mod arch;
mod cell;
mod clock;
mod console;
mod fpu;
mod hosts;
mod layout;
mod linux;
mod loader;
mod memory;
mod panic;
mod process;
mod pvh;
mod run_queue;
mod scheduler;
mod syscall;
mod timer;
mod trace;
mod trap;

use abi::boot::{BY_PORT, Key};
use abi::bundle::{Bundle, LINUX, Program};
use abi::exit::{ALL_WELL, DEADLOCK, PROCESS_FAILED};
use abi::record::emit::{Deadlock, Memory, boot as record};
use abi::record::{LoadError, Panic, Policy};

use crate::arch::cpu::{self, read_cr};
use crate::arch::{boot, entry, gdt, idt};
use crate::fpu::Method;
use crate::hosts::probe;
use crate::memory::frames;
use crate::panic::panic;
use crate::trace::Emit;

/// `arch::boot` calls this in long mode, in the upper half and on the boot stack; `start_info` is a physical address.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(start_info: u64) -> ! {
    let boot = pvh::Boot::read(start_info);
    let options = boot.as_ref().and_then(pvh::Boot::options);
    trace::attach(options.map_or(BY_PORT, |options| options.get(Key::Doorbell)));
    // The book's "initialise the trap table", and the segments that x86 needs for it.
    gdt::load();
    idt::load();
    let Some(boot) = boot else { panic(Panic::NoPrograms, start_info) };
    let Some(options) = options else { panic(Panic::BadCommandLine, 0) };
    let policy = Policy::try_from(options.get(Key::Policy)).unwrap_or(Policy::RoundRobin);
    protect(policy);
    set_up_memory(&boot, options.get(Key::Zeroed) == 1);
    timer::initialize(&options);
    let is_direct = policy == Policy::Direct;
    process::DIRECT.set(is_direct);
    fpu::initialize(if is_direct { Method::Fxsave } else { probe::run() });
    if is_direct {
        entry::set_calls_from_ring_0();
    }
    let (quantum_us, batch) = (options.get(Key::QuantumUs), options.get(Key::Batch));
    record::Scheduler { policy, quantum_us, batch }.emit();
    trace::set_batch(batch);
    let free_at_start = frames::POOL.free().into();
    linux::STACK_MAX.set(options.get(Key::StackMib) << 20);
    let processes = create_processes(&boot);
    record::Ready { processes }.emit();
    timer::start(policy, &options);
    let left = scheduler::run(linux::awaits_input);
    if left > 0 {
        Deadlock { processes: left.into() }.emit();
        panic::power_off(DEADLOCK)
    }
    Memory { free_at_start, free_at_end: frames::POOL.free().into() }.emit();
    panic::power_off(if scheduler::FAILED.get() { PROCESS_FAILED } else { ALL_WELL })
}

/// Turns on the CPU's protection against faults of the kernel itself.
fn protect(policy: Policy) {
    let cr4 = cpu::protect(policy == Policy::Direct);
    // SAFETY: every long mode CPU has EFER.
    let efer = unsafe { cpu::read_msr(cpu::IA32_EFER) };
    record::Protection { cr0: read_cr!("cr0"), cr4, efer }.emit();
}

/// Finds the memory that the kernel may hand out: from the end of the kernel and the modules to the end of its RAM, or,
/// where the VMM put the modules at the end of RAM, from the end of the kernel to the modules.
fn set_up_memory(boot: &pvh::Boot, is_zeroed: bool) {
    let image = boot::image_end();
    let Some(end) = boot.ram_end(image) else { panic(Panic::OutOfMemory, image) };
    let (first, last) = boot.modules().fold((end, image), |(first, last), module| {
        (first.min(module.address), last.max(module.address + module.size))
    });
    let (start, end) =
        if end.saturating_sub(last) > first.saturating_sub(image) { (last, end) } else { (image, first) };
    frames::initialize(start, end, is_zeroed);
    record::Started { start: layout::IMAGE, end: image, usable: end - start }.emit();
}

/// Creates a process for every module, and for every program of a module that is a bundle. Returns how many there are.
fn create_processes(boot: &pvh::Boot) -> u64 {
    let (mut tried, mut processes) = (0, 0);
    for module in boot.modules() {
        let Some(bundle) = Bundle::parse(module.bytes()) else {
            tried += 1;
            processes += create(&module);
            continue;
        };
        linux::set_files(bundle);
        for program in (0..bundle.programs()).filter_map(|index| bundle.program(index)) {
            tried += 1;
            processes += create_of_bundle(&bundle, &program);
        }
    }
    match (tried, processes) {
        (0, _) => panic(Panic::NoPrograms, 0),
        (_, 0) => panic(Panic::NothingLoaded, tried),
        _ => processes,
    }
}

/// Creates a process for a module. Returns 1, or 0 after a message if it could not.
fn create(module: &pvh::Module) -> u64 {
    let created = process::create(module).inspect(|&id| scheduler::add(id));
    created.map_or_else(|error| refuse(module.name(), error), |_| 1)
}

fn create_of_bundle(bundle: &Bundle<'static>, program: &Program) -> u64 {
    if program.kind == LINUX {
        let created = linux::start(bundle, program);
        return created.map_or_else(|_| refuse(bundle.text(program.path), LoadError::NotElf), |_| 1);
    }
    let elf = bundle.contents(&bundle.file(program.file).unwrap_or_default());
    let address = elf.as_ptr() as u64 - layout::DIRECT_MAP;
    create(&pvh::Module { address, size: elf.len() as u64, command_line: bundle.text(program.arguments) })
}

#[cold]
fn refuse(name: &[u8], error: LoadError) -> u64 {
    scheduler::FAILED.set(true);
    let line = [b"trapline kernel: ", name, b": ", error.name().as_bytes(), b"\n"];
    line.into_iter().for_each(console::print);
    0
}
