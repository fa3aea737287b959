//! The trace: records into a buffer, and the doorbell that shows them to the host.
//!
//! The kernel never formats and never decides what is worth seeing. Where no host listens, nothing is written.

use abi::boot::BATCH_DEFAULT;
use abi::ports;
use abi::record::{BUFFER_MAGIC, BufferHead, DATA_MAX, HEAD_SIZE, Head, Kind};

use crate::arch::cpu;
use crate::arch::trap_frame::{Registers, TrapFrame};
use crate::cell::Local;
use crate::layout::{KERNEL_BASE, PAGE, vector};

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

/// Shows the buffer to the host, if there is one that knows what it is.
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

/// Appends a record of the process that runs, or of the kernel.
#[inline(always)]
pub fn record<const N: usize>(kind: Kind, detail: u32, words: [u64; N]) {
    record_of(current(), kind, detail, words);
}

/// Appends a record of a process that need not be the one that runs.
#[inline(always)]
pub fn record_of<const N: usize>(process: u16, kind: Kind, detail: u32, words: [u64; N]) {
    append(process, kind, detail, |to| {
        for (index, word) in words.into_iter().enumerate() {
            // SAFETY: `append` made room for N words.
            unsafe { to.add(index).write(word) }
        }
        N
    });
}

/// Appends a record of at most `abi::record::WORDS_MAX` words, which `fill` writes and counts.
#[inline(always)]
fn append(process: u16, kind: Kind, detail: u32, fill: impl FnOnce(*mut u64) -> usize) {
    if !LISTENING.get() {
        return;
    }
    // SAFETY: one CPU, no nesting. `used` never passes CAPACITY less a whole record: the bell rings before.
    unsafe {
        let buffer = BUFFER.pointer();
        let used = (*buffer).head.used;
        let to = (&raw mut (*buffer).records).cast::<u8>().add(used as usize);
        let words = fill(to.add(HEAD_SIZE).cast());
        let head = Head { tsc: cpu::tsc(), kind: kind as u8, words: words as u8, process, detail };
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

/// The beginning of what the pointer in an argument of this call leads to.
pub fn data(argument: u32, bytes: &[u8]) {
    let (size, shown) = (bytes.len(), bytes.len().min(DATA_MAX));
    let told = size.min(0xFF_FFFF) as u32;
    append(current(), Kind::Data, argument | told << 8, |to| {
        // SAFETY: `append` made room for DATA_MAX bytes; the slice has at least as many as are copied.
        unsafe {
            to.add(shown.saturating_sub(1) / 8).write(0);
            to.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), shown);
        }
        shown.div_ceil(8)
    });
}

/// How a trap arrived, where that differs from what it stands for.
#[derive(Clone, Copy)]
pub struct Arrival {
    pub vector: u8,
    pub rip: u64,
    pub cr2: u64,
}

/// A trap came in.
#[inline(always)]
pub fn trap_entry(frame: &TrapFrame, arrival: Arrival) {
    let vector = frame.vector as u8;
    let detail = u32::from(vector) | u32::from(arrival.vector) << 8 | (frame.error as u32) << 16;
    append(current(), Kind::TrapEntry, detail, |to| {
        // SAFETY: `append` made room for seven words.
        unsafe {
            hardware_frame(to, frame);
            if arrival.vector != vector {
                to.add(4).write(arrival.rip);
                to.add(5).write(arrival.cr2);
                6
            } else if vector == vector::PAGE_FAULT {
                to.add(4).write(arrival.cr2);
                5
            } else {
                4
            }
        }
    });
    registers(frame, (cpu::flags() as u32) << 8);
}

/// The next instruction is the `iretq` of `frame` (but for the registers the stub pops).
#[inline(always)]
pub fn trap_return(frame: &TrapFrame, detail: u32) {
    registers(frame, 1);
    append(current(), Kind::TrapReturn, detail, |to| {
        // SAFETY: `append` made room for five words.
        unsafe {
            hardware_frame(to, frame);
            to.add(4).write(frame.registers.rax);
        }
        5
    });
}

/// Four words: address of the frame, RIP, RSP, selectors and flags.
#[inline(always)]
unsafe fn hardware_frame(to: *mut u64, frame: &TrapFrame) {
    // SAFETY: the caller has room for four words.
    unsafe {
        to.write(&raw const frame.rip as u64);
        to.add(1).write(frame.rip);
        to.add(2).write(frame.rsp);
        to.add(3).write(selectors_and_flags(frame));
    }
}

/// CS, SS and RFLAGS in one word.
pub fn selectors_and_flags(frame: &TrapFrame) -> u64 {
    frame.cs | frame.ss << 16 | frame.rflags << 32
}

/// The general registers beside the frame.
#[inline(always)]
fn registers(frame: &TrapFrame, detail: u32) {
    append(current(), Kind::Registers, detail, |to| {
        // SAFETY: `append` made room for fifteen words.
        unsafe { to.cast::<Registers>().copy_from_nonoverlapping(&frame.registers, 1) }
        abi::record::REGISTERS.len()
    });
}
