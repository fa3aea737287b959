//! What saves instructions on a host that emulates ring 0, where each takes about a microsecond. Elsewhere plain Rust would do.

use core::arch::asm;

/// The time stamp counter as RDTSC returns it, in EAX and EDX: storing the halves takes fewer instructions than joining them.
#[derive(Clone, Copy)]
pub struct Stamp([u32; 2]);

impl Stamp {
    /// The counter now.
    #[inline(always)]
    pub fn now() -> Self {
        let (low, high);
        // SAFETY: RDTSC touches nothing but EDX:EAX; ring 0 may always execute it. The compiler moves no access of memory past it.
        unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) }
        Self([low, high])
    }

    /// Stores it.
    ///
    /// # Safety
    /// `to` may be written.
    #[inline(always)]
    pub unsafe fn store(self, to: *mut u64) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[u32; 2]>().write(self.0) }
    }
}

/// Returns the same reference, but hides from the compiler that it is the same. After a call the compiler then computes
/// addresses from it again, instead of keeping them in a register that costs two more instructions to save and restore.
#[inline(always)]
#[allow(
    clippy::pointers_in_nomem_asm_block,
    reason = "the block has no instruction, so it accesses no memory"
)]
pub fn anew<T>(reference: &mut T) -> &mut T {
    let mut pointer = &raw mut *reference;
    // SAFETY: no instruction; the pointer stays the same.
    unsafe {
        asm!("/* {} */", inout(reg) pointer, options(nomem, nostack, preserves_flags));
        &mut *pointer
    }
}

/// Calls a function that is called once in hundreds of times: no other register than RAX changes, so the code around the call
/// need not save any.
#[inline(always)]
pub fn call_aside(function: extern "C" fn()) {
    #[unsafe(naked)]
    unsafe extern "C" fn aside() {
        core::arch::naked_asm!(
            "push rcx; push rdx; push rsi; push rdi; push r8; push r9; push r10; push r11",
            "call rax",
            "pop r11; pop r10; pop r9; pop r8; pop rdi; pop rsi; pop rdx; pop rcx",
            "ret",
        )
    }
    // SAFETY: `aside` restores every register that the function may change, but RAX. What it pushes overwrites nothing, as
    // there is no red zone, and the kernel needs no alignment of its stack.
    unsafe { asm!("call {}", sym aside, inout("rax") function => _, options(nostack)) }
}

/// How many of `count` items from `at` on come before the one that ends the scan for `$item`. The first instruction sets ZF for
/// an empty stretch, where SCAS does not run; the last says whether an item ended the scan.
macro_rules! count_before {
    ($at:expr, $count:expr, $item:expr, $first:literal, $scan:literal, $last:literal) => {{
        let (left, found): (usize, u8);
        // SAFETY: all of the items can be read; DF is 0 in the kernel.
        unsafe {
            asm!($first, $scan, $last, found = out(reg_byte) found, inout("rcx") $count => left,
                inout("rdi") $at => _, in("rax") $item, options(pure, nostack, readonly));
        }
        $count - left - usize::from(found)
    }};
}

/// How many of `count` words from `at` on are zero before the first that is not; `count` if all are.
///
/// # Safety
/// All of them can be read.
pub unsafe fn zero_words(at: *const u64, count: usize) -> usize {
    count_before!(at, count, 0_u64, "cmp rax, rax", "repe scasq", "setne {found}")
}

/// How many of these bytes come before the first that is `end`.
#[inline(always)]
pub fn size_before(bytes: &[u8], end: u8) -> usize {
    count_before!(bytes.as_ptr(), bytes.len(), u64::from(end), "test rsp, rsp", "repne scasb", "sete {found}")
}
