//! Durations, many of them in little memory: an HDR histogram, whose quantiles are true to a part in a thousand.

use hdrhistogram::Histogram;

/// Decimal digits that a quantile keeps.
const DIGITS: u8 = 3;
/// The longest duration that has a bin of its own in a histogram, in cycles: some minutes. What is longer counts as this long in
/// quantiles; total and longest stay exact.
const LONGEST: u64 = 1 << 40;
/// The first bin of [`Times::bins`] ends here, in cycles: less is noise of the clock.
const FIRST_BIN: u64 = 64;
/// Each bin ends at so many times the end of the one before: four to a doubling, as fine as a small picture shows.
const BIN_RATIO: f64 = 1.189_207_115_002_721;

/// A distribution of durations in TSC cycles.
#[derive(Clone, Debug)]
pub struct Times {
    /// 8 KiB, and as the durations grow up to 124 KiB. A trace can name some 700 calls, vectors and processes that have one
    /// each; with bins of 64 bits, that would be too much. In 32 bits a bin is full only in a trace of a hundred gigabytes.
    histogram: Histogram<u32>,
    total: u64,
    longest: u64,
}

impl Default for Times {
    fn default() -> Times {
        let histogram = Histogram::new(DIGITS).expect("so many digits are what it takes");
        Times { histogram, total: 0, longest: 0 }
    }
}

impl Times {
    /// Takes in a duration, in cycles.
    pub fn add(&mut self, cycles: u64) {
        self.histogram.record(cycles.min(LONGEST)).expect("it grows up to there");
        self.total = self.total.saturating_add(cycles);
        self.longest = self.longest.max(cycles);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Their sum, in cycles.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Their mean, in cycles; 0 if there are none.
    pub fn mean(&self) -> u64 {
        self.total.checked_div(self.count()).unwrap_or(0)
    }

    /// The longest, in cycles.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// The shape: the last duration of each bin that holds any, in cycles, and how many it holds.
    pub fn bins(&self) -> impl Iterator<Item = (u64, u64)> {
        let bins = self.histogram.iter_log(FIRST_BIN, BIN_RATIO);
        let bins = bins.map(|bin| (bin.value_iterated_to(), bin.count_since_last_iteration()));
        bins.filter(|&(_, count)| count > 0)
    }

    /// The smallest duration that at least this part of all do not exceed, in cycles; 0 if there are none.
    pub fn quantile(&self, part: f64) -> u64 {
        self.histogram.value_at_quantile(part).min(self.longest)
    }

    /// Where the quantile of whatever these are a sample of lies, in cycles, `deviations` standard deviations to either
    /// side. None: there are too few.
    ///
    /// How many of `n` durations lie below the true quantile is a binomial count, whatever the distribution. So the
    /// bounds are durations of the sample: those whose ranks are so far from the middle of that count.
    pub fn quantile_within(&self, part: f64, deviations: f64) -> Option<(u64, u64)> {
        let count = self.count() as f64;
        let half = deviations * (count * part * (1.0 - part)).sqrt();
        let low = (count * part - half).floor();
        let high = (count * part + half).ceil() + 1.0;
        // Half a rank less keeps the division from rounding up to the next.
        let at_rank = |rank: f64| self.quantile((rank - 0.5) / count);
        (low >= 1.0 && high <= count).then(|| (at_rank(low), at_rank(high)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(durations: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        durations.into_iter().for_each(|cycles| times.add(cycles));
        times
    }

    #[test]
    fn quantiles_are_durations_that_occurred() {
        let times = times((1..=100).map(|n| 10 * n));
        assert_eq!((times.count(), times.total(), times.mean(), times.longest()), (100, 50_500, 505, 1000));
        assert_eq!([0.5, 0.9, 0.99, 1.0].map(|part| times.quantile(part)), [500, 900, 990, 1000]);
    }

    #[test]
    fn the_bins_hold_every_duration_once() {
        let times = times((1..=1000).map(|n| 97 * n));
        assert_eq!(times.bins().map(|(_, count)| count).sum::<u64>(), 1000);
        for (last, _) in times.bins() {
            let below: u64 = times.bins().filter(|&(bin, _)| bin <= last).map(|(_, count)| count).sum();
            // To a part in a thousand, as the histogram is.
            assert!(
                (last.min(times.longest()) / 97).abs_diff(below) <= 1 + below / 500,
                "{below} up to {last}"
            );
        }
        assert_eq!(Times::default().bins().count(), 0);
    }

    #[test]
    fn nothing_and_too_much_are_no_trouble() {
        let none = Times::default();
        assert_eq!((none.count(), none.mean(), none.quantile(0.5)), (0, 0, 0));
        assert_eq!(none.quantile_within(0.5, 2.0), None);
        let absurd = times([u64::MAX, u64::MAX]);
        assert_eq!((absurd.count(), absurd.total(), absurd.longest()), (2, u64::MAX, u64::MAX));
        assert!(absurd.quantile(0.5) >= LONGEST);
    }

    #[test]
    fn the_bounds_of_a_quantile_are_ranks() {
        // 100 / 2 -+ 2 * sqrt(100 / 4) = 40 and 60, and one rank more for the upper.
        assert_eq!(times(1..=100).quantile_within(0.5, 2.0), Some((40, 61)));
        // 990 -+ 2 * sqrt(9.9), rounded outwards.
        assert_eq!(times(1..=1000).quantile_within(0.99, 2.0), Some((983, 998)));
        assert_eq!(times(1..=100).quantile_within(0.99, 2.0), None);
    }
}
