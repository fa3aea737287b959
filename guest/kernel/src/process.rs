//! Processes: the process structure, how a process is created, how its memory is freed.

use abi::record::emit::{KernelStackFilled, LoadFailed, ProcessCreated, ProcessFreed};
use abi::record::{self, LoadError};

use crate::arch::context::{Context, Segments};
use crate::arch::trap_frame::TrapFrame;
use crate::arch::{boot, cpu, entry};
use crate::cell::Local;
use crate::layout::{PAGE, STACK_FIRST_PROCESS, STACK_PAGES, STACK_SLOTS, STACKS, stack_top};
use crate::memory::address_space::AddressSpace;
use crate::pvh::Module;
use crate::trace::Emit;
use crate::{fpu, loader};

/// No time: who waits until then waits for another process.
pub const NEVER: u64 = u64::MAX;
/// Process 0 is the kernel itself: it boots, then waits while no process can run.
pub const KERNEL: u16 = 0;

/// The process structure. Every field is a separate cell, so references to a process are always shared ones: a switch uses
/// two processes, which may be the same.
pub struct Process {
    /// Its number. Numbers are never used twice in a run, structures are.
    pub id: Local<u16>,
    /// What the last switch away stored.
    pub context: Local<Context>,
    /// Where its x87, SSE and AVX registers are while another process runs.
    pub fpu: Local<fpu::Area>,
    pub segments: Local<Segments>,
    pub state: Local<State>,
    pub space: Local<AddressSpace>,
    /// Top of the kernel stack, for the TSS.
    pub kernel_stack: Local<u64>,
    /// TSC at which a process that waits is to wake; [`NEVER`]: when another process wakes it.
    pub wake: Local<u64>,
    /// The process that wakes next after it.
    pub next_sleeper: Local<u16>,
    /// Cycles of the TSC that it ran. While it runs: less the TSC when its turn began, so that the TSC need only be added.
    pub cycles: Local<u64>,
    /// It is a Linux program: `linux` handles its calls and faults.
    pub is_linux: Local<bool>,
    /// What `getpid` tells it: its number, or that of the process whose thread it is.
    pub group: Local<u16>,
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
    /// Not before its time has come, or another process wakes it.
    Waiting,
    /// It has ended, but its kernel stack is in use until the switch to the next process.
    Ended,
}

