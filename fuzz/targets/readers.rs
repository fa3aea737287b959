//! Any bytes as a trace file, its CRCs put right, through one analysis or export with each of its forms. The last byte of the
//! input says which: all of them for each input would be a tenth as fast.

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

type Reader = fn(Trace) -> io::Result<()>;

/// What the trace is called.
const NAME: &str = "t.trap";

const READERS: [Reader; 12] = [
    |trace| {
        drop(text::summary::text(&Summary::of(&trace), text::WIDTH));
        Ok(())
    },
    |trace| {
        let report = check(&trace);
        drop((
            text::check::text(&report, trace.meta(), text::WIDTH),
            text::check::json(&report, trace.meta()),
        ));
        Ok(())
    },
    |trace| {
        let stat = Stat::of(&trace);
        let traces = [(NAME.into(), trace, stat)];
        drop((text::stat::text(&traces, text::WIDTH), stat::json(&traces)));
        Ok(())
    },
    |trace| {
        let (traces, names) = ([&trace, &trace], [NAME, NAME]);
        let diff = Diff::of(traces);
        drop((text::diff::text(&diff, names, traces, text::WIDTH), text::diff::json(&diff, names, traces)));
        Ok(())
    },
    protocol,
    |trace| {
        fields::write_json_lines(&trace, io::sink())?;
        fields::write_csv(&trace, io::sink())
    },
    |trace| perfetto::write(&trace, &mut io::sink()),
    |trace| tracecmd::write(&trace, &mut Cursor::new(Vec::new())),
    |trace| ctf::write(&trace, &trapline_fuzz::folder()),
    |trace| report::write(&trace, NAME, io::sink()),
    text,
    |trace| report::write_compared([&trace, &trace], [NAME, NAME], io::sink()),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&selector, bytes)) = bytes.split_last() else { return };
    if let Some(trace) = trapline_fuzz::open(bytes) {
        READERS[usize::from(selector) % READERS.len()](trace).expect("nothing here fails to write");
    }
});

fn protocol(trace: Trace) -> io::Result<()> {
    if let Ok(tables) = protocol::tables(&trace, &Excerpt::Whole) {
        drop((
            text::protocol::text(trace.meta(), &tables, text::WIDTH),
            text::protocol::markdown(trace.meta(), &tables),
            text::protocol::json(&trace, &tables),
        ));
    }
    Ok(())
}

fn text(trace: Trace) -> io::Result<()> {
    let mut lines = view::Text::new(trace.meta(), view::Options::default(), io::sink());
    lines.header(trace.meta())?;
    trace.events().try_for_each(|event| lines.event(&event))?;
    let mut lines = Strace::new(trace.meta(), strace::Options::default(), io::sink());
    trace.events().try_for_each(|event| lines.event(&event, true))?;
    lines.finish()
}
