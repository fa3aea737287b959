//! Events and analyses as text for people.

pub mod protocol;
pub mod stat;
pub mod strace;
pub mod view;

mod words;
