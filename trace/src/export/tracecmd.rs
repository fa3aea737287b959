//! trace.dat, version 6: the file of `trace-cmd record`, for `trace-cmd report` and KernelShark (trace-cmd.dat.v6(5)).
//!
//! A record is an event, one for one. Switches and system calls are the kernel's own `sched_switch`, `sys_enter` and
//! `sys_exit`, with its fields first, so that tools understand them; all others are of a system `trapline`. Times are
//! nanoseconds since the start, and the date option says when that was. There is one CPU, as in the guest; the host's
//! records have process 65536. Limits: tools call process 0 `<idle>`, whatever the file says; records missing at the end
//! appear only in the CPU's statistics; a record with an earlier time than the record before gets the time of that one.

use std::io::{self, Seek, SeekFrom, Write};
use std::sync::LazyLock;

use abi::record::{Kind, Reason, Style};

use super::arguments::{self, Arguments};
use super::layout::{Column, Layout, TEXT_SIZE};
use super::linux;
use super::survey::{Missing, Survey};
use crate::file::{Origin, Record, Trace, What};

/// The host's records have this process: the guest's numbers have 16 bits.
const HOST_PID: u32 = 1 << 16;
/// Events are numbered from here, by their kinds.
const FIRST_ID: u16 = 256;
/// `common_type`, `common_flags`, `common_preempt_count`, `common_pid`.
const COMMON: usize = 8;

const PAGE: usize = 4096;
/// A page's time and how much of it is filled.
const PAGE_HEAD: usize = 16;
/// Bits of the time since the event before, in the head of an event.
const DELTA_BITS: u32 = 27;
/// The largest event, in words of 4 bytes, whose size is in its head.
const SMALL_WORDS: usize = 28;
/// Events are missing before this page, and their number follows its last event.
const MISSED: u64 = 1 << 31 | 1 << 30;

/// The options of the file that are used: see trace-cmd's own list.
const OPTION_DATE: u16 = 1;
const OPTION_CPU_STATISTICS: u16 = 2;
const OPTION_CLOCK: u16 = 4;
const OPTION_UNAME: u16 = 5;

const PAGE_FORMAT: &str = "\
\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;
";
const EVENT_FORMAT: &str = "\
# compressed entry header
\ttype_len    :    5 bits
\ttime_delta  :   27 bits
\tarray       :   32 bits

\tpadding     : type == 29
\ttime_extend : type == 30
\ttime_stamp : type == 31
\tdata max type_len  == 28
";
const COMMON_FIELDS: &str = "\
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

";

/// Writes a trace to a file that is empty.
pub fn write(trace: &Trace, out: &mut (impl Write + Seek)) -> io::Result<()> {
    let survey = Survey::of(trace);
    let mut head = head(&survey);
    options(&mut head, &survey);
    head.extend_from_slice(b"flyrecord\0");
    let (place, start) = (head.len() as u64, head.len().saturating_add(2 * 8).next_multiple_of(PAGE));
    head.resize(start, 0);
    out.write_all(&head)?;
    let size = write_events(trace, &survey, out)?;
    out.seek(SeekFrom::Start(place))?;
    out.write_all([start as u64, size].map(u64::to_le_bytes).as_flattened())?;
    out.flush()
}

/// Returns the size of what it wrote.
fn write_events(trace: &Trace, survey: &Survey, out: &mut impl Write) -> io::Result<u64> {
    let (mut records, clock, mut missing) = (trace.records(), trace.clock(), Missing::default());
    let mut pages = Pages { bytes: vec![0; PAGE_HEAD], latest: 0, missed: 0, written: 0 };
    // The date option counts microseconds. The remaining nanoseconds are added to each event's time.
    let rest = survey.epoch_ns.unwrap_or(0) % 1000;
    let (mut bytes, mut left, mut arguments) = (Vec::new(), Reason::Idle, Arguments::default());
    while let Some(record) = records.next() {
        let lost = missing.before(record.origin, record.sequence);
        let what = record.what();
        let parts = arguments.parts(record.origin, record.sequence, record.process, &what);
        if let What::ContextSaved { reason, .. } = what {
            left = reason;
        }
        bytes.clear();
        head_of(&record, &what, &mut bytes);
        match what {
            What::ContextLoaded { from, .. } => push_switch(&record, from, survey, left, &mut bytes),
            // Its number, and its arguments after it.
            What::SystemCall { .. } => {
                const WORDS: usize = arguments::FIRST + arguments::NAMES.len();
                parts.words.iter().take(WORDS).for_each(|&word| push_words([word], &mut bytes));
            }
            What::SystemCallResult { number, result } => {
                push_words([number.into(), result as u64], &mut bytes)
            }
            _ => {}
        }
        push_words([record.sequence, record.tsc], &mut bytes);
        if let Some(layout) = Layout::find(&LAYOUTS, Layout::number_of(&what)) {
            layout.push(&parts, &mut bytes);
        }
        let time = survey.time(clock.nanoseconds(record.tsc));
        pages.event(time.saturating_add(rest), lost, &bytes, out)?;
    }
    pages.close(out)?;
    Ok(pages.written)
}

