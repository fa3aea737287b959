//! The index at the end of a file, which says where each chunk is, so that a reader need not walk over them.

use std::io;

use super::Origin;
use super::format::{self, CHUNK_SIZE, ChunkHead, Content, END_SIZE, IndexEntry, PAYLOAD_MAX};
use super::scan::{Chunk, Table, of};
use super::source::Window;

/// The chunks of records that the index of a file names. None: it has none, or one that does not name all chunks between
/// the head, which ends at `start`, and itself. What is behind the index must be the end mark.
pub(super) fn read(window: &mut Window, start: u64) -> io::Result<Option<Table>> {
    let size = window.size();
    let Some(end) = size.checked_sub(END_SIZE as u64) else { return Ok(None) };
    let at = format::u64_at(window.get(end, END_SIZE)?, 0);
    let length = end.checked_sub(at).and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|&length| length <= CHUNK_SIZE.saturating_add(PAYLOAD_MAX)) else {
        return Ok(None);
    };
    if window.get(end, END_SIZE)? != format::end_mark(at) {
        return Ok(None);
    }
    let chunk = ChunkHead::open(window.get(at, length)?);
    Ok(chunk.and_then(|(head, payload)| {
        let is_index = head.content == Content::Index && head.size() == Some(length);
        is_index.then(|| table(payload, start, at, [head.guest_total, head.host_total]))?
    }))
}

/// The chunks that the entries name, if they follow one another from `start` to `end` and have all records of the run. Then
/// the number of each chunk's first record is known too.
fn table(entries: &[u8], start: u64, end: u64, totals: [u64; 2]) -> Option<Table> {
    let entries: Option<Vec<_>> = entries.as_chunks().0.iter().map(IndexEntry::from_bytes).collect();
    let entries = entries?;
    let ends = entries.iter().skip(1).map(|entry| entry.offset).chain([end]);
    let (mut at, mut next) = (start, [0; 2]);
    let mut chunks = Vec::with_capacity(entries.len());
    for (IndexEntry { offset, tsc, records, origin }, end) in entries.iter().copied().zip(ends) {
        let size = usize::try_from(end.checked_sub(offset)?).ok()?;
        if offset != at || !(CHUNK_SIZE..=CHUNK_SIZE.saturating_add(PAYLOAD_MAX)).contains(&size) {
            return None;
        }
        let next = of(&mut next, origin);
        chunks.push(Chunk { origin, first: *next, records, at, size, tsc });
        *next = next.checked_add(records.into())?;
        at = end;
    }
    (at == end && next == totals).then_some(Table { chunks, totals })
}

/// Whether the times of an origin's chunks rise, so that they say which chunks a time can be in.
pub(super) fn is_in_time(table: &Table) -> bool {
    [Origin::Guest, Origin::Host].iter().all(|origin| {
        table.chunks.iter().filter(|chunk| chunk.origin == *origin).map(|chunk| chunk.tsc).is_sorted()
    })
}
