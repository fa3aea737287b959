//! Numbers of the CPU that the kernel uses and that the host finds in the records.

/// Vectors of the trap table (Intel SDM vol. 3, 6.3.1). From [`vector::TIMER`] on they are the kernel's choice.
pub mod vector {
    /// NMI.
    pub const NMI: u8 = 2;
    /// #BP.
    pub const BREAKPOINT: u8 = 3;
    /// #UD.
    pub const INVALID_OPCODE: u8 = 6;
    /// #DF.
    pub const DOUBLE_FAULT: u8 = 8;
    /// #GP.
    pub const GENERAL_PROTECTION: u8 = 13;
    /// #PF.
    pub const PAGE_FAULT: u8 = 14;
    /// #MC.
    pub const MACHINE_CHECK: u8 = 18;
    /// The LAPIC timer, the first vector after the exceptions.
    pub const TIMER: u8 = 32;
    /// Standard input.
    pub const INPUT: u8 = crate::ports::INPUT_VECTOR;
    /// The LAPIC's spurious interrupt.
    pub const SPURIOUS: u8 = 0xFF;
}

/// Flags in RFLAGS (Intel SDM vol. 1, 3.4.3).
pub mod rflags {
    /// Always 1.
    pub const FIXED: u64 = 1 << 1;
    /// Trap: #DB after each instruction.
    pub const TF: u64 = 1 << 8;
    /// Interrupts are taken.
    pub const IF: u64 = 1 << 9;
    /// String instructions go downwards.
    pub const DF: u64 = 1 << 10;
    /// Nested task.
    pub const NT: u64 = 1 << 14;
    /// No breakpoint at the next instruction.
    pub const RF: u64 = 1 << 16;
    /// Alignment is checked.
    pub const AC: u64 = 1 << 18;
    /// The flags that a program starts with.
    pub const START: u64 = FIXED | IF;
    /// The flags that user mode may set: CF PF AF ZF SF TF DF OF NT AC ID, but not IOPL or IF.
    pub const USER: u64 = 0x0024_4DD5;
}
