//! The numbers as text, of several traces side by side: a table a section, and under it what it means.

use std::fmt::Write;

use abi::record::{HostCounter, Kind};

use super::layout::{MARGIN, duration, put_table, put_wrapped, setting};
use crate::analysis::hardware::{exit_reason, vector_name};
use crate::analysis::stat::{Process, Stat, Times, Traps, call_name};
use crate::analysis::summary::LISTED_MAX;
use crate::file::{Clock, Meta, Trace};

/// A line of a section: what it is of, and its numbers.
type Row = (String, Vec<String>);

/// A table of the text.
struct Section {
    title: &'static str,
    columns: &'static [&'static str],
    /// What the numbers mean.
    legend: &'static str,
    rows: fn(&Stat) -> Vec<Row>,
}

const SECTIONS: [Section; 7] = [
    Section {
        title: "Who had the CPU",
        columns: &["time", "share"],
        legend: "programs: in user mode (policy direct: in ring 0). kernel: in the kernel, on behalf of the process \
                 that ran. switching: from storing the registers of one process to loading those of the next. \
                 scheduler: in the kernel's own loop. idle: waiting for an interrupt. boot: until the first process \
                 could start.",
        rows: shares,
    },
    Section {
        title: "System calls",
        columns: &TRAP_COLUMNS,
        legend: "total to max: time in the kernel, from the trap to the return, without the time in which the \
                 process was switched out. waiting: switched out during the call, but ready to run. asleep: \
                 switched out during the call, and not ready. A call that ends its process ends at the switch.",
        rows: |stat| {
            let row = |(&number, traps): (&u32, &Traps)| trap_row(call_name(number).into(), traps, stat);
            stat.calls.iter().map(row).collect()
        },
    },
    Section {
        title: "Traps",
        columns: &TRAP_COLUMNS,
        legend: "Every trap, with the same times as for system calls. errors: calls that returned an error, and \
                 faults that ended their process.",
        rows: |stat| {
            let row = |(&vector, traps): (&u8, &Traps)| trap_row(short_name(vector), traps, stat);
            stat.traps.iter().map(row).collect()
        },
    },
    Section {
        title: "Processes",
        columns: &PROCESS_COLUMNS,
        legend: "user, kernel: time on the CPU. p50, p99: time in the kernel for one trap (for the first 64 processes \
                 that trap). waiting: ready, while another process ran. A process that has not ended is counted until \
                 the end of the trace.",
        rows: processes,
    },
    Section {
        title: "Switches",
        columns: &TIMES_COLUMNS,
        legend: "From one process to another, by the reason of the switch. The time is from the trap of the old \
                 process to the return into the new one: everything between two instructions of user mode. save to \
                 load: from the record of the stored registers to the record of the loaded ones. The kernel writes \
                 both after the switch, so this is the cost of one record. wait: from ready to running.",
        rows: switches,
    },
    Section {
        title: "Timer",
        columns: &TIMES_COLUMNS,
        legend: "period: from one tick to the next, whichever process ran. jitter: the difference between the time \
                 of a tick and the time when it was due. A one-shot tick is due when the time that was set has \
                 passed; a periodic tick is due one period after the last tick.",
        rows: ticks,
    },
    Section {
        title: "VM exits",
        columns: &["count", "host", "host each", "guest", "guest each"],
        legend: "Exits that reach the host program, by reason. host: the time that the host program spent on them. \
                 guest: the time in KVM_RUN before them. in KVM: all exits by KVM's own count. KVM handles most of \
                 them itself. emulated: instructions that KVM emulated. Without hardware virtualization these are \
                 all instructions of the guest's kernel, each about 1,500 cycles.",
        rows: exits,
    },
];

const PROCESS_COLUMNS: [&str; 11] =
    ["calls", "errors", "faults", "ticks", "turns", "user", "kernel", "p50", "p99", "waiting", "asleep"];
const TRAP_COLUMNS: [&str; 10] =
    ["count", "errors", "total", "mean", "p50", "p90", "p99", "max", "waiting", "asleep"];
const TIMES_COLUMNS: [&str; 7] = ["count", "total", "mean", "p50", "p90", "p99", "max"];

const NOTES: &str = "p50, p90, p99: 50, 90 and 99 % of the values are at most this, exact to 0.1 %. Times lie between two \
                     records of the trace and include what it costs to record.";

