//! Events and analyses as text for people, and as JSON for scripts.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used))]

/// `write!` to a String, which cannot fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        {
            use std::fmt::Write as _;
            let _ = $out.write_fmt(format_args!($($arguments)*));
        }
    };
}

mod arguments;
pub mod check;
pub mod diff;
#[cfg(feature = "expect")]
pub mod expect;
mod layout;
mod lines;
mod names;
pub mod protocol;
pub mod stat;
pub mod strace;
pub mod view;
mod words;

pub use layout::{WIDTH, duration};