impl Process {
    const fn unused() -> Self {
        Self {
            id: Local::new(KERNEL),
            context: Local::new(Context::EMPTY),
            fpu: Local::new(fpu::Area::NONE),
            segments: Local::new(Segments::NULL),
            state: Local::new(State::Unused),
            space: Local::new(AddressSpace::NONE),
            kernel_stack: Local::new(0),
            wake: Local::new(NEVER),
            next_sleeper: Local::new(KERNEL),
            cycles: Local::new(0),
            is_linux: Local::new(false),
            group: Local::new(KERNEL),
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

    /// Loads another address space from now on, without frames of its own.
    pub fn set_root(&self, root: u64) {
        // SAFETY: as for `root`.
        unsafe { (*self.space.pointer()).root = root }
    }

    /// Where the structure is, as records show it.
    pub fn address(&self) -> u64 {
        &raw const *self as u64
    }
}

/// The most processes at a time, the kernel's own included: each has a slot for its kernel stack.
pub const SLOTS: usize = (STACK_SLOTS - STACK_FIRST_PROCESS + 1) as usize;
/// The size of a table by slot: any `u8` is an index of it.
pub const TABLE: usize = 1 + u8::MAX as usize;
const _: () = assert!(SLOTS <= TABLE);

/// The process list. Process 0, the kernel, has slot 0.
pub static PROCESSES: [Process; TABLE] = [const { Process::unused() }; TABLE];
/// What a structure is before a process gets it: copied whole, which takes one instruction.
static UNUSED: Process = Process::unused();
/// The slot of each process that has one, by number.
static SLOT_OF: [Local<u8>; 1 << 16] = [const { Local::new(0) }; 1 << 16];
/// The last number that was given.
static LAST_ID: Local<u16> = Local::new(KERNEL);
/// The slot where the search for a free one starts.
static NEXT_SLOT: Local<u8> = Local::new(1);

/// The process of a number; for a number of no process, the kernel.
#[inline(always)]
pub fn get(id: u16) -> &'static Process {
    &PROCESSES[usize::from(slot(id))]
}

/// The slot of a process: no other that is alive has it. Slot 0 is the kernel's.
#[inline(always)]
pub fn slot(id: u16) -> u8 {
    SLOT_OF[usize::from(id)].get()
}

/// The policy is direct: programs run in ring 0.
pub static DIRECT: Local<bool> = Local::new(false);

/// Makes a process of a module, ready to return from its first trap, and returns its number. The book's steps, in its
/// order.
pub fn create(module: &Module) -> Result<u16, LoadError> {
    let space = AddressSpace::new().ok_or(LoadError::OutOfMemory)?;
    let name = name(module.name());
    let id = reserve(space, name, false).ok_or(LoadError::OutOfMemory)?;
    // SAFETY: the address space is this process's own, which does not run.
    let loaded = loader::load(id, module, unsafe { &mut *get(id).space.pointer() });
    let filled = loaded.and_then(|start| {
        fill_kernel_stack(id, |frame| frame.start(start.rip, start.rsp)).ok_or(LoadError::OutOfMemory)
    });
    filled.map(|()| id).map_err(|error| give_up(id, name, error))
}

/// A process whose program cannot be loaded leaves the list again.
pub fn give_up(id: u16, name: [u64; 2], error: LoadError) -> LoadError {
    leave_list(id);
    LoadFailed { error, program: &name }.emit_for(id);
    error
}

/// The entry in the process list: a number and a slot, for a process with this address space. `None`: there are as many
/// processes as there are slots, or all numbers were given.
pub fn reserve(space: AddressSpace, name: [u64; 2], is_linux: bool) -> Option<u16> {
    let id = LAST_ID.get().checked_add(1)?;
    let slot = free_slot()?;
    let process = &PROCESSES[usize::from(slot)];
    LAST_ID.set(id);
    SLOT_OF[usize::from(id)].set(slot);
    let cr3 = space.root;
    let kernel_stack = stack_top(STACK_FIRST_PROCESS + u64::from(slot) - 1);
    // SAFETY: every field is a cell, and no process has this slot.
    unsafe { (&raw const *process).cast_mut().copy_from_nonoverlapping(&UNUSED, 1) }
    process.id.set(id);
    process.space.set(space);
    process.kernel_stack.set(kernel_stack);
    process.is_linux.set(is_linux);
    process.group.set(id);
    process.state.set(State::Runnable);
    ProcessCreated { structure: process.address(), cr3, kernel_stack_top: kernel_stack, program: &name }
        .emit_for(id);
    Some(id)
}

/// A slot that no process has. The search goes on behind the last one found, so that a slot rests before it is used
/// again.
fn free_slot() -> Option<u8> {
    let last = (SLOTS - 1) as u8;
    for _ in 0..last {
        let slot = NEXT_SLOT.get();
        NEXT_SLOT.set(if slot == last { 1 } else { slot + 1 });
        if PROCESSES[usize::from(slot)].state.get() == State::Unused {
            return Some(slot);
        }
    }
    None
}

/// Maps the kernel stack of a process and builds the frame of its first return from a trap there: `fill` gets a frame of
/// zeros. `None`: no memory.
pub fn fill_kernel_stack(id: u16, fill: impl FnOnce(&mut TrapFrame)) -> Option<()> {
    let process = get(id);
    // SAFETY: the address space is this process's own, which does not run.
    let space = unsafe { &mut *process.space.pointer() };
    for (entry, _) in kernel_stack_pages(process) {
        // SAFETY: the entry is this process's own, and was not present.
        unsafe { entry.write(space.allocate()? | KERNEL_DATA_PAGE) };
    }
    process.fpu.set(fpu::create(slot(id).into(), space)?);
    let at = process.kernel_stack.get() - size_of::<TrapFrame>() as u64;
    // SAFETY: the kernel stack has just been mapped to frames of zeros, and is larger than a trap frame.
    let frame = unsafe { &mut *(at as *mut TrapFrame) };
    fill(frame);
    let mut first = entry::first_return as *const () as u64;
    if DIRECT.get() {
        frame.set_ring0();
        first = entry::direct_call as *const () as u64;
    }
    KernelStackFilled { frame: frame.words() }.emit_for(id);
    process.context.set(Context { rsp: at, rip: first, ..Context::EMPTY });
    Some(())
}

/// Frees the memory of a process that ended, when its kernel stack is no longer in use.
#[cold]
#[inline(never)]
pub fn free(id: u16) {
    let frames = leave_list(id);
    ProcessFreed { frames: frames.into() }.emit_for(id);
}

/// Takes a process off the list, and frees its memory. Returns how many frames it had.
fn leave_list(id: u16) -> u32 {
    let process = get(id);
    for (entry, page) in kernel_stack_pages(process) {
        // SAFETY: the entry is this process's own, and no code runs on that stack.
        unsafe { entry.write(0) };
        cpu::invalidate(page);
    }
    fpu::forget(process.fpu.get());
    process.state.set(State::Unused);
    SLOT_OF[usize::from(id)].set(0);
    // SAFETY: no code uses the address space of a process that has left the list.
    unsafe { (*process.space.pointer()).free() }
}

/// The first 16 bytes of the program's name, as two words.
pub fn name(name: &[u8]) -> [u64; 2] {
    let mut words = [[0; 8]; 2];
    words.as_flattened_mut().iter_mut().zip(name).for_each(|(to, &byte)| *to = byte);
    words.map(u64::from_le_bytes)
}

/// Present, writable, not executable.
const KERNEL_DATA_PAGE: u64 = 1 << 63 | 3;

/// The pages of a process's kernel stack, above its guard pages: the page-table entry and the address of each.
fn kernel_stack_pages(process: &Process) -> impl Iterator<Item = (*mut u64, u64)> {
    let end = (process.kernel_stack.get() - STACKS) / PAGE;
    (end - STACK_PAGES..end).map(|page| {
        // SAFETY: the tables have an entry for every page of every slot.
        let entry = unsafe { boot::stacks_table().add(page as usize) };
        (entry, STACKS + page * PAGE)
    })
}
