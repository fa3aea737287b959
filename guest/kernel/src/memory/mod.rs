//! Memory: which process owns which frame, what it sees, and what the kernel may touch for it.

pub mod address_space;
mod frame_pool;
pub mod frames;
pub mod user;

use crate::layout::DIRECT_MAP;

/// Where the kernel sees physical memory.
#[inline(always)]
pub fn physical<T>(address: u64) -> *mut T {
    (DIRECT_MAP + address) as *mut T
}
