//! The bytes of a trace file: head, chunks, index. `docs/trace-format.md` describes them.
//!
//! Everything is little-endian. Nothing here reads or writes a file.

use super::Meta;

/// The version of the format. A reader refuses later ones and reads all earlier ones. Version 1 had no [`COMPACT`].
pub const VERSION: u16 = 3;

/// The first bytes of a trace file.
pub const HEAD_MAGIC: [u8; 8] = *b"TRAPLINE";
/// Size of the head before its JSON, in bytes.
pub const HEAD_SIZE: usize = 24;
/// The offset of the head's CRC, which covers everything before it, and the JSON.
pub const HEAD_CRC_AT: usize = 20;
/// The longest JSON of a head, in bytes. A reader looks for the first chunk no further behind a damaged head.
pub const JSON_MAX: usize = 1 << 20;

/// The first bytes of a chunk. The line ends in it catch a transfer as text, 0xC5 one that drops bit 7.
pub const CHUNK_MAGIC: [u8; 8] = *b"\xC5chunk\r\n";
/// Size of a chunk before its payload, in bytes.
pub const CHUNK_SIZE: usize = 64;
/// The longest payload of a chunk, in bytes.
pub const PAYLOAD_MAX: usize = 16 << 20;
/// How far into a file the end of its first chunk can be.
pub const FIRST_CHUNK_WITHIN: usize = HEAD_SIZE + JSON_MAX + CHUNK_SIZE + PAYLOAD_MAX;
/// The offset of a chunk's CRC, which covers everything after it.
const CRC_AT: usize = 8;
const COVERED_AT: usize = CRC_AT + 4;

/// The last bytes of a file that was closed, after the offset of its index.
pub const END_MAGIC: [u8; 8] = *b"\xC5close\r\n";
/// Size of the end mark: the offset of the index and [`END_MAGIC`].
pub const END_SIZE: usize = 16;
/// Size of an entry of the index, in bytes.
pub const INDEX_ENTRY_SIZE: usize = 24;

/// The payload is the records as they are.
pub const RAW: u8 = 0;
/// The payload is the differences between records.
pub const COMPACT: u8 = 1;

/// Who wrote the records of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The guest kernel.
    Guest,
    /// Trapline itself.
    Host,
}

/// What a chunk is, as its origin byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Records.
    Records(Origin),
    /// The index of chunks.
    Index,
    /// Something of a later version.
    Other(u8),
}

impl Origin {
    /// This origin's element of a pair, in which the guest's is first.
    #[inline]
    pub(crate) fn of<T>(self, [guest, host]: [T; 2]) -> T {
        match self {
            Origin::Guest => guest,
            Origin::Host => host,
        }
    }
}

impl Content {
    fn to_byte(self) -> u8 {
        match self {
            Content::Records(Origin::Guest) => 0,
            Content::Records(Origin::Host) => 1,
            Content::Index => 2,
            Content::Other(byte) => byte,
        }
    }

    fn from_byte(byte: u8) -> Content {
        match byte {
            0 => Content::Records(Origin::Guest),
            1 => Content::Records(Origin::Host),
            2 => Content::Index,
            other => Content::Other(other),
        }
    }
}

/// The head of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHead {
    /// What it holds.
    pub content: Content,
    /// How the payload is stored: [`RAW`] or [`COMPACT`].
    pub encoding: u8,
    /// Bytes of payload in the file.
    pub stored: u32,
    /// Bytes of records, once decoded; for raw, the same.
    pub decoded: u32,
    /// Records in it.
    pub records: u32,
    /// The number of its first record among those of its origin, from 0.
    pub first: u64,
    /// Guest records in the file up to the end of this chunk, the missing ones included.
    pub guest_total: u64,
    /// Host records likewise.
    pub host_total: u64,
}

