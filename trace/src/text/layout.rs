//! What the texts share: wrapped paragraphs, durations, and the setting of a run.

use std::ops::Range;

use comfy_table::{CellAlignment, Table, presets};
use unicode_width::UnicodeWidthStr;

use crate::file::{Meta, printable};

/// Columns of a text where nothing else is asked for.
pub const WIDTH: usize = 100;
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

/// Appends a text from the column `margin` on, in lines of at most `width` columns that are broken between words. A last line
/// without an end is continued.
pub fn put_wrapped(out: &mut String, text: &str, margin: usize, width: usize) {
    let mut column = out.chars().rev().take_while(|last| *last != '\n').count();
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let end = column.saturating_add(1).saturating_add(length);
        if column > margin && end > width {
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

/// Appends a table without borders: the first `names` columns stand on the left, the others on the right. Where the table is
/// wider than `width`, the columns that do not fit follow below, behind the names again.
pub(super) fn put_table(out: &mut String, rows: &[Vec<String>], names: usize, gap: usize, width: usize) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell =
        |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| UnicodeWidthStr::width(&**cell));
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| cell(row, column)).max().unwrap_or(0).saturating_add(gap))
        .collect();
    let of_names: usize = widths.iter().take(names).sum();
    let mut first = names;
    while first < columns {
        let mut end = of_names.saturating_sub(gap);
        let fits = |width_of: &&usize| {
            end = end.saturating_add(**width_of);
            end <= width
        };
        let count = widths.iter().skip(first).take_while(fits).count().max(1);
        let last = first.saturating_add(count);
        put_columns(out, rows, names, first..last, gap);
        first = last;
    }
}

fn put_columns(out: &mut String, rows: &[Vec<String>], names: usize, shown: Range<usize>, gap: usize) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for row in rows {
        let cells = row.iter().take(names).chain(row.iter().take(shown.end).skip(shown.start));
        table.add_row(cells);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if index < names { CellAlignment::Left } else { CellAlignment::Right });
        column.set_padding((if index > 0 { gap as u16 } else { 0 }, 0));
    }
    table.lines().for_each(|line| {
        out.push_str(line.trim_end());
        out.push('\n');
    });
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
