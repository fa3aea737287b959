//! Any bytes as a trace file, its CRCs put right, through one analysis or export. The last byte of the input says which:
//! all of them for each input would be a tenth as fast.

#![no_main]

use std::io::{self, Cursor};

use libfuzzer_sys::fuzz_target;
use trace::Trace;
use trace::analysis::Summary;
use trace::analysis::check::check;
use trace::analysis::diff::Diff;
use trace::analysis::protocol::{self, Excerpt};
use trace::analysis::stat::{self, Stat};
use trace::export::{ctf, fields, perfetto, tracecmd};
use trace::report;
use trace::text::{self, strace, strace::Strace, view};

type Reader = fn(&Trace) -> io::Result<()>;

const READERS: [Reader; 11] = [
    |trace| {
        drop(text::summary::text(&Summary::of(trace), text::WIDTH));
        Ok(())
    },
    |trace| {
        drop(check(trace));
        Ok(())
    },
    |trace| {
        drop(stat::json_of_one("t.trap", trace, &Stat::of(trace)));
        Ok(())
    },
    |trace| {
        drop(Diff::of([trace, trace]));
        Ok(())
    },
    protocol,
    |trace| {
        fields::write_json_lines(trace, io::sink())?;
        fields::write_csv(trace, io::sink())
    },
    |trace| perfetto::write(trace, &mut io::sink()),
    |trace| tracecmd::write(trace, &mut Cursor::new(Vec::new())),
    |trace| ctf::write(trace, &trapline_fuzz::folder()),
    |trace| report::write(trace, "t.trap", io::sink()),
    text,
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&selector, bytes)) = bytes.split_last() else { return };
    if let Some(trace) = trapline_fuzz::open(bytes) {
        READERS[usize::from(selector) % READERS.len()](&trace).expect("nothing here fails to write");
    }
});

fn protocol(trace: &Trace) -> io::Result<()> {
    if let Ok(tables) = protocol::tables(trace, &Excerpt::Whole) {
        drop((
            text::protocol::text(trace.meta(), &tables, 80),
            text::protocol::markdown(trace.meta(), &tables),
            text::protocol::json(trace, &tables),
        ));
    }
    Ok(())
}

fn text(trace: &Trace) -> io::Result<()> {
    let mut lines = view::Text::new(trace.meta(), view::Options::default(), io::sink());
    lines.header(trace.meta())?;
    trace.events().try_for_each(|event| lines.event(&event))?;
    let mut lines = Strace::new(trace.meta(), strace::Options::default(), io::sink());
    trace.events().try_for_each(|event| lines.event(&event, true))?;
    lines.finish()
}
