//! Standard input: the host reads it when a process asks for input, and interrupts when input is available. So only the
//! process that reads waits, and the machine and the other processes continue.

use abi::ports::{ASK, INPUT, INPUT_END, INPUT_FAILED, INPUT_MAX, INPUT_READY, Input, NO_DEVICE};
use abi::record::Wait;
use abi::syscall::errno::EAGAIN;

use super::files::Open;
use super::task::{self, wait};
use super::{Outcome, poll, signal, user};
use crate::arch::{apic, cpu};
use crate::cell::Local;
use crate::layout::{KERNEL_BASE, PAGE};
use crate::memory::address_space::translate;
use crate::process::{KERNEL, NEVER};
use crate::{scheduler, trace};

/// The bits of a status that are 0 if the status is a number of bytes.
const KIND: u32 = 0xFF00_0000;

static TAKE: Local<Input> = Local::new(Input { address: 0, size: 0 });
/// Whether the host was asked for input and has not interrupted since.
static IS_ASKED: Local<bool> = Local::new(false);

/// The status of the host's input, as [`INPUT`] defines it. A host without the port has no input.
fn status() -> u32 {
    let status = if trace::has_ports() { cpu::in32(INPUT) } else { NO_DEVICE };
    if status == NO_DEVICE { INPUT_END } else { status }
}

fn ask(size: u64) {
    IS_ASKED.set(true);
    cpu::out32(ASK, size.min(INPUT_MAX.into()) as u32);
}

/// Asks the host to copy bytes to a physical address, or to clear the end or the error that it reported.
fn take(address: u64, size: u64) {
    TAKE.set(Input { address, size });
    cpu::out32(INPUT, (TAKE.pointer() as u64 - KERNEL_BASE) as u32);
}

/// Implements `read`: waits until there is input.
pub fn read(open: &Open, buffer: u64, count: u64) -> Outcome<u64> {
    if count == 0 {
        return Ok(0);
    }
    loop {
        let status = status();
        match status & KIND {
            INPUT_END => {
                take(0, 0);
                return Ok(0);
            }
            INPUT_FAILED => {
                take(0, 0);
                return Err((status & !KIND).into());
            }
            0 if status > 0 => return take_to(buffer, count.min(status.into())),
            0 if open.is_nonblocking() => return Err(EAGAIN),
            _ => {
                ask(count);
                wait(Wait::Input, 0, NEVER).map_err(signal::restart_after)?;
            }
        }
    }
}

/// Asks the host to copy available bytes to the memory of the process.
fn take_to(buffer: u64, count: u64) -> Outcome<u64> {
    user::reach(buffer, count, true)?;
    let root = scheduler::current().root();
    let mut done = 0;
    while done < count {
        let address = buffer + done;
        let size = (PAGE - address % PAGE).min(count - done);
        let Some(physical) = translate(root, address, true) else { break };
        take(physical, size);
        done += size;
    }
    Ok(done)
}

/// The events that `poll` returns for standard input. If there are none, the host is asked to interrupt when there are.
pub fn ready(events: u16) -> u16 {
    const ALWAYS: u16 = 8 | 16;
    let status = status();
    match status & KIND {
        0 if status == 0 => {
            ask(0);
            0
        }
        INPUT_READY => status as u16 & (events | ALWAYS),
        _ => poll::IN & events,
    }
}

/// Handles the interrupt of standard input: wakes the processes that wait for input.
pub fn arrived() {
    apic::end_of_interrupt();
    IS_ASKED.set(false);
    task::wake_all_by(KERNEL, Wait::Input, 0, NEVER, |_| true);
    poll::changed_by(KERNEL);
}

/// True if the host was asked for input, and a process waits for the answer.
pub fn is_awaited() -> bool {
    IS_ASKED.get() && task::waiting().any(|(_, what)| matches!(what, Wait::Input | Wait::Poll))
}
