//! Events and analyses as text for people, and as JSON for scripts.

pub mod check;
pub mod diff;
mod layout;
mod lines;
pub mod protocol;
pub mod stat;
pub mod strace;
pub mod view;
mod words;

pub use layout::duration;
