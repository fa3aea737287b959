//! A result as text: tables, and a chart with a logarithmic scale.

use std::fmt::Write as _;

use super::compare::{self, Compared};
use super::{Bench, Figures, Numbers, Row};

/// The width of a row's name, with the margin.
const NAME: usize = 34;
/// The chart starts at this time, and each column is a quarter of a decade.
const CHART_START_NS: f64 = 10.0;
const COLUMNS_PER_DECADE: f64 = 4.0;

/// The whole result.
pub fn text(bench: &Bench) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", host(bench));
    table(&mut out, bench, "nanoseconds", |figures| &figures.ns);
    out.push('\n');
    table(&mut out, bench, "cycles of the TSC", |figures| &figures.cycles);
    let _ = writeln!(
        out,
        "\nspread: from the first quartile to the third. Each # is a quarter of a power of ten, from 10 ns on."
    );
    tracing(&mut out, bench);
    let _ = writeln!(out, "\nWhat {} does:", bench.back_end);
    for row in first_of_groups(bench) {
        let _ = writeln!(out, "  {}: {}.", row.group, row.meaning);
    }
    out
}

/// The host, in a line or two.
pub(super) fn host(bench: &Bench) -> String {
    let mut text = format!("{}, back end {}, TSC {} kHz", bench.cpu, bench.back_end, bench.tsc_khz);
    if bench.cpu.contains("TCG") {
        text += "\nThis host's CPU is emulated, so all times are emulated and say nothing about hardware.";
    } else if bench.is_nested {
        text +=
            "\nThis host is a virtual machine itself, so an exit may take several exits of the one below.";
    }
    text
}

fn table(out: &mut String, bench: &Bench, unit: &str, numbers: fn(&Figures) -> &Numbers) {
    let is_ns = unit == "nanoseconds";
    let (wide, last) = ("", if is_ns { "  chart of the median" } else { "  samples" });
    let _ = writeln!(
        out,
        "{unit:NAME$}{wide}{:>11}{:>11}{:>11}{:>11}{last}",
        "minimum", "median", "p99", "spread"
    );
    let mut group = "";
    for row in &bench.rows {
        if row.group != group {
            group = &row.group;
            let _ = writeln!(out, "{group}");
        }
        let Some(figures) = &row.figures else {
            let reason = row.unmeasured.as_deref().unwrap_or_default();
            let _ = writeln!(out, "{:NAME$}not measured: {reason}", format!("  {}", row.name));
            continue;
        };
        let Numbers { minimum, median, p99, spread, .. } = numbers(figures);
        let last = if is_ns { chart(*median) } else { samples(figures) };
        let name = format!("  {}", row.name);
        let _ = writeln!(out, "{name:NAME$}{minimum:>11}{median:>11}{p99:>11}{spread:>11}  {last}");
    }
}

/// How many samples there are, and over how many operations each is the mean.
fn samples(figures: &Figures) -> String {
    let each = if figures.each > 1 { format!(" of {}", figures.each) } else { String::new() };
    let lost = if figures.lost > 0 { format!(", {} interrupts lost", figures.lost) } else { String::new() };
    format!("{}{each}{lost}", figures.samples)
}

fn chart(ns: u64) -> String {
    "#".repeat((decades(ns) * COLUMNS_PER_DECADE).round().max(0.0) as usize)
}

/// How many powers of ten a time is above the start of the chart.
pub(super) fn decades(ns: u64) -> f64 {
    (ns.max(1) as f64 / CHART_START_NS).log10()
}

/// What the records of a call cost.
fn tracing(out: &mut String, bench: &Bench) {
    for entry in ["syscall", "int 0x80"] {
        let median = |mode: &str| bench.median("null call", &format!("{entry}, {mode}"));
        if let (Some(without), Some(with)) = (median("untraced"), median("batched")) {
            let _ = writeln!(
                out,
                "A traced null call by {entry} takes {:.2} times an untraced one: {} ns more.",
                with as f64 / without.max(1) as f64,
                with.saturating_sub(without)
            );
        }
    }
}

/// The first row of each group.
pub(super) fn first_of_groups(bench: &Bench) -> impl Iterator<Item = &Row> {
    let mut group = "";
    bench.rows.iter().filter(move |row| {
        let is_first = row.group != group;
        group = &row.group;
        is_first
    })
}

/// A comparison with an earlier result.
pub fn comparison(old: &Bench, new: &Bench, rows: &[Compared]) -> String {
    let mut out = String::new();
    for difference in compare::differences(old, new) {
        let _ = writeln!(out, "Note: {difference}.");
    }
    let _ = writeln!(out, "{:NAME$}{:>12}{:>12}{:>10}", "median in nanoseconds", "before", "now", "change");
    for Compared { group, name, medians_ns, change } in rows {
        let name = format!("{group}: {name}");
        let [before, now] = medians_ns.map(|ns| ns.map_or("-".into(), |ns| ns.to_string()));
        let percent = match *medians_ns {
            [Some(before), Some(now)] if before > 0 => {
                format!("{:+.1} %", 100.0 * (now as f64 / before as f64 - 1.0))
            }
            _ => "-".into(),
        };
        let _ = writeln!(out, "{name:NAME$} {before:>11}{now:>12}{percent:>10}  {}", change.name());
    }
    let _ = writeln!(out, "{}", compare::test());
    out
}
