//! The trace doorbell: it copies the guest's records from the guest's buffer to the trace.
//!
//! The guest attaches a buffer once and writes to the doorbell when records wait in it. The vCPU does not run meanwhile,
//! so a bell costs one read of the buffer's head and one copy. The head has a running count of records. The host counts
//! the records that it copies and compares, so it detects missing and surplus records.
//!
//! The host does not trust guest memory: it checks an attach against the memory's size, and each bell against the buffer
//! that was attached.

use std::convert::Infallible;
use std::ops::RangeInclusive;

use abi::ports::{ATTACH, DOORBELL};
use abi::record::{BUFFER_MAGIC, BUFFER_MAX, BufferHead, Ending, HostCounter};
use thiserror::Error;
use vm_memory::{ByteValued, Bytes, GuestAddress, GuestMemoryBackend};

use crate::machine::bus::{Device, End, Flow, Look};
use crate::machine::layout::{Memory, PAGE};
use trace::format::{record_size, u16_at};
use trace::{Origin, WriteError, Writer};

/// Offset of a record's kind.
const KIND_OFFSET: usize = 8;
/// Offset of a record's process.
const PROCESS_OFFSET: usize = 10;

/// How a guest violated the ABI.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Broken {
    /// The head is not in memory.
    #[error("the trace buffer at {address:#x} is outside guest memory")]
    Outside {
        /// Physical address of the head.
        address: u64,
    },
    /// There is no head at that address.
    #[error(
        "the memory at {address:#x} is not a trace buffer: its magic number is {magic:#x}, not {BUFFER_MAGIC:#x}"
    )]
    NoBuffer {
        /// Physical address of the head.
        address: u64,
        /// The number that is there instead.
        magic: u32,
    },
    /// The guest was built for another version of the ABI.
    #[error(
        "the guest uses version {guest} of the ABI, but this Trapline uses version {}: build the guest with the same `abi` \
         crate",
        abi::VERSION
    )]
    Version {
        /// The version of the guest.
        guest: u16,
    },
    /// Sizes that the ABI does not allow.
    #[error(
        "the trace buffer has a head of {head_size} bytes and a capacity of {capacity} bytes; the ABI requires a head of {} \
         bytes, and a capacity of at most {} bytes that is a multiple of 8",
        BufferHead::SIZE,
        BUFFER_MAX - BufferHead::SIZE
    )]
    Size {
        /// Size of the head.
        head_size: u16,
        /// Room for records.
        capacity: u32,
    },
    /// A second attach.
    #[error("the guest attached a second trace buffer; it may attach only one")]
    Twice,
    /// The bell rang without a buffer.
    #[error("the guest rang the doorbell before it attached a trace buffer")]
    NotAttached,
    /// The bell and the head have different sizes.
    #[error("the guest wrote {bell} to the doorbell, but its trace buffer holds {used} bytes of records")]
    BellDiffers {
        /// What was written to the port.
        bell: u32,
        /// What the head says.
        used: u32,
    },
    /// The size of the records is larger than the buffer.
    #[error("the guest's trace buffer holds {used} bytes of records, but its capacity is {capacity} bytes")]
    Overfull {
        /// What the head says.
        used: u32,
        /// The capacity at attach.
        capacity: u32,
    },
    /// The bytes are not a record, or its kind is not one that a guest may write.
    #[error(
        "byte {offset} of the trace buffer does not start a record that a guest may write (its kind is {kind:#x}); the \
         {found} records before it are kept"
    )]
    NoRecord {
        /// The offset of these bytes after the head.
        offset: usize,
        /// The byte at the place of the kind.
        kind: u8,
        /// The number of whole records before it.
        found: u64,
    },
    /// The running count is not the number of records in the buffer.
    #[error("the guest counted {counted} new records, but its trace buffer holds {found}")]
    Miscounted {
        /// The number by the guest's running count.
        counted: u64,
        /// The number of whole records in the buffer.
        found: u64,
    },
}

