//! Events in other forms, a file each.

pub mod fields;
pub mod report;
pub mod strace;
pub mod text;

mod words;
