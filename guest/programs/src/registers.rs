//! Sets all registers that a program can set, runs a piece of code, and reads the registers again.
//!
//! Those of AVX and AVX-512 are among them where CPUID and XCR0 show them.

use core::arch::x86_64::__cpuid_count;
use core::arch::{asm, naked_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::kernel::{USER_CODE, USER_DATA, USER_END};
use crate::syscall::sched_yield;
use crate::wide::{self, Area, Wide};

/// The index of RAX in [`Registers::general`].
pub const RAX: usize = 14;
/// The index of RCX.
pub const RCX: usize = 12;
/// The index of RDX.
pub const RDX: usize = 11;
/// The index of RSI.
pub const RSI: usize = 10;
/// The index of RDI.
pub const RDI: usize = 9;
/// The index of R11.
pub const R11: usize = 4;

/// The bits of RFLAGS that are the program's own: CF, PF, AF, ZF, SF, DF and OF.
pub const PROGRAM_FLAGS: u64 = 0xCD5;
/// The bits of the second word of an x87 register: the register has 80 bits in all.
const ST_HIGH: u64 = 0xFFFF;

/// The x87 and SSE registers as `fxsave` stores them (SDM volume 1, 10.5.1).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Floating {
    /// The x87 control word.
    pub control: u16,
    /// The x87 status word.
    pub status: u16,
    /// A bit for each x87 register in use.
    pub tags: u8,
    /// The last x87 instruction and its operand. Some of AMD's processors do not keep them, so they are not compared.
    last: [u8; 19],
    /// The SSE control and status register.
    pub mxcsr: u32,
    mxcsr_mask: u32,
    /// ST0 to ST7, low word first; of the second word only 16 bits are there.
    pub st: [[u64; 2]; 8],
    /// XMM0 to XMM15, low word first.
    pub xmm: [[u64; 2]; 16],
    reserved: [u64; 12],
}

impl Floating {
    /// All registers 0.
    pub const ZERO: Floating = Floating {
        control: 0,
        status: 0,
        tags: 0,
        last: [0; 19],
        mxcsr: 0,
        mxcsr_mask: 0,
        st: [[0; 2]; 8],
        xmm: [[0; 2]; 16],
        reserved: [0; 12],
    };
}

/// The segment registers that a program can load, and the bases of the last two. No code here uses them: 64-bit code
/// reaches memory through DS, as if it were not there.
#[derive(Clone, Copy)]
pub struct Segments {
    /// DS, ES, FS and GS; null where the kernel cannot switch them.
    selectors: [u16; 4],
    /// Of FS and GS; 0 where the CPU does not let programs have their own.
    bases: [u64; 2],
}

impl Segments {
    const SELECTOR_NAMES: [&str; 4] = ["ds", "es", "fs", "gs"];
    const BASE_NAMES: [&str; 2] = ["fs base", "gs base"];
    /// What user mode can load: null, and the two segments that are there for it.
    const LOADABLE: [u16; 3] = [0, USER_DATA, USER_CODE];
    const ZERO: Segments = Segments { selectors: [0; 4], bases: [0; 2] };

    fn load(self) {
        let [ds, es, fs, gs] = self.selectors.map(u32::from);
        let [fs_base, gs_base] = self.bases;
        // SAFETY: no code here reaches memory through them. The bases are canonical; they come last, because loading a selector
        // sets its base.
        unsafe {
            if has_selectors() {
                asm!("mov ds, {:e}", "mov es, {:e}", "mov fs, {:e}", "mov gs, {:e}", in(reg) ds, in(reg) es, in(reg) fs,
                    in(reg) gs);
            }
            if has_bases() {
                asm!("wrfsbase {}", "wrgsbase {}", in(reg) fs_base, in(reg) gs_base);
            }
        }
    }

    fn read() -> Segments {
        let mut found = Segments::ZERO;
        // SAFETY: it only reads.
        unsafe {
            if has_selectors() {
                let (ds, es, fs, gs): (u16, u16, u16, u16);
                asm!("mov {:x}, ds", "mov {:x}, es", "mov {:x}, fs", "mov {:x}, gs", out(reg) ds, out(reg) es,
                    out(reg) fs, out(reg) gs);
                found.selectors = [ds, es, fs, gs];
            }
            if has_bases() {
                asm!("rdfsbase {}", "rdgsbase {}", out(reg) found.bases[0], out(reg) found.bases[1]);
            }
        }
        found
    }

