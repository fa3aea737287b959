//! Where the kernel is, as in its source, `guest/kernel/src/layout.rs`. Programs may know it: page tables keep them out of
//! the kernel, not a secret.

/// Its code.
pub const TEXT: u64 = 0xFFFF_FFFF_8020_0000;
/// Its constants.
pub const CONSTANTS: u64 = 0xFFFF_FFFF_8040_0000;
/// Its data: its page tables come first.
pub const DATA: u64 = 0xFFFF_FFFF_8060_0000;
/// All physical memory, and so every process's.
pub const DIRECT_MAP: u64 = 0xFFFF_8000_0000_0000;
/// The registers of the local APIC, on CPUs without x2APIC.
pub const LAPIC: u64 = 0xFFFF_FFFF_FEE0_0000;
/// Where user memory ends.
pub const USER_END: u64 = 0x7FFF_FFFF_F000;
/// The lowest address of the user stack.
pub const USER_STACK: u64 = USER_END - 8 * PAGE;
/// The selector of the data segment that user mode can load, and that is in SS there.
pub const USER_DATA: u16 = 0x1B;
/// The selector of the code segment that user mode runs in.
pub const USER_CODE: u16 = 0x23;
/// A page.
pub const PAGE: u64 = 4096;

const STACKS: u64 = 0xFFFF_FFFF_C000_0000;
const STACK_SLOT: u64 = 4 * PAGE;
/// Slots that are the kernel's own.
const STACKS_BEFORE: u64 = 3;

/// The top of a process's kernel stack.
pub fn kernel_stack(process: u64) -> u64 {
    STACKS + (STACKS_BEFORE + process) * STACK_SLOT
}
