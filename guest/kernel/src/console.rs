//! The console: a port that takes one byte a write.

use abi::ports::CONSOLE;

use crate::arch::cpu::out8;

/// Prints bytes.
pub fn print(bytes: &[u8]) {
    for &byte in bytes {
        out8(CONSOLE, byte);
    }
}
