//! Common Trace Format 1.8: a folder that babeltrace2, Trace Compass and others open.
//!
//! `metadata` describes it all in the format's own language; `guest` and `host` are a stream each, because each has
//! record numbers of its own and so its own count of `events_discarded`. The clock counts nanoseconds since the start
//! of the trace and has the date of that moment. Limit: a stream's clock never runs backwards, so a record with an earlier
//! time than the record before it gets the time of that one; its field `tsc` keeps its own.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::LazyLock;

use abi::record::Style;

use super::arguments::Arguments;
use super::layout::{Column, Layout, UNKNOWN};
use super::survey::{Missing, Survey};
use crate::file::{Meta, Origin, Record, Trace};

/// The files of a trace in this form.
pub const FILES: [&str; 3] = [METADATA, GUEST, HOST];
const GUEST: &str = "guest";
const HOST: &str = "host";

const METADATA: &str = "metadata";
const MAGIC: u32 = 0xC1FC_1FC1;
/// A packet is closed when it has reached this size, in bytes.
const PACKET: usize = 1 << 18;
/// Magic, stream, two times, two sizes, sequence number, discarded events: see [`HEADER`].
const PACKET_HEAD: usize = 4 + 4 + 6 * 8;

const HEADER: &str = "\
/* CTF 1.8 */
typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 16; align = 8; signed = false; } := uint16_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;
typealias integer { size = 64; align = 8; signed = true; } := int64_t;
typealias integer { size = 8; align = 8; signed = false; base = 16; } := hex8_t;
typealias integer { size = 16; align = 8; signed = false; base = 16; } := hex16_t;
typealias integer { size = 32; align = 8; signed = false; base = 16; } := hex32_t;
typealias integer { size = 64; align = 8; signed = false; base = 16; } := hex64_t;
typealias integer { size = 8; align = 8; signed = false; encoding = UTF8; } := char_t;
trace {
\tmajor = 1;
\tminor = 8;
\tbyte_order = le;
\tpacket.header := struct { uint32_t magic; uint32_t stream_id; };
};
";

/// Writes a trace to a folder that exists and is empty.
pub fn write(trace: &Trace, folder: &Path) -> io::Result<()> {
    let (layouts, survey, clock) = (Layout::all(), Survey::of(trace), trace.clock());
    let mut streams = [Stream::create(folder, Origin::Guest)?, Stream::create(folder, Origin::Host)?];
    let (mut records, mut missing) = (trace.records(), Missing::default());
    let mut arguments = Arguments::default();
    while let Some(record) = records.next() {
        let stream = record.origin.of(streams.each_mut());
        let time = survey.time(clock.nanoseconds(record.tsc));
        stream.discard(missing.before(record.origin, record.sequence), time)?;
        let what = record.what();
        let (number, name) = (Layout::number_of(&what), survey.name(record.origin, record.process));
        stream.start_event(number, time, &record, name);
        let parts = arguments.parts(record.origin, record.sequence, record.process, &what);
        if let Some(layout) = Layout::find(layouts, number) {
            layout.push(&parts, &mut stream.packet);
        }
        if stream.packet.len() >= PACKET {
            stream.close_packet()?;
        }
    }
    for (stream, origin) in streams.iter_mut().zip([Origin::Guest, Origin::Host]) {
        stream.discard(missing.at_end(trace, origin), 0)?;
        stream.close_packet()?;
        stream.out.flush()?;
    }
    std::fs::write(folder.join(METADATA), metadata(trace.meta(), &survey))
}

/// A stream's file, and the packet that is being filled.
struct Stream {
    out: BufWriter<File>,
    number: u32,
    packet: Vec<u8>,
    packets: u64,
    /// Times of the packet's start and of the latest event, in nanoseconds.
    begin: u64,
    latest: u64,
    discarded: u64,
}

impl Stream {
    fn create(folder: &Path, origin: Origin) -> io::Result<Stream> {
        let number = origin as u32;
        let out = BufWriter::new(File::create(folder.join(origin.of([GUEST, HOST])))?);
        let packet = vec![0; PACKET_HEAD];
        Ok(Stream { out, number, packet, packets: 0, begin: 0, latest: 0, discarded: 0 })
    }

    /// Notes that events are missing between the latest and a time. An empty packet says so: what it has counted more
    /// than the one before it is missing in its time.
    fn discard(&mut self, events: u64, until: u64) -> io::Result<()> {
        if events > 0 {
            self.close_packet()?;
            self.latest = self.latest.max(until);
            self.discarded = self.discarded.saturating_add(events);
            self.close_packet()?;
        }
        Ok(())
    }

    /// Header and context, as `metadata` has them.
    fn start_event(&mut self, number: u16, nanoseconds: u64, record: &Record<'_>, name: &str) {
        self.latest = self.latest.max(nanoseconds);
        self.packet.extend_from_slice(&number.to_le_bytes());
        for number in [self.latest, record.sequence, record.tsc] {
            self.packet.extend_from_slice(&number.to_le_bytes());
        }
        self.packet.extend_from_slice(&record.process.to_le_bytes());
        self.packet.extend_from_slice(name.as_bytes());
        self.packet.push(0);
    }

