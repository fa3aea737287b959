//! Perfetto's trace format: tracks on a timeline, for ui.perfetto.dev and trace_processor.
//!
//! Each process has a track, with a slice from trap to return and in it one for the system call; records that are
//! neither start nor end of a slice are instants, the bulky ones on a track of their own below. The kernel's track says
//! what it works on, the host's what it noted. Every record is one track event with its number and fields as
//! annotations (`end_` before those of a record that ends a slice); what is derived from records has none:
//! `sched_switch` for each switch, the kernel's slices, the number of processes that can run. Times are nanoseconds since
//! the start as the guest's CLOCK_BOOTTIME; each of the host's pairs of clocks is a clock snapshot.

mod schema;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};

use abi::record::Reason;
use abi::syscall::Call;
use prost::Message;
use schema::{
    BOOTTIME, COUNTER, ClockReading, ClockSnapshot, CounterDescriptor, DebugAnnotation, FtraceEvent,
    FtraceEventBundle, INSTANT, InternedData, InternedName, MONOTONIC, NAMES_CLEARED, NAMES_USED,
    ProcessDescriptor, REALTIME, SLICE_BEGIN, SLICE_END, SchedSwitch, ThreadDescriptor, TracePacket,
    TrackDescriptor, TrackEvent,
};

use super::arguments::Arguments;
use super::fields::{Rows, Value};
use super::linux;
use super::survey::{Missing, Survey};
use crate::analysis::hardware::{EXIT_REASONS, exit_reason, short_name};
use crate::analysis::summary::kind_name;
use crate::file::{Event, Origin, Trace, What};

/// All packets are of one sequence, which has one set of numbered names.
const SEQUENCE: u32 = 1;
/// `Trace.packet`, length-delimited: what stands before each packet.
const PACKET_KEY: u8 = 1 << 3 | 2;

/// A place to draw at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Track {
    Kernel,
    Host,
    /// How many processes can run.
    Runnable,
    /// VM exits of a reason.
    Exits(u32),
    Process(u16),
    Thread(u16),
    /// The records of a process that are so many that they would hide the others.
    Details(u16),
}

impl Track {
    fn uuid(self) -> u64 {
        let (class, number) = match self {
            Track::Kernel => (1, 0),
            Track::Host => (2, 0),
            Track::Runnable => (3, 0),
            Track::Exits(reason) => (4, reason),
            Track::Process(process) => (5, process.into()),
            Track::Thread(process) => (6, process.into()),
            Track::Details(process) => (7, process.into()),
        };
        class << 32 | u64::from(number)
    }
}

/// A slice that has begun on a process's track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slice {
    Trap,
    Call,
    /// A program that was called without limits.
    Main,
}

/// The most slices that are open on a process's track, each in the one before. A kernel that never returns from its traps
/// opens ever more: all of them end before the next.
const OPEN_MAX: usize = 32;

/// Writes a trace.
pub fn write(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    let survey = Survey::of(trace);
    let mut writer = Packets::new(out, &survey);
    let (mut drawing, mut missing) = (Drawing::default(), Missing::default());
    let mut last = 0;
    for mut event in trace.events() {
        event.nanoseconds = survey.time(event.nanoseconds);
        last = event.nanoseconds;
        writer.lost(last, event.origin, missing.before(event.origin, event.sequence))?;
        drawing.event(&event, &mut writer)?;
    }
    for origin in [Origin::Guest, Origin::Host] {
        writer.lost(last, origin, missing.at_end(trace, origin))?;
    }
    writer.out.flush()
}

/// What the events so far have begun.
#[derive(Debug)]
struct Drawing {
    slices: BTreeMap<u16, Vec<Slice>>,
    kernel_works: bool,
    runnable: BTreeSet<u16>,
    /// Why the CPU was last taken from a process.
    left: Reason,
}

impl Default for Drawing {
    fn default() -> Self {
        Drawing {
            slices: BTreeMap::new(),
            kernel_works: false,
            runnable: BTreeSet::new(),
            left: Reason::Idle,
        }
    }
}

