//! What the texts share: wrapped paragraphs, durations, and the setting of a run.

use crate::file::{Meta, printable};

/// Columns of the text.
pub(super) const WIDTH: usize = 100;
/// The margin of the explanations.
pub(super) const MARGIN: usize = 3;

/// Where and how a run was made.
pub(super) fn setting(meta: &Meta) -> String {
    let options = &meta.options;
    printable(&format!(
        "{}, {}; policy {}, quantum {} µs, timer {}, batch {}",
        meta.host_cpu,
        meta.engine(),
        options.policy,
        options.quantum_us,
        options.timer,
        options.batch
    ))
}

/// Appends a text from the column `margin` on, in lines of at most 100 columns that are broken between words.
pub(super) fn put_wrapped(out: &mut String, text: &str, margin: usize) {
    let mut column = out.chars().rev().take_while(|last| *last != '\n').count();
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let end = column.saturating_add(1).saturating_add(length);
        if column > margin && end > WIDTH {
            out.push('\n');
            column = 0;
        }
        let before = if column > margin { 1 } else { margin.saturating_sub(column) };
        out.extend(std::iter::repeat_n(' ', before));
        out.push_str(word);
        column = column.saturating_add(before).saturating_add(length);
    }
    out.push('\n');
}

/// A duration in three digits and the unit that fits: `27.9 µs`.
pub fn duration(nanoseconds: u64) -> String {
    if nanoseconds < 1000 {
        return format!("{nanoseconds} ns");
    }
    let nanoseconds = nanoseconds as f64;
    // A value that would be rounded to 1000 is 1 of the next unit.
    let (value, unit) = match nanoseconds {
        ..999.5e3 => (nanoseconds / 1e3, "µs"),
        ..999.5e6 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let words = [0, 999, 1000, 9_994, 9_996, 27_949, 99_960, 999_499, 999_500, 12_345_678_901, 1 << 60];
        assert_eq!(
            words.map(duration),
            [
                "0 ns",
                "999 ns",
                "1.00 µs",
                "9.99 µs",
                "10.0 µs",
                "27.9 µs",
                "100 µs",
                "999 µs",
                "1.00 ms",
                "12.3 s",
                "1152921505 s"
            ]
        );
    }
}