/// The numbers of traces, each with the name of its file, at most `width` columns wide.
pub fn text(traces: &[(String, Trace, Stat)], width: usize) -> String {
    let mut out = String::new();
    for (index, (file, trace, stat)) in traces.iter().enumerate() {
        put_head(&mut out, traces.len().gt(&1).then(|| letter(index)), file, trace.meta(), stat, width);
    }
    let stats: Vec<&Stat> = traces.iter().map(|(_, _, stat)| stat).collect();
    let marks: Vec<&str> = traces.iter().map(|(_, trace, _)| mark(trace.meta())).collect();
    for section in &SECTIONS {
        put_section(&mut out, section, &stats, &marks, width);
    }
    out.push('\n');
    put_wrapped(&mut out, NOTES, MARGIN, width);
    out
}

/// What stands for a trace in the tables.
fn letter(index: usize) -> String {
    let letters = u8::try_from(index).ok().and_then(|index| b'A'.checked_add(index)).map(char::from);
    letters.filter(char::is_ascii_uppercase).map_or_else(|| index.saturating_add(1).to_string(), String::from)
}

fn put_head(out: &mut String, letter: Option<String>, file: &str, meta: &Meta, stat: &Stat, width: usize) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}{file}", letter.map_or_else(String::new, |letter| format!("{letter}  ")));
    put_wrapped(out, &setting(meta), MARGIN, width);
    let counts = format!(
        "{} events in {}{}: {} system calls, {} switches, {} ticks",
        stat.events,
        duration(stat.nanoseconds),
        mark(meta),
        stat.count_of(Kind::SystemCall),
        stat.switches.count,
        stat.ticks.count
    );
    put_wrapped(out, &counts, MARGIN, width);
    if meta.tsc_khz == 0 {
        out.push_str("   The rate of the clock is unknown, so all times are 0.\n");
    }
}

/// What stands with the times of a trace whose CPU was emulated.
pub(super) fn mark(meta: &Meta) -> &'static str {
    if meta.is_emulated() { " (emulated)" } else { "" }
}

fn put_section(out: &mut String, section: &Section, stats: &[&Stat], marks: &[&str], width: usize) {
    let rows: Vec<Vec<Row>> = stats.iter().map(|stat| (section.rows)(stat)).collect();
    if rows.iter().all(Vec::is_empty) {
        return;
    }
    let is_one = stats.len() == 1;
    let title = format!("{}{}", section.title, marks.first().filter(|_| is_one).unwrap_or(&""));
    let heading = [title.as_str()].into_iter().chain((!is_one).then_some(""));
    let mut table = vec![heading.chain(section.columns.iter().copied()).map(String::from).collect()];
    for label in labels(&rows) {
        let mut shown = label.as_str();
        for (index, rows) in rows.iter().enumerate() {
            let Some((_, cells)) = rows.iter().find(|(name, _)| *name == label) else { continue };
            let mark = (!is_one).then(|| letter(index) + marks.get(index).unwrap_or(&""));
            table.push([shown.to_owned()].into_iter().chain(mark).chain(cells.iter().cloned()).collect());
            shown = "";
        }
    }
    out.push('\n');
    put_table(out, &table, if is_one { 1 } else { 2 }, 1, width);
    put_wrapped(out, section.legend, MARGIN, width);
}

/// The labels of all traces, each once, in their order.
fn labels(rows: &[Vec<Row>]) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for (label, _) in rows.iter().flatten() {
        if !labels.contains(label) {
            labels.push(label.clone());
        }
    }
    labels
}

fn shares(stat: &Stat) -> Vec<Row> {
    let total = stat.shares.total();
    let seen = stat.shares.named().into_iter().filter(|(_, cycles)| *cycles > 0);
    seen.map(|(name, cycles)| {
        let percent = 100.0 * cycles as f64 / total as f64;
        (name.into(), vec![duration(stat.clock.span(cycles)), format!("{percent:.1} %")])
    })
    .collect()
}

fn trap_row(label: String, traps: &Traps, stat: &Stat) -> Row {
    let clock = &stat.clock;
    let mut cells = vec![traps.count.to_string(), traps.errors.to_string()];
    cells.extend(times_cells(&traps.kernel, clock).into_iter().skip(1));
    cells.extend([traps.ready, traps.asleep].map(|cycles| some_duration(cycles, clock)));
    (label, cells)
}

