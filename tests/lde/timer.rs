//! The timer's rate: the rate that the kernel measures is the rate that the host passed to it.

use abi::record::Timer;
use trace::{Boot, What};

use crate::run::{Run, run};
use crate::support::{TestResult, ensure};

const QUANTUM_US: u64 = 2_000;
/// How often the hog is interrupted at least.
const TICKS: usize = 20;
/// A busy host makes ticks late, but only a wrong unit or a wrong divider makes the rate so wrong.
const FACTOR: u64 = 5;

/// The rate by the kernel's own measurement at boot, and the time from tick to tick, in each mode of the timer. Medians:
/// a host that stalls spoils some of the times, and a wrong rate all of them.
pub fn runs_at_the_rate_given() -> TestResult {
    let mut rates = Vec::new();
    for mode in Timer::ALL.iter().map(|mode| mode.name()) {
        let quantum = format!("{QUANTUM_US}us");
        let run = run(&["hog 400", "--quantum", &quantum, "--timer", mode], 0)?;
        let timer = run.events.iter().find_map(|event| match event.what {
            What::Boot(Boot::Timer { tsc_khz, apic_khz, apic_khz_measured, .. }) => {
                Some((tsc_khz, apic_khz, apic_khz_measured))
            }
            _ => None,
        });
        let (tsc_khz, passed, measured) = timer.ok_or("the kernel recorded no timer")?;
        rates.push((passed, measured));
        is_near(
            &format!("{mode}: cycles from tick to tick"),
            QUANTUM_US * tsc_khz / 1000,
            tick_period(&run)?,
        )?;
    }
    let measured = median(rates.iter().map(|(_, measured)| *measured).collect());
    is_near("kHz of the LAPIC", rates[0].0, measured)
}

/// The time from tick to tick, in cycles of the TSC.
fn tick_period(run: &Run) -> Result<u64, libtest_mimic::Failed> {
    let ticks = run.events.iter().filter(|event| matches!(event.what, What::Tick { .. }));
    let times: Vec<u64> = ticks.map(|event| event.tsc).collect();
    ensure(times.len() >= TICKS, || format!("there are only {} ticks", times.len()))?;
    Ok(median(times.windows(2).map(|pair| pair[1] - pair[0]).collect()))
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

fn is_near(what: &str, passed: u64, found: u64) -> TestResult {
    let near = passed / FACTOR..=passed * FACTOR;
    ensure(near.contains(&found), || format!("{what}: the host passed {passed}, the kernel found {found}"))
}