impl ChunkHead {
    /// Writes the head, with its CRC, into the first [`CHUNK_SIZE`] bytes of `chunk`; the payload is behind them.
    pub fn seal(&self, chunk: &mut [u8]) {
        let mut put = |at: usize, bytes: &[u8]| {
            chunk.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
        };
        put(0, &CHUNK_MAGIC);
        put(12, &self.stored.to_le_bytes());
        put(16, &[self.content.to_byte(), self.encoding, 0, 0]);
        put(20, &self.decoded.to_le_bytes());
        put(24, &self.first.to_le_bytes());
        put(32, &self.records.to_le_bytes());
        put(36, &[0; 4]);
        put(40, &self.guest_total.to_le_bytes());
        put(48, &self.host_total.to_le_bytes());
        put(56, &[0; 8]);
        let crc = crc32c::crc32c(chunk.get(COVERED_AT..).unwrap_or_default());
        chunk.iter_mut().skip(CRC_AT).zip(crc.to_le_bytes()).for_each(|(to, from)| *to = from);
    }

    /// The head at the start of `bytes`, without a check of its CRC. `None` if the magic is missing or there are too few bytes.
    pub fn peek(bytes: &[u8]) -> Option<ChunkHead> {
        let bytes = bytes.first_chunk::<CHUNK_SIZE>().filter(|bytes| bytes.starts_with(&CHUNK_MAGIC))?;
        Some(ChunkHead {
            stored: u32_at(bytes, 12),
            content: Content::from_byte(bytes[16]),
            encoding: bytes[17],
            decoded: u32_at(bytes, 20),
            first: u64_at(bytes, 24),
            records: u32_at(bytes, 32),
            guest_total: u64_at(bytes, 40),
            host_total: u64_at(bytes, 48),
        })
    }

    /// The whole chunk at the start of `bytes`: its head and its payload. `None`: there is no chunk, or its CRC is wrong.
    pub fn open(bytes: &[u8]) -> Option<(ChunkHead, &[u8])> {
        let head = ChunkHead::peek(bytes)?;
        let chunk = bytes.get(..head.size()?)?;
        let sound = crc32c::crc32c(chunk.get(COVERED_AT..)?) == u32_at(bytes, CRC_AT);
        sound.then(|| (head, payload(chunk)))
    }

    /// The size of the chunk with its payload, in bytes. None: no chunk is that long.
    pub fn size(&self) -> Option<usize> {
        let payload = usize::try_from(self.stored).ok().filter(|&payload| payload <= PAYLOAD_MAX)?;
        CHUNK_SIZE.checked_add(payload)
    }
}

/// The payload of a chunk.
#[inline]
pub(super) fn payload(chunk: &[u8]) -> &[u8] {
    chunk.get(CHUNK_SIZE..).unwrap_or_default()
}

/// An entry of the index: where a chunk of records is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Offset in the file.
    pub offset: u64,
    /// TSC of its first record.
    pub tsc: u64,
    /// Records in it.
    pub records: u32,
    /// Whose.
    pub origin: Origin,
}

impl IndexEntry {
    /// An entry of these bytes. None: it names no chunk of records.
    pub fn from_bytes(bytes: &[u8; INDEX_ENTRY_SIZE]) -> Option<IndexEntry> {
        let Content::Records(origin) = Content::from_byte(*bytes.get(20)?) else { return None };
        let (offset, tsc, records) = (u64_at(bytes, 0), u64_at(bytes, 8), u32_at(bytes, 16));
        Some(IndexEntry { offset, tsc, records, origin })
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; INDEX_ENTRY_SIZE] {
        let mut bytes = [0; INDEX_ENTRY_SIZE];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.tsc.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.records.to_le_bytes());
        bytes[20] = Content::Records(self.origin).to_byte();
        bytes
    }
}

/// The head of a file. Its JSON is padded with spaces, so that chunks start at a multiple of 8.
pub fn head(meta: &Meta) -> Vec<u8> {
    let mut json = serde_json::to_vec(meta).expect("a Meta has only strings, numbers and lists");
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut head = Vec::with_capacity(HEAD_SIZE.saturating_add(json.len()));
    head.extend_from_slice(&HEAD_MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&meta.abi_version.to_le_bytes());
    head.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_le_bytes());
    head.extend_from_slice(&[0; 4]);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head), &json);
    head.extend_from_slice(&crc.to_le_bytes());
    head.extend_from_slice(&json);
    head
}