/// One of the kernel's own events.
struct Kernels {
    system: &'static str,
    name: &'static str,
    /// Its fields, as in its `format` file.
    fields: &'static str,
    size: usize,
    print: &'static str,
}

const SWITCH: Kernels = Kernels {
    system: "sched",
    name: "sched_switch",
    fields: "\
\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:int prev_prio;\toffset:28;\tsize:4;\tsigned:1;
\tfield:long prev_state;\toffset:32;\tsize:8;\tsigned:1;
\tfield:char next_comm[16];\toffset:40;\tsize:16;\tsigned:0;
\tfield:pid_t next_pid;\toffset:56;\tsize:4;\tsigned:1;
\tfield:int next_prio;\toffset:60;\tsize:4;\tsigned:1;
",
    size: 56,
    print: "\"prev_comm=%s prev_pid=%d prev_prio=%d prev_state=%s ==> next_comm=%s next_pid=%d next_prio=%d\", \
        REC->prev_comm, REC->prev_pid, REC->prev_prio, REC->prev_state ? __print_flags(REC->prev_state, \"|\", \
        { 1, \"S\" }, { 16, \"X\" }) : \"R\", REC->next_comm, REC->next_pid, REC->next_prio",
};

const ENTER: Kernels = Kernels {
    system: "raw_syscalls",
    name: "sys_enter",
    fields: "\
\tfield:long id;\toffset:8;\tsize:8;\tsigned:1;
\tfield:unsigned long args[6];\toffset:16;\tsize:48;\tsigned:0;
",
    size: 56,
    print: "\"NR %ld (%lx, %lx, %lx, %lx, %lx, %lx)\", REC->id, REC->args[0], REC->args[1], REC->args[2], \
        REC->args[3], REC->args[4], REC->args[5]",
};

const EXIT: Kernels = Kernels {
    system: "raw_syscalls",
    name: "sys_exit",
    fields: "\
\tfield:long id;\toffset:8;\tsize:8;\tsigned:1;
\tfield:long ret;\toffset:16;\tsize:8;\tsigned:1;
",
    size: 16,
    print: "\"NR %ld = %ld\", REC->id, REC->ret",
};

/// The system of all other events.
const OURS: &str = "trapline";

fn kernels(number: u16) -> Option<&'static Kernels> {
    match u8::try_from(number).map(Kind::try_from) {
        Ok(Ok(Kind::ContextLoaded)) => Some(&SWITCH),
        Ok(Ok(Kind::SystemCall)) => Some(&ENTER),
        Ok(Ok(Kind::SystemCallResult)) => Some(&EXIT),
        _ => None,
    }
}

/// The layouts, without the columns that the kernel's own fields repeat.
static LAYOUTS: LazyLock<Vec<Layout>> = LazyLock::new(|| {
    let repeats =
        |layout: &Layout| kernels(layout.number).is_some_and(|kernels| kernels.system == ENTER.system);
    let all = Layout::all().iter();
    all.map(|layout| if repeats(layout) { layout.without_columns() } else { layout.clone() }).collect()
});

/// The formats of all events by their systems, which are the same in every trace.
static FORMATS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = Vec::new();
    let systems = [SWITCH.system, ENTER.system, OURS];
    out.extend_from_slice(&(systems.len() as u32).to_le_bytes());
    for system in systems {
        let is_in =
            |layout: &&Layout| kernels(layout.number).map_or(OURS, |kernels| kernels.system) == system;
        let formats: Vec<String> = LAYOUTS.iter().filter(is_in).map(format).collect();
        out.extend_from_slice(format!("{system}\0").as_bytes());
        out.extend_from_slice(&(formats.len() as u32).to_le_bytes());
        formats.iter().for_each(|format| push_sized(&mut out, format));
    }
    out
});

