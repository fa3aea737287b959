//! The trace: records into a buffer, and the doorbell that shows them to the host.
//!
//! `abi::record` declares each record. The kernel fills in its fields, and `emit` appends it: the kernel formats no text and
//! leaves nothing out. If no host listens, nothing is written.

use abi::boot::BATCH_DEFAULT;
use abi::ports;
use abi::record::emit::Data;
use abi::record::{BUFFER_MAGIC, BufferHead, HEAD_SIZE, Head, Record};

use crate::arch::cpu;
use crate::cell::Local;
use crate::layout::{KERNEL_BASE, PAGE};

/// Head and records.
const BUFFER_SIZE: usize = 64 << 10;
const CAPACITY: usize = BUFFER_SIZE - BufferHead::SIZE;

#[repr(C, align(4096))]
struct Buffer {
    head: BufferHead,
    records: [u64; CAPACITY / 8],
}

static BUFFER: Local<Buffer> = Local::new(Buffer {
    head: BufferHead { magic: 0, version: 0, head_size: 0, capacity: 0, used: 0, records: 0, lost: 0 },
    records: [0; CAPACITY / 8],
});
/// The process that runs. Every record names it, so it is kept here.
static CURRENT: Local<u16> = Local::new(0);
static LISTENING: Local<bool> = Local::new(false);
/// Ring when so many records wait.
static BATCH: Local<u64> = Local::new(BATCH_DEFAULT);
/// The running count at which to ring next.
static RING_AT: Local<u64> = Local::new(BATCH_DEFAULT);

/// The number of the process that runs; 0 is the kernel.
#[inline(always)]
pub fn current() -> u16 {
    CURRENT.get()
}

/// The scheduler switches to this process.
#[inline(always)]
pub fn set_current(id: u16) {
    CURRENT.set(id);
}

/// Tells the host where the buffer is, if there is a host that knows the port.
pub fn attach() {
    if cpu::in32(ports::ATTACH) == ports::NOBODY {
        return;
    }
    let head = BufferHead {
        magic: BUFFER_MAGIC,
        version: abi::VERSION,
        head_size: BufferHead::SIZE as u16,
        capacity: CAPACITY as u32,
        used: 0,
        records: 0,
        lost: 0,
    };
    let buffer = BUFFER.pointer();
    // SAFETY: one CPU; the host reads the buffer only while this CPU stands still.
    unsafe { (*buffer).head = head };
    cpu::out32(ports::ATTACH, ((buffer as u64 - KERNEL_BASE) / PAGE) as u32);
    LISTENING.set(true);
}

/// Rings after every `batch` records from now on.
pub fn set_batch(batch: u64) {
    BATCH.set(batch);
    ring();
}

/// A record of the contract that can be appended to the buffer: `Tick { ticks }.emit()`.
pub trait Emit: Record + Sized {
    /// Appends it as a record of the process that runs, or of the kernel.
    #[inline(always)]
    fn emit(self) {
        self.emit_for(current());
    }

    /// Appends it as a record of a process that need not be the one that runs.
    #[inline(always)]
    fn emit_for(self, process: u16) {
        if LISTENING.get() {
            append(process, &self);
        }
    }
}

impl<R: Record> Emit for R {}

#[inline(always)]
fn append<R: Record>(process: u16, record: &R) {
    // SAFETY: one CPU, no nesting. `used` never passes CAPACITY less a whole record, because the bell rings before.
    unsafe {
        let buffer = BUFFER.pointer();
        let used = (*buffer).head.used;
        let to = (&raw mut (*buffer).records).cast::<u8>().add(used as usize);
        let (words, detail) = (record.words(), record.detail());
        record.write(to.add(HEAD_SIZE).cast());
        let head = Head { tsc: cpu::tsc(), kind: R::KIND as u8, words: words as u8, process, detail };
        to.cast::<Head>().write(head);
        let used = used + (HEAD_SIZE + 8 * words) as u32;
        (*buffer).head.used = used;
        let records = (*buffer).head.records + 1;
        (*buffer).head.records = records;
        if records >= RING_AT.get() || used as usize > CAPACITY - abi::record::RECORD_MAX {
            ring();
        }
    }
}

/// Rings the doorbell if records wait. The vCPU stands still until the host has them.
pub fn ring() {
    // SAFETY: one CPU, no nesting.
    unsafe {
        let head = &raw mut (*BUFFER.pointer()).head;
        if (*head).used > 0 {
            cpu::out32(ports::DOORBELL, (*head).used);
            (*head).used = 0;
        }
        RING_AT.set((*head).records + BATCH.get());
    }
}

/// Records the beginning of the memory that an argument of this system call points to.
pub fn data(argument: u8, bytes: &[u8]) {
    let size = bytes.len().min(0xFF_FFFF) as u32;
    Data { argument, size, bytes }.emit();
}