/// The mnemonic alone of an exception.
fn short_name(vector: u8) -> String {
    match crate::analysis::hardware::exception(vector) {
        Some((mnemonic, _)) => mnemonic.into(),
        None => vector_name(vector),
    }
}

fn times_cells(times: &Times, clock: &Clock) -> Vec<String> {
    let count = times.count().to_string();
    if times.count() == 0 {
        return [count].into_iter().chain((1..TIMES_COLUMNS.len()).map(|_| "-".into())).collect();
    }
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|part| times.quantile(part));
    let cycles = [times.total(), times.mean(), p50, p90, p99, times.longest()];
    [count].into_iter().chain(cycles.map(|cycles| duration(clock.span(cycles)))).collect()
}

/// A row for each of the first [`LISTED_MAX`] processes, and one that says how many more there are.
fn processes(stat: &Stat) -> Vec<Row> {
    let clock = &stat.clock;
    let row = |(number, process): (&u16, &Process)| {
        let name = if process.name.is_empty() { "?" } else { &process.name };
        let counts = [process.calls, process.errors, process.faults, process.ticks, process.turns];
        let quantile = |part| process.traps.as_ref().map_or(0, |traps| traps.quantile(part));
        let cycles =
            [process.user, process.kernel, quantile(0.5), quantile(0.99), process.ready, process.asleep];
        let cells = counts.map(|count| count.to_string()).into_iter();
        (format!("{name}/{number}"), cells.chain(cycles.map(|cycles| some_duration(cycles, clock))).collect())
    };
    let more = stat.processes.len().saturating_sub(LISTED_MAX);
    let more = (more > 0).then(|| (format!("and {more} more"), vec![String::new(); PROCESS_COLUMNS.len()]));
    stat.processes.iter().take(LISTED_MAX).map(row).chain(more).collect()
}

fn switches(stat: &Stat) -> Vec<Row> {
    let (switches, clock) = (&stat.switches, &stat.clock);
    if switches.count == 0 {
        return Vec::new();
    }
    let whole = switches.whole.iter().map(|(reason, times)| (reason.name(), times));
    let rest = [("save to load", &switches.save_to_load), ("wait", &switches.wait)];
    whole.chain(rest).map(|(name, times)| (name.into(), times_cells(times, clock))).collect()
}

fn ticks(stat: &Stat) -> Vec<Row> {
    let (ticks, clock) = (&stat.ticks, &stat.clock);
    if ticks.count == 0 {
        return Vec::new();
    }
    vec![
        ("period".into(), times_cells(&ticks.period, clock)),
        ("jitter".into(), times_cells(&ticks.jitter, clock)),
    ]
}

fn exits(stat: &Stat) -> Vec<Row> {
    let each = |ns: u64, count: u64| ns.checked_div(count).map_or_else(|| "-".into(), duration);
    let seen = stat.exits.iter().map(|(&reason, exits)| {
        let name = exit_reason(reason).map_or_else(|| format!("KVM_EXIT {reason}"), String::from);
        let [host, guest] = [exits.host_ns, exits.guest_ns];
        let cells = vec![duration(host), each(host, exits.count), duration(guest), each(guest, exits.count)];
        (name, [exits.count.to_string()].into_iter().chain(cells).collect())
    });
    let own = [("in KVM", HostCounter::KvmExits), ("emulated", HostCounter::KvmEmulated)];
    let own = own.into_iter().filter_map(|(name, counter)| {
        let count = stat.counters.get(&counter)?.to_string();
        Some((name.into(), [count].into_iter().chain((0..4).map(|_| "-".into())).collect()))
    });
    seen.chain(own).collect()
}

fn some_duration(cycles: u64, clock: &Clock) -> String {
    if cycles == 0 { "-".into() } else { duration(clock.span(cycles)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_of_a_cpu_is_wrapped() {
        let host_cpu = "Genuine(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz, of a long line of many".into();
        let mut out = String::new();
        put_head(
            &mut out,
            None,
            "t.trap",
            &Meta { host_cpu, ..Meta::default() },
            &Stat::new(Clock::new(0, 1)),
            100,
        );
        assert!(out.lines().all(|line| line.chars().count() <= 100) && out.contains("batch 0"), "{out}");
    }

    #[test]
    fn traces_have_letters() {
        assert_eq!([0, 25, 26, 300].map(letter), ["A", "Z", "27", "301"]);
    }
}
