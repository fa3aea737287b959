//! The QEMU engine: a CPU that QEMU emulates (TCG), for hosts without KVM.
//!
//! QEMU's memory is a file that this process maps too, so the host reads records where the guest wrote them. QEMU sends
//! the bytes that the guest writes to the console and to the doorbell through a socket each, and the guest continues
//! meanwhile. Therefore the guest waits after each bell for an answer in the buffer's head: see [`abi::ports`]. For the
//! [`Bus`] and its devices a bell is the same as with KVM.
//!
//! Limits: the guest's time is the time of the emulation. QEMU handles accesses to ports without a device, so they are
//! not counted. Of a status that the guest writes to the exit port, QEMU keeps the low seven bits.

mod process;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::atomic::Ordering;

use abi::boot::{Key, SHARED};
use abi::ports::{ATTACH, CONSOLE, DOORBELL};
use abi::record::{BufferHead, Ending};
use kvm_bindings::kvm_regs;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::time::ClockId;
use vm_memory::{Bytes, GuestAddress};

use self::process::{Images, Process};
pub use self::process::{QemuError, version};
use super::{Engine, EngineError, Guest, Host, Interrupt};
use crate::machine::boot::{self, BootError, Clocks};
use crate::machine::bus::{Bus, End, Flow};
use crate::machine::clock::{Clock, host_khz, host_ns};
use crate::machine::layout::{self, MIB, Memory, PAGE};
use crate::machine::run::{Ended, count_record, halted, stop_record};
use crate::machine::{host, kick};
use crate::sandbox::Call;

/// The rate of the local APIC's timer under TCG: QEMU counts nanoseconds.
const APIC_KHZ: u64 = 1_000_000;

/// A guest that QEMU has loaded.
#[derive(Debug)]
pub struct Qemu {
    process: Process,
    memory: Memory,
    clock: Clock,
    host: Host,
    bell: Bell,
}

impl Qemu {
    /// Loads the guest and starts it. The guest runs until it attaches its trace buffer, and there it waits for the host.
    pub fn new(guest: &Guest) -> Result<Qemu, EngineError> {
        // A file that cannot boot is refused with the same message as with KVM, and without QEMU.
        boot::load(
            &layout::reserve(guest.memory_mib).map_err(BootError::from)?,
            guest.kernel,
            guest.modules,
        )?;
        let module = match guest.modules {
            [] => None,
            [module] => Some(module),
            modules => return Err(QemuError::Modules { count: modules.len() }.into()),
        };
        let version = version()?;
        let tsc_khz = host_khz();
        let clocks = Clocks { tsc_khz, apic_khz: APIC_KHZ, epoch_ns: host_ns(ClockId::CLOCK_REALTIME) };
        // Firmware runs before the kernel, so memory is not zeroed.
        let options = boot::options(guest.settings, &clocks, (Key::Doorbell, SHARED));
        let kernel_command_line = boot::command_line(&options);
        let file = process::memory_file("memory", &[])?;
        file.set_len(guest.memory_mib * MIB).map_err(QemuError::Start)?;
        let memory = layout::map(file.try_clone().map_err(QemuError::Start)?, guest.memory_mib)
            .map_err(BootError::from)?;
        let mut process = process::start(Images {
            memory: file,
            memory_mib: guest.memory_mib,
            kernel: process::memory_file("kernel", guest.kernel)?,
            module: process::memory_file("programs", module.map_or(&[], |module| module.elf))?,
            command_line: &kernel_command_line,
        })?;
        let start = process.run_guest()?;
        let clock = Clock::new(start, 0, start, tsc_khz);
        let host = Host {
            cpu: host::cpu_name(),
            back_end: String::new(),
            emulator: Some(format!("QEMU {version}")),
            tsc_khz,
            kernel_command_line,
        };
        Ok(Qemu { process, memory, clock, host, bell: Bell::default() })
    }

    /// Passes the guest's writes to the bus, until the run ends.
    fn drive(&mut self, bus: &mut Bus) -> End {
        loop {
            let Process { console, bell, control, .. } = &mut self.process;
            match wait_for([&*console, &*bell, &*control]) {
                Err(error) => return failed(format!("cannot wait for QEMU: {error}")),
                Ok(_) if kick::reason().is_some() => {
                    return End { ending: Ending::Stopped, status: 0, message: None };
                }
                // A signal comes every 50 ms: see `kick`.
                Ok([false, false, false]) => {
                    bus.look();
                    self.process.ask_for_registers();
                }
                Ok([false, false, true]) => {
                    if self.process.says_halted_for_good() {
                        return halted();
                    }
                }
                Ok([has_console, has_bell, _]) => {
                    if has_console && let Err(end) = pass_console(console, bus) {
                        return end;
                    }
                    if has_bell {
                        match self.bell.pass(bell, &self.memory, bus) {
                            Some(Flow::End(end)) => return end,
                            Some(_) => {}
                            None => return self.ended_by_itself(),
                        }
                    }
                }
            }
        }
    }

