//! The numbers as JSON. `docs/stat.md` says what each means; all times are in nanoseconds.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Process, Stat, Switches, Ticks, Times, Traps, call_name};
use crate::analysis::damage_lines;
use crate::analysis::hardware::{exit_reason, vector_name};
use crate::file::{Clock, Trace};

/// The version of this form: fields may be added, none changes its meaning within a version.
const VERSION: u32 = 1;

/// The numbers of traces, each with the name of its file.
pub fn json(traces: &[(String, Trace, Stat)]) -> Value {
    let traces: Vec<_> = traces.iter().map(|(file, trace, stat)| json_of_one(file, trace, stat)).collect();
    json!({ "version": VERSION, "traces": traces })
}

/// The numbers of one trace.
pub fn json_of_one(file: &str, trace: &Trace, stat: &Stat) -> Value {
    with(numbers(stat), json!({ "file": file, "meta": trace.meta(), "damage": damage_lines(trace.damage()) }))
}

fn numbers(stat: &Stat) -> Value {
    let clock = &stat.clock;
    let shares: Map<String, Value> = stat
        .shares
        .named()
        .iter()
        .map(|&(name, cycles)| (format!("{name}_ns"), clock.span(cycles).into()))
        .collect();
    let calls = stat.calls.iter().map(|(&number, call)| {
        let known = (number != super::UNKNOWN_CALL).then_some(number);
        with(traps(call, clock), json!({ "name": call_name(number), "number": known }))
    });
    let vectors = stat.traps.iter().map(|(&vector, of_vector)| {
        with(traps(of_vector, clock), json!({ "name": vector_name(vector), "vector": vector }))
    });
    let processes = stat.processes.iter().map(|(&number, of)| process(number, of, clock));
    let exits = stat.exits.iter().map(|(&reason, exits)| {
        json!({
            "name": exit_reason(reason), "reason": reason, "count": exits.count,
            "guest_ns": exits.guest_ns, "host_ns": exits.host_ns,
        })
    });
    let counters: Map<String, Value> =
        stat.counters.iter().map(|(counter, &value)| (counter.name().into(), value.into())).collect();
    json!({
        "events": stat.events,
        "guest_events": stat.guest_events,
        "kinds": kinds(stat),
        "duration_ns": stat.nanoseconds,
        "cpu": shares,
        "system_calls": calls.collect::<Vec<_>>(),
        "traps": vectors.collect::<Vec<_>>(),
        "processes": processes.collect::<Vec<_>>(),
        "switches": switches(&stat.switches, clock),
        "ticks": ticks(&stat.ticks, clock),
        "exits": exits.collect::<Vec<_>>(),
        "host": counters,
    })
}

fn kinds(stat: &Stat) -> Map<String, Value> {
    let seen = (0..=u8::MAX).zip(stat.kinds).filter(|&(_, count)| count > 0);
    seen.map(|(kind, count)| (crate::analysis::summary::kind_name(kind).into_owned(), count.into())).collect()
}

fn times(times: &Times, clock: &Clock) -> Value {
    let quantile = |part| clock.span(times.quantile(part));
    let total = clock.span(times.total());
    json!({
        "count": times.count(),
        "total_ns": total,
        // Not of the mean in cycles, which is rounded already.
        "mean_ns": total.checked_div(times.count()).unwrap_or(0),
        "p50_ns": quantile(0.5),
        "p90_ns": quantile(0.9),
        "p99_ns": quantile(0.99),
        "max_ns": clock.span(times.longest()),
        "histogram": histogram(times, clock),
    })
}

/// Bins that end in the same nanosecond are one.
fn histogram(times: &Times, clock: &Clock) -> Map<String, Value> {
    let mut bins = BTreeMap::<u64, u64>::new();
    for (last, count) in times.bins() {
        let bin = bins.entry(clock.span(last)).or_default();
        *bin = bin.saturating_add(count);
    }
    bins.into_iter().map(|(last, count)| (last.to_string(), count.into())).collect()
}

fn traps(traps: &Traps, clock: &Clock) -> Value {
    json!({
        "count": traps.count,
        "errors": traps.errors,
        "kernel": times(&traps.kernel, clock),
        "ready_ns": clock.span(traps.ready),
        "asleep_ns": clock.span(traps.asleep),
    })
}

fn process(number: u16, process: &Process, clock: &Clock) -> Value {
    json!({
        "number": number, "name": process.name, "end": process.end.json(),
        "system_calls": process.calls, "errors": process.errors, "faults": process.faults,
        "ticks": process.ticks, "turns": process.turns,
        "user_ns": clock.span(process.user), "kernel_ns": clock.span(process.kernel),
        "ready_ns": clock.span(process.ready), "asleep_ns": clock.span(process.asleep),
        "traps": process.traps.as_ref().map(|traps| times(traps, clock)),
    })
}

fn switches(switches: &Switches, clock: &Clock) -> Value {
    let whole = switches.whole.iter().map(|(reason, whole)| (reason.name().into(), times(whole, clock)));
    json!({
        "count": switches.count,
        "whole": whole.collect::<Map<_, _>>(),
        "save_to_load": times(&switches.save_to_load, clock),
        "wait": times(&switches.wait, clock),
    })
}

fn ticks(ticks: &Ticks, clock: &Clock) -> Value {
    json!({
        "count": ticks.count,
        "asked_ns": clock.span(ticks.asked),
        "period": times(&ticks.period, clock),
        "jitter": times(&ticks.jitter, clock),
    })
}

/// One object of two.
fn with(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_rounded_once() {
        let mut both = Times::default();
        both.add(1);
        both.add(2);
        // A cycle of this clock is 2500 ns.
        assert_eq!(times(&both, &Clock::new(0, 400))["mean_ns"], 3750);
        assert_eq!(times(&Times::default(), &Clock::new(0, 400))["mean_ns"], 0);
    }
}
