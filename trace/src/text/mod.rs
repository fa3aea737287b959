//! Events and analyses as text for people, and as JSON for scripts.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used))]

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
