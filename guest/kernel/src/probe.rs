//! The trap probe: how do the traps of user mode arrive on this CPU?
//!
//! A back end of KVM that runs without hardware virtualization (kvm_pvm) delivers two of them wrongly: `syscall`
//! stays in ring 3 at LSTAR, which faults there because the kernel's pages are the supervisor's, and `int n`
//! comes as #UD. At boot we execute both in user mode and look. Only where that was seen, a #PF or #UD that looks
//! just so is taken as the trap it stands for; elsewhere it stays the fault that it is.

use abi::program::Access;
use abi::record::{Kind, Panic, SYSCALL_VECTOR, Step};
use abi::syscall::INT_VECTOR;

use crate::arch::cpu::{load_root, rflags};
use crate::arch::trap_frame::TrapFrame;
use crate::arch::{boot, entry, gdt};
use crate::cell::Local;
use crate::layout::{KERNEL_BASE, PAGE, USER_END, vector};
use crate::memory::address_space::AddressSpace;
use crate::memory::{physical, user};
use crate::panic::panic;
use crate::scheduler;
use crate::trace::{self, Arrival};

/// Where the probe's code is in user memory.
const CODE: u64 = PAGE;
/// `syscall`, then `int 0x80`.
const INSTRUCTIONS: u32 = u32::from_le_bytes([0x0F, 0x05, INT, INT_VECTOR]);
/// The first byte of `int n`.
const INT: u8 = 0xCD;
const INSTRUCTION_SIZE: u64 = 2;

/// The stack pointer to come back with while a probe runs; else 0.
static RESUME: Local<u64> = Local::new(0);
static ARRIVAL: Local<Arrival> = Local::new(Arrival { vector: 0, rip: 0, cr2: 0 });
/// `syscall` arrives as a page fault at LSTAR.
static SYSCALL_FAULTS: Local<bool> = Local::new(false);
/// `int n` arrives as #UD.
static INT_IS_UNDEFINED: Local<bool> = Local::new(false);

/// Executes both instructions in user mode, and remembers how they arrived.
pub fn run() {
    let Some(space) = code_page() else { panic(Panic::OutOfMemory, 0) };
    // SAFETY: the address space has the kernel's half.
    unsafe { load_root(space.root) };
    let syscall = execute(CODE);
    let int = execute(CODE + INSTRUCTION_SIZE);
    // SAFETY: the kernel's own root table.
    unsafe { load_root(boot::root_table() as u64 - KERNEL_BASE) };
    space.free();
    match syscall.vector {
        SYSCALL_VECTOR => {}
        vector::PAGE_FAULT if is_syscall_fault(syscall) => SYSCALL_FAULTS.set(true),
        other => panic(Panic::ProbeFailed, other.into()),
    }
    match int.vector {
        INT_VECTOR => {}
        vector::INVALID_OPCODE if int.rip == CODE + INSTRUCTION_SIZE => INT_IS_UNDEFINED.set(true),
        other => panic(Panic::ProbeFailed, other.into()),
    }
    trace::record(Kind::Boot, Step::Probed as u32, [syscall.vector.into(), int.vector.into()]);
}

fn code_page() -> Option<AddressSpace> {
    let mut space = AddressSpace::new()?;
    let frame = space.allocate()?;
    // SAFETY: a fresh frame of ours.
    unsafe { physical::<u32>(frame).write(INSTRUCTIONS) };
    space.map(CODE, frame, Access::ReadExecute).ok()?;
    Some(space)
}

fn execute(rip: u64) -> Arrival {
    // SAFETY: the address space that is loaded has code there; `translate` comes back at the next trap.
    unsafe { entry::enter_user_once(rip, RESUME.pointer(), gdt::kernel_stack_field()) };
    ARRIVAL.get()
}

/// Turns a trap that arrived as another one into what it stands for, where the probe saw that happen.
#[inline(always)]
pub fn translate(frame: &mut TrapFrame, arrival: Arrival) {
    if RESUME.get() != 0 {
        came_back(arrival);
    }
    if arrival.vector == vector::PAGE_FAULT && SYSCALL_FAULTS.get() && is_syscall_fault(arrival) {
        as_syscall(frame);
    } else if arrival.vector == vector::INVALID_OPCODE && INT_IS_UNDEFINED.get() {
        as_int(frame);
    }
}

fn came_back(arrival: Arrival) -> ! {
    let resume = RESUME.get();
    RESUME.set(0);
    ARRIVAL.set(arrival);
    // SAFETY: `enter_user_once` stored it, and has not returned.
    unsafe { entry::come_back(resume) }
}

fn is_syscall_fault(arrival: Arrival) -> bool {
    arrival.rip == entry::syscall() && arrival.cr2 == arrival.rip
}

/// What `syscall` would have done: RCX has the RIP to return to, R11 the RFLAGS. A process can jump to LSTAR with
/// anything in them, so an RCX that is no user address leaves the fault as it is.
fn as_syscall(frame: &mut TrapFrame) {
    if frame.registers.rcx < USER_END {
        frame.vector = SYSCALL_VECTOR.into();
        frame.rip = frame.registers.rcx;
        frame.rflags = frame.registers.r11 & rflags::USER | rflags::IF | rflags::FIXED;
    }
}

/// What `int n` would have done: through the gate if its DPL allows, else #GP with the gate's selector (SDM vol. 3,
/// 6.12.1.2 and 6.13: IDT bit 1, external 0).
fn as_int(frame: &mut TrapFrame) {
    let root = scheduler::current().root();
    let Some([INT, number]) = user::read::<[u8; 2]>(root, frame.rip) else { return };
    if number == INT_VECTOR || number == vector::BREAKPOINT {
        frame.vector = number.into();
        frame.rip += INSTRUCTION_SIZE;
        // A fault leaves RF set, to be tried again past a breakpoint; a trap is done (SDM vol. 3, 18.3.1.1).
        frame.rflags &= !rflags::RF;
    } else {
        frame.vector = vector::GENERAL_PROTECTION.into();
        frame.error = u64::from(number) << 3 | 2;
    }
}
