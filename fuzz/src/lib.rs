//! What the targets share: any bytes become a trace with right CRCs.

use std::path::PathBuf;

use trace::{Trace, format};

/// Opens bytes as a trace. None: the reader refuses them.
pub fn open(bytes: &[u8]) -> Option<Trace> {
    let trace = Trace::from_source(with_right_crcs(bytes), "input").ok()?;
    trace.damage().iter().for_each(|damage| drop(damage.to_string()));
    Some(trace)
}

/// A folder for files. `scripts/fuzz` puts it in memory and removes it afterwards.
pub fn folder() -> PathBuf {
    std::env::temp_dir()
}

/// The bytes with the CRC of the head, and of everything that looks like a chunk, put right. The reader skips what has a
/// wrong CRC, so without this no input would reach the code behind that check.
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