    fn difference(
        &self,
        found: &Segments,
        single: impl Fn(&'static str, u64, u64) -> Option<Difference>,
    ) -> Option<Difference> {
        let selectors = self.selectors.iter().zip(&found.selectors).map(|(&a, &b)| (a.into(), b.into()));
        let bases = self.bases.iter().zip(&found.bases).map(|(&a, &b)| (a, b));
        let names = Segments::SELECTOR_NAMES.into_iter().chain(Segments::BASE_NAMES);
        names.zip(selectors.chain(bases)).find_map(|(name, (ours, theirs))| single(name, ours, theirs))
    }
}

/// True if the selectors of programs are those of the kernel's GDT, so that it can switch them. On kvm_pvm they are the
/// host's.
fn has_selectors() -> bool {
    let code: u16;
    // SAFETY: it only reads.
    unsafe { asm!("mov {:x}, cs", out(reg) code) };
    code == USER_CODE
}

/// True if CPUID has FSGSBASE: the kernel turns it on.
fn has_bases() -> bool {
    __cpuid_count(7, 0).ebx & 1 != 0
}

/// A set of registers.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct Registers {
    /// The x87 and SSE registers. They come first, because they must be aligned to 16 bytes.
    pub floating: Floating,
    /// The AVX and AVX-512 registers.
    pub wide: Wide,
    /// The general registers in the order of [`abi::record::REGISTERS`].
    pub general: [u64; 15],
    /// The stack pointer.
    pub rsp: u64,
    /// The flags.
    pub rflags: u64,
    /// The segment registers.
    pub segments: Segments,
}

const _: () = assert!(size_of::<Floating>() == 512);

/// A register that is not as it was.
pub struct Difference {
    /// Its name.
    pub name: &'static str,
    /// Its number, if it has one.
    pub number: Option<u64>,
    /// The value that was set, low word first.
    pub expected: [u64; 2],
    /// The value that was read.
    pub found: [u64; 2],
}

impl Registers {
    const ZERO: Registers = Registers {
        floating: Floating::ZERO,
        wide: Wide::ZERO,
        general: [0; 15],
        rsp: 0,
        rflags: 0,
        segments: Segments::ZERO,
    };

    /// A pattern: a different value in every register, and other values for another `seed`. The stack pointer and the
    /// system's flags have no pattern.
    pub fn pattern(seed: u64) -> Registers {
        let mut state = seed;
        let mut next = || splitmix(&mut state);
        let mut pattern = Registers::ZERO;
        pattern.general.iter_mut().for_each(|register| *register = next());
        if has_selectors() {
            pattern.segments.selectors = core::array::from_fn(|_| Segments::LOADABLE[next() as usize % 3]);
        }
        if has_bases() {
            pattern.segments.bases = core::array::from_fn(|_| next() % USER_END);
        }
        pattern.rflags = system_flags() | next() & PROGRAM_FLAGS;
        let floating = &mut pattern.floating;
        floating.st.iter_mut().for_each(|register| *register = [next(), next() & ST_HIGH]);
        floating.xmm.iter_mut().for_each(|register| *register = [next(), next()]);
        floating.tags = 0xFF;
        // All exceptions stay masked, and none is pending. The other bits may have any value: precision, rounding,
        // condition codes and top of stack; for SSE rounding, flush to zero and the sticky flags.
        floating.control = 0x037F | next() as u16 & 0x0C00;
        floating.status = next() as u16 & 0x7F00;
        floating.mxcsr = 0x1F80 | next() as u32 & 0xE03F;
        pattern.wide = Wide::pattern(next);
        pattern
    }

    /// The first register of `found` that differs.
    pub fn difference(&self, found: &Registers) -> Option<Difference> {
        let (ours, theirs) = (&self.floating, &found.floating);
        let single = |name, expected: u64, found: u64| {
            (expected != found).then_some(Difference {
                name,
                number: None,
                expected: [expected, 0],
                found: [found, 0],
            })
        };
        let general = || {
            let pairs = self.general.iter().zip(&found.general);
            abi::record::REGISTERS
                .iter()
                .zip(pairs)
                .find_map(|(&name, (&ours, &theirs))| single(name, ours, theirs))
        };
        general()
            .or_else(|| single("rsp", self.rsp, found.rsp))
            .or_else(|| single("rflags", self.rflags, found.rflags))
            .or_else(|| self.segments.difference(&found.segments, single))
            .or_else(|| first_difference("xmm", 0, 1, &ours.xmm, &theirs.xmm))
            .or_else(|| single("mxcsr", ours.mxcsr.into(), theirs.mxcsr.into()))
            .or_else(|| self.wide.difference(&found.wide))
            .or_else(|| {
                first_difference("st", 0, 1, &ours.st, &theirs.st.map(|[low, high]| [low, high & ST_HIGH]))
            })
            .or_else(|| single("fcw", ours.control.into(), theirs.control.into()))
            .or_else(|| single("fsw", ours.status.into(), theirs.status.into()))
            .or_else(|| single("ftw", ours.tags.into(), theirs.tags.into()))
    }
}

