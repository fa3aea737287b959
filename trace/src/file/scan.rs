//! A walk over all chunks of a file, which finds all damage.

use std::io;

use memchr::memmem;

use super::format::{self, CHUNK_MAGIC, CHUNK_SIZE, COMPACT, ChunkHead, Content, END_SIZE, RAW};
use super::source::Window;
use super::walk::Walk;
use super::{Damage, Origin, Record, damage};

/// The limit on the search for chunks after damage, as a multiple of the file's size. Without it, a file that looks like the
/// start of a chunk at every byte would take hours.
const SEARCHES: u64 = 16;
/// How many bytes are searched at once.
const SEARCHED_AT_ONCE: usize = 64 << 10;

/// A chunk of records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) origin: Origin,
    /// The number of its first record.
    pub(super) first: u64,
    /// How many it has, as it says.
    pub(super) records: u32,
    /// Where its head is in the file.
    pub(super) at: u64,
    /// Bytes of head and payload.
    pub(super) size: usize,
    /// The time of its first record; 0: it has none.
    pub(super) tsc: u64,
}

/// The chunks of records of a file, those of each origin in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) chunks: Vec<Chunk>,
    /// Records of guest and host that the run is known to have had.
    pub(super) totals: [u64; 2],
}

impl Table {
    /// The chunks from the first on that is of an origin and starts with a number or a later one.
    pub(super) fn from(&self, origin: Origin, first: u64) -> &[Chunk] {
        let at = self.chunks.iter().position(|chunk| chunk.origin == origin && chunk.first >= first);
        at.and_then(|at| self.chunks.get(at..)).unwrap_or_default()
    }
}

/// What is at an offset of the file.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A chunk of records: the number of its first, and its bytes.
    Records { origin: Origin, first: u64, encoding: u8, chunk: &'a [u8] },
    /// Another chunk.
    Other,
    /// The end mark, and nothing behind it.
    End,
    /// No whole chunk. If it looks like the head of one: what that says.
    Broken(Option<ChunkHead>),
}

/// The walk.
#[derive(Debug)]
pub(super) struct Scan {
    /// Where it is.
    pub(super) at: u64,
    pub(super) damage: Vec<Damage>,
    chunks: Vec<Chunk>,
    /// Where the index was.
    index: Option<u64>,
    /// The number of the next record of guest and host.
    next: [u64; 2],
    /// How many there were up to here, as the chunks say.
    totals: [u64; 2],
    walks: [Walk; 2],
    /// What the host's own records say is missing.
    noted: Vec<Damage>,
    /// Bytes that were looked at behind damage.
    looked_at: u64,
}

impl Scan {
    /// A walk over a file whose first chunk is at `at`.
    pub(super) fn new(at: u64) -> Scan {
        Scan {
            at,
            damage: Vec::new(),
            chunks: Vec::new(),
            index: None,
            next: [0; 2],
            totals: [0; 2],
            walks: [Walk::new(Origin::Guest), Walk::new(Origin::Host)],
            noted: Vec::new(),
            looked_at: 0,
        }
    }

    /// Takes everything to the end of the file.
    pub(super) fn run(&mut self, window: &mut Window) -> io::Result<()> {
        loop {
            let head = match self.step(window)? {
                Step::Records { .. } | Step::Other => continue,
                Step::End => return Ok(()),
                Step::Broken(head) => head,
            };
            let (offset, bytes) = (self.at, window.size().saturating_sub(self.at));
            if bytes == 0 {
                damage::add(&mut self.damage, [Damage::NotClosed]);
                return Ok(());
            }
            let Ok(next) = self.find_chunk(window, offset, window.size())? else {
                let records = head.map(|head| head.records);
                damage::add(&mut self.damage, [Damage::Tail { offset, bytes, records }]);
                return Ok(());
            };
            damage::add(
                &mut self.damage,
                [Damage::Unreadable { offset, bytes: next.saturating_sub(offset) }],
            );
            self.at = next;
        }
    }

    /// Whether the last chunk was the index, so that only the end mark can follow.
    pub(super) fn is_behind_index(&self) -> bool {
        self.index.is_some()
    }

