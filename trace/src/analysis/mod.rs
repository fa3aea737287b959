//! What the events of a trace mean: which of them somebody wants, hardware's numbers in words, the summary of a run,
//! the book's tables.

pub mod check;
pub mod diff;
pub mod filter;
pub mod hardware;
pub mod protocol;
pub mod stat;
pub mod summary;

pub use summary::{End, ProcessSummary, Summary, damage_lines};
