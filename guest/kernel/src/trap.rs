//! Traps: what the kernel does about each, once the stub has completed the trap frame.
//!
//! `arch::entry` calls the `extern "C"` functions here. Those calls are the only imports that point upwards.

use abi::record::SYSCALL_VECTOR;
use abi::record::emit::{
    Called, FaultRedirected, ProcessKilled, Returned, SystemCall, TrapEntry, TrapReturn,
};
use abi::syscall::INT_VECTOR;

use crate::arch::cpu::{self, read_cr, rflags};
use crate::arch::entry::SYSCALL_STUB;
use crate::arch::trap_frame::TrapFrame;
use crate::hosts::emulated;
use crate::hosts::probe::{self, Arrival};
use crate::layout::vector;
use crate::trace::Emit;
use crate::{linux, panic, process, scheduler, syscall, timer, trace};

/// Handles `syscall`. This path and the next are those that programs take most.
pub extern "C" fn system_call(frame: &mut TrapFrame) {
    call(frame, Arrival { vector: SYSCALL_VECTOR, rip: frame.rip, cr2: 0 });
}

/// Handles `syscall` on a host where it arrives as a page fault at LSTAR.
pub extern "C" fn system_call_by_fault(frame: &mut TrapFrame) {
    call(frame, Arrival { vector: vector::PAGE_FAULT, rip: SYSCALL_STUB, cr2: SYSCALL_STUB });
}

/// The number of the call is in RAX, where the process finds the result.
#[inline(always)]
fn call(frame: &mut TrapFrame, arrival: Arrival) {
    let number = frame.registers.rax;
    entry(frame, arrival).emit_with(SystemCall { number });
    if scheduler::RUNS_LINUX.get() { linux::call(number, frame) } else { syscall::call(number, frame) }
}

/// Handles the timer's interrupt.
pub extern "C" fn timer_interrupt(frame: &mut TrapFrame) {
    let arrival = Arrival { vector: vector::TIMER, rip: frame.rip, cr2: 0 };
    entry(frame, arrival).emit_with(timer::tick());
    trace::ring();
    timer::end_of_interrupt();
    let lost = scheduler::preempt();
    return_from(frame, lost);
}

/// Records the return, after what a Linux program has to do before it. `lost`: it had lost the CPU meanwhile.
#[inline(always)]
fn return_from(frame: &mut TrapFrame, lost: bool) {
    if scheduler::RUNS_LINUX.get() {
        if lost {
            linux::preempted(frame);
        }
        if linux::is_attention_due() {
            linux::before_return(frame);
        }
    }
    TrapReturn { frame: emulated::anew(frame).words() }.emit();
}

/// Handles any other trap. Interrupts are off: every gate is an interrupt gate, and SFMASK has IF.
pub extern "C" fn trap(frame: &mut TrapFrame) {
    let cr2 = if frame.vector as u8 == vector::PAGE_FAULT { read_cr!("cr2") } else { 0 };
    let arrival = Arrival { vector: frame.vector as u8, rip: frame.rip, cr2 };
    if frame.is_from_user() {
        probe::translate(frame);
    }
    if frame.vector as u8 == INT_VECTOR && scheduler::RUNS_LINUX.get() {
        // It asks for the calls of 32-bit programs, which have other numbers and are not here. It becomes what it is where
        // their gate is closed: #GP at the instruction, two bytes back.
        frame.rip -= 2;
        frame.set_closed_gate(INT_VECTOR);
    }
    let vector = frame.vector as u8;
    if vector == INT_VECTOR {
        return call(frame, arrival);
    }
    entry(frame, arrival).emit();
    match vector {
        vector::SPURIOUS => {}
        vector::INPUT => linux::input_arrived(),
        _ if frame.is_from_user() && !is_from_the_machine(vector) => fault(frame, cr2),
        _ => panic::exception(frame),
    }
    return_from(frame, false);
}

#[inline(always)]
fn entry(frame: &TrapFrame, arrival: Arrival) -> TrapEntry<'_> {
    TrapEntry {
        arrived: arrival.vector,
        frame: frame.words(),
        // Without a trace the compiler drops all of the record but this instruction.
        handler_flags: if cfg!(feature = "untraced") { 0 } else { cpu::flags() },
        cr2: arrival.cr2,
        arrived_rip: arrival.rip,
    }
}

/// Exceptions that no instruction of a process causes, whatever ring they interrupt. #DF and #MC are aborts: the RIP
/// they save may be wrong, and nothing can continue from there (SDM vol. 3, 6.5 and 6.15). An NMI reports a failure of
/// the hardware.
fn is_from_the_machine(vector: u8) -> bool {
    matches!(vector, vector::NMI | vector::DOUBLE_FAULT | vector::MACHINE_CHECK)
}

/// A fault of the process that runs: it ends, unless it has a handler for the fault. Other processes continue.
fn fault(frame: &mut TrapFrame, cr2: u64) {
    if trace::current() == process::KERNEL {
        panic::exception(frame); // the kernel's own code in user mode: see `hosts`
    }
    if scheduler::RUNS_LINUX.get() && scheduler::current().fault_handler.get() == 0 {
        return linux::fault(frame, cr2);
    }
    let handler = scheduler::current().fault_handler.replace(0);
    let (vector, error_code, rip) = (frame.vector as u8, frame.error as u16, frame.rip);
    if handler == 0 {
        scheduler::kill(ProcessKilled { vector, error_code, rip, cr2 })
    }
    let registers = &mut frame.registers;
    (registers.rdi, registers.rsi, registers.rdx, registers.rcx) = (frame.vector, frame.error, rip, cr2);
    frame.rip = handler;
    // A function starts with DF clear (System V ABI, 3.2.1), and a handler that keeps TF or AC may fault at once.
    frame.rflags &= !(rflags::TF | rflags::DF | rflags::AC);
    frame.rsp = handler_stack(frame.rsp);
    FaultRedirected { vector, error_code, rip, cr2, handler, rsp: frame.rsp }.emit();
}

/// The stack pointer of a fault handler: below the red zone, and 8 below a multiple of 16, as the C ABI has it where a
/// function starts.
fn handler_stack(rsp: u64) -> u64 {
    const RED_ZONE: u64 = 128;
    (rsp.wrapping_sub(RED_ZONE) & !15).wrapping_sub(8)
}

/// A process is about to enter user mode for the first time.
pub extern "C" fn started(frame: &TrapFrame) {
    scheduler::arrived();
    TrapReturn { frame: frame.words() }.emit();
}

/// Policy direct: a program is about to be called.
pub extern "C" fn called(frame: &TrapFrame) {
    scheduler::arrived();
    Called { frame: frame.words() }.emit();
    trace::ring();
}

/// Policy direct: a program returned.
pub extern "C" fn returned(status: u64) -> ! {
    Returned { status: status as i64 }.emit();
    scheduler::exit(status)
}
