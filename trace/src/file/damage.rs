//! What can be wrong with a trace file.

use abi::record::{HostCounter, Kind};

use super::{Origin, Record};

/// A part of the file that is missing or is not as it was written. Offsets and sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Damage {
    /// The head is damaged, so what ran is not known.
    #[error("the head is damaged: what ran and the time scale are unknown")]
    Head,
    /// Bytes that are not a chunk, between chunks.
    #[error("{bytes} bytes at offset {offset} are damaged and were skipped")]
    Unreadable { offset: u64, bytes: u64 },
    /// Bytes after the last whole chunk.
    #[error("cut short: the last {bytes} bytes, from offset {offset}, are not a whole chunk{}", said(*records))]
    Tail { offset: u64, bytes: u64, records: Option<u32> },
    /// Every chunk is whole, but the end of the file is missing.
    #[error(
        "the file was not closed: Trapline ended before it wrote the end of the trace, so the last events may be missing"
    )]
    NotClosed,
    /// Sequence numbers that no chunk has.
    #[error("{records} {} records from number {first} on are missing", origin_name(*origin))]
    Gap { origin: Origin, first: u64, records: u64 },
    /// A chunk that is not in its place: it occurs twice, or after a chunk that should follow it.
    #[error("the chunk at offset {offset} starts with {} record {first}, expected {expected}", origin_name(*origin))]
    OutOfOrder { offset: u64, origin: Origin, first: u64, expected: u64 },
    /// A chunk of a later version.
    #[error(
        "the chunk at offset {offset} is from a later version of Trapline; its {records} records were skipped"
    )]
    UnknownChunk { offset: u64, records: u32 },
    /// The guest wrote bytes that are not records.
    #[error("{bytes} bytes at offset {offset} are not records: the {} wrote invalid data", origin_name(*origin))]
    Malformed { offset: u64, bytes: u64, origin: Origin },
    /// The guest's count is not the number of records that it wrote.
    #[error("the chunk at offset {offset} has {found} records, but the guest counted {said}")]
    Miscounted { offset: u64, said: u32, found: u32 },
    /// The guest's buffer was full.
    #[error("the guest could not record {records} events")]
    LostByGuest { records: u64 },
    /// The file was made of another one by `trapline recover`.
    #[error("recovered from a damaged file: {what}")]
    Recovered { what: String },
    /// The host found bytes that are not records in the guest's buffer.
    #[error("{bytes} bytes in the guest's buffer were not a whole record")]
    MalformedInGuest { bytes: u64 },
    /// A file has more damage than a reader keeps. It stands last.
    #[error("{places} more places are damaged")]
    More { places: u64 },
}

/// How many damages of a file a reader keeps: a file can have one for each few bytes.
const KEPT_MAX: usize = 10_000;

/// Adds damage to what was found of a file. Beyond [`KEPT_MAX`], it is counted.
pub(super) fn add(found: &mut Vec<Damage>, more: impl IntoIterator<Item = Damage>) {
    for damage in more {
        let count = if let Damage::More { places } = damage { places } else { 1 };
        if let Some(Damage::More { places }) = found.last_mut() {
            *places = places.saturating_add(count);
            continue;
        }
        let is_full = found.len() >= KEPT_MAX;
        found.push(if is_full { Damage::More { places: count } } else { damage });
    }
}

impl Damage {
    /// What the host's record of a count says is missing.
    pub(super) fn noted_by(record: &Record<'_>) -> Option<Damage> {
        let is_count = record.origin == Origin::Host && record.kind == Kind::HostCount as u8;
        let value = record.word(0).filter(|&value| is_count && value > 0)?;
        match HostCounter::try_from(record.detail) {
            Ok(HostCounter::LostByGuest) => Some(Damage::LostByGuest { records: value }),
            Ok(HostCounter::Malformed) => Some(Damage::MalformedInGuest { bytes: value }),
            _ => None,
        }
    }

    /// Records that are missing from one number up to another, if there are any between them.
    pub(super) fn gap(origin: Origin, first: u64, end: u64) -> Option<Damage> {
        let records = end.checked_sub(first).filter(|&records| records > 0)?;
        Some(Damage::Gap { origin, first, records })
    }
}

fn said(records: Option<u32>) -> String {
    records.map_or_else(String::new, |records| format!("; it should have {records} records"))
}

fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Guest => "guest",
        Origin::Host => "host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_a_bounded_number() {
        let lost = |count| vec![Damage::LostByGuest { records: 1 }; count];
        let (mut found, mut noted) = (Vec::new(), Vec::new());
        add(&mut found, lost(KEPT_MAX));
        assert_eq!(found.len(), KEPT_MAX);
        add(&mut found, lost(2));
        add(&mut noted, lost(KEPT_MAX + 5));
        assert_eq!((noted.len(), noted.last()), (KEPT_MAX + 1, Some(&Damage::More { places: 5 })));
        add(&mut found, noted);
        let places = 2 + KEPT_MAX as u64 + 5;
        assert_eq!((found.len(), found.last()), (KEPT_MAX + 1, Some(&Damage::More { places })));
    }
}
