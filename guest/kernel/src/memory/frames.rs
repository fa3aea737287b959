//! Physical frames: every frame that is handed out is zero.
//!
//! Fresh frames are zero already where the VMM promises it, and are not cleared again.

use super::frame_pool::{FrameList, FramePool, Taken};
use super::physical;
use crate::cell::Local;
use crate::layout::{DIRECT_MAP_SIZE, PAGE};

pub static POOL: FramePool<{ (DIRECT_MAP_SIZE / PAGE) as usize }> = FramePool::new();
/// Fresh frames are zero.
static ZEROED: Local<bool> = Local::new(false);

/// Hands out the memory from `start` to `end` (physical) from now on; `zeroed`: all of it is zero.
pub fn initialize(start: u64, end: u64, zeroed: bool) {
    ZEROED.set(zeroed);
    let end = end.min(DIRECT_MAP_SIZE);
    POOL.initialize(start.div_ceil(PAGE) as u32, (end / PAGE) as u32);
}

/// Takes a zeroed frame into the list and returns its physical address; `None` if no frame is free.
pub fn allocate(list: &mut FrameList) -> Option<u64> {
    POOL.take(list).map(cleared)
}

/// The address of a frame, once it is zero.
pub fn cleared((number, is_fresh): Taken) -> u64 {
    let address = u64::from(number) * PAGE;
    if !(is_fresh && ZEROED.get()) {
        // SAFETY: the frame was free, and the direct map shows it.
        unsafe { physical::<u8>(address).write_bytes(0, PAGE as usize) }
    }
    address
}

/// How many frames are free.
pub fn count_free() -> u32 {
    POOL.free()
}

/// Frees all frames of the list.
pub fn free(list: FrameList) {
    POOL.give_back(list);
}
