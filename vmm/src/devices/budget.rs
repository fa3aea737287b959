//! How many bytes the guest may print in all, on the console and on both streams.

use std::cell::Cell;

use abi::record::Ending;

use crate::machine::bus::{End, Flow};

/// The number of bytes that the guest may still print.
#[derive(Debug)]
pub struct Budget {
    most: u64,
    left: Cell<u64>,
}

impl Budget {
    /// A budget of `most` bytes.
    pub fn new(most: u64) -> Budget {
        Budget { most, left: Cell::new(most) }
    }

    /// Takes `bytes` bytes, which the guest is about to print. If fewer are left, the run ends and none of them may be
    /// printed.
    pub fn take(&self, bytes: u64) -> Flow {
        let Some(left) = self.left.get().checked_sub(bytes) else {
            let most = self.most;
            let message = format!("the guest's output reached the limit of --max-output, {most} bytes");
            return Flow::End(End { ending: Ending::OutputLimit, status: most, message: Some(message) });
        };
        self.left.set(left);
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_is_allowed_and_the_next_ends_the_run() {
        let budget = Budget::new(5);
        assert_eq!(
            (budget.take(4), budget.take(1), budget.take(0)),
            (Flow::Continue, Flow::Continue, Flow::Continue)
        );
        let Flow::End(End { ending, status, message }) = budget.take(1) else {
            panic!("the budget is spent")
        };
        assert_eq!((ending, status), (Ending::OutputLimit, 5));
        assert!(message.unwrap_or_default().contains("--max-output"));
    }
}