    /// The end of the guest, from the way in which QEMU ended.
    fn ended_by_itself(&mut self) -> End {
        match self.process.end() {
            Err(error) => failed(format!("cannot wait until QEMU ends: {error}")),
            Ok(_) if self.process.was_reset() => {
                End { ending: Ending::TripleFault, status: 0, message: None }
            }
            Ok(status) => match exit_status(status) {
                Some(status) => End { ending: Ending::Exited, status, message: None },
                None => failed(format!(
                    "QEMU ended before the guest did ({status}): {}",
                    self.process.complaint()
                )),
            },
        }
    }
}

impl Engine for Qemu {
    fn host(&self) -> &Host {
        &self.host
    }

    fn memory(&self) -> Memory {
        self.memory.clone()
    }

    fn clock(&self) -> Clock {
        self.clock
    }

    fn calls(&self) -> Option<&'static [Call]> {
        None
    }

    fn interrupt(&self) -> Option<Interrupt> {
        None
    }

    fn run(&mut self, bus: &mut Bus) -> Ended {
        let end = self.drive(bus);
        // QEMU is killed or has ended. This fails only if QEMU has been waited for.
        let _ = self.process.end();
        while pass_console(&mut self.process.console, bus) == Ok(true) {}
        bus.stop();
        let stop = (end.ending == Ending::Stopped).then(kick::reason).flatten();
        let mut records: Vec<_> = stop.map(|stop| stop_record(&self.clock, stop)).into_iter().collect();
        let counts = bus.device_counts();
        records.extend(counts.into_iter().map(|(counter, value)| count_record(&self.clock, counter, value)));
        Ended { end, stop, registers: kvm_regs::default(), records, unowned_writes: BTreeMap::new() }
    }
}

fn failed(message: String) -> End {
    End { ending: Ending::KvmError, status: 0, message: Some(message) }
}

/// The status that the guest wrote to the exit port: `isa-debug-exit` exits with twice the status plus 1.
fn exit_status(status: ExitStatus) -> Option<u64> {
    let code = u64::try_from(status.code()?).ok()?;
    (code % 2 == 1).then_some(code / 2)
}

/// Waits until a socket can be read, or a signal came. Returns for each socket whether it can be read.
fn wait_for(sockets: [&UnixStream; 3]) -> Result<[bool; 3], Errno> {
    let mut polled = sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
    // A signal that comes after the check of `reason` ends ppoll(2), because it was blocked until then.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let waited = if kick::reason().is_some() { Ok(0) } else { ppoll(&mut polled, None, Some(before)) };
    before.thread_set_mask()?;
    match waited {
        Ok(_) | Err(Errno::EINTR) => Ok(polled.map(|socket| socket.any().unwrap_or(true))),
        Err(error) => Err(error),
    }
}

/// Passes waiting bytes to the console. Returns whether there may be more bytes, or how the console ended the run.
fn pass_console(socket: &mut UnixStream, bus: &mut Bus) -> Result<bool, End> {
    let mut bytes = [0; 4096];
    match socket.read(&mut bytes) {
        Ok(count) => {
            for byte in bytes.iter().take(count) {
                if let Flow::End(end) = bus.write(CONSOLE, 1, (*byte).into()) {
                    return Err(end);
                }
            }
            Ok(count > 0)
        }
        Err(error) => Ok(error.kind() == io::ErrorKind::Interrupted),
    }
}

/// The doorbell of a guest that does not wait for its port.
#[derive(Debug, Default)]
struct Bell {
    /// The bytes of the attach that have arrived, at most 4.
    page: Vec<u8>,
    /// The address of the buffer's head, after all bytes of the attach arrived.
    head: Option<GuestAddress>,
}

impl Bell {
    /// Passes the waiting bytes to the bus. `None`: QEMU has ended.
    fn pass(&mut self, socket: &mut UnixStream, memory: &Memory, bus: &mut Bus) -> Option<Flow> {
        let mut bytes = [0; 16];
        match socket.read(&mut bytes) {
            Ok(0) => None,
            Ok(count) => {
                let mut flows = bytes.iter().take(count).map(|&byte| self.ring(byte, memory, bus));
                Some(flows.find(|flow| matches!(flow, Flow::End(_))).unwrap_or(Flow::Continue))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Some(Flow::Continue),
            Err(_) => None,
        }
    }

    /// Handles a byte at the port: a part of the attach, or a bell. The guest continues when `used` is 0.
    fn ring(&mut self, byte: u8, memory: &Memory, bus: &mut Bus) -> Flow {
        const USED: u64 = offset_of!(BufferHead, used) as u64;
        let (head, flow) = if let Some(head) = self.head {
            let used: u32 = memory.load(GuestAddress(head.0 + USED), Ordering::Acquire).unwrap_or(0);
            (head, bus.write(DOORBELL, 4, used))
        } else {
            self.page.push(byte);
            let Ok(page) = <[u8; 4]>::try_from(self.page.as_slice()).map(u32::from_le_bytes) else {
                return Flow::Continue;
            };
            let head = *self.head.insert(GuestAddress(u64::from(page) * PAGE));
            (head, bus.write(ATTACH, 4, page))
        };
        if flow == Flow::Continue {
            // The doorbell has read the head, so it is in memory.
            let _ = memory.store(0_u32, GuestAddress(head.0 + USED), Ordering::Release);
        }
        flow
    }
}
