//! Standard input: the host reads it when a process asks, and interrupts when it has something. So the process waits, and
//! neither the machine nor the other processes.

use abi::ports::{ASK, INPUT, INPUT_END, INPUT_FAILED, INPUT_MAX, INPUT_READY, Input, NO_DEVICE};
use abi::record::Wait;
use abi::syscall::errno::EAGAIN;

use super::files::{O_NONBLOCK, Open};
use super::task::{self, wait};
use super::{Outcome, poll, signal, user};
use crate::arch::{apic, cpu};
use crate::cell::Local;
use crate::layout::{KERNEL_BASE, PAGE};
use crate::memory::address_space::translate;
use crate::process::{KERNEL, NEVER};
use crate::{scheduler, trace};

/// The bits of a status that tell a number of bytes from the rest.
const KIND: u32 = 0xFF00_0000;

static TAKE: Local<Input> = Local::new(Input { address: 0, size: 0 });
/// The host was asked and has not interrupted since.
static IS_ASKED: Local<bool> = Local::new(false);

/// What the host has, as [`INPUT`] says. A host without the port has no input.
fn status() -> u32 {
    let status = if trace::has_ports() { cpu::in32(INPUT) } else { NO_DEVICE };
    if status == NO_DEVICE { INPUT_END } else { status }
}

fn ask(size: u64) {
    IS_ASKED.set(true);
    cpu::out32(ASK, size.min(INPUT_MAX.into()) as u32);
}

/// The host puts bytes at a physical address, or clears the end or the error that it reported.
fn take(address: u64, size: u64) {
    TAKE.set(Input { address, size });
    cpu::out32(INPUT, (TAKE.pointer() as u64 - KERNEL_BASE) as u32);
}

/// Reads as `read` does: waits until there is something.
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
            0 if open.flags.get() & O_NONBLOCK != 0 => return Err(EAGAIN),
            _ => {
                ask(count);
                wait(Wait::Input, 0, NEVER).map_err(signal::restart_after)?;
            }
        }
    }
}

/// Takes bytes that the host has to the memory of the process.
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

/// What `poll` says of standard input. Where it says nothing, the host is asked to interrupt as soon as there is something.
pub fn ready(events: u16) -> u16 {
    const IN: u16 = 1;
    const ALWAYS: u16 = 8 | 16;
    let status = status();
    match status & KIND {
        0 if status == 0 => {
            ask(0);
            0
        }
        INPUT_READY => status as u16 & (events | ALWAYS),
        _ => IN & events,
    }
}

/// Handles the interrupt of standard input: those that wait for it look again.
pub fn arrived() {
    apic::end_of_interrupt();
    IS_ASKED.set(false);
    task::wake_all_by(KERNEL, Wait::Input, 0, NEVER, |_| true);
    poll::changed_by(KERNEL);
}

/// True if the host was asked, and a process waits for what it has to say.
pub fn is_awaited() -> bool {
    IS_ASKED.get() && task::waiting().any(|(_, what)| matches!(what, Wait::Input | Wait::Poll))
}