impl Drawing {
    fn event<W: Write>(&mut self, event: &Event, out: &mut Packets<'_, W>) -> io::Result<()> {
        match event.origin {
            Origin::Host => host(event, out),
            Origin::Guest if event.process == 0 => {
                out.record(event, Track::Kernel, INSTANT, &name_of(&event.what), None)?;
                self.kernel(event, out)
            }
            Origin::Guest => {
                self.process(event, out)?;
                self.kernel(event, out)?;
                self.count(event, out)
            }
        }
    }

    /// The event on its process's track.
    fn process<W: Write>(&mut self, event: &Event, out: &mut Packets<'_, W>) -> io::Result<()> {
        let (track, name) = (Track::Thread(event.process), name_of(&event.what));
        let slices = self.slices.entry(event.process).or_default();
        let begins = match event.what {
            What::TrapEntry { .. } => Some(Slice::Trap),
            What::SystemCall { .. } => Some(Slice::Call),
            What::Called { .. } => Some(Slice::Main),
            _ => None,
        };
        if let Some(slice) = begins {
            if slices.len() == OPEN_MAX {
                end_all(slices, event, out)?;
            }
            slices.push(slice);
            return out.record(event, track, SLICE_BEGIN, &name, None);
        }
        let ends = match event.what {
            What::TrapReturn { .. } => Some(Slice::Trap),
            What::SystemCallResult { .. } => Some(Slice::Call),
            What::Returned { .. } => Some(Slice::Main),
            _ => None,
        };
        if let Some(at) = ends.and_then(|slice| slices.iter().rposition(|&open| open == slice)) {
            // The slices inside it that are still open end with it.
            for _ in slices.drain(at..).skip(1) {
                out.derived(event.nanoseconds, track, SLICE_END, None, None)?;
            }
            return out.record(event, track, SLICE_END, "", None);
        }
        let track = if is_bulky(&event.what) { Track::Details(event.process) } else { track };
        out.record(event, track, INSTANT, &name, None)?;
        if matches!(
            event.what,
            What::ProcessExited { .. } | What::ProcessKilled { .. } | What::ProcessSignaled { .. }
        ) {
            end_all(slices, event, out)?;
        }
        Ok(())
    }

    /// What the kernel does: it handles a trap until it returns from one, or it idles.
    fn kernel<W: Write>(&mut self, event: &Event, out: &mut Packets<'_, W>) -> io::Result<()> {
        let time = event.nanoseconds;
        let ends = matches!(event.what, What::TrapEntry { .. } | What::TrapReturn { .. } | What::Idle {});
        if ends && std::mem::take(&mut self.kernel_works) {
            out.derived(time, Track::Kernel, SLICE_END, None, None)?;
        }
        match event.what {
            What::TrapEntry { .. } | What::Idle {} => {
                self.kernel_works = true;
                let who = out.survey.name(Origin::Guest, event.process).to_owned();
                let what = name_of(&event.what);
                let name =
                    if event.process == 0 { what } else { format!("{what} of {who}/{}", event.process) };
                out.derived(time, Track::Kernel, SLICE_BEGIN, Some(&name), None)?;
            }
            What::Tick { .. } => out.derived(time, Track::Kernel, INSTANT, Some("tick"), None)?,
            What::ContextSaved { reason, .. } => self.left = reason,
            What::ContextLoaded { from, .. } => out.switch(event, from, self.left)?,
            _ => {}
        }
        Ok(())
    }

    /// How many processes can run.
    fn count<W: Write>(&mut self, event: &Event, out: &mut Packets<'_, W>) -> io::Result<()> {
        let changed = match event.what {
            What::ProcessCreated { .. } | What::Wake { .. } | What::Woken { .. } => {
                self.runnable.insert(event.process)
            }
            What::Sleep { .. }
            | What::ProcessExited { .. }
            | What::ProcessKilled { .. }
            | What::ProcessSignaled { .. }
            | What::LoadFailed { .. } => self.runnable.remove(&event.process),
            _ => false,
        };
        if !changed {
            return Ok(());
        }
        let count = self.runnable.len() as i64;
        out.derived(event.nanoseconds, Track::Runnable, COUNTER, None, Some(count))
    }
}

