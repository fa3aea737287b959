//! What the events of a trace mean: hardware's numbers in words, and the summary of a run.

pub mod check;
pub mod hardware;
pub mod summary;

pub use summary::{End, ProcessSummary, Summary};
