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

/// The number of a frame that was free, and whether it was never handed out before: else it has what its last owner left.
pub type Taken = (u32, bool);

/// The free frames among the frames below `N`.
pub struct FramePool<const N: usize> {
    /// The frame behind each frame in the list that it is in.
    next: [Local<u32>; N],
    /// The first frame that was never handed out, and the end of those.
    fresh: Local<u32>,
    end: Local<u32>,
    free: Local<FrameList>,
}

impl<const N: usize> FramePool<N> {
    /// A pool without frames.
    pub const fn new() -> Self {
        Self {
            next: [const { Local::new(NONE) }; N],
            fresh: Local::new(NONE),
            end: Local::new(NONE),
            free: Local::new(FrameList::EMPTY),
        }
    }

    /// Makes the frames from `start` to `end` the fresh ones, as far as they are above 0 and below `N`.
    pub fn initialize(&self, start: u32, end: u32) {
        self.fresh.set(start.max(NONE + 1));
        self.end.set(end.min(N as u32));
    }

    /// Moves a frame from the pool into `list`; `None` if no frame is free.
    #[inline(always)]
    pub fn take(&self, list: &mut FrameList) -> Option<Taken> {
        let fresh = self.fresh.get();
        let is_fresh = fresh < self.end.get();
        let number = if is_fresh {
            self.fresh.set(fresh + 1);
            fresh
        } else {
            self.reuse()?
        };
        if list.first == NONE {
            list.last = number;
        }
        self.next(number).set(list.first);
        list.first = number;
        list.count += 1;
        Some((number, is_fresh))
    }

    /// The link of a frame, which is below `N`. With `N` a power of two the remainder is a mask, and no index is checked.
    fn next(&self, frame: u32) -> &Local<u32> {
        const { assert!(N.is_power_of_two()) };
        &self.next[frame as usize % N]
    }

    #[cold]
    fn reuse(&self) -> Option<u32> {
        let free = self.free.get();
        if free.first == NONE {
            return None;
        }
        self.free.set(FrameList { first: self.next(free.first).get(), count: free.count - 1, ..free });
        Some(free.first)
    }

    /// Takes a frame that is in no list and has one user; `None` if no frame is free. Its link counts the users.
    pub fn take_counted(&self) -> Option<Taken> {
        let taken = self.take(&mut { FrameList::EMPTY })?;
        self.next(taken.0).set(1);
        Some(taken)
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

    /// The end of the frames.
    pub fn end(&self) -> u32 {
        self.end.get()
    }

    /// How many frames are free.
    pub fn free(&self) -> u32 {
        self.end.get().saturating_sub(self.fresh.get()) + self.free.get().count
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

    fn take(pool: &FramePool<16>, list: &mut FrameList, times: usize) -> Vec<Option<Taken>> {
        (0..times).map(|_| pool.take(list)).collect()
    }

    #[test]
    fn fresh_frames_come_first_and_once() {
        let (pool, mut list) = (pool(3, 5), FrameList::EMPTY);
        assert_eq!(take(&pool, &mut list, 3), [Some((3, true)), Some((4, true)), None]);
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
        assert_eq!(again, [1, 2, 3].map(|number| Some((number, false))));
        assert_eq!(third.count, 3);
    }

    #[test]
    fn a_counted_frame_goes_back_with_its_last_user() {
        let pool = pool(1, 3);
        let Some((number, true)) = pool.take_counted() else { panic!("there are two frames") };
        pool.share(number);
        assert_eq!((pool.users(number), pool.free()), (2, 1));
        pool.release(number);
        assert_eq!((pool.users(number), pool.free()), (1, 1));
        pool.release(number);
        assert_eq!(pool.free(), 2);
        let mut list = FrameList::EMPTY;
        assert_eq!(take(&pool, &mut list, 3), [Some((2, true)), Some((number, false)), None]);
    }

    #[test]
    fn frame_0_and_frames_beyond_the_pool_are_never_handed_out() {
        let (pool, mut list) = (pool(0, 99), FrameList::EMPTY);
        let all = take(&pool, &mut list, 16);
        assert_eq!((all[0], all[14], all[15]), (Some((1, true)), Some((15, true)), None));
    }
}