/// A buffer, with its properties when it was attached.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    head: GuestAddress,
    capacity: u32,
}

/// The doorbell and the attach port.
#[derive(Debug)]
pub struct Doorbell<'a> {
    memory: &'a Memory,
    trace: Writer,
    /// The size of the trace, in bytes, at which the run ends.
    trace_most: u64,
    buffer: Option<Buffer>,
    /// The guest's running count when its records were last copied, and the bytes copied.
    records: u64,
    taken: u32,
    /// The process of the last record that was copied.
    process: Option<u16>,
    bells: u64,
    malformed: u64,
    /// Records that were counted but were not in the buffer.
    absent: u64,
    /// The error with which a write of the trace failed.
    failed: Option<WriteError>,
}

impl<'a> Doorbell<'a> {
    /// A doorbell that copies from `memory` to `trace`, and ends the run when `trace` has `trace_most` bytes.
    pub fn new(memory: &'a Memory, trace: Writer, trace_most: u64) -> Self {
        Doorbell {
            memory,
            trace,
            trace_most,
            buffer: None,
            records: 0,
            taken: 0,
            process: None,
            bells: 0,
            malformed: 0,
            absent: 0,
            failed: None,
        }
    }

    /// Returns the trace, or the error with which writing it failed.
    pub fn into_trace(self) -> Result<Writer, WriteError> {
        self.failed.map_or(Ok(self.trace), Err)
    }

    /// Copies the waiting records after the guest has stopped, however its run ended. The guest may have stopped at any
    /// instruction: after a bell and before it reset the head (then nothing is new), or between a record and the count
    /// (then the record is kept).
    fn drain(&mut self) -> Result<(), WriteError> {
        let Some(buffer) = self.buffer else { return Ok(()) };
        let Ok(head) = self.head(buffer.head) else { return Ok(()) };
        if (head.records, head.used) == (self.records, self.taken) {
            return Ok(());
        }
        if head.used > buffer.capacity {
            self.absent = self.absent.saturating_add(head.records.wrapping_sub(self.records));
            return Ok(());
        }
        self.take(buffer, head).map(drop)
    }

    /// The number of records that are not in the trace, or of bytes that were not records. If it is not 0, the trace has
    /// a gap.
    pub fn missing(&self) -> u64 {
        self.lost().saturating_add(self.malformed)
    }

    /// The number of records that the guest reported as lost, and of records that it counted but did not write.
    fn lost(&self) -> u64 {
        let reported = self.buffer.and_then(|buffer| self.head(buffer.head).ok()).map_or(0, |head| head.lost);
        reported.saturating_add(self.absent)
    }

    fn attach(&mut self, page: u32) -> Result<(), Broken> {
        if self.buffer.is_some() {
            return Err(Broken::Twice);
        }
        let address = u64::from(page) * PAGE;
        let head = self.head(GuestAddress(address))?;
        let BufferHead { magic, version, head_size, capacity, .. } = head;
        if magic != BUFFER_MAGIC {
            return Err(Broken::NoBuffer { address, magic });
        }
        if version != abi::VERSION {
            return Err(Broken::Version { guest: version });
        }
        let whole = BufferHead::SIZE + capacity as usize;
        if usize::from(head_size) != BufferHead::SIZE || capacity % 8 != 0 || whole > BUFFER_MAX {
            return Err(Broken::Size { head_size, capacity });
        }
        if !self.memory.check_range(GuestAddress(address), whole) {
            return Err(Broken::Outside { address });
        }
        self.buffer = Some(Buffer { head: GuestAddress(address), capacity });
        Ok(())
    }

