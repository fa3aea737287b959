//! Physical frames: every frame that is handed out is zero.
//!
//! Fresh frames are zero already where the VMM promises it, and are not cleared again.

use super::frame_pool::{FrameList, FramePool};
use crate::hosts::user_mode;
use crate::layout::{DIRECT_MAP_SIZE, PAGE};

pub static POOL: FramePool<{ (DIRECT_MAP_SIZE / PAGE) as usize }> = FramePool::new();

/// Hands out the memory from `start` to `end` (physical) from now on; `zeroed`: all of it is zero.
pub fn initialize(start: u64, end: u64, zeroed: bool) {
    POOL.initialize(start.div_ceil(PAGE) as u32, (end / PAGE) as u32, zeroed);
}

/// Takes a zeroed frame into the list and returns its physical address; `None` if no frame is free.
#[inline(always)]
pub fn allocate(list: &mut FrameList) -> Option<u64> {
    POOL.take(list, clear).map(address)
}

/// Fills a free frame with zeros.
pub fn clear(number: u32) {
    // SAFETY: the frame is free, and the direct map shows it.
    unsafe { user_mode::clear(address(number)) }
}

/// The physical address of a frame.
pub fn address(number: u32) -> u64 {
    u64::from(number) * PAGE
}
