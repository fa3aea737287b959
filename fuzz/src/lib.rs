//! What the targets share: bytes become a trace file, whose CRCs are right.

use std::path::Path;

use trace::{Trace, format};

/// Opens bytes as the trace `t.trap` in a folder. None: they are no trace.
pub fn open(bytes: &[u8], folder: &Path) -> Option<Trace> {
    let file = folder.join("t.trap");
    std::fs::write(&file, with_right_crcs(bytes)).expect("room for a file");
    let trace = Trace::open(&file).ok()?;
    trace.damage().iter().for_each(|damage| drop(damage.to_string()));
    Some(trace)
}

/// A file whose head, and all that looks like chunks, have right CRCs: else nothing behind them would be read.
fn with_right_crcs(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let json = bytes.get(12..16).map_or(0, |_| format::u32_at(&bytes, 12) as usize);
    if let Some(end) = format::HEAD_SIZE.checked_add(json).filter(|&end| end <= bytes.len()) {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..20]), &bytes[format::HEAD_SIZE..end]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    }
    let mut at = 0;
    while at < bytes.len() {
        let Some(head) = format::ChunkHead::peek(&bytes[at..]) else {
            at += 1;
            continue;
        };
        let end = (at + format::CHUNK_SIZE + head.stored as usize).min(bytes.len());
        let stored = (end - at - format::CHUNK_SIZE) as u32;
        format::ChunkHead { stored, ..head }.seal(&mut bytes[at..end]);
        at = end;
    }
    bytes
}