    fn ring(&mut self, bell: u32) -> Result<Result<(), Broken>, WriteError> {
        self.bells += 1;
        let Some(buffer) = self.buffer else { return Ok(Err(Broken::NotAttached)) };
        let head = match self.head(buffer.head) {
            Ok(head) => head,
            Err(broken) => return Ok(Err(broken)),
        };
        let used = head.used;
        if used > buffer.capacity {
            return Ok(Err(Broken::Overfull { used, capacity: buffer.capacity }));
        }
        if bell != used {
            return Ok(Err(Broken::BellDiffers { bell, used }));
        }
        self.take(buffer, head)
    }

    /// Copies the waiting records. If they differ from what the head says, the whole records are kept and the rest is
    /// counted as malformed.
    fn take(&mut self, buffer: Buffer, head: BufferHead) -> Result<Result<(), Broken>, WriteError> {
        let from = GuestAddress(buffer.head.0 + BufferHead::SIZE as u64);
        let (memory, used) = (self.memory, head.used as usize);
        let counted = head.records.wrapping_sub(self.records);
        let mut process = None;
        let copied = self.trace.guest_records(used, counted, |bytes| {
            // An attached buffer lies in memory, so this read does not fail.
            let _ = memory.read_slice(bytes, from);
            let found = count(bytes);
            process = found.process;
            let is_right = (found.records, found.bytes) == (counted, used);
            // A guest of QEMU continues and may change its buffer, so the host checks and keeps this copy.
            if is_right { Ok(()) } else { Err((found, bytes.to_vec())) }
        })?;
        (self.records, self.taken) = (head.records, head.used);
        self.process = process.or(self.process);
        let Err((found, copy)) = copied else { return Ok(Ok(())) };
        // `drain` drops `Broken`, so the missing records are counted here.
        self.absent = self.absent.saturating_add(counted.saturating_sub(found.records));
        self.malformed += (used - found.bytes) as u64;
        let (whole, rest) = copy.split_at(found.bytes);
        let _ = self.trace.guest_records(found.bytes, found.records, |bytes| {
            bytes.copy_from_slice(whole);
            Ok::<(), Infallible>(())
        })?;
        Ok(Err(match rest.get(KIND_OFFSET) {
            Some(&kind) => Broken::NoRecord { offset: found.bytes, kind, found: found.records },
            None => Broken::Miscounted { counted, found: found.records },
        }))
    }

    fn head(&self, address: GuestAddress) -> Result<BufferHead, Broken> {
        let outside = Broken::Outside { address: address.0 };
        self.memory.read_obj::<HeadBytes>(address).map(HeadBytes::head).map_err(|_| outside)
    }
}

impl Device for Doorbell<'_> {
    fn ports(&self) -> RangeInclusive<u16> {
        ATTACH..=DOORBELL + 3
    }

    fn read(&mut self, port: u16, size: u8) -> Option<u32> {
        ((port, size) == (ATTACH, 4)).then_some(abi::VERSION.into())
    }

    fn write(&mut self, port: u16, size: u8, value: u32) -> Flow {
        let result = match (port, size) {
            (DOORBELL, 4) => self.ring(value),
            (ATTACH, 4) => Ok(self.attach(value)),
            _ => return Flow::BadAccess,
        };
        let (ending, message) = match result {
            Ok(Ok(())) if self.trace.size() < self.trace_most => return Flow::Continue,
            Ok(Ok(())) => {
                let status = self.trace_most;
                let message = format!("the trace reached the limit of --max-trace, {status} bytes");
                return Flow::End(End { ending: Ending::TraceLimit, status, message: Some(message) });
            }
            Ok(Err(broken)) => (Ending::ContractBroken, broken.to_string()),
            Err(error) => {
                let message = error.to_string();
                self.failed.get_or_insert(error);
                (Ending::TraceFailed, message)
            }
        };
        Flow::End(End { ending, status: 0, message: Some(message) })
    }

    fn look(&self, look: &mut Look) {
        let head = self.buffer.and_then(|buffer| Some((buffer, self.head(buffer.head).ok()?)));
        let Some((buffer, head)) = head else { return };
        let is_new = (head.records, head.used) != (self.records, self.taken);
        let mut waiting = vec![0; if is_new { head.used.min(buffer.capacity) as usize } else { 0 }];
        // An attached buffer lies in memory, so this read does not fail.
        let _ = self.memory.read_slice(&mut waiting, GuestAddress(buffer.head.0 + BufferHead::SIZE as u64));
        let found = count(&waiting);
        look.records = Some(self.records.saturating_add(found.records));
        look.process = found.process.or(self.process);
    }

    fn stop(&mut self) {
        if self.failed.is_none() {
            self.failed = self.drain().err();
        }
    }

    fn counts(&self) -> Vec<(HostCounter, u64)> {
        vec![
            (HostCounter::Doorbells, self.bells),
            (HostCounter::LostByGuest, self.lost()),
            (HostCounter::Malformed, self.malformed),
        ]
    }
}

