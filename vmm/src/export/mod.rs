//! Events in other forms, a file each.

pub mod text;

mod words;
