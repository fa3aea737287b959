//! Events in other forms, a file each.

pub mod strace;
pub mod text;

mod words;
