//! What the events of a trace mean: which of them somebody wants, hardware's numbers in words, the summary of a run.

pub mod check;
pub mod filter;
pub mod hardware;
pub mod summary;

pub use summary::{End, ProcessSummary, Summary};
