//! Instructions that Rust has no functions for, and the bits of the control registers that the kernel uses
//! (Intel SDM vol. 3, 2.5 and vol. 4; AMD APM vol. 2, 3.1).

use core::arch::asm;

pub use abi::hardware::rflags;

use crate::cell::Local;

pub const CR0_PE: u32 = 1 << 0;
pub const CR0_MP: u32 = 1 << 1;
pub const CR0_ET: u32 = 1 << 4;
pub const CR0_NE: u32 = 1 << 5;
/// Ring 0 cannot write read-only pages either.
pub const CR0_WP: u32 = 1 << 16;
pub const CR0_PG: u32 = 1 << 31;

pub const CR4_PAE: u32 = 1 << 5;
pub const CR4_OSFXSR: u32 = 1 << 9;
pub const CR4_OSXMMEXCPT: u32 = 1 << 10;
/// User mode cannot read GDTR, IDTR, LDTR, TR and CR0.
pub const CR4_UMIP: u32 = 1 << 11;
/// `rdfsbase` and the like work, in user mode too.
pub const CR4_FSGSBASE: u32 = 1 << 16;
/// XSAVE, XGETBV and, where XCR0 has it, AVX work.
pub const CR4_OSXSAVE: u32 = 1 << 18;
/// Ring 0 cannot execute user pages.
pub const CR4_SMEP: u32 = 1 << 20;

pub const IA32_EFER: u32 = 0xC000_0080;
pub const EFER_SCE: u32 = 1 << 0;
pub const EFER_LME: u32 = 1 << 8;
pub const EFER_NXE: u32 = 1 << 11;

pub const IA32_STAR: u32 = 0xC000_0081;
pub const IA32_LSTAR: u32 = 0xC000_0082;
pub const IA32_FMASK: u32 = 0xC000_0084;
pub const IA32_FS_BASE: u32 = 0xC000_0100;
pub const IA32_GS_BASE: u32 = 0xC000_0101;

static HAS_BASES: Local<bool> = Local::new(false);

/// True if [`protect`] found FSGSBASE: the kernel and programs can read and write the bases of FS and GS.
#[inline(always)]
pub fn has_bases() -> bool {
    HAS_BASES.get()
}

/// Reads the time stamp counter.
#[inline(always)]
pub fn tsc() -> u64 {
    // SAFETY: RDTSC touches nothing but EDX:EAX; ring 0 may always execute it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// A random number from RDRAND, where the CPU has it and has a number ready.
pub fn random() -> Option<u64> {
    const RDRAND: u32 = 1 << 30;
    if core::arch::x86_64::__cpuid(1).ecx & RDRAND == 0 {
        return None;
    }
    let (word, ready): (u64, u8);
    // SAFETY: CPUID has the instruction.
    unsafe { asm!("rdrand {}", "setc {}", out(reg) word, out(reg_byte) ready, options(nomem, nostack)) }
    (ready != 0).then_some(word)
}

/// RFLAGS now.
#[inline(always)]
pub fn flags() -> u64 {
    let flags;
    // SAFETY: what is pushed overwrites nothing, as there is no red zone, and is popped again.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(nostack, preserves_flags)) }
    flags
}

/// Writes a model-specific register.
///
/// # Safety
/// The register exists and the value upholds what the kernel relies on.
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
}

/// Reads a model-specific register.
///
/// # Safety
/// The register exists.
pub unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes 4 bytes to a port. The compiler writes to memory before it, because the host may read memory meanwhile.
#[inline(always)]
pub fn out32(port: u16, value: u32) {
    // SAFETY: only the ports of `abi::ports` are written; a write changes our memory only as the ABI says.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags)) }
}

/// Writes a byte to a port. The compiler writes to memory before it, because the host may read memory meanwhile.
pub fn out8(port: u16, value: u8) {
    // SAFETY: as for `out32`.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nostack, preserves_flags)) }
}

