//! Traps: every way into the kernel ends here, with a complete frame.

use abi::record::{Kind, SYSCALL_VECTOR};
use abi::syscall::INT_VECTOR;

use crate::arch::cpu::read_cr;
use crate::arch::trap_frame::TrapFrame;
use crate::layout::vector;
use crate::trace::Arrival;
use crate::{options, panic, probe, scheduler, syscall, timer, trace};

/// Handles a trap. Interrupts are off: every gate is an interrupt gate, and SFMASK has IF.
pub extern "C" fn trap(frame: &mut TrapFrame) {
    let cr2 = if frame.vector as u8 == vector::PAGE_FAULT { read_cr!("cr2") } else { 0 };
    let arrival = Arrival { vector: frame.vector as u8, rip: frame.rip, cr2 };
    if options::direct() && arrival.vector == SYSCALL_VECTOR {
        // `syscall` does not tell where it came from, and the stub assumes ring 3.
        frame.lift_limits();
    } else if frame.is_from_user() {
        probe::translate(frame, arrival);
    }
    trace::trap_entry(frame, arrival);
    let vector = frame.vector as u8;
    match vector {
        SYSCALL_VECTOR | INT_VECTOR => syscall::dispatch(frame),
        vector::TIMER => timer::tick(),
        vector::SPURIOUS => {}
        // An NMI is nobody's fault, but nobody here knows what to do about one.
        _ if frame.is_from_user() && vector != vector::NMI => fault(frame, cr2),
        _ => panic::exception(frame),
    }
    trace::trap_return(frame, vector.into());
}

/// The process that runs did what it may not: it ends, the machine goes on; unless it asked for the fault itself.
fn fault(frame: &mut TrapFrame, cr2: u64) {
    let process = scheduler::current();
    let detail = frame.vector as u32 | (frame.error as u32) << 16;
    if process.fault_handler == 0 {
        syscall::note_failure();
        trace::record(Kind::ProcessKilled, detail, [frame.rip, cr2]);
        scheduler::end()
    }
    let fault = frame.rip;
    let registers = &mut frame.registers;
    (registers.rdi, registers.rsi, registers.rdx, registers.rcx) = (frame.vector, frame.error, fault, cr2);
    frame.rip = process.fault_handler;
    frame.rsp = handler_stack(frame.rsp);
    process.fault_handler = 0;
    trace::record(Kind::FaultRedirected, detail, [fault, cr2, frame.rip, frame.rsp]);
}

/// Below the red zone, and as the C ABI has it where a function starts: 8 below a multiple of 16.
fn handler_stack(rsp: u64) -> u64 {
    const RED_ZONE: u64 = 128;
    (rsp.wrapping_sub(RED_ZONE) & !15).wrapping_sub(8)
}
