//! Segments: flat code and data for both rings, and the TSS, which has the address of the stack for traps from user mode (SDM vol. 3, 8.7: 64-bit TSS).

use core::arch::asm;

use abi::record::emit::boot::Segments;

use crate::cell::Local;
use crate::layout::{KERNEL_BASE, STACK_BOOT, STACK_DOUBLE_FAULT, STACK_NMI, selector, stack_top};
use crate::trace::Emit;

#[repr(C, packed(4))]
pub struct Tss {
    reserved: u32,
    /// RSP in rings 0 to 2.
    rsp: [u64; 3],
    reserved_1: u64,
    /// Stacks that a gate can select by number, from 1.
    ist: [u64; 7],
    reserved_2: u64,
    reserved_3: u16,
    /// Beyond the segment's limit: no port is open to user mode.
    io_map: u16,
}

const _: () = assert!(size_of::<Tss>() == 104);

/// Offset of `rsp[0]` in the TSS.
pub const KERNEL_STACK: usize = 4;

/// IST number of the stack for double faults.
pub const IST_DOUBLE_FAULT: u8 = 1;
/// IST number of the stack for NMIs.
pub const IST_NMI: u8 = 2;

/// The `syscall` stub, for which the CPU switches no stack, reads `rsp[0]` here too.
pub static TSS: Local<Tss> = Local::new(Tss {
    reserved: 0,
    rsp: [stack_top(STACK_BOOT), 0, 0],
    reserved_1: 0,
    ist: [stack_top(STACK_DOUBLE_FAULT), stack_top(STACK_NMI), 0, 0, 0, 0, 0],
    reserved_2: 0,
    reserved_3: 0,
    io_map: size_of::<Tss>() as u16,
});

/// Descriptors in the order of [`selector`]. The accessed bits are set, so that the CPU never writes them.
pub static GDT: Local<[u64; 7]> = Local::new([
    0,
    0x00AF_9B00_0000_FFFF, // ring 0 code, 64-bit
    0x00CF_9300_0000_FFFF, // ring 0 data
    0x00CF_F300_0000_FFFF, // ring 3 data
    0x00AF_FB00_0000_FFFF, // ring 3 code, 64-bit
    TSS_DESCRIPTOR,        // `load` adds the lower 24 bits of the address
    0xFFFF_FFFF,
]);

/// Available 64-bit TSS (type 9), present; the address is 0xFFFF_FFFF_80xx_xxxx, as that of all of the kernel's data.
const TSS_DESCRIPTOR: u64 = KERNEL_BASE << 32 & 0xFF << 56 | 0x89 << 40 | (size_of::<Tss>() as u64 - 1);

#[repr(C, packed)]
pub struct TablePointer {
    pub limit: u16,
    pub base: u64,
}

/// Loads GDT, segment registers and task register.
pub fn load() {
    let (gdt, tss) = (GDT.pointer(), TSS.pointer() as u64);
    let pointer = TablePointer { limit: size_of::<[u64; 7]>() as u16 - 1, base: gdt as u64 };
    // SAFETY: one CPU, interrupts off: no other code uses the table. The descriptors are those of `layout::selector`, that of
    // the TSS is over a static that never moves.
    unsafe {
        (*gdt)[5] |= (tss & 0xFF_FFFF) << 16;
        asm!(
            "lgdt [{pointer}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:e}",
            "ltr {tss:x}",
            pointer = in(reg) &pointer,
            code = const selector::KERNEL_CODE,
            data = in(reg) u32::from(selector::KERNEL_DATA),
            tss = in(reg) selector::TSS,
            scratch = out(reg) _,
        );
    }
    Segments { gdt: gdt as u64, tss }.emit();
}

/// Sets the stack for traps from user mode.
#[inline(always)]
pub fn set_kernel_stack(top: u64) {
    // SAFETY: the field lies inside the static. One CPU; it reads the TSS only at a trap from user mode, and this is the kernel.
    unsafe { TSS.pointer().cast::<u8>().add(KERNEL_STACK).cast::<u64>().write_unaligned(top) }
}
