//! Physical frames: a stretch of memory that was never used, then a list of what came back.
//!
//! Fresh frames are zero where the VMM promises it, and then nobody clears them again. A list of frames is linked through an array beside them,
//! so that all that a process owns is given back in a few instructions.

use super::physical;
use crate::cell::Local;
use crate::layout::{DIRECT_MAP_SIZE, PAGE};

const FRAMES: usize = (DIRECT_MAP_SIZE / PAGE) as usize;
/// Frame 0 is never handed out, so it ends a list.
const NONE: u32 = 0;

/// The frame behind each frame in the list that it is in.
static NEXT: Local<[u32; FRAMES]> = Local::new([NONE; FRAMES]);
/// The next fresh frame, and the first that is none.
static FRESH: Local<(u32, u32)> = Local::new((0, 0));
/// Fresh frames are zero already.
static ZEROED: Local<bool> = Local::new(false);
static FREE: Local<FrameList> = Local::new(FrameList::EMPTY);

/// The frames that somebody owns.
#[derive(Clone, Copy)]
pub struct FrameList {
    first: u32,
    last: u32,
    /// How many.
    pub count: u32,
}

impl FrameList {
    /// Nothing.
    pub const EMPTY: Self = Self { first: NONE, last: NONE, count: 0 };

    /// Takes a zeroed frame into the list and gives its physical address; None: there is none left.
    pub fn allocate(&mut self) -> Option<u64> {
        let (fresh, end) = FRESH.get();
        let frame = if fresh < end {
            FRESH.set((fresh + 1, end));
            if !ZEROED.get() {
                clear(fresh);
            }
            fresh
        } else {
            reuse()?
        };
        if self.first == NONE {
            self.last = frame;
        }
        set_next(frame, self.first);
        self.first = frame;
        self.count += 1;
        Some(u64::from(frame) * PAGE)
    }

    /// Gives all of it back.
    pub fn free(self) {
        if self.first == NONE {
            return;
        }
        let free = FREE.get();
        set_next(self.last, free.first);
        FREE.set(FrameList { first: self.first, last: self.last, count: free.count + self.count });
    }
}

/// Hands out the memory from `start` to `end` (physical); `zeroed`: all of it is zero.
pub fn initialize(start: u64, end: u64, zeroed: bool) {
    ZEROED.set(zeroed);
    let end = end.min(DIRECT_MAP_SIZE);
    FRESH.set((start.div_ceil(PAGE) as u32, (end / PAGE) as u32));
}

fn reuse() -> Option<u32> {
    let free = FREE.get();
    if free.first == NONE {
        return None;
    }
    // SAFETY: a frame in a list is below FRAMES.
    let next = unsafe { NEXT.pointer().cast::<u32>().add(free.first as usize).read() };
    FREE.set(FrameList { first: next, ..free });
    clear(free.first);
    Some(free.first)
}

/// Zeroes a frame that nobody owns.
fn clear(frame: u32) {
    // SAFETY: the frame is free, and the direct map shows it.
    unsafe { physical::<u8>(u64::from(frame) * PAGE).write_bytes(0, PAGE as usize) }
}

fn set_next(frame: u32, next: u32) {
    // SAFETY: frames come from `initialize`, which keeps them below FRAMES.
    unsafe { NEXT.pointer().cast::<u32>().add(frame as usize).write(next) }
}
