//! Compares two results, row by row.

use serde::Serialize;
use trace::analysis::diff::{DEVIATIONS, DRIFT, Verdict, verdict};

use super::{Bench, Row};

/// The test, in words.
pub fn test() -> String {
    let percent = 100.0 * DRIFT;
    format!(
        "Test: the true median of a row lies within {DEVIATIONS} standard deviations of its rank, whatever the distribution of \
         the samples. A row is better or worse if these intervals of the two results do not overlap and the medians differ by \
         more than {percent:.0} %, by which equal runs differ. All else is noise. `trapline diff` uses the same test."
    )
}

/// How a row compares with the same row of an earlier result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It takes less time.
    Better,
    /// It takes more time.
    Worse,
    /// The difference may be chance.
    Noise,
    /// One of the results does not have it.
    NotComparable,
}

impl Change {
    /// As text.
    pub fn name(self) -> &'static str {
        match self {
            Change::Better => "better",
            Change::Worse => "worse",
            Change::Noise => "noise",
            Change::NotComparable => "not comparable",
        }
    }
}

/// A row in both results.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// The median of each result in nanoseconds, the earlier first.
    pub medians_ns: [Option<u64>; 2],
    /// The verdict.
    pub change: Change,
}

/// Compares each row of `new` with `old`.
pub fn compare(old: &Bench, new: &Bench) -> Vec<Compared> {
    new.rows.iter().map(|row| compare_row(old.row(&row.group, &row.name), row)).collect()
}

fn compare_row(old: Option<&Row>, new: &Row) -> Compared {
    let both = [old.and_then(|row| row.figures.as_ref()), new.figures.as_ref()];
    let medians_ns = both.map(|figures| figures.map(|figures| figures.ns.median));
    let change = match (both, medians_ns) {
        ([Some(first), Some(second)], [Some(before), Some(after)]) => {
            let within = [first.ns.median_within, second.ns.median_within];
            match verdict([before, after], within) {
                Verdict::Real if after < before => Change::Better,
                Verdict::Real => Change::Worse,
                _ => Change::Noise,
            }
        }
        _ => Change::NotComparable,
    };
    Compared { group: new.group.clone(), name: new.name.clone(), medians_ns, change }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Figures;
    use crate::machine::clock::Clock;
    use abi::bench::Header;

    fn row(samples: impl Iterator<Item = u64>) -> Row {
        let samples: Vec<u64> = samples.collect();
        let header = Header { row: 0, count: 0, each: 1, own: 0, lost: 0 };
        let figures = Figures::of(&header, &samples, &Clock::new(0, 0, 0, 1_000_000));
        Row { group: "g".into(), name: "n".into(), meaning: String::new(), figures, unmeasured: None }
    }

    #[test]
    fn a_change_is_beyond_the_spread() {
        let change = |old: &Row, new: &Row| compare_row(Some(old), new).change;
        let (fast, slow) = (row(1000..2000), row(5000..6000));
        assert_eq!(change(&fast, &slow), Change::Worse);
        assert_eq!(change(&slow, &fast), Change::Better);
        assert_eq!(change(&slow, &slow), Change::Noise);
        assert_eq!(change(&fast, &row(1001..2001)), Change::Noise);
        assert_eq!(change(&row(1..3), &slow), Change::Noise, "too few samples");
        assert_eq!(change(&row(1..1), &slow), Change::NotComparable);
        assert_eq!(compare_row(None, &slow).change, Change::NotComparable);
    }
}
