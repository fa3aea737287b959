//! The figures of a row: minimum, median, 99th percentile and spread of its samples.

use abi::bench::Header;
use serde::{Deserialize, Serialize};
use trace::analysis::diff::DEVIATIONS;
use trace::analysis::stat::Times;

use crate::machine::clock::Clock;

/// What a guest sent for a row.
pub type Samples = (Header, Vec<u64>);

/// The figures of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// How many samples there are.
    pub samples: u64,
    /// Over how many operations each is the mean.
    pub each: u64,
    /// What the clock and the loop took in a sample, in cycles. It is already subtracted.
    pub own_cycles: u64,
    /// Timer interrupts that did not come.
    pub lost: u64,
    /// In cycles of the TSC.
    pub cycles: Numbers,
    /// In nanoseconds.
    pub ns: Numbers,
}

/// The numbers of a row, for one operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Numbers {
    /// The smallest sample.
    pub minimum: u64,
    /// The median.
    pub median: u64,
    /// The bounds of the median: see [`Times::quantile_within`]. None: there are too few samples.
    pub median_within: Option<(u64, u64)>,
    /// The 99th percentile.
    pub p99: u64,
    /// The spread: from the first quartile to the third.
    pub spread: u64,
}

impl Figures {
    /// The figures of these samples, in cycles; none, if there is no sample.
    pub fn of(header: &Header, samples: &[u64], clock: &Clock) -> Option<Figures> {
        let minimum = *samples.iter().min()?;
        let mut times = Times::default();
        samples.iter().for_each(|cycles| times.add(*cycles));
        let quantile = |part| times.quantile(part);
        let cycles = Numbers {
            minimum,
            median: quantile(0.5),
            median_within: times.quantile_within(0.5, DEVIATIONS),
            p99: quantile(0.99),
            spread: quantile(0.75).saturating_sub(quantile(0.25)),
        };
        let ns = |cycles| clock.nanoseconds(cycles);
        let ns = Numbers {
            minimum: ns(cycles.minimum),
            median: ns(cycles.median),
            median_within: cycles.median_within.map(|(low, high)| (ns(low), ns(high))),
            p99: ns(cycles.p99),
            spread: ns(cycles.spread),
        };
        let Header { each, own, lost, .. } = *header;
        Some(Figures { samples: times.count(), each, own_cycles: own, lost, cycles, ns })
    }
}

/// Reads what a guest sent: headers, each with its samples. None: it is cut short.
pub fn read(bytes: &[u8]) -> Option<Vec<Samples>> {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    let mut rows = Vec::new();
    while let Some(row) = words.next() {
        let header = Header {
            row,
            count: words.next()?,
            each: words.next()?,
            own: words.next()?,
            lost: words.next()?,
        };
        let samples: Vec<u64> = words.by_ref().take(usize::try_from(header.count).ok()?).collect();
        if samples.len() as u64 != header.count {
            return None;
        }
        rows.push((header, samples));
    }
    rest.is_empty().then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK_KHZ: u64 = 2_000_000;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn rows_are_read_and_a_cut_is_seen() {
        let sent = bytes(&[3, 2, 1, 40, 0, 500, 600, 4, 0, 8, 40, 5]);
        let rows = read(&sent).unwrap();
        assert_eq!(rows[0].1, [500, 600]);
        assert_eq!(rows[1].0, Header { row: 4, count: 0, each: 8, own: 40, lost: 5 });
        let wholes = [0, 56, sent.len()];
        for end in (0..sent.len()).filter(|end| !wholes.contains(end)) {
            assert!(read(&sent[..end]).is_none(), "cut at {end}");
        }
        assert!(read(&bytes(&[3, u64::MAX, 1, 0, 0])).is_none());
    }

    #[test]
    fn figures_are_in_order() {
        let header = Header { row: 0, count: 100, each: 1, own: 0, lost: 0 };
        let samples: Vec<u64> = (1..=100).map(|n| 1000 * n).collect();
        let figures = Figures::of(&header, &samples, &Clock::new(0, 0, 0, CLOCK_KHZ)).unwrap();
        assert_eq!((figures.samples, figures.cycles.minimum, figures.ns.minimum), (100, 1000, 500));
        let Numbers { minimum, median, p99, spread, .. } = figures.cycles;
        assert!(minimum < median && median < p99 && spread.abs_diff(50_000) < 100, "{figures:?}");
        assert!(Figures::of(&header, &[], &Clock::new(0, 0, 0, CLOCK_KHZ)).is_none());
    }
}