/// What the head of a file is.
#[derive(Debug, PartialEq, Eq)]
pub enum HeadState {
    /// Whole: what it says, and where the chunks start.
    Whole(Box<Meta>, usize),
    /// Of another version of the format.
    Version(u16),
    /// It is damaged.
    Damaged,
    /// The file ends inside it.
    Cut,
    /// The file has no head.
    Missing,
}

/// The size of the head that starts with `bytes`, its JSON included. `None` if that size is not valid.
pub fn head_size_of(bytes: &[u8]) -> Option<usize> {
    let json = usize::try_from(u32_at(bytes, 12)).ok().filter(|&json| json <= JSON_MAX)?;
    HEAD_SIZE.checked_add(json)
}

/// Reads the head of a file. `bytes` are as many as a head can have, or the whole file.
pub fn open_head(bytes: &[u8]) -> HeadState {
    let shown = bytes.len().min(HEAD_MAGIC.len());
    if bytes.is_empty() || bytes.get(..shown) != HEAD_MAGIC.get(..shown) {
        return HeadState::Missing;
    }
    if bytes.len() < HEAD_SIZE {
        return HeadState::Cut;
    }
    let Some(end) = head_size_of(bytes) else { return HeadState::Damaged };
    let Some(json) = bytes.get(HEAD_SIZE..end) else { return HeadState::Cut };
    let before = bytes.get(..HEAD_CRC_AT).unwrap_or_default();
    let crc = crc32c::crc32c_append(crc32c::crc32c(before), json);
    if crc != u32_at(bytes, HEAD_CRC_AT) {
        return HeadState::Damaged;
    }
    match u16_at(bytes, 8) {
        other if other != VERSION => HeadState::Version(other),
        _ => serde_json::from_slice(json)
            .map_or(HeadState::Damaged, |meta| HeadState::Whole(Box::new(meta), end)),
    }
}

/// The end mark of a file whose index is at `index`.
pub fn end_mark(index: u64) -> [u8; END_SIZE] {
    let mut mark = [0; END_SIZE];
    mark[..8].copy_from_slice(&index.to_le_bytes());
    mark[8..].copy_from_slice(&END_MAGIC);
    mark
}

/// Appends a record. `words` beyond [`abi::record::WORDS_MAX`] have no place in one and are left out.
pub fn push_record(bytes: &mut Vec<u8>, tsc: u64, kind: u8, process: u16, detail: u32, words: &[u64]) {
    debug_assert!(words.len() <= abi::record::WORDS_MAX);
    let words = words.get(..abi::record::WORDS_MAX).unwrap_or(words);
    bytes.extend_from_slice(&tsc.to_le_bytes());
    bytes.extend_from_slice(&[kind, words.len() as u8]);
    bytes.extend_from_slice(&process.to_le_bytes());
    bytes.extend_from_slice(&detail.to_le_bytes());
    words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
}

/// The size in bytes of the record at the start of `bytes`, if it is a whole one that `origin` may write.
#[inline]
pub fn record_size(bytes: &[u8], origin: Origin) -> Option<usize> {
    let head = bytes.get(..abi::record::HEAD_SIZE)?;
    head_size(u64_at(head, 8), origin).filter(|size| *size <= bytes.len())
}

/// The size in bytes of a record by what stands behind the time in its head, if it is one that `origin` may write.
#[inline]
pub(super) fn head_size(head: u64, origin: Origin) -> Option<usize> {
    let (kind, words) = (head as u8, usize::from((head >> 8) as u8));
    let its_own = (kind >= abi::record::FIRST_HOST_KIND) == (origin == Origin::Host);
    (kind != 0 && its_own && words <= abi::record::WORDS_MAX)
        .then_some(abi::record::HEAD_SIZE.wrapping_add(words.wrapping_mul(8)))
}

/// Two bytes as a number; 0 beyond the end.
#[inline]
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

/// Four bytes as a number; 0 beyond the end.
#[inline]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

/// Eight bytes as a number; 0 beyond the end.
#[inline]
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}

#[inline]
fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; N])
}
