//! Memory: who owns which frame, what a process sees, and what it may ask us to touch.

pub mod address_space;
pub mod frames;
pub mod user;

use crate::layout::DIRECT_MAP;

/// Where the kernel sees physical memory.
#[inline(always)]
pub fn physical<T>(address: u64) -> *mut T {
    (DIRECT_MAP + address) as *mut T
}
