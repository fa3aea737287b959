//! Blocks: the values in a record that have several words.
//!
//! Each is copied as it lies in memory: a trap frame from the kernel stack, gates from the trap table, bytes from a program.

use super::schema::{Block, Word};
use super::{ARGUMENTS, CONTEXT, DATA_MAX, FIRST_RETURN, FRAME, GATES_MAX, RAX, REGISTERS};

/// Copies words in one piece.
///
/// # Safety
/// As for `copy_nonoverlapping`.
#[inline(always)]
unsafe fn copy(from: *const u64, to: *mut u64, count: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise. DF is 0 between functions (System V ABI, AMD64, 3.2.1). One instruction, because where
    // ring 0 is emulated each instruction is slow, and the compiler would use one or two for each word.
    unsafe {
        core::arch::asm!("rep movsq", inout("rsi") from => _, inout("rdi") to => _, inout("rcx") count => _,
            options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller's promise.
    unsafe {
        from.copy_to_nonoverlapping(to, count);
    }
}

/// The first `N` words of a block.
#[inline(always)]
fn first<const N: usize>(words: &[Word]) -> Option<[u64; N]> {
    Some(words.first_chunk()?.map(u64::from_le_bytes))
}

/// A trap frame: what lies on the kernel stack while a trap is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Where the part that the hardware pushes lies on the kernel stack: the address of its RIP.
    pub address: u64,
    /// The general registers except RSP, in the order of [`REGISTERS`].
    pub registers: [u64; REGISTERS.len()],
    /// The vector of the trap, [`super::SYSCALL_VECTOR`] or [`FIRST_RETURN`].
    pub vector: u64,
    /// The error code, 0 for a trap that has none.
    pub error_code: u64,
    /// The instruction to continue with.
    pub rip: u64,
    /// The code segment.
    pub cs: u64,
    /// The flags.
    pub rflags: u64,
    /// The stack pointer.
    pub rsp: u64,
    /// The stack segment.
    pub ss: u64,
}

/// The index of RIP in [`FRAME`].
const RIP: usize = 17;

impl Frame {
    /// The privilege level that the frame belongs to: the low two bits of CS.
    pub fn cpl(&self) -> u64 {
        self.cs & 3
    }

    /// The vector of the trap; `None`: the first return of a process.
    pub fn trap(&self) -> Option<u8> {
        (self.vector != FIRST_RETURN).then_some(self.vector as u8)
    }

    /// RAX: the number of a system call, and then its result.
    pub fn rax(&self) -> u64 {
        self.registers[RAX]
    }

    /// The arguments of a system call: RDI, RSI, RDX, R10, R8, R9.
    pub fn arguments(&self) -> [u64; 6] {
        ARGUMENTS.map(|index| self.registers[index])
    }
}

impl Block for Frame {
    /// The words of [`FRAME`].
    type Source = [u64; FRAME.len()];
    const MIN: usize = 1 + FRAME.len();

    #[inline(always)]
    fn read(words: &[Word]) -> Option<Frame> {
        let [address, registers @ .., vector, error_code, rip, cs, rflags, rsp, ss] =
            first::<{ Self::MIN }>(words)?;
        Some(Frame { address, registers, vector, error_code, rip, cs, rflags, rsp, ss })
    }

    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        let Frame { address, registers, vector, error_code, rip, cs, rflags, rsp, ss } = *self;
        let rest = [vector, error_code, rip, cs, rflags, rsp, ss];
        core::iter::once(address).chain(registers).chain(rest)
    }

    #[inline(always)]
    fn size(_source: &Self::Source) -> usize {
        Self::MIN
    }

    #[inline(always)]
    unsafe fn write(source: &Self::Source, to: *mut u64) {
        // SAFETY: the caller has room for the address and the frame.
        unsafe {
            to.write(&raw const source[RIP] as u64);
            copy(source.as_ptr(), to.add(1), source.len());
        }
    }
}

/// The registers that a switch keeps in the process structure, in the order of [`CONTEXT`].
pub type Context = [u64; CONTEXT.len()];

impl Block for Context {
    type Source = Context;
    const MIN: usize = CONTEXT.len();

    #[inline(always)]
    fn read(words: &[Word]) -> Option<Context> {
        first(words)
    }

    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.iter().copied()
    }

    #[inline(always)]
    fn size(_source: &Context) -> usize {
        Self::MIN
    }

    #[inline(always)]
    unsafe fn write(source: &Context, to: *mut u64) {
        // SAFETY: the caller has room for as many words.
        unsafe { copy(source.as_ptr(), to, source.len()) }
    }
}