    /// Takes the next chunk, if it is whole.
    pub(super) fn step<'a>(&mut self, window: &'a mut Window) -> io::Result<Step<'a>> {
        let at = self.at;
        if let Some(index) = self.index
            && window.size().checked_sub(at) == Some(END_SIZE as u64)
            && window.get(at, END_SIZE)? == format::end_mark(index)
        {
            return Ok(Step::End);
        }
        let head = ChunkHead::peek(window.get(at, CHUNK_SIZE)?);
        let Some(size) = head.and_then(|head| head.size()) else { return Ok(Step::Broken(head)) };
        let chunk = window.get(at, size)?;
        let Some((head, payload)) = ChunkHead::open(chunk) else { return Ok(Step::Broken(head)) };
        self.at = at.saturating_add(size as u64);
        let [guest, host] = self.totals;
        self.totals = [guest.max(head.guest_total), host.max(head.host_total)];
        match head.content {
            Content::Records(origin) if matches!(head.encoding, RAW | COMPACT) => {
                self.take_records(at, &head, payload, origin);
                return Ok(Step::Records { origin, first: head.first, encoding: head.encoding, chunk });
            }
            Content::Index => self.index = Some(at),
            _ => damage::add(&mut self.damage, [Damage::UnknownChunk { offset: at, records: head.records }]),
        }
        Ok(Step::Other)
    }

    /// The offset of the first whole chunk between two offsets. Without one, the first offset where a chunk may start that ends
    /// after `to`.
    pub(super) fn find_chunk(
        &mut self,
        window: &mut Window,
        from: u64,
        to: u64,
    ) -> io::Result<Result<u64, u64>> {
        let most = window.size().saturating_mul(SEARCHES);
        let (mut at, mut cut) = (from, None);
        while at < to {
            let rest = usize::try_from(to.saturating_sub(at)).unwrap_or(usize::MAX);
            let block = window.get(at, rest.min(SEARCHED_AT_ONCE))?;
            let Some(offset) = memmem::find(block, &CHUNK_MAGIC) else {
                // A magic may lie across the end of the block.
                let searched = block.len().saturating_sub(CHUNK_MAGIC.len().saturating_sub(1));
                at = at.saturating_add(searched as u64);
                if block.len() == rest {
                    break;
                }
                continue;
            };
            at = at.saturating_add(offset as u64);
            let rest = usize::try_from(to.saturating_sub(at)).unwrap_or(usize::MAX);
            let head = ChunkHead::peek(window.get(at, CHUNK_SIZE.min(rest))?);
            let size = head.map_or(Some(CHUNK_SIZE), |head| head.size()).unwrap_or(0);
            if size > rest {
                cut.get_or_insert(at);
            }
            self.looked_at = self.looked_at.saturating_add(size.min(rest) as u64);
            if self.looked_at > most {
                return Ok(Err(at));
            }
            if size <= rest && ChunkHead::open(window.get(at, size)?).is_some() {
                return Ok(Ok(at));
            }
            at = at.saturating_add(1);
        }
        Ok(Err(cut.unwrap_or(at)))
    }

    /// The chunks of each origin in the order of the numbers of their records, without those that are there twice. The
    /// damage now says which numbers are missing.
    pub(super) fn table(&mut self) -> Table {
        let mut chunks = std::mem::take(&mut self.chunks);
        let numbers = |wanted| {
            let own = chunks.iter().filter(move |chunk| chunk.origin == wanted);
            own.map(|chunk| chunk.first)
        };
        if !numbers(Origin::Guest).is_sorted() || !numbers(Origin::Host).is_sorted() {
            chunks.sort_by_key(|chunk| chunk.first);
        }
        let mut table = Table { chunks, totals: self.totals };
        let mut next = [0; 2];
        table.chunks.retain(|chunk| {
            let next = of(&mut next, chunk.origin);
            let is_new = chunk.first >= *next;
            if is_new {
                damage::add(&mut self.damage, Damage::gap(chunk.origin, *next, chunk.first));
                *next = chunk.first.saturating_add(chunk.records.into());
            }
            is_new
        });
        for origin in [Origin::Guest, Origin::Host] {
            let (next, total) = (*of(&mut next, origin), of(&mut table.totals, origin));
            damage::add(&mut self.damage, Damage::gap(origin, next, *total));
            *total = next.max(*total);
        }
        damage::add(&mut self.damage, self.noted.drain(..));
        table
    }

    fn take_records(&mut self, at: u64, head: &ChunkHead, payload: &[u8], origin: Origin) {
        let (first, next) = (head.first, of(&mut self.next, origin));
        let is_new = first >= *next;
        if !is_new {
            damage::add(
                &mut self.damage,
                [Damage::OutOfOrder { offset: at, origin, first, expected: *next }],
            );
        }
        *next = first.saturating_add(u64::from(head.records)).max(*next);
        let walk = of(&mut self.walks, origin);
        walk.start(head.encoding);
        let mut found = walk.next_batch(payload);
        let (tsc, mut records) = (walk.peek().unwrap_or(0), found);
        while records > 0 {
            while origin == Origin::Host
                && is_new
                && let Some((tsc, head, words)) = walk.take()
            {
                damage::add(&mut self.noted, Damage::noted_by(&Record::new(0, origin, tsc, head, words)));
            }
            records = walk.next_batch(payload);
            found = found.saturating_add(records);
        }
        let left = walk.left(payload) as u64;
        let size = CHUNK_SIZE.saturating_add(payload.len());
        self.chunks.push(Chunk { origin, first, records: head.records, at, size, tsc });
        if left > 0 {
            let offset = at.saturating_add(size as u64).saturating_sub(left);
            damage::add(&mut self.damage, [Damage::Malformed { offset, bytes: left, origin }]);
        }
        if found != head.records {
            damage::add(&mut self.damage, [Damage::Miscounted { offset: at, said: head.records, found }]);
        }
    }
}

/// What belongs to an origin.
pub(super) fn of<T>(each: &mut [T; 2], origin: Origin) -> &mut T {
    let [guest, host] = each;
    match origin {
        Origin::Guest => guest,
        Origin::Host => host,
    }
}
