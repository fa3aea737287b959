//! The trap table: a gate for each exception, the timer, standard input and the system call (SDM vol. 3, 6.14.1).

use core::arch::asm;

use abi::record::GATES_MAX;
use abi::record::emit::Gates;
use abi::record::emit::boot::{SyscallHandler, TrapTable};
use abi::syscall::INT_VECTOR;

use super::gdt::{IST_DOUBLE_FAULT, IST_NMI, TablePointer};
use super::{cpu, entry};
use crate::cell::Local;
use crate::layout::{selector, vector};
use crate::trace::Emit;

/// A gate (SDM vol. 3, 6.14.1): offset 0..16, selector, IST, type and DPL, offset 16..32; then offset 32..64.
type Gate = [u64; 2];

/// Present, 64-bit interrupt gate: IF is cleared on the way in.
const INTERRUPT: u64 = 0x8E;
/// The same, open to `int n` of user mode.
const INTERRUPT_USER: u64 = 0xEE;

/// The number of gates: the exceptions, the timer, standard input, the system call and the spurious interrupt.
const GATES: u64 = 32 + 4;

/// The compiler fills it, so that boot spends no instruction on it.
pub static IDT: Local<[Gate; 256]> = Local::new(table());

const fn table() -> [Gate; 256] {
    let mut table = [[0; 2]; 256];
    let mut number = 0;
    while number < vector::TIMER {
        let (kind, ist) = match number {
            vector::DOUBLE_FAULT => (INTERRUPT, IST_DOUBLE_FAULT),
            vector::NMI => (INTERRUPT, IST_NMI),
            // Programs may use breakpoints.
            vector::BREAKPOINT => (INTERRUPT_USER, 0),
            _ => (INTERRUPT, 0),
        };
        table[number as usize] = gate(entry::stub(number as u64), kind, ist);
        number += 1;
    }
    table[vector::TIMER as usize] = gate(entry::stub(entry::TIMER), INTERRUPT, 0);
    table[vector::INPUT as usize] = gate(entry::stub(entry::INPUT), INTERRUPT, 0);
    table[INT_VECTOR as usize] = gate(entry::stub(entry::INT), INTERRUPT_USER, 0);
    table[vector::SPURIOUS as usize] = gate(entry::stub(entry::SPURIOUS), INTERRUPT, 0);
    table
}

const fn gate(handler: u64, kind: u64, ist: u8) -> Gate {
    let selector = (selector::KERNEL_CODE as u64) << 16 | (ist as u64) << 32;
    [handler & 0xFFFF | selector | kind << 40 | (handler >> 16 & 0xFFFF) << 48, handler >> 32]
}

/// Loads the table's address, and writes the address of the `syscall` handler to its register.
pub fn load() {
    let address = IDT.pointer() as u64;
    let pointer = TablePointer { limit: size_of::<[Gate; 256]>() as u16 - 1, base: address };
    let lstar = entry::SYSCALL_STUB;
    // SYSCALL takes CS from bits 32..48, and SS as CS + 8. SYSRET's bits stay 0: it is never used.
    let star = u64::from(selector::KERNEL_CODE) << 32;
    let sfmask = cpu::rflags::IF | cpu::rflags::TF | cpu::rflags::DF | cpu::rflags::NT | cpu::rflags::AC;
    // SAFETY: the table is a static, each present gate leads to a stub. The boot code found SYSCALL in CPUID and set EFER.SCE;
    // the handler is a stub.
    unsafe {
        asm!("lidt [{}]", in(reg) &pointer, options(nostack, preserves_flags));
        cpu::write_msr(cpu::IA32_STAR, star);
        cpu::write_msr(cpu::IA32_LSTAR, lstar);
        cpu::write_msr(cpu::IA32_FMASK, sfmask);
    }
    // As many in a record as fit, then those that stand alone.
    for (index, gates) in gates(0, vector::INPUT).chunks(GATES_MAX).enumerate() {
        Gates { first: (index * GATES_MAX) as u8, table: gates.as_flattened() }.emit();
    }
    let alone = |number| Gates { first: number, table: gates(number, number).as_flattened() };
    alone(INT_VECTOR).emit_with(alone(vector::SPURIOUS));
    TrapTable { address, gates: GATES }.emit_with(SyscallHandler { lstar, star, sfmask });
}

/// The gates of a range of vectors.
fn gates(first: u8, last: u8) -> &'static [Gate] {
    // SAFETY: one CPU, and no gate changes while its record is written.
    let table = unsafe { &*IDT.pointer() };
    table.get(usize::from(first)..=usize::from(last)).unwrap_or_default()
}