/// The name of a program: its first 16 bytes, padded with zeros.
pub type Name = [u8; 16];

impl Block for Name {
    /// The name as two words.
    type Source = [u64; 2];
    const MIN: usize = 2;

    #[inline(always)]
    fn read(words: &[Word]) -> Option<Name> {
        words.first_chunk::<2>()?.as_flattened().try_into().ok()
    }

    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
    }

    #[inline(always)]
    fn size(_source: &[u64; 2]) -> usize {
        2
    }

    #[inline(always)]
    unsafe fn write(source: &[u64; 2], to: *mut u64) {
        // SAFETY: the caller has room for two words.
        unsafe { to.cast::<[u64; 2]>().write(*source) }
    }
}

/// A list of at most `N` words, as many as the record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct List<const N: usize> {
    count: usize,
    words: [Word; N],
}

impl<const N: usize> List<N> {
    fn read(from: &[Word]) -> List<N> {
        let mut words = [Word::default(); N];
        words.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        List { count: from.len().min(N), words }
    }

    fn words(&self) -> &[Word] {
        self.words.get(..self.count).unwrap_or(&self.words)
    }
}

/// The first bytes of a piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bytes(List<{ DATA_MAX / 8 }>);

impl Bytes {
    /// The bytes that are known of a piece of `size` bytes.
    pub fn of(&self, size: u32) -> &[u8] {
        let all = self.0.words().as_flattened();
        all.get(..size as usize).unwrap_or(all)
    }
}

impl Block for Bytes {
    type Source = [u8];
    const MIN: usize = 0;

    fn read(words: &[Word]) -> Option<Bytes> {
        Some(Bytes(List::read(words)))
    }

    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.words().iter().map(|word| u64::from_le_bytes(*word))
    }

    #[inline(always)]
    fn size(source: &[u8]) -> usize {
        source.len().min(DATA_MAX).div_ceil(8)
    }

    #[inline(always)]
    unsafe fn write(source: &[u8], to: *mut u64) {
        let shown = source.len().min(DATA_MAX);
        if shown == 0 {
            return;
        }
        // SAFETY: the caller has room for the words that the bytes fill; the last of them may be filled in part.
        unsafe {
            to.add((shown - 1) / 8).write(0);
            to.cast::<u8>().copy_from_nonoverlapping(source.as_ptr(), shown);
        }
    }
}

/// GateTable of the trap table with consecutive vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GateTable(List<{ 2 * GATES_MAX }>);

/// A gate of the trap table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gate {
    /// Its vector.
    pub vector: u8,
    /// Present bit, DPL and type: bits 40 to 47 of the descriptor.
    pub kind: u8,
    /// Which stack of the TSS the hardware switches to (IST); 0: none.
    pub ist: u8,
    /// The address of the handler.
    pub handler: u64,
}

impl GateTable {
    /// The gates, of which the first has this vector.
    pub fn from(&self, first: u8) -> impl Iterator<Item = Gate> + '_ {
        let gates = self.0.words().as_chunks::<2>().0;
        gates.iter().zip(first..=u8::MAX).map(|(gate, vector)| {
            let [low, high] = gate.map(u64::from_le_bytes);
            // SDM vol. 3, 6.14.1: offset 0..16, selector, IST, type and DPL, offset 16..32; then offset 32..64.
            let handler = low & 0xFFFF | low >> 48 << 16 | high << 32;
            Gate { vector, kind: (low >> 40) as u8, ist: (low >> 32) as u8 & 7, handler }
        })
    }
}

impl Block for GateTable {
    /// Two words for each gate.
    type Source = [u64];
    const MIN: usize = 0;

    fn read(words: &[Word]) -> Option<GateTable> {
        Some(GateTable(List::read(words)))
    }

    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.words().iter().map(|word| u64::from_le_bytes(*word))
    }

    #[inline(always)]
    fn size(source: &[u64]) -> usize {
        source.len().min(2 * GATES_MAX)
    }

    #[inline(always)]
    unsafe fn write(source: &[u64], to: *mut u64) {
        // SAFETY: the caller has room for as many words.
        unsafe { copy(source.as_ptr(), to, Self::size(source)) }
    }
}