/// Whole records at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    records: u64,
    bytes: usize,
    /// The process of the last one.
    process: Option<u16>,
}

/// Counts the records of a guest in `bytes`, up to the first bytes that are not a record.
fn count(bytes: &[u8]) -> Found {
    let (mut records, mut last, mut end) = (0, 0, 0);
    while let Some(size) = record_size(&bytes[end..], Origin::Guest) {
        (records, last, end) = (records + 1, end, end + size);
    }
    let process = (records > 0).then(|| u16_at(bytes, last + PROCESS_OFFSET));
    Found { records, bytes: end, process }
}

/// The head of a buffer as bytes of guest memory: two 64-bit words for each line of [`BufferHead`].
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct HeadBytes([u64; BufferHead::SIZE / 8]);

// SAFETY: an array of integers has no padding, and every bit pattern is a valid value.
unsafe impl ByteValued for HeadBytes {}

impl HeadBytes {
    fn head(self) -> BufferHead {
        let HeadBytes([first, second, records, lost]) = self;
        BufferHead {
            magic: first as u32,
            version: (first >> 32) as u16,
            head_size: (first >> 48) as u16,
            capacity: second as u32,
            used: (second >> 32) as u32,
            records,
            lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::Meta;

    const PAGE_NUMBER: u32 = 2;
    const HEAD: u64 = PAGE_NUMBER as u64 * PAGE;
    const MEMORY: usize = 16 * PAGE as usize;
    const CAPACITY: u32 = 1024;
    /// A record of 16 + 8 bytes.
    const RECORD: [u64; 3] = [1, 0x0101, 2];
    const RECORD_SIZE: u32 = 24;

    /// A guest's memory and the host's writer, without a VM.
    struct Fake {
        memory: Memory,
        directory: tempfile::TempDir,
    }

    impl Fake {
        fn new() -> Self {
            let memory = Memory::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap();
            let fake = Fake { memory, directory: tempfile::tempdir().unwrap() };
            fake.set(fake.valid());
            fake
        }

        fn valid(&self) -> BufferHead {
            BufferHead::new(CAPACITY, 0)
        }

        fn set(&self, head: BufferHead) {
            let words = HeadBytes([
                u64::from(head.magic) | u64::from(head.version) << 32 | u64::from(head.head_size) << 48,
                u64::from(head.capacity) | u64::from(head.used) << 32,
                head.records,
                head.lost,
            ]);
            self.memory.write_obj(words, GuestAddress(HEAD)).unwrap();
        }

        /// Puts `n` records into the buffer and sets the running count to `records`.
        fn fill(&self, n: u32, records: u64) {
            let at = |i: u32| GuestAddress(HEAD + BufferHead::SIZE as u64 + u64::from(i * RECORD_SIZE));
            for i in 0..n {
                for (word, value) in RECORD.iter().enumerate() {
                    self.memory.write_obj(*value, GuestAddress(at(i).0 + 8 * word as u64)).unwrap();
                }
            }
            self.set(BufferHead { used: n * RECORD_SIZE, records, ..self.valid() });
        }

        fn doorbell(&self) -> Doorbell<'_> {
            let path = self.directory.path().join("t.trap");
            Doorbell::new(&self.memory, Writer::create(&path, true, &Meta::default()).unwrap(), u64::MAX)
        }

        fn attached(&self) -> Doorbell<'_> {
            let mut doorbell = self.doorbell();
            assert_eq!(doorbell.write(ATTACH, 4, PAGE_NUMBER), Flow::Continue);
            doorbell
        }
    }