/// Ends all slices of a process.
fn end_all<W: Write>(slices: &mut Vec<Slice>, event: &Event, out: &mut Packets<'_, W>) -> io::Result<()> {
    for _ in slices.drain(..) {
        out.derived(event.nanoseconds, Track::Thread(event.process), SLICE_END, None, None)?;
    }
    Ok(())
}

fn host<W: Write>(event: &Event, out: &mut Packets<'_, W>) -> io::Result<()> {
    if let What::HostClock { monotonic_ns, realtime_ns } = event.what {
        let readings = [(BOOTTIME, event.nanoseconds), (MONOTONIC, monotonic_ns), (REALTIME, realtime_ns)];
        let reading = |(clock_id, time)| ClockReading { clock_id, timestamp: Some(time) };
        let clock_snapshot = Some(ClockSnapshot { clocks: readings.map(reading).into() });
        out.packet(TracePacket { clock_snapshot, ..TracePacket::default() })?;
    }
    if let What::HostExits { reason, count, .. } = event.what {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        return out.record(event, Track::Exits(reason.min(EXIT_REASONS)), COUNTER, "", Some(count));
    }
    out.record(event, Track::Host, INSTANT, &name_of(&event.what), None)
}

/// These records come so often that they would hide the others.
fn is_bulky(what: &What) -> bool {
    matches!(
        what,
        What::Data { .. }
            | What::Tick { .. }
            | What::ContextSaved { .. }
            | What::ContextLoaded { .. }
            | What::Unknown { .. }
    )
}

/// What stands on a slice or an instant.
fn name_of(what: &What) -> String {
    match *what {
        What::TrapEntry { frame, .. } => short_name(frame.vector as u8),
        // The number is an annotation, so that a guest with many invalid numbers does not add a name for each.
        What::SystemCall { number } => Call::from_number(number).map_or("unknown call", Call::name).into(),
        What::Called { .. } => "main, without limits".into(),
        What::ProcessKilled { vector, .. } => format!("killed by {}", short_name(vector)),
        What::HostCount { counter, value } => format!("{}: {value}", counter.name()),
        ref other => kind_name(other.kind()).into_owned(),
    }
}

/// The most names that are kept.
const NAMES_MAX: usize = 1 << 14;

/// Names and the numbers that stand for them, from 1.
#[derive(Debug, Default)]
struct Numbers(HashMap<String, u64>);

impl Numbers {
    /// The number of a name; if it is new, it goes into `new` too.
    fn of(&mut self, name: &str, new: &mut Vec<InternedName>) -> u64 {
        if let Some(&iid) = self.0.get(name) {
            return iid;
        }
        let iid = (self.0.len() as u64).saturating_add(1);
        self.0.insert(name.into(), iid);
        new.push(InternedName { iid, name: name.into() });
        iid
    }
}

/// Writes packets, and before a track's first the one that describes it.
struct Packets<'a, W: Write> {
    out: W,
    survey: &'a Survey,
    categories: Numbers,
    names: Numbers,
    keys: Numbers,
    rows: &'static Rows,
    arguments: Arguments,
    described: BTreeSet<Track>,
    started: bool,
    bytes: Vec<u8>,
}

impl<'a, W: Write> Packets<'a, W> {
    fn new(out: W, survey: &'a Survey) -> Self {
        Packets {
            out,
            survey,
            categories: Numbers::default(),
            names: Numbers::default(),
            keys: Numbers::default(),
            rows: Rows::all(),
            arguments: Arguments::default(),
            described: BTreeSet::new(),
            started: false,
            bytes: Vec::new(),
        }
    }

