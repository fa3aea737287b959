//! What the events of a trace mean: filters, the hardware's numbers in words, the summary of a run,
//! the book's tables, expectations.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used))]

pub mod check;
pub mod diff;
#[cfg(feature = "expect")]
pub mod expect;
pub mod filter;
pub mod hardware;
pub mod protocol;
pub mod stat;
pub mod summary;

pub use summary::{End, ProcessSummary, Summary, damage_lines};

/// Counts one more; a count stays at the largest number instead of wrapping to 0.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
