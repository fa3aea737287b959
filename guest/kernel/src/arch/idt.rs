//! The trap table: a gate for each exception, the timer and the system call (SDM vol. 3, 6.14.1).

use core::arch::asm;

use abi::record::GATES_MAX;
use abi::record::emit::Gates;
use abi::syscall::INT_VECTOR;

use super::gdt::{IST_DOUBLE_FAULT, IST_NMI, TablePointer};
use super::{cpu, entry};
use crate::cell::Local;
use crate::layout::{selector, vector};
use crate::trace::Emit;

#[repr(C)]
struct Gate {
    /// Offset 0..16, selector, IST, type and DPL, offset 16..32.
    low: Local<u64>,
    /// Offset 32..64.
    high: Local<u64>,
}

/// Present, 64-bit interrupt gate: IF is cleared on the way in.
const INTERRUPT: u8 = 0x8E;
/// The same, open to `int n` of user mode.
const INTERRUPT_USER: u8 = 0xEE;

/// The vectors of exceptions.
const EXCEPTIONS: u8 = 32;
/// Those of the timer, the system call and the spurious interrupt.
const OTHER_GATES: u64 = 3;

static IDT: [Gate; 256] = [const { Gate { low: Local::new(0), high: Local::new(0) } }; 256];

/// Fills the table and loads its address; returns the address and the number of gates.
pub fn load() -> (u64, u64) {
    for number in 0..EXCEPTIONS {
        let (kind, ist) = match number {
            vector::DOUBLE_FAULT => (INTERRUPT, IST_DOUBLE_FAULT),
            vector::NMI => (INTERRUPT, IST_NMI),
            // Programs may use breakpoints.
            vector::BREAKPOINT => (INTERRUPT_USER, 0),
            _ => (INTERRUPT, 0),
        };
        set(number, entry::stub(number), kind, ist);
    }
    set(vector::TIMER, entry::stub(vector::TIMER), INTERRUPT, 0);
    set(INT_VECTOR, entry::int(), INTERRUPT_USER, 0);
    set(vector::SPURIOUS, entry::spurious(), INTERRUPT, 0);
    let base = &raw const IDT as u64;
    let pointer = TablePointer { limit: size_of::<[Gate; 256]>() as u16 - 1, base };
    // SAFETY: the table is a static, each present gate leads to a stub.
    unsafe { asm!("lidt [{}]", in(reg) &pointer, options(nostack, preserves_flags)) }
    record(0, vector::TIMER);
    record(INT_VECTOR, INT_VECTOR);
    record(vector::SPURIOUS, vector::SPURIOUS);
    (base, u64::from(EXCEPTIONS) + OTHER_GATES)
}

/// Records the gates of a range of vectors, as many in a record as fit.
fn record(first: u8, last: u8) {
    // SAFETY: a gate is two words. One CPU, and no gate changes while its record is written.
    let table: &[[u64; 2]; 256] = unsafe { &*(&raw const IDT).cast() };
    let (mut first, last) = (usize::from(first), usize::from(last));
    while first <= last {
        let end = (first + GATES_MAX).min(last + 1);
        let gates = table.get(first..end).unwrap_or_default();
        Gates { first: first as u8, table: gates.as_flattened() }.emit();
        first = end;
    }
}

fn set(number: u8, handler: u64, kind: u8, ist: u8) {
    let low = handler & 0xFFFF
        | u64::from(selector::KERNEL_CODE) << 16
        | u64::from(ist) << 32
        | u64::from(kind) << 40
        | (handler >> 16 & 0xFFFF) << 48;
    let gate = &IDT[usize::from(number)];
    gate.low.set(low);
    gate.high.set(handler >> 32);
}

/// Sets another handler in the gate of an exception; returns the value for [`restore`]. Of a gate's two words only the
/// first changes, as all handlers are in the same 4 GiB.
pub fn redirect(number: u8, handler: u64) -> u64 {
    const OFFSET: u64 = 0xFFFF_0000_0000_FFFF;
    let low = &IDT[usize::from(number)].low;
    low.replace(low.get() & !OFFSET | handler & 0xFFFF | (handler >> 16 & 0xFFFF) << 48)
}

/// Lets the gate lead where it led before [`redirect`].
pub fn restore(number: u8, low: u64) {
    IDT[usize::from(number)].low.set(low);
}

/// Writes the address of the `syscall` handler to its register; returns LSTAR, STAR and SFMASK.
pub fn load_syscall_handler() -> [u64; 3] {
    let handler = entry::syscall();
    // SYSCALL takes CS from bits 32..48, and SS as CS + 8. SYSRET's bits stay 0: it is never used.
    let star = u64::from(selector::KERNEL_CODE) << 32;
    let mask = cpu::rflags::IF | cpu::rflags::TF | cpu::rflags::DF | cpu::rflags::NT | cpu::rflags::AC;
    // SAFETY: the boot code found SYSCALL in CPUID and set EFER.SCE; the handler is a stub.
    unsafe {
        cpu::write_msr(cpu::IA32_STAR, star);
        cpu::write_msr(cpu::IA32_LSTAR, handler);
        cpu::write_msr(cpu::IA32_FMASK, mask);
    }
    [handler, star, mask]
}