/// The first difference in registers of `pairs` pairs of words each, the first of which has the number `first`.
pub(crate) fn first_difference(
    name: &'static str,
    first: u64,
    pairs: u64,
    ours: &[[u64; 2]],
    theirs: &[[u64; 2]],
) -> Option<Difference> {
    let (index, (&expected, &found)) =
        (0_u64..).zip(ours.iter().zip(theirs)).find(|(_, (ours, theirs))| ours != theirs)?;
    Some(Difference { name, number: Some(first + index / pairs), expected, found })
}

/// The next number of a pseudo-random sequence, the same for the same start (Steele, Lea and Flood, 2014).
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// The flags that a program cannot set, as they are now.
fn system_flags() -> u64 {
    let flags: u64;
    // SAFETY: pushes and pops one word.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags) };
    flags & !PROGRAM_FLAGS
}

/// Operands for x87 instructions. The address of an operand shows which program used it.
static OPERAND: [u32; OPERANDS as usize] = [0; OPERANDS as usize];
/// How many there are.
pub const OPERANDS: u64 = 64;

/// Loads the operand with the number `own` (below [`OPERANDS`]) by an x87 instruction, and lets the other processes run.
/// Returns the number of the operand that the CPU reports as the last one; `None` if it reports another address.
pub fn last_operand(own: u64) -> Option<u64> {
    /// What `fnstenv` stores (SDM volume 1, 8.1.10); of the address of the operand it has 32 bits.
    #[repr(C)]
    struct Environment {
        before: [u32; 5],
        operand: u32,
        selector: u32,
    }
    let mut found = Environment { before: [0; 5], operand: 0, selector: 0 };
    let operand = &OPERAND[own as usize];
    // SAFETY: the x87 stack is empty before and after.
    unsafe { asm!("fild dword ptr [{}]", "fstp st(0)", in(reg) operand, options(nostack)) };
    sched_yield();
    // SAFETY: `found` has room for the environment.
    unsafe { asm!("fnstenv [{}]", in(reg) &raw mut found, options(nostack)) };
    let distance = found.operand.wrapping_sub(OPERAND.as_ptr() as u32) / size_of::<u32>() as u32;
    Some(distance.into()).filter(|&number| number < OPERANDS)
}

/// What the registers are held across.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Across {
    /// User code that makes no call and changes no register, long enough for an interrupt.
    Spin,
    /// The instruction `syscall`.
    Syscall,
    /// The instruction `int 0x80`.
    Interrupt,
}

/// Memory for a whole set of registers. It has a fixed address, because no register is free to point to it.
struct Block(UnsafeCell<Registers>);

// SAFETY: a process is one thread.
unsafe impl Sync for Block {}

impl Block {
    const fn new() -> Block {
        Block(UnsafeCell::new(Registers::ZERO))
    }
}

static WANTED: Block = Block::new();
static FOUND: Block = Block::new();

/// What XSAVE and XRSTOR work on, where there is AVX.
struct WideBlock(UnsafeCell<Area>);

// SAFETY: a process is one thread.
unsafe impl Sync for WideBlock {}

static WANTED_WIDE: WideBlock = WideBlock(UnsafeCell::new(Area::EMPTY));
static FOUND_WIDE: WideBlock = WideBlock(UnsafeCell::new(Area::EMPTY));
/// The components that XSAVE and XRSTOR move; 0 where there is no AVX, and FXSAVE and FXRSTOR do it.
static COMPONENTS: AtomicU32 = AtomicU32::new(0);
/// The x87 and SSE registers of the Rust code, with their control words.
static HOME: Block = Block::new();

/// Loads `wanted` into all registers, does what `across` says, and returns the registers afterwards. The stack pointer
/// stays, and `wanted` gets its value.
///
/// # Safety
/// A system call that `wanted` makes must not write memory that other code relies on.
pub unsafe fn hold(wanted: &mut Registers, across: Across) -> Registers {
    COMPONENTS.store(wide::components(), Ordering::Relaxed);
    // SAFETY: one thread, so no other code uses the blocks; the functions keep to the C ABI.
    unsafe {
        *WANTED.0.get() = *wanted;
        (*WANTED_WIDE.0.get()).put(&wanted.floating, &wanted.wide);
        wanted.segments.load();
        match across {
            Across::Spin => hold_across_spin(),
            Across::Syscall => hold_across_syscall(),
            Across::Interrupt => hold_across_interrupt(),
        }
        wanted.rsp = (*WANTED.0.get()).rsp;
        let mut found = Registers { segments: Segments::read(), ..*FOUND.0.get() };
        if wide::components() != 0 {
            (found.floating, found.wide) = (*FOUND_WIDE.0.get()).registers();
        }
        found
    }
}

