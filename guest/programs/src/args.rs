//! The arguments of a program, where the kernel put them on its stack.

use core::ffi::CStr;

use crate::{STATUS_USAGE, say, syscall};

/// The arguments. The first one is the program's name.
#[derive(Clone, Copy)]
pub struct Args(&'static [*const i8]);

impl Args {
    /// Reads them as Linux's ABI lays them out: argc at the stack pointer, the pointers above it.
    ///
    /// # Safety
    /// `stack` is the stack pointer that the process was started with.
    pub(crate) unsafe fn from_stack(stack: *const u64) -> Args {
        // SAFETY: the kernel put argc there, and as many pointers behind it; both live as long as the process.
        unsafe { Args(core::slice::from_raw_parts(stack.add(1).cast(), *stack as usize)) }
    }

    /// The stack pointer that the process was started with: argc lies there.
    pub fn stack(self) -> *const u64 {
        self.0.as_ptr().cast::<u64>().wrapping_sub(1)
    }

    /// How many there are, the program's name included.
    #[expect(clippy::len_without_is_empty, reason = "there is always the program's name")]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// The argument at `index`, if there is one; 0 is the program's name.
    pub fn get(self, index: usize) -> Option<&'static str> {
        let pointer = *self.0.get(index)?;
        // SAFETY: each pointer of argv is that of a string with a zero behind it.
        unsafe { CStr::from_ptr(pointer) }.to_str().ok()
    }

    /// The number (decimal, or hexadecimal after `0x`) at `index`, or `default` where there is no such argument.
    /// An argument that is not a number ends the program with [`STATUS_USAGE`].
    pub fn number(self, index: usize, default: u64) -> u64 {
        if index >= self.0.len() {
            return default;
        }
        self.get(index).and_then(parse).unwrap_or_else(|| {
            say!(self.get(0).unwrap_or("program"), ": argument ", index as u64, " is not a number");
            syscall::exit_group(STATUS_USAGE)
        })
    }
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
