//! Any bytes as a trace file, its CRCs put right, through every analysis and every export.

#![no_main]

use std::io::{self, Cursor};
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use trace::Trace;
use trace::analysis::Summary;
use trace::analysis::check::check;
use trace::analysis::diff::Diff;
use trace::analysis::protocol::{self, Excerpt};
use trace::analysis::stat::{self, Stat};
use trace::export::{ctf, fields, perfetto, tracecmd};
use trace::report;
use trace::text::{self, strace::Strace, view};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    if let Some(trace) = trapline_fuzz::open(bytes, folder.path()) {
        read(&trace, folder.path()).expect("nothing here fails to write");
    }
});

/// Every analysis and every export.
fn read(trace: &Trace, folder: &Path) -> io::Result<()> {
    let _ = Summary::of(trace).to_string();
    drop(stat::json_of_one("t.trap", trace, &Stat::of(trace)));
    drop(check(trace));
    drop(Diff::of([trace, trace]));
    if let Ok(tables) = protocol::tables(trace, &Excerpt::Whole) {
        drop((
            text::protocol::text(&tables, 80),
            text::protocol::markdown(&tables),
            text::protocol::json(trace, &tables),
        ));
    }
    fields::write_json_lines(trace, io::sink())?;
    fields::write_csv(trace, io::sink())?;
    perfetto::write(trace, &mut io::sink())?;
    tracecmd::write(trace, &mut Cursor::new(Vec::new()))?;
    let ctf_folder = folder.join("ctf");
    std::fs::create_dir(&ctf_folder)?;
    ctf::write(trace, &ctf_folder)?;
    report::write(trace, "t.trap", io::sink())?;
    let mut lines = view::Text::new(trace.meta(), view::Options::default(), io::sink());
    lines.header(trace.meta())?;
    trace.events().try_for_each(|event| lines.event(&event))?;
    let mut strace = Strace::new(trace.meta(), io::sink());
    trace.events().try_for_each(|event| strace.event(&event, true))?;
    strace.finish()
}
