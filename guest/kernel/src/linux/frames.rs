//! Page frames whose users are counted, because processes share them after a fork.

use crate::hosts::user_mode;
use crate::layout::PAGE;
pub use crate::memory::frames::POOL;
use crate::memory::frames::{address, clear};

/// Takes a zeroed frame with one user, and returns its physical address; `None` if no frame is free.
pub fn take() -> Option<u64> {
    POOL.take_counted(clear).map(address)
}

/// Takes a frame with the same content as the frame at `from`.
pub fn take_copy(from: u64) -> Option<u64> {
    let to = address(POOL.take_counted(|_| ())?);
    // SAFETY: the frame was free, both frames lie in the direct map, and they differ.
    unsafe { user_mode::copy(from, to) }
    Some(to)
}

/// A frame has one more user.
pub fn share(frame: u64) {
    POOL.share((frame / PAGE) as u32);
}

/// How many users a frame has.
pub fn users(frame: u64) -> u32 {
    POOL.users((frame / PAGE) as u32)
}

/// A frame has one user less; with the last one it is free.
pub fn release(frame: u64) {
    POOL.release((frame / PAGE) as u32);
}

/// How many frames there are, those included that the kernel, the modules and the holes between them take.
pub fn count_all() -> u32 {
    POOL.end()
}
