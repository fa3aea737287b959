//! Processes: the process structure, how a process is created, how its memory is freed.

use abi::boot::PROCESSES_MAX;
use abi::record::emit::{KernelStackFilled, LoadFailed, ProcessCreated, ProcessFreed};
use abi::record::{self, LoadError, Panic};

use crate::arch::context::{Context, Segments};
use crate::arch::trap_frame::TrapFrame;
use crate::arch::{boot, cpu, entry};
use crate::cell::Local;
use crate::layout::{PAGE, STACK_FIRST_PROCESS, STACK_PAGES, STACKS, stack_top};
use crate::memory::address_space::AddressSpace;
use crate::panic::panic;
use crate::pvh::Module;
use crate::trace::Emit;
use crate::{fpu, loader};

/// Process 0 is the kernel itself: it boots, then waits while no process can run.
pub const KERNEL: u16 = 0;

/// The process structure. Every field is a separate cell, so references to a process are always shared ones: a switch uses
/// two processes, which may be the same.
pub struct Process {
    /// What the last switch away stored.
    pub context: Local<Context>,
    /// Where its x87, SSE and AVX registers are while another process runs.
    pub fpu: Local<fpu::Area>,
    pub segments: Local<Segments>,
    pub state: Local<State>,
    pub space: Local<AddressSpace>,
    /// Top of the kernel stack, for the TSS.
    pub kernel_stack: Local<u64>,
    /// TSC at which a sleeper is to wake.
    pub wake: Local<u64>,
    /// Address of the handler of its next fault; 0: the fault ends it.
    pub fault_handler: Local<u64>,
}

/// What a process is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No process has this number.
    Unused,
    /// In the run queue, or on the CPU.
    Runnable,
    Sleeping,
    /// It has ended, but its kernel stack is in use until the switch to the next process.
    Ended,
}

impl Process {
    const fn unused() -> Self {
        Self {
            context: Local::new(Context::EMPTY),
            fpu: Local::new(fpu::Area::NONE),
            segments: Local::new(Segments::NULL),
            state: Local::new(State::Unused),
            space: Local::new(AddressSpace::NONE),
            kernel_stack: Local::new(0),
            wake: Local::new(0),
            fault_handler: Local::new(0),
        }
    }

    /// Physical address of its root page table.
    #[inline(always)]
    pub fn root(&self) -> u64 {
        // SAFETY: the address space is not being changed: that happens to a copy, which is then stored here whole.
        unsafe { (*self.space.pointer()).root }
    }

    /// The context that is saved, as records show it.
    #[inline(always)]
    pub fn saved(&self) -> &record::Context {
        // SAFETY: only a switch changes it, and none happens while it is copied to a record.
        unsafe { (*self.context.pointer()).words() }
    }

    /// Where the structure is, as records show it.
    pub fn address(&self) -> u64 {
        &raw const *self as u64
    }
}

/// The process list, by number.
static PROCESSES: [Process; PROCESSES_MAX + 1] = [const { Process::unused() }; PROCESSES_MAX + 1];

/// The process of a number. A number above `PROCESSES_MAX` panics the kernel.
#[inline(always)]
pub fn get(id: u16) -> &'static Process {
    match PROCESSES.get(usize::from(id)) {
        Some(process) => process,
        None => panic(Panic::Bug, id.into()),
    }
}

/// The policy is direct: programs run in ring 0.
static DIRECT: Local<bool> = Local::new(false);

/// True if the policy is direct: programs run in ring 0.
#[inline(always)]
fn direct() -> bool {
    DIRECT.get()
}

/// Processes that are created from now on run in ring 0.
pub fn set_direct() {
    DIRECT.set(true);
}

