//! Any bytes as a trace file, its CRCs put right: the reader opens or refuses it, and a recovered copy reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trace::{Trace, recover};

fuzz_target!(|bytes: &[u8]| {
    let Some(trace) = trapline_fuzz::open(bytes) else { return };
    let new = trapline_fuzz::folder().join(format!("{}.new", std::process::id()));
    recover(&trace, &new, true).expect("TMPDIR has room for a file");
    let again = Trace::open(&new).expect("a recovered file opens");
    let times = |trace: &Trace| trace.events().map(|event| event.tsc).collect::<Vec<_>>();
    assert_eq!(times(&trace), times(&again));
});