/// Appends the fields of [`COMMON_FIELDS`]. A switch is an event of the process that leaves the CPU.
fn head_of(record: &Record<'_>, what: &What, out: &mut Vec<u8>) {
    let pid = match (record.origin, what) {
        (Origin::Host, _) => HOST_PID,
        (Origin::Guest, What::ContextLoaded { from, .. }) => *from,
        (Origin::Guest, _) => record.process.into(),
    };
    out.extend_from_slice(&id(Layout::number_of(what)).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&pid.to_le_bytes());
}

fn id(number: u16) -> u16 {
    FIRST_ID.saturating_add(number)
}

fn push_words<const N: usize>(words: [u64; N], out: &mut Vec<u8>) {
    out.extend_from_slice(words.map(u64::to_le_bytes).as_flattened());
}

/// The fields of [`SWITCH`].
fn push_switch(record: &Record<'_>, from: u32, survey: &Survey, left: Reason, out: &mut Vec<u8>) {
    let from = u16::try_from(from).unwrap_or(u16::MAX);
    for (process, state) in [(from, Some(linux::state(left))), (record.process, None)] {
        let name = survey.name(Origin::Guest, process).as_bytes();
        let mut text = [0; TEXT_SIZE];
        // The last byte is the zero that ends it.
        text[..TEXT_SIZE - 1].iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        out.extend_from_slice(&text);
        out.extend_from_slice([process.into(), linux::PRIORITY].map(i32::to_le_bytes).as_flattened());
        state.iter().for_each(|state| out.extend_from_slice(&state.to_le_bytes()));
    }
}

/// The page that is being filled.
struct Pages {
    bytes: Vec<u8>,
    latest: u64,
    /// Events missing before this page.
    missed: u64,
    /// Bytes written.
    written: u64,
}

impl Pages {
    /// Adds an event, with `lost` events missing before it.
    fn event(&mut self, time: u64, lost: u64, event: &[u8], out: &mut impl Write) -> io::Result<()> {
        let words = event.len().div_ceil(4);
        let heads = if words > SMALL_WORDS { 2 } else { 1 };
        let size = words.saturating_add(heads).saturating_mul(4);
        let delta = time.saturating_sub(self.latest);
        // The number of missing events must fit after the events.
        let is_full = self.bytes.len().saturating_add(size).saturating_add(8) > PAGE;
        if self.bytes.len() > PAGE_HEAD && (is_full || lost > 0 || delta >> DELTA_BITS != 0) {
            self.close(out)?;
        }
        self.missed = self.missed.saturating_add(lost);
        self.latest = self.latest.max(time);
        let is_first = self.bytes.len() == PAGE_HEAD;
        if is_first {
            self.set(0, self.latest);
        }
        // Less than 1 << DELTA_BITS, as just seen.
        let delta = if is_first { 0 } else { delta as u32 };
        if words > SMALL_WORDS {
            let head = [delta << 5, (words as u32).saturating_add(1).saturating_mul(4)];
            self.bytes.extend_from_slice(head.map(u32::to_le_bytes).as_flattened());
        } else {
            self.bytes.extend_from_slice(&(delta << 5 | words as u32).to_le_bytes());
        }
        self.bytes.extend_from_slice(event);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        Ok(())
    }

    /// Sets a number in the head of the page.
    fn set(&mut self, at: usize, number: u64) {
        self.bytes.iter_mut().skip(at).zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    }

    /// Writes the page, if there is an event on it.
    fn close(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.bytes.len() == PAGE_HEAD {
            return Ok(());
        }
        let mut filled = self.bytes.len().saturating_sub(PAGE_HEAD) as u64;
        if self.missed > 0 {
            self.bytes.extend_from_slice(&self.missed.to_le_bytes());
            filled |= MISSED;
        }
        self.set(8, filled);
        self.bytes.resize(PAGE, 0);
        out.write_all(&self.bytes)?;
        self.bytes.truncate(PAGE_HEAD);
        (self.missed, self.written) = (0, self.written.saturating_add(PAGE as u64));
        Ok(())
    }
}

/// All of the file before its options.
fn head(survey: &Survey) -> Vec<u8> {
    let mut out = b"\x17\x08\x44tracing6\0\x00\x08".to_vec();
    out.extend_from_slice(&(PAGE as u32).to_le_bytes());
    for (name, format) in [("header_page\0", PAGE_FORMAT), ("header_event\0", EVENT_FORMAT)] {
        out.extend_from_slice(name.as_bytes());
        push_sized(&mut out, format);
    }
    // No events of the tracer's own.
    out.extend_from_slice(&0_u32.to_le_bytes());
    out.extend_from_slice(&FORMATS);
    // No names of addresses and no texts of trace_printk.
    out.extend_from_slice(&[0; 8]);
    let mut names = format!("{HOST_PID} host\n");
    // Tools call process 0 `<idle>`, whatever the file says.
    let processes = survey.names.iter().filter(|&(process, _)| process > 0);
    processes.for_each(|(process, name)| names.push_str(&format!("{process} {name}\n")));
    push_sized(&mut out, &names);
    // One CPU.
    out.extend_from_slice(&1_u32.to_le_bytes());
    out
}