    fn close_packet(&mut self) -> io::Result<()> {
        let bits = (self.packet.len() as u64).saturating_mul(8);
        let numbers = [self.begin, self.latest, bits, bits, self.packets, self.discarded];
        let head = [MAGIC, self.number].map(u32::to_le_bytes).into_iter().flatten();
        let head = head.chain(numbers.map(u64::to_le_bytes).into_iter().flatten());
        self.packet.iter_mut().zip(head).for_each(|(to, from)| *to = from);
        self.out.write_all(&self.packet)?;
        self.packet.truncate(PACKET_HEAD);
        (self.packets, self.begin) = (self.packets.saturating_add(1), self.latest);
        Ok(())
    }
}

/// `write!` to a String, which cannot fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        { let _ = writeln!($out, $($arguments)*); }
    };
}

/// The events of the streams of both origins, which are the same in every trace.
static EVENTS: LazyLock<[String; 2]> = LazyLock::new(|| {
    [Origin::Guest, Origin::Host].map(|origin| {
        let mut out = String::new();
        let is_own =
            |layout: &&Layout| layout.number == UNKNOWN || layout.is_host == (origin == Origin::Host);
        Layout::all().iter().filter(is_own).for_each(|layout| put_event(&mut out, origin, layout));
        out
    })
});

fn metadata(meta: &Meta, survey: &Survey) -> String {
    let mut out = HEADER.to_owned();
    put!(out, "env {{\n\tdomain = \"guest kernel\";\n\ttracer_name = \"trapline\";");
    let engine = meta.engine();
    let texts = [
        ("trapline_version", &meta.trapline_version),
        ("host_cpu", &meta.host_cpu),
        ("kvm_backend", &meta.kvm_backend),
        ("engine", &engine),
        ("policy", &meta.options.policy),
    ];
    texts.iter().for_each(|(key, value)| put!(out, "\t{key} = {};", quoted(value)));
    put!(out, "\ttsc_khz = {};\n\tquantum_us = {};\n}};", meta.tsc_khz, meta.options.quantum_us);
    let (second, rest) =
        survey.epoch_ns.map_or((0, 0), |epoch| (epoch / 1_000_000_000, epoch % 1_000_000_000));
    put!(out, "clock {{\n\tname = tsc;\n\tdescription = \"guest TSC, as nanoseconds since the start\";");
    put!(out, "\tfreq = 1000000000;\n\toffset_s = {second};\n\toffset = {rest};");
    put!(out, "\tabsolute = {};\n}};", if survey.epoch_ns.is_some() { "TRUE" } else { "FALSE" });
    put!(out, "typealias integer {{ size = 64; align = 8; map = clock.tsc.value; }} := clock_t;");
    for origin in [Origin::Guest, Origin::Host] {
        put_stream(&mut out, origin);
        out.push_str(origin.of(EVENTS.each_ref().map(String::as_str)));
    }
    out
}

fn put_stream(out: &mut String, origin: Origin) {
    put!(out, "stream {{\n\tid = {};", origin as u32);
    put!(out, "\tpacket.context := struct {{");
    put!(
        out,
        "\t\tclock_t timestamp_begin; clock_t timestamp_end; uint64_t content_size; uint64_t packet_size;"
    );
    put!(out, "\t\tuint64_t packet_seq_num; uint64_t events_discarded;\n\t}};");
    put!(out, "\tevent.header := struct {{ uint16_t id; clock_t timestamp; }};");
    put!(
        out,
        "\tevent.context := struct {{ uint64_t sequence; uint64_t tsc; uint16_t process; string name; }};"
    );
    put!(out, "}};");
}

fn put_event(out: &mut String, origin: Origin, layout: &Layout) {
    put!(out, "event {{\n\tid = {};\n\tname = \"{}\";", layout.number, layout.name);
    put!(out, "\tstream_id = {};\n\tfields := struct {{", origin as u32);
    layout.columns.iter().for_each(|column| put_field(out, column));
    put!(out, "\t}};\n}};");
}

fn put_field(out: &mut String, column: &Column) {
    let (bits, name) = (column.size().saturating_mul(8), quiet(column.name));
    if let Some(names) = column.names() {
        let names: Vec<String> =
            names.iter().map(|(value, name)| format!("{} = {value}", quoted(name))).collect();
        put!(out, "\t\tenum : uint{bits}_t {{ {} }} {name};", names.join(", "));
        return;
    }
    match column.style {
        Style::Number => put!(out, "\t\tuint{bits}_t {name};"),
        Style::Signed => put!(out, "\t\tint{bits}_t {name};"),
        Style::Text => put!(out, "\t\tchar_t {name}[{}];", column.size()),
        Style::Bytes | Style::Gates => put!(out, "\t\thex8_t {name}[{}];", column.size()),
        _ => put!(out, "\t\thex{bits}_t {name};"),
    }
}

/// A field's name, with a `_` before it that readers remove, so that no name is a keyword of the language.
fn quiet(name: &str) -> String {
    format!("_{name}")
}

fn quoted(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}
