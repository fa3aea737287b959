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
        _ if frame.is_from_user() && vector != vector::NMI => kill(frame, cr2),
        _ => panic::exception(frame),
    }
    trace::trap_return(frame, vector.into());
}

/// The process that runs did what it may not: it ends, the machine goes on.
fn kill(frame: &TrapFrame, cr2: u64) -> ! {
    syscall::note_failure();
    let detail = frame.vector as u32 | (frame.error as u32) << 16;
    trace::record(Kind::ProcessKilled, detail, [frame.rip, cr2]);
    scheduler::end()
}
