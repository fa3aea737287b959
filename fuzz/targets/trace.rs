//! Any bytes as a trace file, its CRCs put right: it opens or is refused, and what is recovered of it reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trace::{Trace, recover};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(trace) = trapline_fuzz::open(bytes, folder.path()) else { return };
    let new = folder.path().join("new.trap");
    recover(&trace, &new, false).expect("room for a file");
    let again = Trace::open(&new).expect("a recovered file opens");
    let times = |trace: &Trace| trace.events().map(|event| event.tsc).collect::<Vec<_>>();
    assert_eq!(times(&trace), times(&again));
});
