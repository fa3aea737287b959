//! Where everything is: addresses, selectors and vectors. The layout of user memory is a part of the contract with the
//! host, in `abi::program`.
//!
//! Virtual memory. Every process has the kernel's half in its page tables, for the supervisor only:
//!
//! ```text
//! 0x0000_0000_0000_0000  page 0 is absent: null pointers fault
//! 0x0000_0000_0000_1000  USER_START     the program, where its ELF file wants to be; in the page tables of the kernel
//!                                       itself: what `hosts::user_mode` needs
//! 0x0000_7FFF_FFFF_F000  USER_END       the user stack ends here, guard pages below it
//! ---------------------- non-canonical hole
//! 0xFFFF_8000_0000_0000  DIRECT_MAP     the first GiB of physical memory; the kernel's text and constants read-only
//! 0xFFFF_FFFF_8020_0000  KERNEL_BASE +  text      r-x   2 MiB each, at physical 0x20_0000,
//! 0xFFFF_FFFF_8040_0000                 constants r--   0x40_0000
//! 0xFFFF_FFFF_8060_0000                 data      rw-   and 0x60_0000
//! 0xFFFF_FFFF_C000_0000  STACKS         kernel stacks, a slot each: two guard pages, two pages of stack
//! 0xFFFF_FFFF_FEE0_0000  LAPIC          the xAPIC's registers
//! ```

/// Virtual minus physical address of the kernel's image. `kernel.ld` has the same number.
pub const KERNEL_BASE: u64 = 0xFFFF_FFFF_8000_0000;
/// Physical address of the kernel's image; `kernel.ld` has the same number.
pub const IMAGE: u64 = 0x20_0000;
/// Where the kernel's text starts.
pub const TEXT: u64 = KERNEL_BASE + IMAGE;
/// Physical memory, seen by the kernel.
pub const DIRECT_MAP: u64 = 0xFFFF_8000_0000_0000;
/// How much of physical memory the direct map shows; the kernel uses no more.
pub const DIRECT_MAP_SIZE: u64 = 1 << 30;
/// The LAPIC's page, where xAPIC mode needs it.
pub const LAPIC: u64 = 0xFFFF_FFFF_FEE0_0000;

pub use abi::hardware::vector;
pub use abi::program::{PAGE, USER_END, USER_STACK, USER_START};

/// Kernel stacks.
pub const STACKS: u64 = 0xFFFF_FFFF_C000_0000;
/// Pages of a kernel stack; as many below it are absent.
pub const STACK_PAGES: u64 = 2;
/// A slot: guard pages and stack.
pub const STACK_SLOT: u64 = 2 * STACK_PAGES * PAGE;
/// Slot of the stack that boots and then idles.
pub const STACK_BOOT: u64 = 0;
/// Slot of the stack for double faults (IST 1).
pub const STACK_DOUBLE_FAULT: u64 = 1;
/// Slot of the stack for NMIs (IST 2).
pub const STACK_NMI: u64 = 2;
/// Slot of process 1.
pub const STACK_FIRST_PROCESS: u64 = 3;
/// Slots in all; `arch::boot` has a page table for every 128.
pub const STACK_SLOTS: u64 = 256;

/// The top of the stack in a slot.
pub const fn stack_top(slot: u64) -> u64 {
    STACKS + (slot + 1) * STACK_SLOT
}

/// Selectors of the GDT. `syscall` takes SS as CS + 8 (Intel SDM vol. 3, 5.8.8).
pub mod selector {
    /// Ring 0 code.
    pub const KERNEL_CODE: u16 = 0x08;
    /// Ring 0 data.
    pub const KERNEL_DATA: u16 = 0x10;
    /// Ring 3 data, with its RPL.
    pub const USER_DATA: u16 = 0x18 | 3;
    /// Ring 3 code, with its RPL.
    pub const USER_CODE: u16 = 0x20 | 3;
    /// The TSS; its descriptor takes two entries.
    pub const TSS: u16 = 0x28;
}
