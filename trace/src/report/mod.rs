//! A trace as one page that opens offline: what ran, a timeline, each switch step by step, distributions.
//!
//! The page holds the records themselves, compressed, and draws the timeline from them. Its numbers and their shapes
//! are those of `analysis::stat`, and names come from here too: the page computes no numbers, and does not know the ABI.
//! Everything of the trace enters the page as JSON or base64 and is shown as text, never as markup. Limit: it draws
//! the first [`EVENTS_MAX`] events, and says so when there are more; the totals are of all.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used))]

use std::io::{self, Write};

use base64::prelude::BASE64_STANDARD;
use base64::write::EncoderWriter;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::file::format::push_record;
use crate::file::{Clock, Trace};

mod compare;
mod facts;

pub use compare::write as write_compared;

/// The most events that a page draws. A record has some 80 bytes, and the browser keeps them all unpacked.
pub const EVENTS_MAX: usize = 2_000_000;

/// The rate, in kHz, of a clock that counts a nanosecond a cycle.
const CYCLES: u64 = 1_000_000;

const TEMPLATE: &str = include_str!("template.html");
const STYLE: &str = include_str!("style.css");
/// What every page needs, and what every timeline needs besides.
const FRAME: [&str; 2] = [include_str!("unzip.js"), include_str!("frame.js")];
const RUN: [&str; 2] = [include_str!("records.js"), include_str!("timeline.js")];
/// The rest of the program of the page of one run, in the order in which its parts use each other.
const PAGE: [&str; 3] = [include_str!("steps.js"), include_str!("times.js"), include_str!("page.js")];

/// Writes the page of a trace; `name` is what the trace is called.
pub fn write(trace: &Trace, name: &str, out: impl Write) -> io::Result<()> {
    write_page(trace, name, out, |out| write_zipped_records(trace, out))
}

/// Writes the page without its records, for a browser that has them from [`write_records`]: the page takes the buffer
/// `window.unpackedRecords`.
pub fn write_without_records(trace: &Trace, name: &str, out: impl Write) -> io::Result<()> {
    write_page(trace, name, out, |_| Ok(()))
}

