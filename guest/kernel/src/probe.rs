//! The probe: what does the host let user mode do, and how do its traps arrive?
//!
//! A back end of KVM that runs without hardware virtualization (kvm_pvm) runs user mode on the CPU as the host's own
//! processes run, whatever the guest's CR0 and CR4 say. So nothing of it is assumed: at boot the kernel executes a few
//! instructions in user mode and looks how they come back. Only where a deviation was seen does the kernel act on it;
//! elsewhere the same trap stays the fault that it is. The deviations that matter to the kernel:
//!
//! - `syscall` stays in ring 3 at LSTAR, which faults there because the kernel's pages are the supervisor's. That #PF is
//!   taken as the call.
//! - `int n` arrives as #UD. It is taken as the interrupt, or as the #GP of a gate that is not open to user mode.
//! - AVX and XSAVE run while CR4.OSXSAVE is 0, but ring 0 cannot execute XSAVE. Then registers are exchanged in user mode
//!   ([`crate::fpu`]). Ring 0 is not tried: a failed emulation ends the virtual machine.
//! - `iretq` loads the data segment into CS, and its code runs as 32-bit code, whose `syscall` enters ring 0 at the low 32
//!   bits of CSTAR, on the process's stack. Seen with `syscall` as #PF, so it is prevented in the same case: with the L bit
//!   in its descriptor the segment is 64-bit code ([`gdt::let_user_data_be_64_bit_code`]).
//!
//! Others were seen there and need nothing, because they end in a fault of the process or concern it alone: selectors of
//! the LDT are #PF (the host looks for an LDT at address 0); alignment is checked (#AC) by the process's own RFLAGS.AC,
//! though CR0.AM is 0; `int 4` is #OF and `int3` needs no open gate; RDTSCP, RDPID and the FSGSBASE instructions run, and
//! [`crate::arch::context`] switches the bases.

use abi::record::emit::boot::Probed;
use abi::record::{Panic, SYSCALL_VECTOR};
use abi::syscall::INT_VECTOR;

use crate::arch::cpu::rflags;
use crate::arch::trap_frame::TrapFrame;
use crate::arch::{entry, gdt, idt};
use crate::cell::Local;
use crate::fpu;
use crate::layout::{user_code, vector};
use crate::memory::user;
use crate::panic::panic;
use crate::scheduler;
use crate::trace::Emit;

/// The first byte of `int n`.
const INT: u8 = 0xCD;
const INT_SIZE: u64 = 2;

/// How a trap arrived. It may stand for another one.
#[derive(Clone, Copy)]
pub struct Arrival {
    pub vector: u8,
    pub rip: u64,
    /// CR2 for a page fault, else 0.
    pub cr2: u64,
}

/// The stack pointer to come back with while a probe runs; else 0.
static RESUME: Local<u64> = Local::new(0);
static ARRIVAL: Local<Arrival> = Local::new(Arrival { vector: 0, rip: 0, cr2: 0 });
/// EAX when it arrived.
static RESULT: Local<u32> = Local::new(0);
/// `int n` arrives as #UD.
static INT_IS_UNDEFINED: Local<bool> = Local::new(false);

/// Executes the instructions in user mode, and remembers how their traps arrived.
pub fn run() {
    let [syscall, int, avx] = [user_code::SYSCALL, user_code::INT, user_code::AVX].map(execute);
    match syscall.vector {
        SYSCALL_VECTOR => {}
        vector::PAGE_FAULT if [syscall.rip, syscall.cr2] == [entry::SYSCALL_STUB; 2] => {
            idt::redirect(vector::PAGE_FAULT, idt::gate_to(vector::PAGE_FAULT, entry::fault_or_call()));
            gdt::let_user_data_be_64_bit_code();
        }
        other => panic(Panic::ProbeFailed, other.into()),
    }
    match int.vector {
        INT_VECTOR => {}
        vector::INVALID_OPCODE if int.rip == user_code::INT => INT_IS_UNDEFINED.set(true),
        other => panic(Panic::ProbeFailed, other.into()),
    }
    match (avx.vector, avx.rip) {
        (vector::INVALID_OPCODE, user_code::AVX) => fpu::use_ring_0(),
        (vector::INVALID_OPCODE, user_code::AFTER_AVX) => fpu::use_user_mode(RESULT.get()),
        (other, _) => panic(Panic::ProbeFailed, other.into()),
    }
    Probed { syscall: syscall.vector.into(), int80: int.vector.into() }.emit();
}

fn execute(rip: u64) -> Arrival {
    // SAFETY: the kernel's root table is loaded, which has code there; `translate` comes back at the next trap.
    unsafe { entry::enter_user_once(rip, RESUME.pointer(), gdt::kernel_stack_field()) };
    ARRIVAL.get()
}

/// Turns a trap that arrived as another one into what it stands for, where the probe saw that happen.
#[inline(always)]
pub fn translate(frame: &mut TrapFrame, arrival: Arrival) {
    if RESUME.get() != 0 {
        came_back(frame, arrival);
    }
    if arrival.vector == vector::INVALID_OPCODE && INT_IS_UNDEFINED.get() {
        as_int(frame);
    }
}

fn came_back(frame: &TrapFrame, arrival: Arrival) -> ! {
    let resume = RESUME.get();
    RESUME.set(0);
    ARRIVAL.set(arrival);
    RESULT.set(frame.registers.rax as u32);
    // SAFETY: `enter_user_once` stored it, and has not returned.
    unsafe { entry::come_back(resume) }
}

/// What `int n` would have done: through the gate if its DPL allows, else #GP with the gate's selector (SDM vol. 3,
/// 6.12.1.2 and 6.13: IDT bit 1, external 0).
fn as_int(frame: &mut TrapFrame) {
    let root = scheduler::current().root();
    let Some([INT, number]) = user::read::<[u8; 2]>(root, frame.rip) else { return };
    if number == INT_VECTOR || number == vector::BREAKPOINT {
        frame.vector = number.into();
        frame.rip += INT_SIZE;
        // A fault leaves RF set, to be tried again past a breakpoint; a trap is done (SDM vol. 3, 18.3.1.1).
        frame.rflags &= !rflags::RF;
    } else {
        frame.vector = vector::GENERAL_PROTECTION.into();
        frame.error = u64::from(number) << 3 | 2;
    }
}
