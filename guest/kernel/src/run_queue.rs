//! The run queue: runnable processes that wait for the CPU, first in, first out.

use crate::cell::Local;

/// An index of eight bits wraps by itself and needs no check. There are fewer processes: `process::SLOTS`.
const SIZE: usize = 1 << u8::BITS;

/// A queue of processes. A process waits in it at most once, so it is never full.
pub struct RunQueue<P> {
    /// `None`: no process waits at this index.
    waiting: [Local<Option<P>>; SIZE],
    /// Index of the first that waits, and the end of those.
    first: Local<u8>,
    end: Local<u8>,
}

impl<P: Copy> RunQueue<P> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { waiting: [const { Local::new(None) }; SIZE], first: Local::new(0), end: Local::new(0) }
    }

    /// Adds a process at the end.
    pub fn push(&self, process: P) {
        let end = self.end.get();
        self.waiting[usize::from(end)].set(Some(process));
        self.end.set(end.wrapping_add(1));
    }

    /// True if no process waits.
    pub fn is_empty(&self) -> bool {
        self.waiting[usize::from(self.first.get())].get().is_none()
    }

    /// Takes the first process out; `None` if no process waits.
    pub fn pop(&self) -> Option<P> {
        let first = self.first.get();
        let process = self.waiting[usize::from(first)].replace(None)?;
        self.first.set(first.wrapping_add(1));
        Some(process)
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