    /// The message of a violation that ended the run.
    fn sentence(flow: Flow) -> String {
        match flow {
            Flow::End(End { ending: Ending::ContractBroken, message: Some(message), .. }) => message,
            other => panic!("{other:?} is not a violation"),
        }
    }

    #[test]
    fn a_buffer_is_attached_and_its_records_are_taken_once() {
        let fake = Fake::new();
        let mut doorbell = fake.attached();
        assert_eq!(doorbell.read(ATTACH, 4), Some(abi::VERSION.into()));
        fake.fill(3, 3);
        assert_eq!(doorbell.write(DOORBELL, 4, 3 * RECORD_SIZE), Flow::Continue);
        assert_eq!(doorbell.records, 3);
        doorbell.stop();
        assert_eq!((doorbell.records, doorbell.missing()), (3, 0), "the guest has not reset the head yet");
        fake.fill(2, 5);
        doorbell.stop();
        assert_eq!((doorbell.records, doorbell.missing()), (5, 0), "what waits at the end is taken");
    }

    /// The guest was stopped between its first record after a bell and the count of it.
    #[test]
    fn a_record_that_is_not_yet_counted_is_kept() {
        let fake = Fake::new();
        let mut doorbell = fake.attached();
        fake.fill(3, 3);
        assert_eq!(doorbell.write(DOORBELL, 4, 3 * RECORD_SIZE), Flow::Continue);
        fake.fill(1, 3);
        doorbell.stop();
        assert_eq!(doorbell.missing(), 0);
        doorbell.into_trace().unwrap().finish().unwrap();
        let trace = trace::Trace::open(&fake.directory.path().join("t.trap")).unwrap();
        assert_eq!((trace.events().count(), trace.damage()), (4, &[][..]));
    }

