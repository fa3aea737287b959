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

/// The free frames among the frames below `N`.
pub struct FramePool<const N: usize> {
    /// The frame behind each frame in the list that it is in.
    next: [Local<u32>; N],
    /// The next frame to hand out, and the end of those: they are zero.
    zero: Local<u32>,
    zero_end: Local<u32>,
    /// The first of the other frames that were never handed out, and the end of those.
    fresh: Local<u32>,
    end: Local<u32>,
    free: Local<FrameList>,
}

impl<const N: usize> FramePool<N> {
    /// A pool without frames.
    pub const fn new() -> Self {
        Self {
            next: [const { Local::new(NONE) }; N],
            zero: Local::new(NONE),
            zero_end: Local::new(NONE),
            fresh: Local::new(NONE),
            end: Local::new(NONE),
            free: Local::new(FrameList::EMPTY),
        }
    }

    /// Makes the frames from `start` to `end` the fresh ones, as far as they are above 0 and below `N`. `zeroed`: all are zero.
    pub fn initialize(&self, start: u32, end: u32, zeroed: bool) {
        let end = end.min(N as u32);
        let start = start.max(NONE + 1).min(end);
        let fresh = if zeroed { end } else { start };
        self.zero.set(start);
        self.zero_end.set(fresh);
        self.fresh.set(fresh);
        self.end.set(end);
    }

    /// Moves a frame from the pool into `list`; `None` if no frame is free. `clear` gets its number first, unless it is zero.
    #[inline(always)]
    pub fn take(&self, list: &mut FrameList, clear: impl FnOnce(u32)) -> Option<u32> {
        if self.zero.get() == self.zero_end.get() && !self.refill(clear) {
            return None;
        }
        let number = self.zero.get();
        self.zero.set(number + 1);
        if list.first == NONE {
            list.last = number;
        }
        self.next(number).set(list.first);
        list.first = number;
        list.count += 1;
        Some(number)
    }

    /// Clears a frame that becomes the next to hand out. False: none is free.
    #[cold]
    #[inline(never)]
    fn refill(&self, clear: impl FnOnce(u32)) -> bool {
        let (fresh, free) = (self.fresh.get(), self.free.get());
        let number = if fresh < self.end.get() {
            self.fresh.set(fresh + 1);
            fresh
        } else if free.first != NONE {
            self.free.set(FrameList { first: self.next(free.first).get(), count: free.count - 1, ..free });
            free.first
        } else {
            return false;
        };
        clear(number);
        self.zero.set(number);
        self.zero_end.set(number + 1);
        true
    }

    /// The link of a frame of this pool.
    #[inline(always)]
    fn next(&self, frame: u32) -> &Local<u32> {
        debug_assert!((frame as usize) < N);
        // SAFETY: `initialize` keeps the numbers of all frames below `N`.
        unsafe { self.next.get_unchecked(frame as usize) }
    }

    /// Takes a frame that is in no list and has one user; `None` if no frame is free. Its link counts the users.
    pub fn take_counted(&self, clear: impl FnOnce(u32)) -> Option<u32> {
        let number = self.take(&mut { FrameList::EMPTY }, clear)?;
        self.next(number).set(1);
        Some(number)
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
        let never_used = self.zero_end.get() - self.zero.get() + self.end.get() - self.fresh.get();
        never_used + self.free.get().count
    }

    /// Moves all frames of `list` back into the pool.
    pub fn give_back(&self, list: FrameList) {
        if list.first == NONE {
            return;
        }
        let free = self.free.get();
        self.next(list.last).set(free.first);
        self.free.set(FrameList { count: free.count + list.count, ..list });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(start: u32, end: u32, zeroed: bool) -> FramePool<16> {
        let pool = FramePool::new();
        pool.initialize(start, end, zeroed);
        pool
    }

    /// Takes a frame. Returns its number, and whether it was cleared.
    fn take(pool: &FramePool<16>, list: &mut FrameList) -> Option<(u32, bool)> {
        let mut cleared = None;
        let number = pool.take(list, |number| cleared = Some(number))?;
        assert!(cleared.is_none_or(|cleared| cleared == number));
        Some((number, cleared.is_some()))
    }

    #[test]
    fn fresh_frames_come_first_and_once() {
        for zeroed in [true, false] {
            let (pool, mut list) = (pool(3, 5, zeroed), FrameList::EMPTY);
            assert_eq!(pool.free(), 2);
            assert_eq!([(); 2].map(|()| take(&pool, &mut list)), [Some((3, !zeroed)), Some((4, !zeroed))]);
            assert_eq!((take(&pool, &mut list), list.count, pool.free()), (None, 2, 0));
        }
    }

    #[test]
    fn what_is_given_back_is_handed_out_again_and_is_cleared() {
        for zeroed in [true, false] {
            let (pool, mut first, mut second) = (pool(1, 4, zeroed), FrameList::EMPTY, FrameList::EMPTY);
            let _ = [take(&pool, &mut first), take(&pool, &mut first), take(&pool, &mut second)];
            pool.give_back(second);
            pool.give_back(first);
            pool.give_back(FrameList::EMPTY);
            assert_eq!(pool.free(), 3);
            let mut third = FrameList::EMPTY;
            let mut again = [(); 3].map(|()| take(&pool, &mut third));
            again.sort_unstable();
            assert_eq!(again, [1, 2, 3].map(|number| Some((number, true))));
            assert_eq!((take(&pool, &mut third), third.count, pool.free()), (None, 3, 0));
        }
    }

    #[test]
    fn a_counted_frame_goes_back_with_its_last_user() {
        let pool = pool(1, 3, true);
        let number = pool.take_counted(|_| panic!("it is zero")).expect("there are two frames");
        pool.share(number);
        assert_eq!((pool.users(number), pool.free()), (2, 1));
        pool.release(number);
        assert_eq!((pool.users(number), pool.free()), (1, 1));
        pool.release(number);
        assert_eq!(pool.free(), 2);
        let mut list = FrameList::EMPTY;
        let all = [(); 3].map(|()| take(&pool, &mut list));
        assert_eq!(all, [Some((2, false)), Some((number, true)), None]);
    }

    #[test]
    fn frame_0_and_frames_beyond_the_pool_are_never_handed_out() {
        let (pool, mut list) = (pool(0, 99, true), FrameList::EMPTY);
        let all = [(); 16].map(|()| pool.take(&mut list, |_| ()));
        assert_eq!((all[0], all[14], all[15]), (Some(1), Some(15), None));
    }

    #[test]
    fn memory_that_ends_before_it_starts_has_no_frames() {
        let pool = pool(9, 3, true);
        assert_eq!((pool.free(), pool.take(&mut { FrameList::EMPTY }, |_| ())), (0, None));
    }
}
