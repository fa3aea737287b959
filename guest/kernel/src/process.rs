//! Processes: the process structure, how one is made, how its memory goes.

use abi::boot::PROCESSES_MAX;
use abi::record::{Kind, LoadError};

use crate::arch::context::{Context, FpuState, Segments};
use crate::arch::trap_frame::TrapFrame;
use crate::arch::{boot, cpu, entry};
use crate::cell::Local;
use crate::layout::{PAGE, STACK_FIRST_PROCESS, STACK_PAGES, STACKS, stack_top};
use crate::memory::address_space::AddressSpace;
use crate::pvh::Module;
use crate::{loader, options, trace};

/// The process structure. Process 0 is the kernel itself: it boots, then waits while nobody can run.
#[repr(C)]
pub struct Process {
    /// What the last switch away stored.
    pub context: Context,
    pub fpu: FpuState,
    pub segments: Segments,
    pub id: u16,
    pub state: State,
    pub space: AddressSpace,
    /// Top of the kernel stack, for the TSS.
    pub kernel_stack: u64,
    /// TSC at which a sleeper wants to wake.
    pub wake: u64,
    /// Where its next fault goes; 0: it ends.
    pub fault_handler: u64,
}

/// What a process is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Unused,
    /// In the run queue, or on the CPU.
    Runnable,
    Sleeping,
    /// Over, but its kernel stack is still in use until the next one runs.
    Ended,
}

impl Process {
    const UNUSED: Self = Self {
        context: Context::EMPTY,
        fpu: FpuState::EMPTY,
        segments: Segments::NULL,
        id: 0,
        state: State::Unused,
        space: AddressSpace::KERNEL,
        kernel_stack: 0,
        wake: 0,
        fault_handler: 0,
    };
}

/// The process list, by number.
static PROCESSES: Local<[Process; PROCESSES_MAX + 1]> =
    Local::new([const { Process::UNUSED }; PROCESSES_MAX + 1]);

/// The process of a number that is in the list (`id` is at most `PROCESSES_MAX`).
#[inline(always)]
pub fn get(id: u16) -> &'static mut Process {
    // SAFETY: numbers are given by `create`, which stops at PROCESSES_MAX. One CPU: no two borrows are used at once.
    unsafe { &mut *PROCESSES.pointer().cast::<Process>().add(id.into()) }
}

/// Makes a process of a module, ready to return from its first trap. The book's steps, in its order.
pub fn create(id: u16, module: &Module) -> Result<(), LoadError> {
    let process = get(id);
    let mut space = AddressSpace::new().ok_or(LoadError::OutOfMemory)?;
    process.id = id;
    process.fpu = FpuState::INITIAL;
    process.segments = Segments::NULL;
    process.kernel_stack = stack_top(slot(id));
    let [name, name_rest] = name(module);
    let structure = &raw const *process as u64;
    trace::record_of(
        id,
        Kind::ProcessCreated,
        0,
        [structure, space.root, process.kernel_stack, name, name_rest],
    );
    match fill(process, module, &mut space) {
        Ok(()) => {
            process.space = space;
            process.state = State::Runnable;
            Ok(())
        }
        Err(error) => {
            unmap_kernel_stack(id);
            space.free();
            trace::record_of(id, Kind::LoadFailed, error as u32, [name, name_rest]);
            Err(error)
        }
    }
}

fn fill(process: &mut Process, module: &Module, space: &mut AddressSpace) -> Result<(), LoadError> {
    let start = loader::load(process.id, module, space)?;
    map_kernel_stack(process.id, space)?;
    let mut frame = TrapFrame::first(start.rip, start.rsp);
    let mut first = entry::first_return as *const () as u64;
    if options::direct() {
        frame.lift_limits();
        first = entry::direct_call as *const () as u64;
    }
    let at = process.kernel_stack - size_of::<TrapFrame>() as u64;
    let words = [at, frame.rip, frame.rsp, trace::selectors_and_flags(&frame)];
    // SAFETY: the kernel stack has just been mapped, and is larger than a frame.
    unsafe { (at as *mut TrapFrame).write(frame) };
    process.context = Context { rsp: at, rip: first, ..Context::EMPTY };
    trace::record_of(process.id, Kind::KernelStackFilled, 0, words);
    Ok(())
}

/// Gives back the memory of a process that ended, when its kernel stack is no longer in use.
pub fn free(process: &mut Process) {
    unmap_kernel_stack(process.id);
    process.state = State::Unused;
    let frames = process.space.free();
    trace::record_of(process.id, Kind::ProcessFreed, 0, [frames.into()]);
}

/// The first 16 bytes of the program's name, as two words.
fn name(module: &Module) -> [u64; 2] {
    let mut words = [0; 2];
    let letters = module.command_line.iter().take_while(|&&byte| byte != b' ').take(16);
    for (index, &byte) in letters.enumerate() {
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
        // SAFETY: the entry is this process's own, and nobody runs on that stack.
        unsafe { entry.write(0) };
        cpu::invalidate(page);
    }
}
