//! The run queue: runnable processes that wait for the CPU, first in, first out.

use crate::cell::Local;
use crate::layout::STACK_SLOTS;

/// A power of two that holds every process, so that an index wraps without a division.
const SIZE: usize = STACK_SLOTS.next_power_of_two() as usize;

/// A queue of process numbers. A process waits in it at most once, so it cannot overflow.
pub struct RunQueue {
    waiting: [Local<u16>; SIZE],
    /// Index of the first that waits; it grows without bound and is taken modulo [`SIZE`].
    first: Local<usize>,
    count: Local<usize>,
}

impl RunQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { waiting: [const { Local::new(0) }; SIZE], first: Local::new(0), count: Local::new(0) }
    }

    /// Adds a process at the end.
    pub fn push(&self, id: u16) {
        let (first, count) = (self.first.get(), self.count.get());
        self.waiting[first.wrapping_add(count) % SIZE].set(id);
        self.count.set(count + 1);
    }

    /// True if no process waits.
    pub fn is_empty(&self) -> bool {
        self.count.get() == 0
    }

    /// Takes the first process out; `None` if no process waits.
    pub fn pop(&self) -> Option<u16> {
        let (first, count) = (self.first.get(), self.count.get().checked_sub(1)?);
        self.first.set(first.wrapping_add(1));
        self.count.set(count);
        Some(self.waiting[first % SIZE].get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_leave_in_the_order_in_which_they_came() {
        let queue = RunQueue::new();
        assert_eq!(queue.pop(), None);
        (1..=3).for_each(|id| queue.push(id));
        assert_eq!([queue.pop(), queue.pop()], [Some(1), Some(2)]);
        queue.push(1);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(3), Some(1), None]);
    }

    #[test]
    fn a_full_queue_keeps_its_order_wherever_it_starts() {
        let queue = RunQueue::new();
        let all = 1..=SIZE as u16 - 1;
        for _ in 0..3 * SIZE {
            all.clone().for_each(|id| queue.push(id));
            assert!(all.clone().all(|id| queue.pop() == Some(id)));
            assert_eq!(queue.pop(), None);
            // The next round starts one place later.
            queue.push(0);
            queue.pop();
        }
    }
}
