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

/// What besides the measured code differs between the results, in sentences: a change of a row may come from it.
pub fn differences(old: &Bench, new: &Bench) -> Vec<String> {
    let both = [
        ("version of Trapline", &old.trapline, &new.trapline),
        ("CPU", &old.cpu, &new.cpu),
        ("KVM back end", &old.back_end, &new.back_end),
    ];
    let others = both.into_iter().filter(|(_, before, now)| before != now);
    others
        .map(|(what, before, now)| format!("the earlier result is of another {what}: {before}, not {now}"))
        .collect()
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

    #[test]
    fn another_version_or_host_is_named() {
        let bench = |trapline: &str, cpu: &str, back_end: &str| Bench {
            version: crate::bench::VERSION,
            trapline: trapline.into(),
            cpu: cpu.into(),
            back_end: back_end.into(),
            is_nested: false,
            tsc_khz: 1,
            rows: Vec::new(),
        };
        let new = bench("0.2.0", "A", "kvm_amd");
        assert!(differences(&new, &new).is_empty());
        let old = bench("0.1.0", "B", "kvm_intel");
        let sentences = differences(&old, &new);
        for named in [["0.1.0", "0.2.0"], ["B", "A"], ["kvm_intel", "kvm_amd"]] {
            assert!(
                sentences.iter().any(|line| named.iter().all(|word| line.contains(word))),
                "{sentences:?}"
            );
        }
        let text = crate::bench::text::comparison(&old, &new, &[]);
        assert!(sentences.iter().all(|line| text.contains(line)), "{text}");
    }
}
