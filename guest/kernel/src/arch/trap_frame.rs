//! The trap frame: the saved registers on the kernel stack while a trap is handled.

use abi::record::{FIRST_RETURN, FRAME, REGISTERS};

use crate::layout::{selector, vector};

/// In the order of addresses, which is that of [`FRAME`]: the stub pushes the upper block, the CPU the lower.
///
/// ```text
///   top of the kernel stack
///   ss      |
///   rsp     | pushed by the CPU
///   rflags  | (by the stub for `syscall`, which pushes nothing)
///   cs      |
///   rip     |
///   error     by the CPU for some exceptions, else a 0 by the stub
///   vector  |
///   rax     | pushed by the stub
///   ...     |
///   r15     |  <- RSP when `trap` is called
/// ```
#[repr(C)]
pub struct TrapFrame {
    /// In the order of [`REGISTERS`].
    pub registers: Registers,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// The general registers but RSP.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
}

const _: () = assert!(size_of::<TrapFrame>() == 22 * 8 && size_of::<TrapFrame>().is_multiple_of(16));
const _: () =
    assert!(size_of::<Registers>() == REGISTERS.len() * 8 && size_of::<TrapFrame>() == FRAME.len() * 8);

impl TrapFrame {
    /// The frame as the words that records show.
    #[inline(always)]
    pub fn words(&self) -> &[u64; FRAME.len()] {
        // SAFETY: a frame is as many words and nothing else, as the sizes above say.
        unsafe { &*(&raw const *self).cast() }
    }

    /// The trap came from user mode: the RPL of CS is the CPL it came from.
    #[inline(always)]
    pub fn is_from_user(&self) -> bool {
        self.cs & 3 == 3
    }

    /// Makes the trap what `int number` is where its gate is closed to user mode: #GP, whose error code has the index and says
    /// that it is of the IDT (SDM vol. 3, 6.12.1.2 and 6.13).
    pub fn set_closed_gate(&mut self, number: u8) {
        self.vector = vector::GENERAL_PROTECTION.into();
        self.error = u64::from(number) << 3 | 1 << 1;
    }

    /// Makes the frame return to ring 0, where programs run under the policy direct, with interrupts off.
    pub fn set_ring0(&mut self) {
        self.cs = selector::KERNEL_CODE.into();
        self.ss = selector::KERNEL_DATA.into();
        self.rflags &= !super::cpu::rflags::IF;
    }

    /// Makes a frame of zeros enter user mode for the first time, all registers 0.
    pub fn start(&mut self, rip: u64, rsp: u64) {
        (self.rip, self.rsp) = (rip, rsp);
        self.vector = FIRST_RETURN;
        self.cs = selector::USER_CODE.into();
        self.ss = selector::USER_DATA.into();
        self.rflags = super::cpu::rflags::START;
    }
}
