//! Makes a whole file of a damaged one: its whole chunks, byte for byte, with a head and an end.
//!
//! The new file still shows what is missing: between chunks, the numbers of the records show it. Its head has a sentence for
//! everything that the numbers do not show, such as the end of a run ([`Damage::Recovered`]).

use std::io;
use std::path::Path;

use super::format;
use super::output::{Output, create_file};
use super::{Damage, Meta, Origin, Trace, WriteError};

/// The most sentences about damage that a head may have.
const SENTENCES_MAX: usize = 100;

/// What was recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Records in the new file.
    pub records: u64,
    /// Records that the numbers of those that are there prove missing.
    pub missing: u64,
    /// Bytes of the old file that are not in the new one because they were damaged.
    pub bytes: u64,
}

/// Writes what is whole in a trace to a new file. One that exists is refused unless `replace`. Where there is no room for
/// all of it, nothing is left.
pub fn recover(trace: &Trace, path: &Path, replace: bool) -> Result<Recovered, WriteError> {
    // All damage must be known before the head is written.
    let meta = meta(trace);
    let (file, name) = create_file(path, replace)?;
    let mut output = Output::new(Box::new(file), path, &meta)?;
    let copied = copy(trace, &mut output);
    let recovered = copied.map_err(|cause| WriteError::Create { path: path.into(), cause })?;
    name.publish()?;
    Ok(recovered)
}

fn copy(trace: &Trace, output: &mut Output) -> io::Result<Recovered> {
    let mut recovered = Recovered { records: 0, missing: 0, bytes: 0 };
    trace.each_chunk(|chunk, bytes| {
        recovered.records = recovered.records.saturating_add(chunk.records.into());
        output.chunk(chunk.origin, chunk.records, chunk.tsc, bytes)
    })?;
    let [guest, host] = [Origin::Guest, Origin::Host].map(|origin| trace.total(origin));
    output.close(guest, host)?;
    for damage in trace.damage() {
        match damage {
            Damage::Gap { records, .. } => recovered.missing = recovered.missing.saturating_add(*records),
            Damage::Unreadable { bytes, .. } | Damage::Tail { bytes, .. } => {
                recovered.bytes = recovered.bytes.saturating_add(*bytes);
            }
            _ => {}
        }
    }
    Ok(recovered)
}

/// What the new head says: all that the old one did, and what is wrong that the new file would not show itself.
fn meta(trace: &Trace) -> Meta {
    let mut meta = trace.meta().clone();
    let gone = trace.damage().iter().filter_map(|damage| match damage {
        Damage::Head | Damage::Unreadable { .. } | Damage::Tail { .. } => Some(damage.to_string()),
        Damage::NotClosed | Damage::OutOfOrder { .. } | Damage::UnknownChunk { .. } => {
            Some(damage.to_string())
        }
        // These show in the new file as they did in the old.
        _ => None,
    });
    meta.recovered.extend(gone.take(SENTENCES_MAX));
    meta
}

const _: () = assert!(SENTENCES_MAX * 200 < format::JSON_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::samples;

    #[test]
    fn what_is_whole_is_kept_and_what_is_gone_is_said() {
        let place = tempfile::tempdir().expect("a directory for the test");
        let (damaged, new) = (place.path().join("damaged.trap"), place.path().join("new.trap"));
        samples::write_file(&damaged, &samples::every_kind(), 7);
        let mut bytes = std::fs::read(&damaged).expect("the file");
        let starts: Vec<usize> =
            (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&format::CHUNK_MAGIC)).collect();
        bytes[starts[3] + 70] ^= 1;
        bytes.truncate(starts[starts.len() - 3] + 80);
        std::fs::write(&damaged, &bytes).expect("a damaged file");

        let old = Trace::open(&damaged).expect("some chunks are whole");
        let recovered = recover(&old, &new, false).expect("a new file");
        assert!(matches!(recover(&old, &new, false), Err(WriteError::Exists { .. })));
        let trace = Trace::open(&new).expect("a whole file");
        assert!(trace.events().eq(old.events()));
        assert_eq!(trace.events().count() as u64, recovered.records);
        assert!(recovered.missing > 0 && recovered.bytes > 80, "{recovered:?}");
        let said: Vec<String> = trace.damage().iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|what| what.contains("recovered") && what.contains("cut short")), "{said:?}");
        assert!(said.iter().any(|what| what.contains("are missing")), "{said:?}");

        std::fs::remove_file(&new).expect("the file");
        recover(&trace, &new, false).expect("a recovered file can be recovered");
    }
}
