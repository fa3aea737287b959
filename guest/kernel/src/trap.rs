//! Traps: what the kernel does about each, once the stub has completed the trap frame.
//!
//! `arch::entry` calls the `extern "C"` functions here. Those calls are the only imports that point upwards.

use abi::record::SYSCALL_VECTOR;
use abi::record::emit::{Called, FaultRedirected, ProcessKilled, Returned, TrapEntry, TrapReturn};
use abi::syscall::INT_VECTOR;

use crate::arch::cpu::{self, read_cr};
use crate::arch::trap_frame::TrapFrame;
use crate::layout::vector;
use crate::probe::Arrival;
use crate::trace::Emit;
use crate::{linux, panic, probe, process, scheduler, syscall, timer, trace};

/// Handles `syscall`, from its stub. This path is the one that programs take most.
pub extern "C" fn system_call(frame: &mut TrapFrame) {
    call(frame, Arrival { vector: SYSCALL_VECTOR, rip: frame.rip, cr2: 0 });
}

/// Handles a page fault on a host where `syscall` arrives as one.
pub extern "C" fn fault_or_system_call(frame: &mut TrapFrame) {
    match probe::translate_syscall(frame) {
        Some(arrival) => call(frame, arrival),
        None => trap(frame),
    }
}

#[inline(always)]
fn call(frame: &mut TrapFrame, arrival: Arrival) {
    entered(frame, arrival);
    syscall::dispatch(frame);
    if scheduler::runs_linux() {
        linux::before_return(frame);
    }
    TrapReturn { frame: frame.words() }.emit();
}

/// Handles any other trap. Interrupts are off: every gate is an interrupt gate, and SFMASK has IF.
pub extern "C" fn trap(frame: &mut TrapFrame) {
    let cr2 = if frame.vector as u8 == vector::PAGE_FAULT { read_cr!("cr2") } else { 0 };
    let arrival = Arrival { vector: frame.vector as u8, rip: frame.rip, cr2 };
    if frame.is_from_user() {
        probe::translate(frame, arrival);
    }
    entered(frame, arrival);
    let vector = frame.vector as u8;
    match vector {
        INT_VECTOR => syscall::dispatch(frame),
        vector::TIMER => {
            timer::tick();
            scheduler::preempt();
        }
        vector::SPURIOUS => {}
        _ if frame.is_from_user() && !is_from_the_machine(vector) => fault(frame, cr2),
        _ => panic::exception(frame),
    }
    if scheduler::runs_linux() {
        linux::before_return(frame);
    }
    TrapReturn { frame: frame.words() }.emit();
}

#[inline(always)]
fn entered(frame: &TrapFrame, arrival: Arrival) {
    TrapEntry {
        arrived: arrival.vector,
        frame: frame.words(),
        handler_flags: cpu::flags(),
        cr2: arrival.cr2,
        arrived_rip: arrival.rip,
    }
    .emit();
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
        panic::exception(frame); // the kernel's own code in user mode, which the probe runs
    }
    if scheduler::runs_linux() && scheduler::current().fault_handler.get() == 0 {
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