fn push_sized(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn options(out: &mut Vec<u8>, survey: &Survey) {
    // Entries would be those that were not taken from the kernel's buffer.
    let statistics = format!("CPU: 0\nentries: 0\noverrun: {}\n\0", survey.missing);
    let date = survey.epoch_ns.map(|epoch| format!("{:#x}\0", epoch / 1000));
    let emulated = survey
        .emulator
        .as_ref()
        .map(|name| format!("emulated by {}: all times are emulated\0", crate::file::printable(name)));
    out.extend_from_slice(b"options  \0");
    let options = [
        (OPTION_DATE, date),
        (OPTION_CPU_STATISTICS, Some(statistics)),
        (OPTION_CLOCK, Some("[local]\0".into())),
        // `trace-cmd report --uname` prints it.
        (OPTION_UNAME, emulated),
    ];
    for (option, text) in options {
        let Some(text) = text else { continue };
        out.extend_from_slice(&option.to_le_bytes());
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&0_u16.to_le_bytes());
}

/// The `format` file of a kind's event.
fn format(layout: &Layout) -> String {
    let kernels = kernels(layout.number);
    let name = kernels.map_or(layout.name.as_str(), |kernels| kernels.name);
    let mut out = format!("name: {name}\nID: {}\nformat:\n{COMMON_FIELDS}", id(layout.number));
    out.push_str(kernels.map_or("", |kernels| kernels.fields));
    let mut offset = COMMON.saturating_add(kernels.map_or(0, |kernels| kernels.size));
    let mut field = |kind: &str, name: &str, size: usize, signed: bool| {
        let signed = u8::from(signed);
        out.push_str(&format!("\tfield:{kind} {name};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n"));
        offset = offset.saturating_add(size);
    };
    field("u64", "sequence", 8, false);
    field("u64", "tsc", 8, false);
    let (mut shown, mut values) = (String::new(), String::new());
    for column in &layout.columns {
        let (name, size) = (column.name, column.size());
        let bits = size.saturating_mul(8);
        match column.style {
            Style::Text => field("char", &format!("{name}[{size}]"), size, false),
            Style::Bytes | Style::Gates => field("u8", &format!("{name}[{size}]"), size, false),
            Style::Signed => field(&format!("s{bits}"), name, size, true),
            _ => field(&format!("u{bits}"), name, size, false),
        }
        let (form, value) = printed(column);
        shown.push_str(&format!("{}{name}={form}", if shown.is_empty() { "" } else { " " }));
        values.push_str(&format!(", {value}"));
    }
    let own = format!("\"{shown}\"{values}");
    out.push_str(&format!("\nprint fmt: {}\n", kernels.map_or(own.as_str(), |kernels| kernels.print)));
    out
}

/// How printf shows a column, and the value that it is given.
fn printed(column: &Column) -> (&'static str, String) {
    let (value, size) = (format!("REC->{}", column.name), column.size());
    if let Some(names) = column.names() {
        let names: Vec<String> =
            names.iter().map(|(number, name)| format!("{{ {number}, {name:?} }}")).collect();
        return ("%s", format!("__print_symbolic({value}, {})", names.join(", ")));
    }
    match (column.style, size) {
        (Style::Number, 8) => ("%llu", value),
        (Style::Number, _) => ("%u", value),
        (Style::Signed, _) => ("%lld", value),
        (Style::Text, _) => ("%s", value),
        (Style::Bytes | Style::Gates, _) => ("%s", format!("__print_hex({value}, {size})")),
        (_, 8) => ("0x%llx", value),
        _ => ("0x%x", value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_size_of_its_columns() {
        let parts =
            What::Unknown { kind: 255, detail: 1, count: 2, words: [3; abi::record::WORDS_MAX] }.parts();
        for layout in LAYOUTS.iter().chain(Layout::all()) {
            let mut bytes = Vec::new();
            layout.push(&parts, &mut bytes);
            let size: usize = layout.columns.iter().map(Column::size).sum();
            assert_eq!(bytes.len(), size, "{}", layout.name);
        }
    }
}