fn write_page<W: Write>(
    trace: &Trace,
    name: &str,
    mut out: W,
    records: impl Fn(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    fill(TEMPLATE, &mut out, |slot, out| match slot {
        "style" => out.write_all(STYLE.as_bytes()),
        "facts" => out.write_all(facts::json(trace, name).as_bytes()),
        "records" => records(out),
        _ => write_all(&[&FRAME[..], &RUN, &PAGE].concat(), out),
    })?;
    out.flush()
}

/// Writes texts, one after the other.
fn write_all(texts: &[&str], out: &mut impl Write) -> io::Result<()> {
    texts.iter().try_for_each(|text| out.write_all(text.as_bytes()))
}

/// Writes a template; `slot` writes what belongs in the place of a name in double braces.
fn fill<W: Write>(
    template: &str,
    out: &mut W,
    slot: impl Fn(&str, &mut W) -> io::Result<()>,
) -> io::Result<()> {
    let mut rest = template;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, tail)| Some((before, tail.split_once("}}")?)))
    {
        out.write_all(before.as_bytes())?;
        slot(name, out)?;
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// The clock of the page is that of the trace. Where its rate is unknown, cycles still show order and proportion.
fn clock(trace: &Trace) -> Clock {
    let start = trace.records().next().map_or(0, |record| record.tsc);
    match trace.meta().tsc_khz {
        0 => Clock::new(start, CYCLES),
        _ => trace.clock(),
    }
}

/// Writes the records as a page has them: gzip, base64.
fn write_zipped_records(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    let mut gzip = GzEncoder::new(EncoderWriter::new(out, &BASE64_STANDARD), Compression::default());
    write_records(trace, &mut gzip)?;
    gzip.finish()?.finish()?;
    Ok(())
}

/// Writes the records that the page draws, as they are in the file but for their time: nanoseconds since the start.
pub fn write_records(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    let (clock, mut records) = (clock(trace), trace.records());
    let (mut latest, mut words, mut bytes) = (0, Vec::new(), Vec::new());
    for _ in 0..EVENTS_MAX {
        let Some(record) = records.next() else { break };
        // The page searches by time, so time must not run backwards, even if the TSC of the guest does.
        latest = latest.max(clock.nanoseconds(record.tsc));
        words.clear();
        words.extend(record.words());
        bytes.clear();
        push_record(&mut bytes, latest, record.kind, record.process, record.detail, &words);
        out.write_all(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use base64::Engine;

    use super::*;
    use crate::file::samples::{self, Sample};

    fn page(samples: &[Sample]) -> String {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        samples::write_file(&path, samples, 10);
        let mut page = Vec::new();
        write(&Trace::open(&path).expect("a whole file"), "<t>.trap", &mut page).expect("room in memory");
        String::from_utf8(page).expect("a page is UTF-8")
    }

    /// The page of two traces, which are equal.
    fn compared() -> String {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        samples::write_file(&path, &samples::every_kind(), 10);
        let trace = Trace::open(&path).expect("a whole file");
        let mut page = Vec::new();
        write_compared([&trace, &trace], ["a.trap", "b.trap"], &mut page).expect("room in memory");
        String::from_utf8(page).expect("a page is UTF-8")
    }

    fn element<'a>(page: &'a str, id: &str) -> &'a str {
        let (_, tail) = page.split_once(&format!("id=\"{id}\">")).expect("the element is there");
        tail.split_once("</script>").expect("it has an end").0.trim()
    }

    #[test]
    fn the_page_holds_every_record() {
        let samples = samples::every_kind();
        let page = page(&samples);
        let zipped = BASE64_STANDARD.decode(element(&page, "records")).expect("base64");
        let mut records = Vec::new();
        flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut records).expect("gzip");
        let sizes = samples.iter().map(|sample| sample.to_bytes().len());
        assert_eq!(records.len(), sizes.sum::<usize>());
        assert_eq!(records[8], samples[0].kind);
        assert!(page.find("<script>") < page.find("id=\"records\""), "the numbers wait for the records");
    }

    #[test]
    fn the_size_of_a_page_grows_with_the_processes_by_a_bounded_amount() {
        let samples = samples::every_kind();
        let created = samples.iter().find(|sample| sample.words.len() == 5 && sample.process == 1);
        let created = created.expect("a process is created");
        let of = |count| -> Vec<Sample> {
            (1..=count).map(|process| Sample { process, ..created.clone() }).collect()
        };
        let (one, all) = (page(&of(1)).len(), page(&of(u16::MAX)).len());
        let each = (all - one) / usize::from(u16::MAX);
        assert!(each < 1024, "{each} bytes for a process");
    }

    #[test]
    fn it_loads_nothing() {
        for page in [page(&samples::every_kind()), compared()] {
            // A namespace is a name, and nothing is fetched from it.
            let page = page.replace("http://www.w3.org/2000/svg", "");
            for outside in ["http:", "https:", " src=", "href=\"/", "url(", "@import"] {
                assert!(!page.contains(outside), "{outside}");
            }
            assert!(
                page.contains("Content-Security-Policy\" content=\"default-src 'none'"),
                "it could load something"
            );
            assert!(!page.contains("{{"), "a slot was left open");
        }
    }

    #[test]
    fn the_page_says_how_each_process_ended() {
        let page = page(&samples::every_kind());
        let facts: serde_json::Value = serde_json::from_str(element(&page, "facts")).expect("JSON");
        let processes = facts["stat"]["processes"].as_array().expect("a list");
        let ends = processes.iter().map(|process| &facts["ends"][process["number"].to_string()]);
        let killed = "killed by #PF page fault: write to 0xdead0000 (not present)";
        assert_eq!(ends.collect::<Vec<_>>(), ["exited with 3", killed, "killed by SIGKILL"]);
    }

    #[test]
    fn a_name_cannot_become_markup() {
        let mut samples = samples::every_kind();
        let created = samples.iter_mut().find(|sample| sample.words.len() == 5 && sample.process == 1);
        let created = created.expect("a process is created");
        created.words[3] = u64::from_le_bytes(*b"</script");
        created.words[4] = u64::from_le_bytes(*b"><img/>\0");
        let page = page(&samples);
        let facts = element(&page, "facts");
        assert!(facts.ends_with('}') && !facts.contains('<'), "{facts}");
        let facts: serde_json::Value = serde_json::from_str(facts).expect("JSON");
        assert_eq!(facts["stat"]["processes"][0]["name"], "</script><img/>");
        assert_eq!(facts["stat"]["file"], "<t>.trap");
    }
}
