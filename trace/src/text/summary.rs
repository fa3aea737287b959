//! The summary of a run as text: what happened how often, the processes, and how the run ended.

use super::layout::put_wrapped;
use crate::analysis::summary::{LISTED_MAX, kind_name};
use crate::analysis::{ProcessSummary, Summary};

/// Where the names of counts start.
const MARGIN: usize = 9;

/// The summary in lines of at most `width` columns, unless a name is longer.
pub fn text(summary: &Summary, width: usize) -> String {
    let mut out = String::new();
    let milliseconds = summary.nanoseconds as f64 / 1e6;
    let line = format!(
        "{} events in {milliseconds:.3} ms{} (switches {}, ticks {}, system calls {})",
        summary.events,
        if summary.is_emulated { ", emulated" } else { "" },
        summary.switches,
        summary.ticks,
        summary.calls.values().sum::<u64>()
    );
    put_wrapped(&mut out, &line, 0, width);
    let kinds = summary.kinds.iter().map(|(&kind, count)| format!("{} {count}", kind_name(kind)));
    put_counts(&mut out, "  kinds  ", kinds, width);
    put_counts(
        &mut out,
        "  calls  ",
        summary.calls.iter().map(|(name, count)| format!("{name} {count}")),
        width,
    );
    put_processes(&mut out, summary, width);
    if !summary.refused.is_empty() {
        let times = |count| if count == 1 { "once".into() } else { format!("{count} times") };
        let calls = summary.refused.iter().map(|(name, &count)| format!("{name} ({})", times(count)));
        let calls = calls.collect::<Vec<_>>().join(", ");
        put_wrapped(&mut out, &format!("calls that the kernel does not have: {calls}"), 2, width);
        out.push('\n');
    }
    if summary.events > 0 && summary.guest_events == 0 {
        put_wrapped(&mut out, "the guest left no records", 2, width);
    }
    if !summary.unanswered.is_empty() {
        let counts = summary.unanswered.iter().map(|(name, count)| format!("{name} {count}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        put_wrapped(&mut out, &format!("accesses that no device answered: {counts}"), 2, width);
    }
    for (name, reason) in &summary.not_loaded {
        put_wrapped(&mut out, &format!("{name} was not loaded: {reason}"), 2, width);
    }
    match summary.not_loaded_count.saturating_sub(summary.not_loaded.len() as u64) {
        0 => {}
        more => put!(out, "  and {more} more were not loaded\n"),
    }
    if let Some(panic) = &summary.panic {
        put_wrapped(&mut out, &format!("kernel panic: {panic}"), 2, width);
    }
    put_wrapped(&mut out, &format!("The end: {}.", summary.ending_words()), 0, width);
    out
}

fn put_processes(out: &mut String, summary: &Summary, width: usize) {
    if summary.processes.is_empty() {
        return;
    }
    let listed = || summary.processes.iter().take(LISTED_MAX);
    let widest = listed().map(|(&number, process)| process.label(number).chars().count());
    let names = widest.max().unwrap_or(0).max("process".len());
    put!(out, "\n  {:names$} {:>8} {:>8} {:>8}  end\n", "process", "ticks", "calls", "turns");
    for (&number, process) in listed() {
        let ProcessSummary { ticks, calls, switches_in, .. } = process;
        let line = format!("  {:names$} {ticks:>8} {calls:>8} {switches_in:>8}", process.label(number));
        out.push_str(&line);
        put_wrapped(out, &process.end_words(), line.chars().count().saturating_add(2), width);
    }
    match summary.processes.len().saturating_sub(LISTED_MAX) {
        0 => {}
        more => put!(out, "  and {more} more processes\n"),
    }
    out.push('\n');
}

/// `  label  name 12, name 3`, in lines that are broken between the counts.
fn put_counts(out: &mut String, label: &str, counts: impl Iterator<Item = String>, width: usize) {
    let mut counts = counts.peekable();
    if counts.peek().is_none() {
        return;
    }
    out.push_str(label);
    let mut column = MARGIN;
    while let Some(mut count) = counts.next() {
        if counts.peek().is_some() {
            count.push(',');
        }
        let wide = count.chars().count();
        let before = if column > MARGIN { 1 } else { 0 };
        if column > MARGIN && column.saturating_add(before).saturating_add(wide) > width {
            put!(out, "\n{:MARGIN$}{count}", "");
            column = MARGIN.saturating_add(wide);
        } else {
            put!(out, "{:before$}{count}", "");
            column = column.saturating_add(before).saturating_add(wide);
        }
    }
    out.push('\n');
}