    /// The packet of a record.
    fn record(
        &mut self,
        event: &Event,
        track: Track,
        kind: i32,
        name: &str,
        count: Option<i64>,
    ) -> io::Result<()> {
        let head =
            [("sequence", Value::Number(event.sequence.into())), ("tsc", Value::Number(event.tsc.into()))];
        let parts = self.arguments.parts(event.origin, event.sequence, event.process, &event.what);
        let mut new = InternedData::default();
        self.limit_names();
        // A slice has the annotations of its begin and of its end, and a key once.
        let side = if kind == SLICE_END { "end_" } else { "" };
        let annotations =
            head.into_iter().chain(self.rows.fields(&event.what, &parts)).map(|(key, value)| {
                let iid = self.keys.of(&format!("{side}{key}"), &mut new.debug_annotation_names);
                annotation(iid, value)
            });
        let debug_annotations = annotations.collect();
        // An end with a category ends a slice of that one only.
        let category = (kind != SLICE_END).then(|| kind_name(event.what.kind()));
        let category_iid = category.map(|category| self.categories.of(&category, &mut new.event_categories));
        let drawn = TrackEvent {
            category_iid,
            debug_annotations,
            kind,
            counter_value: count,
            ..TrackEvent::default()
        };
        self.track_event(event.nanoseconds, track, name, new, drawn)
    }

    /// Discards the names when there are many, so that memory does not grow with the trace: a guest may make any number of
    /// them. The next packet makes readers discard them too.
    fn limit_names(&mut self) {
        if self.names.0.len() >= NAMES_MAX {
            (self.names, self.keys, self.categories) = Default::default();
            self.started = false;
        }
    }

    /// A packet that is derived from records, and is not itself a record.
    fn derived(
        &mut self,
        time: u64,
        track: Track,
        kind: i32,
        name: Option<&str>,
        count: Option<i64>,
    ) -> io::Result<()> {
        self.limit_names();
        let event = TrackEvent { kind, counter_value: count, ..TrackEvent::default() };
        self.track_event(time, track, name.unwrap_or_default(), InternedData::default(), event)
    }

    fn track_event(
        &mut self,
        time: u64,
        track: Track,
        name: &str,
        mut new: InternedData,
        mut event: TrackEvent,
    ) -> io::Result<()> {
        self.describe(track)?;
        event.track_uuid = track.uuid();
        if !name.is_empty() {
            event.name_iid = Some(self.names.of(name, &mut new.event_names));
        }
        let interned_data = (new != InternedData::default()).then_some(new);
        self.packet(TracePacket {
            timestamp: Some(time),
            track_event: Some(event),
            interned_data,
            ..TracePacket::default()
        })
    }

    /// A place where records are missing.
    fn lost(&mut self, time: u64, origin: Origin, records: u64) -> io::Result<()> {
        let track = if origin == Origin::Host { Track::Host } else { Track::Kernel };
        match records {
            0 => Ok(()),
            _ => self.derived(time, track, INSTANT, Some(&format!("{records} records are missing")), None),
        }
    }

    /// A switch, in the form of Linux's event.
    fn switch(&mut self, event: &Event, from: u32, left: Reason) -> io::Result<()> {
        let name = |process| Some(self.survey.name(Origin::Guest, process).to_owned());
        let sched_switch = SchedSwitch {
            prev_comm: name(u16::try_from(from).unwrap_or(u16::MAX)),
            prev_pid: Some(from as i32),
            prev_prio: Some(linux::PRIORITY),
            prev_state: Some(linux::state(left)),
            next_comm: name(event.process),
            next_pid: Some(event.process.into()),
            next_prio: Some(linux::PRIORITY),
        };
        let event = FtraceEvent {
            timestamp: Some(event.nanoseconds),
            pid: Some(from),
            sched_switch: Some(sched_switch),
        };
        let ftrace_events = Some(FtraceEventBundle { cpu: Some(0), event: vec![event] });
        self.packet(TracePacket { ftrace_events, ..TracePacket::default() })
    }

