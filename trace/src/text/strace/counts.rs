//! The table of `strace -c`: how often each call was made, how often it failed, and how long it took.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    calls: u64,
    errors: u64,
    nanoseconds: u64,
}

/// The counts of all processes.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<Cow<'static, str>, Count>);

impl Counts {
    /// A call has come back.
    pub(super) fn add(&mut self, name: Cow<'static, str>, nanoseconds: u64, is_error: bool) {
        let count = self.0.entry(name).or_default();
        count.calls = count.calls.saturating_add(1);
        count.errors = count.errors.saturating_add(is_error.into());
        count.nanoseconds = count.nanoseconds.saturating_add(nanoseconds);
    }

    /// Writes the table, the calls that took longest first.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let line = format!("{:-<6} {:-<11} {:-<11} {:-<9} {:-<9} {:-<16}", "", "", "", "", "", "");
        let mut total = Count::default();
        for count in self.0.values() {
            total.calls = total.calls.saturating_add(count.calls);
            total.errors = total.errors.saturating_add(count.errors);
            total.nanoseconds = total.nanoseconds.saturating_add(count.nanoseconds);
        }
        let mut rows: Vec<_> = self.0.iter().collect();
        rows.sort_by_key(|(name, count)| (std::cmp::Reverse(count.nanoseconds), *name));
        writeln!(out, "% time     seconds  usecs/call     calls    errors syscall\n{line}")?;
        for (name, count) in rows {
            write_row(out, name, count, total.nanoseconds)?;
        }
        writeln!(out, "{line}")?;
        write_row(out, "total", &total, total.nanoseconds)
    }
}

fn write_row(out: &mut impl Write, name: &str, count: &Count, all: u64) -> io::Result<()> {
    let share = if all == 0 { 0.0 } else { count.nanoseconds as f64 * 100.0 / all as f64 };
    let seconds = count.nanoseconds as f64 / 1e9;
    let each = (count.nanoseconds / 1000).checked_div(count.calls).unwrap_or(0);
    let errors = if count.errors == 0 { String::new() } else { count.errors.to_string() };
    writeln!(out, "{share:6.2} {seconds:11.6} {each:11} {:9} {errors:>9} {name}", count.calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_straces() {
        let mut counts = Counts::default();
        counts.add("write".into(), 100_000, false);
        counts.add("read".into(), 200_000, true);
        counts.add("read".into(), 100_000, false);
        let mut table = Vec::new();
        counts.write(&mut table).unwrap();
        let expected = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 75.00    0.000300         150         2         1 read
 25.00    0.000100         100         1           write
------ ----------- ----------- --------- --------- ----------------
100.00    0.000400         133         3         1 total
";
        assert_eq!(String::from_utf8(table).unwrap(), expected);
    }
}
