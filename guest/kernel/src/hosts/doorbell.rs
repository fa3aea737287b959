//! Doorbells at which the CPU does not stop: of an emulator whose other end of the port is a file or a socket.

use core::sync::atomic::{AtomicU32, Ordering};

use abi::ports::DOORBELL;
use abi::record::BufferHead;

use crate::arch::cpu;

/// Says where the buffer is, by the number of its page, to a host that shares memory, and waits for its answer.
///
/// # Safety
/// `head` is that of the buffer, and nothing is appended meanwhile.
pub unsafe fn attach_shared(head: *mut BufferHead, page: u32) {
    page.to_le_bytes().into_iter().for_each(|byte| cpu::out8(DOORBELL, byte));
    // SAFETY: the caller's promise.
    unsafe { wait_for_answer(head) }
}

/// Rings the doorbell of a host that shares memory, and waits for its answer.
///
/// # Safety
/// As for [`attach_shared`].
pub unsafe fn ring_shared(head: *mut BufferHead) {
    cpu::out8(DOORBELL, 0);
    // SAFETY: the caller's promise.
    unsafe { wait_for_answer(head) }
}

/// The host answers by setting `used` to 0.
unsafe fn wait_for_answer(head: *mut BufferHead) {
    // SAFETY: the caller's promise. Until the answer only the host writes this field.
    let used = unsafe { AtomicU32::from_ptr(&raw mut (*head).used) };
    while used.load(Ordering::Acquire) != 0 {
        core::hint::spin_loop();
    }
}

/// Writes the buffer to a port that nothing answers, byte by byte: its head, and the records that wait.
///
/// # Safety
/// As for [`attach_shared`].
pub unsafe fn write_out(head: *mut BufferHead) {
    // SAFETY: the caller's promise; the records are right behind the head.
    let bytes =
        unsafe { core::slice::from_raw_parts(head.cast::<u8>(), BufferHead::SIZE + (*head).used as usize) };
    bytes.iter().for_each(|&byte| cpu::out8(DOORBELL, byte));
}
