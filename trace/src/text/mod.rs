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

/// The digits of a number in hexadecimal. The formatter of the standard library takes several times as long, and most of what a
/// trace shows are such numbers.
#[expect(clippy::arithmetic_side_effects, reason = "a number has at most 16 digits of four bits")]
pub(crate) fn hex_digits(number: u64) -> impl Iterator<Item = u8> {
    let count = (u64::BITS - (number | 1).leading_zeros()).div_ceil(4);
    (0..count).rev().map(move |place| match (number >> (4 * place)) as u8 & 0xF {
        digit @ 0..10 => b'0' + digit,
        digit => b'a' - 10 + digit,
    })
}

/// Appends a number as `{:#x}` shows it.
pub(crate) fn put_hex(out: &mut String, number: u64) {
    out.push_str("0x");
    out.extend(hex_digits(number).map(char::from));
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
pub mod summary;
pub mod view;
mod words;

pub use layout::{WIDTH, duration, put_wrapped};

#[cfg(test)]
mod tests {
    #[test]
    fn hexadecimal_is_that_of_the_standard_library() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, 0x0123_4567_89ab_cdef >> bit]);
        for number in edges.chain([u64::MAX]) {
            let mut out = String::new();
            super::put_hex(&mut out, number);
            assert_eq!(out, format!("{number:#x}"));
        }
    }
}
