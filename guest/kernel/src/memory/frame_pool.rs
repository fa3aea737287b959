//! Which frames are free: first a stretch of memory that was never used, then a list of what was freed.
//!
//! Frames are numbers here; `frames` knows the memory behind them. A list of frames is linked through an array beside
//! them, so all frames of a process are freed in a few instructions.

use crate::cell::Local;

/// Frame 0 is never handed out, so it marks the end of a list.
const NONE: u32 = 0;

/// Frames that one owner has.
#[derive(Clone, Copy)]
pub struct FrameList {
    first: u32,
    last: u32,
    /// How many.
    pub count: u32,
}

impl FrameList {
    /// No frames.
    pub const EMPTY: Self = Self { first: NONE, last: NONE, count: 0 };
}

/// A frame that was free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// It was never handed out before.
    Fresh(u32),
    /// It has what its last owner left in it.
    Used(u32),
}

/// The free frames among the frames below `N`.
pub struct FramePool<const N: usize> {
    /// The frame behind each frame in the list that it is in.
    next: [Local<u32>; N],
    /// The first fresh frame, and the end of the fresh frames.
    fresh: Local<(u32, u32)>,
    free: Local<FrameList>,
    size: Local<u32>,
}

impl<const N: usize> FramePool<N> {
    /// A pool without frames.
    pub const fn new() -> Self {
        Self {
            next: [const { Local::new(NONE) }; N],
            fresh: Local::new((NONE, NONE)),
            free: Local::new(FrameList::EMPTY),
            size: Local::new(0),
        }
    }

    /// Makes the frames from `start` to `end` the fresh ones, as far as they are above 0 and below `N`.
    pub fn initialize(&self, start: u32, end: u32) {
        let (start, end) = (start.max(NONE + 1), end.min(N as u32));
        self.fresh.set((start, end));
        self.size.set(end.saturating_sub(start));
    }

    /// Moves a frame from the pool into `list`; `None` if no frame is free.
    pub fn take(&self, list: &mut FrameList) -> Option<Frame> {
        let (fresh, end) = self.fresh.get();
        let (frame, number) = if fresh < end {
            self.fresh.set((fresh + 1, end));
            (Frame::Fresh(fresh), fresh)
        } else {
            let number = self.reuse()?;
            (Frame::Used(number), number)
        };
        if list.first == NONE {
            list.last = number;
        }
        self.next(number).set(list.first);
        list.first = number;
        list.count += 1;
        Some(frame)
    }

    /// The link of a frame, which is below `N`. With `N` a power of two the remainder is a mask, and no index is checked.
    fn next(&self, frame: u32) -> &Local<u32> {
        const { assert!(N.is_power_of_two()) };
        &self.next[frame as usize % N]
    }

    fn reuse(&self) -> Option<u32> {
        let free = self.free.get();
        if free.first == NONE {
            return None;
        }
        self.free.set(FrameList { first: self.next(free.first).get(), count: free.count - 1, ..free });
        Some(free.first)
    }

    /// Takes a frame that is in no list and has one user; `None` if no frame is free. Its link counts the users.
    pub fn take_counted(&self) -> Option<Frame> {
        let frame = self.take(&mut { FrameList::EMPTY })?;
        let (Frame::Fresh(number) | Frame::Used(number)) = frame;
        self.next(number).set(1);
        Some(frame)
    }

    /// A counted frame has one more user.
    pub fn share(&self, number: u32) {
        let users = self.next(number);
        users.set(users.get() + 1);
    }

    /// How many users a counted frame has.
    pub fn users(&self, number: u32) -> u32 {
        self.next(number).get()
    }

    /// A counted frame has one user less; with the last one it goes back into the pool.
    pub fn release(&self, number: u32) {
        let users = self.next(number);
        match users.get() {
            1 => self.give_back(FrameList { first: number, last: number, count: 1 }),
            count => users.set(count - 1),
        }
    }

    /// How many frames the pool was made of.
    pub fn size(&self) -> u32 {
        self.size.get()
    }

    /// How many frames are free.
    pub fn free(&self) -> u32 {
        let (fresh, end) = self.fresh.get();
        end - fresh + self.free.get().count
    }

    /// Moves all frames of `list` back into the pool.
    pub fn give_back(&self, list: FrameList) {
        if list.first == NONE {
            return;
        }
        let free = self.free.get();
        self.next(list.last).set(free.first);
        let last = if free.first == NONE { list.last } else { free.last };
        self.free.set(FrameList { first: list.first, last, count: free.count + list.count });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(start: u32, end: u32) -> FramePool<16> {
        let pool = FramePool::new();
        pool.initialize(start, end);
        pool
    }

    fn take(pool: &FramePool<16>, list: &mut FrameList, times: usize) -> Vec<Option<Frame>> {
        (0..times).map(|_| pool.take(list)).collect()
    }

    #[test]
    fn fresh_frames_come_first_and_once() {
        let (pool, mut list) = (pool(3, 5), FrameList::EMPTY);
        assert_eq!(take(&pool, &mut list, 3), [Some(Frame::Fresh(3)), Some(Frame::Fresh(4)), None]);
        assert_eq!(list.count, 2);
    }

    #[test]
    fn what_is_given_back_is_handed_out_again_and_is_used() {
        let (pool, mut first, mut second) = (pool(1, 4), FrameList::EMPTY, FrameList::EMPTY);
        take(&pool, &mut first, 2);
        take(&pool, &mut second, 1);
        pool.give_back(second);
        pool.give_back(first);
        pool.give_back(FrameList::EMPTY);
        let mut third = FrameList::EMPTY;
        let mut again = take(&pool, &mut third, 4);
        assert_eq!(again.pop(), Some(None), "there are three frames");
        again.sort_by_key(|frame| format!("{frame:?}"));
        assert_eq!(again, [1, 2, 3].map(|number| Some(Frame::Used(number))));
        assert_eq!(third.count, 3);
    }

    #[test]
    fn a_counted_frame_goes_back_with_its_last_user() {
        let pool = pool(1, 3);
        let Some(Frame::Fresh(number)) = pool.take_counted() else { panic!("there are two frames") };
        pool.share(number);
        assert_eq!((pool.users(number), pool.free()), (2, 1));
        pool.release(number);
        assert_eq!((pool.users(number), pool.free()), (1, 1));
        pool.release(number);
        assert_eq!(pool.free(), 2);
        let mut list = FrameList::EMPTY;
        assert_eq!(take(&pool, &mut list, 3), [Some(Frame::Fresh(2)), Some(Frame::Used(number)), None]);
    }

    #[test]
    fn frame_0_and_frames_beyond_the_pool_are_never_handed_out() {
        let (pool, mut list) = (pool(0, 99), FrameList::EMPTY);
        let all = take(&pool, &mut list, 16);
        assert_eq!((all[0], all[14], all[15]), (Some(Frame::Fresh(1)), Some(Frame::Fresh(15)), None));
    }
}
