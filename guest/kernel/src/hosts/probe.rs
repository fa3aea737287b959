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
//!   ([`super::user_mode`]). Ring 0 is not tried: a failed emulation ends the virtual machine.
//! - `iretq` loads the data segment into CS, and its code runs as 32-bit code, whose `syscall` enters ring 0 at the low 32
//!   bits of CSTAR, on the process's stack. Seen with `syscall` as #PF, so it is prevented in the same case: with the L bit
//!   in its descriptor the segment is 64-bit code ([`let_user_data_be_64_bit_code`]).
//!
//! Others were seen there and need nothing, because they end in a fault of the process or concern it alone: selectors of
//! the LDT are #PF (the host looks for an LDT at address 0); alignment is checked (#AC) by the process's own RFLAGS.AC,
//! though CR0.AM is 0; `int 4` is #OF and `int3` needs no open gate; RDTSCP, RDPID and the FSGSBASE instructions run, and
//! [`crate::arch::context`] switches the bases.

use core::arch::{asm, naked_asm};

use abi::record::emit::boot::Probed;
use abi::record::{Panic, SYSCALL_VECTOR};
use abi::syscall::INT_VECTOR;

use super::{first_word, gate_to, user_mode, xsave};
use crate::arch::cpu::{read_cr, rflags};
use crate::arch::trap_frame::TrapFrame;
use crate::arch::{entry, gdt};
use crate::cell::Local;
use crate::fpu::Method;
use crate::layout::{selector, vector};
use crate::memory::user;
use crate::panic::panic;
use crate::trace::Emit;

/// The first byte of `int n`.
const INT: u8 = 0xCD;
const INT_SIZE: u64 = 2;

/// How a trap arrived. It may stand for another one.
#[derive(Clone, Copy)]
pub struct Arrival {
    pub vector: u8,
    pub rip: u64,
    /// CR2, of use for a page fault only.
    pub cr2: u64,
}

/// `int n` arrives as #UD.
static INT_IS_UNDEFINED: Local<bool> = Local::new(false);

/// Executes the instructions in user mode, and remembers how their traps arrived. Returns how the vector registers are exchanged.
pub fn run() -> Method {
    let ways = entry::WAYS.replace([back_from_probe; 2]);
    let [(syscall, _), (int, _), (avx, xcr0)] =
        [user_mode::SYSCALL, user_mode::INT, user_mode::AVX].map(execute);
    entry::WAYS.set(ways);
    match syscall.vector {
        SYSCALL_VECTOR => {}
        vector::PAGE_FAULT if [syscall.rip, syscall.cr2] == [entry::SYSCALL_STUB; 2] => {
            first_word(vector::PAGE_FAULT)
                .set(gate_to(vector::PAGE_FAULT, &raw const entry::fault_or_call_stub as u64));
            let_user_data_be_64_bit_code();
        }
        other => panic(Panic::ProbeFailed, other.into()),
    }
    match int.vector {
        INT_VECTOR => {}
        vector::INVALID_OPCODE if int.rip == user_mode::INT => INT_IS_UNDEFINED.set(true),
        other => panic(Panic::ProbeFailed, other.into()),
    }
    let method = match (avx.vector, avx.rip) {
        (vector::INVALID_OPCODE, user_mode::AVX) => xsave::in_ring_0(),
        (vector::INVALID_OPCODE, user_mode::AFTER_AVX) => xsave::in_user_mode(xcr0),
        (other, _) => panic(Panic::ProbeFailed, other.into()),
    };
    Probed { syscall: syscall.vector.into(), int80: int.vector.into() }.emit();
    method
}

/// Sets the L bit of the descriptor for ring 3 data, where it is reserved and has no effect (SDM vol. 3, 3.4.5), for a host
/// that loads this descriptor into CS too: the CPU then still runs 64-bit code.
fn let_user_data_be_64_bit_code() {
    const L: u64 = 1 << 53;
    // SAFETY: one CPU; the CPU reads the descriptor only when a selector is loaded.
    unsafe { (*gdt::GDT.pointer())[usize::from(selector::USER_DATA) / 8] |= L }
}

/// Executes the code at `rip` in user mode. Returns how its next trap arrived, and EAX then.
fn execute(rip: u64) -> (Arrival, u32) {
    let (eax, vector, trap_rip): (u32, u64, u64);
    // SAFETY: the kernel's root table is loaded, which has code there. The next trap leads to `back_from_probe`, which returns
    // to the end of this block. The code changes EAX, ECX and EDX, and `syscall` RCX and R11. The trap frame goes right below
    // what is in use of this stack.
    unsafe {
        asm!(
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "mov [rip + {tss} + {kernel_stack}], rsp",
            "push {user_data}",
            "push 0",
            "push {flags}",
            "push {user_code}",
            "push {rip}",
            "iretq",
            "2:",
            tss = sym gdt::TSS,
            kernel_stack = const gdt::KERNEL_STACK,
            user_data = const selector::USER_DATA,
            user_code = const selector::USER_CODE,
            flags = const rflags::FIXED,
            rip = in(reg) rip,
            scratch = out(reg) _,
            lateout("eax") eax,
            lateout("rcx") _,
            lateout("rdx") trap_rip,
            lateout("rsi") vector,
            lateout("r11") _,
        );
    }
    (Arrival { vector: vector as u8, rip: trap_rip, cr2: read_cr!("cr2") }, eax)
}

/// Where a trap of the probe leads: drops its frame, but for the vector in RSI and the address in RDX.
#[unsafe(naked)]
unsafe extern "C" fn back_from_probe() {
    naked_asm!(
        "pop rsi; pop rdx; pop rdx", // the vector, the error code, RIP
        "mov rsp, [rip + {tss} + {kernel_stack}]",
        "ret",
        tss = sym gdt::TSS,
        kernel_stack = const gdt::KERNEL_STACK,
    )
}

/// Turns #UD into the interrupt that it stands for, where the probe saw that happen.
#[inline(always)]
pub fn translate(frame: &mut TrapFrame) {
    if frame.vector as u8 == vector::INVALID_OPCODE && INT_IS_UNDEFINED.get() {
        as_int(frame);
    }
}

/// What `int n` would have done: it goes through the gate if the gate's DPL allows, else it is #GP.
fn as_int(frame: &mut TrapFrame) {
    let Some([INT, number]) = user::read::<[u8; 2]>(frame.rip) else { return };
    if number == INT_VECTOR || number == vector::BREAKPOINT {
        frame.vector = number.into();
        frame.rip += INT_SIZE;
        // A fault leaves RF set, to be tried again past a breakpoint; a trap is done (SDM vol. 3, 18.3.1.1).
        frame.rflags &= !rflags::RF;
    } else {
        frame.set_closed_gate(number);
    }
}