    /// Says what a track is, the first time it is drawn on.
    fn describe(&mut self, track: Track) -> io::Result<()> {
        if !self.described.insert(track) {
            return Ok(());
        }
        let mut descriptor = TrackDescriptor { uuid: track.uuid(), ..TrackDescriptor::default() };
        // Every track has times, and its name is all that is always seen of it.
        let named = |name: &str| match self.survey.emulator {
            None => name.to_owned(),
            Some(_) => format!("{name} (emulated)"),
        };
        match track {
            Track::Kernel => descriptor.name = Some(named("kernel")),
            Track::Host => descriptor.name = Some(named("host")),
            Track::Runnable => {
                descriptor.name = Some(named("processes that can run"));
                descriptor.counter = Some(CounterDescriptor {});
            }
            Track::Exits(reason) => {
                let reason = exit_reason(reason).map_or_else(|| reason.to_string(), str::to_owned);
                descriptor.name = Some(named(&format!("VM exits: {reason}")));
                descriptor.counter = Some(CounterDescriptor {});
            }
            Track::Process(process) => {
                let process_name = named(self.survey.name(Origin::Guest, process));
                descriptor.process = Some(ProcessDescriptor { pid: pid(process), process_name });
            }
            Track::Thread(process) => {
                self.describe(Track::Process(process))?;
                let (tid, thread_name) = (process.into(), self.survey.name(Origin::Guest, process).into());
                descriptor.thread = Some(ThreadDescriptor { pid: pid(process), tid, thread_name });
            }
            Track::Details(process) => {
                self.describe(Track::Process(process))?;
                descriptor.parent_uuid = Some(Track::Process(process).uuid());
                descriptor.name = Some("details".into());
            }
        }
        self.packet(TracePacket { track_descriptor: Some(descriptor), ..TracePacket::default() })
    }

    fn packet(&mut self, mut packet: TracePacket) -> io::Result<()> {
        packet.trusted_packet_sequence_id = SEQUENCE;
        let cleared = if std::mem::replace(&mut self.started, true) { 0 } else { NAMES_CLEARED };
        packet.sequence_flags = Some(NAMES_USED | cleared);
        self.bytes.clear();
        self.bytes.push(PACKET_KEY);
        packet.encode_length_delimited(&mut self.bytes).map_err(io::Error::other)?;
        self.out.write_all(&self.bytes)
    }
}

/// A process's number in the table of processes. Perfetto takes pid 2, wherever there are switches, for Linux's kthreadd,
/// and makes a thread of each pid: so none is a number that a process has, which is its thread's.
fn pid(process: u16) -> i32 {
    const FIRST: i32 = 100_000;
    const { assert!(FIRST > u16::MAX as i32) };
    FIRST.saturating_add(i32::from(process))
}

fn annotation(name_iid: u64, value: Value) -> DebugAnnotation {
    let mut annotation = DebugAnnotation { name_iid, ..DebugAnnotation::default() };
    match value {
        Value::Number(number) => match u64::try_from(number) {
            Ok(number) => annotation.uint_value = Some(number),
            // Only a signed word is negative.
            Err(_) => annotation.int_value = Some(number as i64),
        },
        Value::Hex(word) => annotation.pointer_value = Some(word),
        Value::Text(text) => annotation.string_value = Some(text.into_owned()),
    }
    annotation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_that_never_end_do_not_pile_up() {
        let survey = Survey::default();
        let mut out = Packets::new(Vec::new(), &survey);
        let mut drawing = Drawing::default();
        let call = What::SystemCall { number: 1 };
        let event =
            Event { sequence: 0, origin: Origin::Guest, tsc: 0, nanoseconds: 0, process: 1, what: call };
        for _ in 0..1000 {
            drawing.event(&event, &mut out).expect("room in memory");
            assert!(drawing.slices[&1].len() <= OPEN_MAX);
        }
    }

    #[test]
    fn names_do_not_pile_up() {
        let survey = Survey::default();
        let mut out = Packets::new(Vec::new(), &survey);
        for records in 1..100_000 {
            out.lost(0, Origin::Guest, records).expect("room in memory");
            assert!(out.names.0.len() <= NAMES_MAX);
        }
    }

    /// Names are kept, so there must not be more of them for a longer trace.
    #[test]
    fn calls_of_numbers_at_random_have_one_name() {
        let name = |number| name_of(&What::SystemCall { number });
        assert_eq!((name(1).as_str(), name(5000)), ("write", name(u64::MAX)));
    }
}
