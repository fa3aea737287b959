//! Events in other forms, a file each.

pub mod report;
pub mod strace;
pub mod text;

mod words;