    #[test]
    fn a_lying_head_is_refused_at_attach() {
        type Lie = fn(&mut BufferHead);
        let lies: [(Lie, &str); 7] = [
            (|h| h.magic = 7, "not a trace buffer"),
            (|h| h.version = abi::VERSION + 1, "uses version"),
            (|h| h.head_size = 0, "head of 0 bytes"),
            (|h| h.head_size = 4096, "head of 4096 bytes"),
            (|h| h.capacity = 1001, "capacity of 1001"),
            (|h| h.capacity = u32::MAX - 7, "capacity of"),
            (|h| h.capacity = MEMORY as u32, "outside guest memory"),
        ];
        for (lie, words) in lies {
            let fake = Fake::new();
            let mut head = fake.valid();
            lie(&mut head);
            fake.set(head);
            let said = sentence(fake.doorbell().write(ATTACH, 4, PAGE_NUMBER));
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_buffer_outside_memory_and_a_second_attach_are_refused() {
        let fake = Fake::new();
        for page in [16, 0x10_0000, u32::MAX] {
            let said = sentence(fake.doorbell().write(ATTACH, 4, page));
            assert!(said.contains("outside guest memory"), "{said}");
        }
        let said = sentence(fake.attached().write(ATTACH, 4, PAGE_NUMBER));
        assert!(said.contains("second"), "{said}");
    }

    #[test]
    fn a_bell_that_differs_from_the_head_is_refused() {
        let fake = Fake::new();
        let mut doorbell = fake.attached();
        fake.fill(2, 2);
        assert!(sentence(doorbell.write(DOORBELL, 4, RECORD_SIZE)).contains("wrote 24 to the doorbell"));
        fake.set(BufferHead { used: CAPACITY + 8, records: 1, ..fake.valid() });
        assert!(sentence(doorbell.write(DOORBELL, 4, CAPACITY + 8)).contains("its capacity is"));
        doorbell.stop();
        assert_eq!(doorbell.records, 0, "an overfull buffer is not read at the end either");
        assert_eq!(doorbell.missing(), 1, "and the record that it claims is missed");
    }

    #[test]
    fn a_bell_without_a_buffer_is_refused() {
        let fake = Fake::new();
        assert!(sentence(fake.doorbell().write(DOORBELL, 4, 0)).contains("before it attached"));
    }

    #[test]
    fn a_wrong_count_ends_the_run_and_keeps_what_is_whole() {
        let fake = Fake::new();
        let mut doorbell = fake.attached();
        fake.fill(2, 7);
        assert!(sentence(doorbell.write(DOORBELL, 4, 2 * RECORD_SIZE)).contains("counted 7 new records"));
        assert_eq!(doorbell.missing(), 5, "both records are whole, and five are not there");

        fake.fill(2, 8);
        let kind = GuestAddress(HEAD + BufferHead::SIZE as u64 + u64::from(RECORD_SIZE) + KIND_OFFSET as u64);
        fake.memory.write_obj(0xFF_u8, kind).unwrap();
        doorbell.stop();
        assert_eq!(doorbell.missing(), 5 + u64::from(RECORD_SIZE), "the second is not");
    }

    #[test]
    fn bytes_that_are_no_record_of_a_guest_end_the_run() {
        for kind in [0, abi::record::FIRST_HOST_KIND, 0xFF] {
            let fake = Fake::new();
            let mut doorbell = fake.attached();
            fake.fill(3, 3);
            let second = HEAD + BufferHead::SIZE as u64 + u64::from(RECORD_SIZE);
            fake.memory.write_obj(kind, GuestAddress(second + KIND_OFFSET as u64)).unwrap();
            let said = sentence(doorbell.write(DOORBELL, 4, 3 * RECORD_SIZE));
            assert!(said.contains(&format!(
                "byte 24 of the trace buffer does not start a record that a guest may write (its kind is {kind:#x})"
            )));
            assert_eq!(doorbell.missing(), 2 + 2 * u64::from(RECORD_SIZE));
            doorbell.into_trace().unwrap().finish().unwrap();
            let trace = trace::Trace::open(&fake.directory.path().join("t.trap")).unwrap();
            assert_eq!(trace.events().count(), 1, "{kind}: the record before it is kept");
        }
    }

    #[test]
    fn a_count_that_lies_at_the_end_is_not_silent() {
        for (records, missing) in [(7, 5), (1, 0), (u64::MAX, u64::MAX - 2)] {
            let fake = Fake::new();
            let mut doorbell = fake.attached();
            fake.fill(2, records);
            doorbell.stop();
            assert_eq!(doorbell.missing(), missing, "{records} records are claimed, and two are there");
        }
    }

    #[test]
    fn what_the_guest_lost_is_reported() {
        let fake = Fake::new();
        let doorbell = fake.attached();
        fake.set(BufferHead { lost: 9, ..fake.valid() });
        assert_eq!(doorbell.missing(), 9);
    }

    #[test]
    fn other_ports_and_sizes_are_no_access() {
        let fake = Fake::new();
        let mut doorbell = fake.doorbell();
        for (port, size) in [(ATTACH, 1), (ATTACH, 0), (DOORBELL, 2), (ATTACH + 2, 4), (DOORBELL + 3, 1)] {
            assert_eq!(doorbell.write(port, size, 0), Flow::BadAccess);
        }
        assert_eq!(doorbell.read(DOORBELL, 4), None);
    }
}
