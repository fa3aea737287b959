//! Compares the durations of two traces: is a difference larger than the spread within each trace?

use crate::analysis::hardware::vector_name;
use crate::analysis::stat::{Stat, Times, call_name};
use crate::file::Clock;
use serde::Serialize;

/// The quantiles that are compared: median and 99 %.
pub const QUANTILES: [f64; 2] = [0.5, 0.99];
/// Half the width of a quantile's bounds, in standard deviations of its rank. 3.5 of them hold for 20 medians at once in
/// 99 % of samples (Bonferroni). Durations of a run that follow each other are alike, which makes the bounds 1.5 times as
/// wide: docs/stat.md has the measurement.
pub const DEVIATIONS: f64 = 5.2;
/// How far a quantile moves from run to run with nothing changed, as a part of it: what the host does to a run lasts for
/// many durations, so the spread within a run does not show it. Most quantiles of equal runs differ by less, not all.
pub const DRIFT: f64 = 0.08;

/// Durations that the host decides more than the kernel.
const NOT_JUDGED: [&str; 2] = ["wait for the CPU", "tick jitter"];

/// A kind of duration that both traces have.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// What it measures.
    pub name: String,
    /// How many there are, in each trace.
    pub counts: [u64; 2],
    /// Their sums, in nanoseconds.
    pub totals_ns: [u64; 2],
    /// Its quantiles, those of [`QUANTILES`], of which only the median is judged.
    pub quantiles: [Quantile; 2],
}

/// A quantile in both traces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// Which.
    pub part: f64,
    /// Its value in each trace, in nanoseconds.
    pub ns: [u64; 2],
    /// The interval that it lies in, by [`Times::quantile_within`], in nanoseconds. `None` if there are too few durations.
    pub within_ns: [Option<(u64, u64)>; 2],
    /// Whether the difference is real.
    pub verdict: Verdict,
}

/// Whether the difference of two quantiles is more than chance within the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Their intervals do not overlap, and they differ by more than equal runs do.
    Real,
    /// It may be chance.
    NotShown,
    /// A trace has too few durations for an interval.
    TooFew,
    /// The host decides it more than the kernel: a 99th percentile, the jitter of ticks, or the wait for the CPU.
    NotJudged,
}

impl Measure {
    fn of(name: String, times: [&Times; 2], clocks: [&Clock; 2]) -> Measure {
        let is_of_host = NOT_JUDGED.contains(&&*name);
        let both = |value: &dyn Fn(&Times) -> u64| [0, 1].map(|side| clocks[side].span(value(times[side])));
        Measure {
            name,
            counts: times.map(Times::count),
            totals_ns: both(&Times::total),
            quantiles: QUANTILES.map(|part| {
                let within = |side: usize| {
                    let (low, high) = times[side].quantile_within(part, DEVIATIONS)?;
                    Some((clocks[side].span(low), clocks[side].span(high)))
                };
                let within_ns = [within(0), within(1)];
                let ns = both(&|times| times.quantile(part));
                let is_judged = part == QUANTILES[0] && !is_of_host;
                let verdict = if is_judged { verdict(ns, within_ns) } else { Verdict::NotJudged };
                Quantile { part, ns, within_ns, verdict }
            }),
        }
    }

    /// Whether the two are equal.
    pub fn is_same(&self) -> bool {
        let [first, second] = self.totals_ns;
        let is_same = |quantile: &Quantile| quantile.ns[0] == quantile.ns[1];
        self.counts[0] == self.counts[1] && first == second && self.quantiles.iter().all(is_same)
    }
}

/// Compares two quantiles by their intervals.
pub fn verdict(ns: [u64; 2], within: [Option<(u64, u64)>; 2]) -> Verdict {
    let is_beyond_drift = ns[0].abs_diff(ns[1]) as f64 > DRIFT * ns[0].min(ns[1]) as f64;
    match within {
        [Some(first), Some(second)] if is_beyond_drift && (first.1 < second.0 || second.1 < first.0) => {
            Verdict::Real
        }
        [Some(_), Some(_)] => Verdict::NotShown,
        _ => Verdict::TooFew,
    }
}

/// All durations that both traces have.
pub fn measures(stats: &[Stat; 2]) -> Vec<Measure> {
    let [first, second] = stats.each_ref().map(durations);
    let clocks = stats.each_ref().map(|stat| &stat.clock);
    let find = |name: &str| second.iter().find(|(other, _)| other == name).map(|(_, times)| *times);
    let both = first.into_iter().filter_map(|(name, times)| Some((find(&name)?, name, times)));
    both.map(|(other, name, times)| Measure::of(name, [times, other], clocks)).collect()
}

/// The durations of a trace, each with a name, without those that never occurred.
fn durations(stat: &Stat) -> Vec<(String, &Times)> {
    let calls = stat.calls.iter().map(|(&number, traps)| (call_name(number).to_owned(), &traps.kernel));
    let traps = stat.traps.iter().map(|(&vector, traps)| (vector_name(vector), &traps.kernel));
    let whole = &stat.switches.whole;
    let whole = whole.iter().map(|(reason, times)| (format!("switch, {}", reason.name()), times));
    let rest = [
        ("wait for the CPU", &stat.switches.wait),
        ("tick to tick", &stat.ticks.period),
        ("tick jitter", &stat.ticks.jitter),
    ];
    let rest = rest.map(|(name, times)| (name.to_owned(), times));
    calls.chain(traps).chain(whole).chain(rest).filter(|(_, times)| times.count() > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(durations: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        durations.into_iter().for_each(|cycles| times.add(cycles));
        times
    }

    fn median(first: &Times, second: &Times) -> Quantile {
        // A cycle of the first clock is a nanosecond, and of the second half a nanosecond.
        let clocks = [Clock::new(0, 1_000_000), Clock::new(0, 2_000_000)];
        Measure::of(String::new(), [first, second], clocks.each_ref()).quantiles[0]
    }

    #[test]
    fn a_difference_is_real_beyond_the_spread() {
        // Ranks 500 -+ 5.2 * sqrt(250): 417 and 583, and one more.
        let (slow, fast) = (times(1..=1000), times(2001..=3000));
        let found = median(&slow, &fast);
        assert_eq!(found.ns, [500, 1250]);
        assert_eq!(found.within_ns, [Some((417, 584)), Some((1208, 1292))]);
        assert_eq!(found.verdict, Verdict::Real);
        let near = times((1..=1000).map(|n| 2 * n + 100));
        assert_eq!(median(&slow, &near).verdict, Verdict::NotShown);
        assert_eq!(median(&slow, &times(1..=3)).verdict, Verdict::TooFew);
    }

    #[test]
    fn a_difference_is_not_real_that_equal_runs_have() {
        // The intervals have no width, so even such a small difference leaves them apart.
        let (one, drifted, other) = (times([1000; 100]), times([2150; 100]), times([2180; 100]));
        assert_eq!(median(&one, &drifted).verdict, Verdict::NotShown);
        assert_eq!(median(&one, &other).verdict, Verdict::Real);
    }
}