/// Makes a process of a module, ready to return from its first trap. The book's steps, in its order.
pub fn create(id: u16, module: &Module) -> Result<(), LoadError> {
    let process = get(id);
    let mut space = AddressSpace::new().ok_or(LoadError::OutOfMemory)?;
    let stack = stack_top(slot(id));
    let name = &name(module);
    let structure = process.address();
    ProcessCreated { structure, cr3: space.root, kernel_stack_top: stack, program: name }.emit_for(id);
    match fill(id, stack, module, &mut space) {
        Ok((context, fpu)) => {
            process.context.set(context);
            process.fpu.set(fpu);
            process.segments.set(Segments::NULL);
            process.space.set(space);
            process.kernel_stack.set(stack);
            process.fault_handler.set(0);
            process.state.set(State::Runnable);
            Ok(())
        }
        Err(error) => {
            unmap_kernel_stack(id);
            space.free();
            LoadFailed { error, program: name }.emit_for(id);
            Err(error)
        }
    }
}

/// Loads the program and fills the kernel stack that ends at `stack`; returns the context of the first switch to it and the area
/// of its x87, SSE and AVX registers.
fn fill(
    id: u16,
    stack: u64,
    module: &Module,
    space: &mut AddressSpace,
) -> Result<(Context, fpu::Area), LoadError> {
    let start = loader::load(id, module, space)?;
    map_kernel_stack(id, space)?;
    let mut frame = TrapFrame::first(start.rip, start.rsp);
    let mut first = entry::first_return as *const () as u64;
    if direct() {
        frame.set_ring0();
        first = entry::direct_call as *const () as u64;
    }
    let at = stack - size_of::<TrapFrame>() as u64;
    // SAFETY: the kernel stack has just been mapped, and is larger than a frame.
    let filled = unsafe {
        (at as *mut TrapFrame).write(frame);
        &*(at as *const TrapFrame)
    };
    KernelStackFilled { frame: filled.words() }.emit_for(id);
    let fpu = fpu::create(id, space).ok_or(LoadError::OutOfMemory)?;
    Ok((Context { rsp: at, rip: first, ..Context::EMPTY }, fpu))
}

/// Frees the memory of a process that ended, when its kernel stack is no longer in use.
pub fn free(id: u16) {
    let process = get(id);
    unmap_kernel_stack(id);
    fpu::forget(process.fpu.get());
    process.state.set(State::Unused);
    let frames = process.space.replace(AddressSpace::NONE).free();
    ProcessFreed { frames: frames.into() }.emit_for(id);
}

/// The first 16 bytes of the program's name, as two words.
fn name(module: &Module) -> [u64; 2] {
    let mut words = [0; 2];
    for (index, &byte) in module.name().iter().take(16).enumerate() {
        let word = if index < 8 { &mut words[0] } else { &mut words[1] };
        *word |= u64::from(byte) << (index % 8 * 8);
    }
    words
}

fn slot(id: u16) -> u64 {
    STACK_FIRST_PROCESS + u64::from(id) - 1
}

/// The entries of the page table that maps a process's kernel stack: those above its guard pages.
fn kernel_stack_pages(id: u16) -> impl Iterator<Item = (*mut u64, u64)> {
    let first = (slot(id) * 2 + 1) * STACK_PAGES;
    (first..first + STACK_PAGES).map(|page| {
        // SAFETY: the table has 512 entries, and the last process's slot ends below.
        let entry = unsafe { boot::stacks_table().add(page as usize) };
        (entry, STACKS + page * PAGE)
    })
}

const _: () = assert!((STACK_FIRST_PROCESS as usize + PROCESSES_MAX) * 2 * STACK_PAGES as usize <= 512);

/// Present, writable, not executable.
const KERNEL_DATA_PAGE: u64 = 1 << 63 | 3;

fn map_kernel_stack(id: u16, space: &mut AddressSpace) -> Result<(), LoadError> {
    for (entry, _) in kernel_stack_pages(id) {
        let frame = space.allocate().ok_or(LoadError::OutOfMemory)?;
        // SAFETY: the entry is this process's own, and was not present.
        unsafe { entry.write(frame | KERNEL_DATA_PAGE) };
    }
    Ok(())
}

fn unmap_kernel_stack(id: u16) {
    for (entry, page) in kernel_stack_pages(id) {
        // SAFETY: the entry is this process's own, and no code runs on that stack.
        unsafe { entry.write(0) };
        cpu::invalidate(page);
    }
}
