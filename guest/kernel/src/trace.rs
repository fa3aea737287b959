//! The trace: records into a buffer, and the doorbell that shows them to the host.
//!
//! `abi::record` declares each record. The kernel fills in its fields, and `emit` appends it: the kernel formats no text and
//! leaves nothing out.

use abi::boot::{BY_PORT, SHARED, STREAM};
use abi::ports;
use abi::record::emit::Data;
use abi::record::{BufferHead, DATA_MAX, HEAD_SIZE, Head, Kind, RECORD_MAX, Record, UNANSWERED};

use crate::arch::cpu;
use crate::cell::Local;
use crate::hosts::{doorbell, emulated};
use crate::layout::{KERNEL_BASE, PAGE};

/// Head and records.
const BUFFER_SIZE: usize = 128 << 10;
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
/// The host that takes the records.
#[derive(Clone, Copy)]
enum Listener {
    None,
    /// It stops the CPU at an access of its ports, and has answered when the CPU continues.
    Port,
    /// It answers in memory that it shares: `doorbell=shared`.
    Memory,
    /// It keeps what is written to a port and never answers: `doorbell=stream`.
    Stream,
}

/// The process that runs. Every record names it, so it is kept here.
pub static CURRENT: Local<u16> = Local::new(0);
static LISTENER: Local<Listener> = Local::new(Listener::None);
/// How many of the largest records fit into the buffer, less one: two records may be appended at once.
const ROOM: u64 = (CAPACITY / RECORD_MAX) as u64 - 1;
/// The doorbell rings when so many records wait; at most [`ROOM`].
static BATCH: Local<u64> = Local::new(ROOM);
/// How many records may still come before the doorbell rings. One count stands for the batch and for the space in the
/// buffer.
static LEFT: Local<u64> = Local::new(ROOM);

/// The number of the process that runs; 0 is the kernel.
#[inline(always)]
pub fn current() -> u16 {
    CURRENT.get()
}

/// Tells the host where the buffer is, if there is a host that listens. `option` is the value of [`abi::boot::Key::Doorbell`].
pub fn attach(option: u64) {
    if option == BY_PORT && cpu::in32(ports::ATTACH) == ports::NO_DEVICE {
        return;
    }
    let head = BufferHead::new(CAPACITY as u32, if option == SHARED { UNANSWERED } else { 0 });
    let buffer = BUFFER.pointer();
    let page = ((buffer as u64 - KERNEL_BASE) / PAGE) as u32;
    // SAFETY: one CPU; the host reads the buffer only while this CPU waits for it.
    unsafe {
        (*buffer).head = head;
        LISTENER.set(match option {
            SHARED => {
                doorbell::attach_shared(&raw mut (*buffer).head, page);
                Listener::Memory
            }
            STREAM => Listener::Stream,
            _ => {
                cpu::out32(ports::ATTACH, page);
                Listener::Port
            }
        });
    }
}

/// True if a host stops the CPU at an access of its ports.
pub fn has_ports() -> bool {
    matches!(LISTENER.get(), Listener::Port)
}

/// Rings after every `batch` records from now on, or earlier where the buffer has no room for so many.
pub fn set_batch(batch: u64) {
    BATCH.set(batch.min(ROOM));
    ring();
}

/// A record of the contract that can be appended to the buffer: `Tick { ticks }.emit()`.
pub trait Emit: Record + Sized {
    /// Appends it as a record of the process that runs, or of the kernel.
    #[inline(always)]
    fn emit(self) {
        // Process 0, the kernel, boots: so the compiler knows the whole head of a record of the boot.
        self.emit_for(if matches!(Self::KIND, Kind::Boot | Kind::Gates) { 0 } else { current() });
    }

    /// Appends it as a record of a process that need not be the one that runs.
    #[inline(always)]
    fn emit_for(self, process: u16) {
        // SAFETY: `append` has room for a record.
        append(1, |to| unsafe {
            let size = write(to, process, &self);
            emulated::Stamp::now().store(&raw mut (*to).tsc);
            size
        });
    }

    /// Appends it and the record behind it, both with the same time: that takes one look at the clock and at the space left.
    #[inline(always)]
    fn emit_with(self, second: impl Record) {
        let process = current();
        self.emit_with_for(process, || (process, second));
    }

    /// The same for records of these processes. `second` is called when the first record is written: what it reads needs no
    /// register until then.
    #[inline(always)]
    fn emit_with_for<R: Record>(self, process: u16, second: impl FnOnce() -> (u16, R)) {
        // SAFETY: `append` has room for two records.
        append(2, |to| unsafe {
            let size = write(to, process, &self);
            let behind = to.byte_add(size);
            let (second_process, second) = second();
            let size = size + write(behind, second_process, &second);
            let now = emulated::Stamp::now();
            now.store(&raw mut (*to).tsc);
            now.store(&raw mut (*behind).tsc);
            size
        });
    }
}

impl<R: Record> Emit for R {}

/// Appends `count` records. It is on the path of every trap, so it does no more than it must. `fill` writes them and returns
/// their size.
#[inline(always)]
fn append(count: u64, fill: impl FnOnce(*mut Head) -> usize) {
    // The kernel of `--trace none` keeps no records, and the compiler drops the code that makes them.
    if cfg!(feature = "untraced") {
        return;
    }
    // SAFETY: one CPU, no nesting. `ring` sets LEFT so that the largest records fit.
    unsafe {
        let head = &raw mut (*BUFFER.pointer()).head;
        let to = (&raw mut (*BUFFER.pointer()).records).byte_add((*head).used as usize);
        (*head).used += fill(to.cast()) as u32;
        (*head).records += count;
    }
    let left = LEFT.get();
    LEFT.set(left.wrapping_sub(count));
    if left <= count {
        emulated::call_aside(ring);
    }
}

/// Writes a record without its time; returns its size.
///
/// # Safety
/// `to` has room for it.
#[inline(always)]
unsafe fn write<R: Record>(to: *mut Head, process: u16, record: &R) -> usize {
    let (words, detail) = (record.words(), record.detail());
    // SAFETY: the caller's promise.
    unsafe {
        record.write(to.add(1).cast());
        let start = R::KIND as u64 | (words as u64) << 8;
        let second_half = (&raw mut (*to).kind).cast::<u64>();
        if R::DETAIL_IS_CONSTANT {
            second_half.write(start | u64::from(detail) << 32);
        } else {
            second_half.cast::<u32>().write(start as u32);
            (*to).detail = detail;
        }
        (*to).process = process;
    }
    HEAD_SIZE + 8 * words
}

/// Rings the doorbell if records wait. The guest continues when the host has them. Where no host listens, they are
/// dropped.
pub extern "C" fn ring() {
    // SAFETY: one CPU, no nesting: nothing is appended meanwhile.
    unsafe {
        let head = &raw mut (*BUFFER.pointer()).head;
        match LISTENER.get() {
            _ if (*head).used == 0 => {}
            Listener::None => {}
            Listener::Port => cpu::out32(ports::DOORBELL, (*head).used),
            Listener::Memory => doorbell::ring_shared(head),
            Listener::Stream => doorbell::write_out(head),
        }
        (*head).used = 0;
    }
    LEFT.set(BATCH.get());
}

/// Records the beginning of `size` bytes of memory that an argument of this system call leads to.
pub fn data(argument: u8, size: u64, bytes: &[u8]) {
    let bytes = bytes.get(..DATA_MAX).unwrap_or(bytes);
    Data { argument, size: size.min(0xFF_FFFF) as u32, bytes }.emit();
}