/// Reads 4 bytes from a port.
pub fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: a read of `abi::ports::ATTACH` has no side effect.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Reads CR0, CR2, CR3 or CR4.
macro_rules! read_cr {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reading a control register in ring 0 has no side effect.
        unsafe { core::arch::asm!(concat!("mov {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags)) }
        value
    }};
}
pub(crate) use read_cr;

/// Loads CR3 with another address space, which flushes the translations of the old one.
///
/// # Safety
/// `root` is the physical address of a root page table that has the kernel's half.
#[inline(always)]
pub unsafe fn load_root(root: u64) {
    // SAFETY: the caller's promise: the code that runs on and its stack stay mapped.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) }
}

/// Turns on SMEP, UMIP and FSGSBASE where CPUID has them; returns CR4. `user_code`: ring 0 will execute user pages, so SMEP
/// stays off.
pub fn protect(user_code: bool) -> u64 {
    let features = core::arch::x86_64::__cpuid_count(7, 0);
    let mut cr4 = read_cr!("cr4");
    if features.ebx & 1 << 7 != 0 && !user_code {
        cr4 |= u64::from(CR4_SMEP);
    }
    if features.ecx & 1 << 2 != 0 {
        cr4 |= u64::from(CR4_UMIP);
    }
    if features.ebx & 1 << 0 != 0 {
        // On kvm_pvm user mode has these instructions whatever CR4 says.
        cr4 |= u64::from(CR4_FSGSBASE);
        HAS_BASES.set(true);
    }
    // SAFETY: CPUID has the bits (SDM vol. 3, 2.5); with SMEP the kernel executes no user page.
    unsafe { asm!("mov cr4, {}", in(reg) cr4, options(nostack, preserves_flags)) }
    cr4
}

/// Stores the x87 and SSE registers in the area at `store` and loads those in the area at `load`.
///
/// FNINIT between the two is for AMD's older processors: they load the pointers to the last x87 instruction and its operand only
/// when an exception is pending (APM, FXRSTOR; CVE-2006-1056), so those of another process are cleared.
///
/// # Safety
/// `store` may be written; `load` holds valid registers. Both are aligned to 16 bytes.
#[inline(always)]
pub unsafe fn exchange_fxsave(store: u64, load: u64) {
    // SAFETY: the caller's promise. The kernel is compiled without these registers.
    unsafe {
        asm!("fxsave64 [{}]", "fninit", "fxrstor64 [{}]", in(reg) store, in(reg) load,
            options(nostack, preserves_flags));
    }
}

/// Stores the registers of the components in the mask, bits of XCR0, and loads them. An area is laid out as XSAVE does it (SDM
/// vol. 1, 13.4); what FXSAVE stores is the start of that.
///
/// # Safety
/// As for [`exchange_fxsave`], but aligned to 64 bytes. CR4.OSXSAVE is 1, and XCR0 has the mask.
#[inline(always)]
pub unsafe fn exchange_xsave(store: u64, load: u64, mask: u32) {
    // SAFETY: as for `exchange_fxsave`.
    unsafe {
        asm!("xsave64 [{}]", "fninit", "xrstor64 [{}]", in(reg) store, in(reg) load, in("eax") mask, in("edx") 0,
            options(nostack, preserves_flags));
    }
}

/// Drops the CPU's translation of one page.
pub fn invalidate(page: u64) {
    // SAFETY: INVLPG only drops a cached translation.
    unsafe { asm!("invlpg [{}]", in(reg) page, options(nostack, preserves_flags)) }
}

/// Waits for an interrupt with interrupts on, and turns them off again.
///
/// STI takes effect after the next instruction (SDM vol. 2, STI), so no interrupt is lost between the two.
pub fn wait_for_interrupt() {
    // SAFETY: handlers return with all registers as they were; called only by the idle loop, where the kernel
    // holds nothing half done.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) }
}