/// A function that holds the registers across `$code`. Between the two halves only `mov` is used: it keeps flags.
macro_rules! hold_across {
    ($name:ident, $($code:literal),+) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                "push rbx",
                "push rbp",
                "push r12",
                "push r13",
                "push r14",
                "push r15",
                "fxsave [rip + {home}]",
                "mov eax, [rip + {components}]",
                "xor edx, edx",
                "test eax, eax",
                "jz 2f",
                "xrstor [rip + {wanted_wide}]",
                "jmp 3f",
                "2:",
                "fxrstor [rip + {wanted}]",
                "3:",
                "push qword ptr [rip + {wanted} + {rflags}]",
                "popfq",
                "mov [rip + {wanted} + {rsp}], rsp",
                "mov r15, [rip + {wanted} + {general} + 0x00]",
                "mov r14, [rip + {wanted} + {general} + 0x08]",
                "mov r13, [rip + {wanted} + {general} + 0x10]",
                "mov r12, [rip + {wanted} + {general} + 0x18]",
                "mov r11, [rip + {wanted} + {general} + 0x20]",
                "mov r10, [rip + {wanted} + {general} + 0x28]",
                "mov  r9, [rip + {wanted} + {general} + 0x30]",
                "mov  r8, [rip + {wanted} + {general} + 0x38]",
                "mov rbp, [rip + {wanted} + {general} + 0x40]",
                "mov rdi, [rip + {wanted} + {general} + 0x48]",
                "mov rsi, [rip + {wanted} + {general} + 0x50]",
                "mov rdx, [rip + {wanted} + {general} + 0x58]",
                "mov rcx, [rip + {wanted} + {general} + 0x60]",
                "mov rbx, [rip + {wanted} + {general} + 0x68]",
                "mov rax, [rip + {wanted} + {general} + 0x70]",
                $($code,)+
                "mov [rip + {found} + {general} + 0x00], r15",
                "mov [rip + {found} + {general} + 0x08], r14",
                "mov [rip + {found} + {general} + 0x10], r13",
                "mov [rip + {found} + {general} + 0x18], r12",
                "mov [rip + {found} + {general} + 0x20], r11",
                "mov [rip + {found} + {general} + 0x28], r10",
                "mov [rip + {found} + {general} + 0x30], r9",
                "mov [rip + {found} + {general} + 0x38], r8",
                "mov [rip + {found} + {general} + 0x40], rbp",
                "mov [rip + {found} + {general} + 0x48], rdi",
                "mov [rip + {found} + {general} + 0x50], rsi",
                "mov [rip + {found} + {general} + 0x58], rdx",
                "mov [rip + {found} + {general} + 0x60], rcx",
                "mov [rip + {found} + {general} + 0x68], rbx",
                "mov [rip + {found} + {general} + 0x70], rax",
                "mov [rip + {found} + {rsp}], rsp",
                "mov rsp, [rip + {wanted} + {rsp}]",
                "pushfq",
                "pop qword ptr [rip + {found} + {rflags}]",
                "cld",
                "mov eax, [rip + {components}]",
                "xor edx, edx",
                "test eax, eax",
                "jz 2f",
                "xsave [rip + {found_wide}]",
                "jmp 3f",
                "2:",
                "fxsave [rip + {found}]",
                "3:",
                "fxrstor [rip + {home}]",
                "pop r15",
                "pop r14",
                "pop r13",
                "pop r12",
                "pop rbp",
                "pop rbx",
                "ret",
                home = sym HOME,
                wanted = sym WANTED,
                found = sym FOUND,
                wanted_wide = sym WANTED_WIDE,
                found_wide = sym FOUND_WIDE,
                components = sym COMPONENTS,
                general = const offset_of!(Registers, general),
                rsp = const offset_of!(Registers, rsp),
                rflags = const offset_of!(Registers, rflags),
            )
        }
    };
}

// No loop, because a loop needs a counter and flags. `pause` is the slowest instruction that changes no register.
hold_across!(hold_across_spin, ".rept 4096", "pause", ".endr");
hold_across!(hold_across_syscall, "syscall");
hold_across!(hold_across_interrupt, "int 0x80");
