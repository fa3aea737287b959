//! Events in other forms, a file each.

pub mod report;
pub mod text;

mod words;
