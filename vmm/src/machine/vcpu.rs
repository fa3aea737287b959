//! A VM with one vCPU: making it, entering it, and its exits as small owned values.
//!
//! Registers travel in the run page (KVM_CAP_SYNC_REGS), in both directions, so that they cost no ioctl.
//! The interrupt controller is KVM's split one: a local APIC in the kernel, no PIC and no I/O APIC, which
//! nothing here would use. That is also quick to set up: the full one needs new interrupt routes, for which KVM waits
//! for all CPUs.

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use abi::hardware::rflags;
use kvm_bindings::{
    CpuId, KVM_CAP_SPLIT_IRQCHIP, KVM_EXIT_INTR, KVM_MAX_CPUID_ENTRIES, KVM_MP_STATE_HALTED,
    KVM_SYNC_X86_REGS, KVM_SYNC_X86_SREGS, Msrs, kvm_enable_cap, kvm_msi, kvm_msr_entry, kvm_regs,
    kvm_userspace_memory_region, kvm_xcrs,
};
use kvm_ioctls::{Cap, IoEventAddress, Kvm, VcpuExit, VcpuFd, VmFd};
use thiserror::Error;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::boot::{self, Entry};
use super::clock::{Clock, host_tsc};
use super::host::{self, Missing};
use super::layout::{self, Memory};
use super::stats::{self, KvmCounts};

/// IA32_TIME_STAMP_COUNTER (SDM vol. 4, table 2-2).
const MSR_TSC: u32 = 0x10;
/// Pins of the I/O APIC that user space would emulate; KVM needs their number, and reserves routes.
const IO_APIC_PINS: u64 = 24;
/// KVM's local APIC counts nanoseconds (KVM_CAP_X86_APIC_BUS_CYCLES_NS: 1 by default).
pub const APIC_KHZ: u64 = 1_000_000;

/// Why a VM could not be made.
#[derive(Debug, Error)]
pub enum VmError {
    /// KVM exists, but is not usable.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// An ioctl failed.
    #[error("{call} failed; {}", host::remedy_of(source))]
    Ioctl {
        /// Its name.
        call: &'static str,
        /// The error that KVM returned.
        source: io::Error,
    },
}

fn failed(call: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> VmError {
    move |error| VmError::Ioctl { call, source: error.into() }
}

/// Why the vCPU left the guest: a VM exit that reaches the host program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A port write.
    Out {
        /// The port.
        port: u16,
        /// Bytes written, 1, 2 or 4; 0 for a string instruction.
        size: u8,
        /// What was written; the first element of a string.
        value: u32,
    },
    /// A port read, to be answered by [`Vcpu::answer_port`].
    In {
        /// The port.
        port: u16,
        /// As for a write.
        size: u8,
    },
    /// An access of memory that is not there; reads have been answered with all ones.
    Mmio,
    /// `hlt`, from which nothing can wake the guest.
    Halt,
    /// Triple fault.
    Shutdown,
    /// KVM cannot go on, such as with an instruction that it cannot emulate.
    InternalError {
        /// KVM_INTERNAL_ERROR_*.
        suberror: u32,
        /// The bytes at RIP, if KVM reported them.
        instruction: Vec<u8>,
    },
    /// The hardware refused the guest's state.
    FailEntry {
        /// Its code.
        reason: u64,
    },
    /// A signal, or KVM asks to enter again.
    Interrupted,
    /// KVM_RUN itself failed.
    Failed {
        /// errno.
        errno: i32,
    },
    /// An exit that a guest of Trapline never causes.
    Other {
        /// KVM_EXIT_*.
        reason: u32,
    },
}

impl Exit {
    /// The exit for an error of KVM_RUN. EINTR (a signal) and EAGAIN leave the vCPU as it was: the guest can be entered
    /// again.
    fn from_errno(errno: i32) -> Exit {
        match errno {
            libc::EINTR | libc::EAGAIN => Exit::Interrupted,
            errno => Exit::Failed { errno },
        }
    }
}

/// The virtual machine. Its vCPU keeps it alive in KVM. Fields are dropped in order: the vCPU and with it the
/// VM, then the memory that it used.
#[derive(Debug)]
pub struct Vm {
    /// Its one vCPU.
    pub vcpu: Vcpu,
    fd: Arc<VmFd>,
    _memory: Memory,
}

impl Vm {
    /// Makes a VM over `memory`.
    pub fn new(kvm: &Kvm, memory: Memory) -> Result<Vm, VmError> {
        let fd = until_done(|| kvm.create_vm())
            .map_err(|error| VmError::Missing(host::diagnose(host::DEVICE.into(), io::Error::from(error))))?;
        fd.set_tss_address(layout::KVM_TSS as usize).map_err(failed("KVM_SET_TSS_ADDR"))?;
        let mut split = kvm_enable_cap { cap: KVM_CAP_SPLIT_IRQCHIP, ..Default::default() };
        split.args[0] = IO_APIC_PINS;
        fd.enable_cap(&split).map_err(failed("KVM_ENABLE_CAP(KVM_CAP_SPLIT_IRQCHIP)"))?;
        map(&fd, &memory)?;
        let vcpu = fd.create_vcpu(0).map_err(failed("KVM_CREATE_VCPU"))?;
        let cpuid = cpuid(kvm)?;
        vcpu.set_cpuid2(&cpuid).map_err(failed("KVM_SET_CPUID2"))?;
        if kvm.check_extension(Cap::Xcrs) {
            vcpu.set_xcrs(&xcrs(&cpuid)).map_err(failed("KVM_SET_XCRS"))?;
        }
        Ok(Vm { vcpu: Vcpu { fd: vcpu }, fd: Arc::new(fd), _memory: memory })
    }

    /// Lets KVM collect the 32-bit writes to this port. The host's program gets them with the next exit, and drops them.
    pub fn collect_writes(&mut self, port: u16) -> Result<(), VmError> {
        let address = IoEventAddress::Pio(port.into());
        self.fd.register_coalesced_mmio(address, 4).map_err(failed("KVM_REGISTER_COALESCED_MMIO"))?;
        self.vcpu.fd.map_coalesced_mmio_ring().map_err(failed("mmap of the ring of collected writes"))
    }

    /// Sends the vCPU an interrupt with this vector, from any thread: a message that names its local APIC, 0 (SDM vol. 3,
    /// 10.11).
    pub fn interrupt(&self, vector: u8) -> Box<dyn Fn() + Send> {
        const LOCAL_APICS: u32 = 0xFEE0_0000;
        let message = kvm_msi { address_lo: LOCAL_APICS, data: vector.into(), ..Default::default() };
        let fd = Arc::clone(&self.fd);
        Box::new(move || {
            // A guest that turned its APIC off does not get the interrupt, and does not need it.
            let _ = fd.signal_msi(message);
        })
    }
}

/// Calls again while a signal interrupts the call. KVM_CREATE_VM does not restart by itself: a signal that comes while it
/// registers the process's memory makes it fail with EINTR.
fn until_done<T>(mut call: impl FnMut() -> Result<T, kvm_ioctls::Error>) -> Result<T, kvm_ioctls::Error> {
    loop {
        match call() {
            Err(error) if error.errno() == libc::EINTR => {}
            result => return result,
        }
    }
}

/// XCR0 with all that our kernel turns on in it: x87, SSE, AVX and AVX-512, where CPUID has them.
///
/// A kernel sets it by XSETBV. But the SVM that QEMU 7.2 emulates does not intercept that, and KVM loads its own value at
/// the next entry: with this value the two agree. A kernel that leaves CR4.OSXSAVE alone sees nothing of it.
fn xcrs(cpuid: &CpuId) -> kvm_xcrs {
    const STATE: u32 = 0xD;
    const X87: u64 = 1;
    const X87_SSE_AVX: u64 = 0b111;
    const AVX_512: u64 = 0b111 << 5;
    let leaf = cpuid.as_slice().iter().find(|entry| entry.function == STATE && entry.index == 0);
    let supported = leaf.map_or(0, |leaf| u64::from(leaf.eax));
    let mut value = X87 | supported & (X87_SSE_AVX | AVX_512);
    if value & AVX_512 != AVX_512 {
        value &= !AVX_512;
    }
    let mut registers = kvm_xcrs { nr_xcrs: 1, ..Default::default() };
    registers.xcrs[0].value = value;
    registers
}

/// Gives `memory` to the VM.
fn map(fd: &VmFd, memory: &Memory) -> Result<(), VmError> {
    for (slot, region) in memory.iter().enumerate() {
        let region = kvm_userspace_memory_region {
            slot: slot as u32,
            guest_phys_addr: region.start_addr().raw_value(),
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
            flags: 0,
        };
        // SAFETY: the region is mapped, and `Vm` drops it after the VM, which is the last to use it.
        unsafe { fd.set_user_memory_region(region) }.map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
    }
    Ok(())
}

/// The host's CPUID, corrected where KVM leaves it to the VMM: the APIC's number, which is that of whatever
/// CPU answered, and the TSC-deadline timer, which older kernels report only as a capability.
fn cpuid(kvm: &Kvm) -> Result<CpuId, VmError> {
    const FEATURES: u32 = 1;
    const TOPOLOGY: [u32; 2] = [0xB, 0x1F];
    const APIC_ID_SHIFT: u32 = 24;
    const TSC_DEADLINE: u32 = 1 << 24;
    let mut cpuid =
        kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(failed("KVM_GET_SUPPORTED_CPUID"))?;
    let deadline = kvm.check_extension(Cap::TscDeadlineTimer);
    for entry in cpuid.as_mut_slice() {
        if entry.function == FEATURES {
            entry.ebx &= (1 << APIC_ID_SHIFT) - 1;
            entry.ecx |= if deadline { TSC_DEADLINE } else { 0 };
        } else if TOPOLOGY.contains(&entry.function) {
            entry.edx = 0;
        }
    }
    Ok(cpuid)
}

/// The vCPU.
#[derive(Debug)]
pub struct Vcpu {
    fd: VcpuFd,
}

impl Vcpu {
    /// Puts the vCPU where PVH starts a kernel. The registers travel with the first [`Vcpu::run`].
    pub fn prepare(&mut self, entry: Entry) -> Result<(), VmError> {
        let mut sregs = self.fd.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
        boot::system_registers(&mut sregs);
        let page = self.fd.sync_regs_mut();
        page.regs = boot::registers(entry);
        page.sregs = sregs;
        let run = self.fd.get_kvm_run();
        run.kvm_dirty_regs = u64::from(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
        run.kvm_valid_regs = u64::from(KVM_SYNC_X86_REGS);
        Ok(())
    }

    /// Runs the guest until it comes out.
    pub fn run(&mut self) -> Exit {
        // Nothing, unless KVM collects writes.
        while matches!(self.fd.coalesced_mmio_read(), Ok(Some(_))) {}
        let exit = match self.fd.run() {
            Ok(VcpuExit::IoOut(..)) => return self.port_write(),
            Ok(VcpuExit::IoIn(..)) => return self.port_read(),
            Ok(VcpuExit::MmioRead(_, data)) => {
                data.fill(0xFF);
                Exit::Mmio
            }
            Ok(VcpuExit::MmioWrite(..)) => Exit::Mmio,
            Ok(VcpuExit::Hlt) => Exit::Halt,
            Ok(VcpuExit::Shutdown) => Exit::Shutdown,
            Ok(VcpuExit::FailEntry(reason, _)) => Exit::FailEntry { reason },
            Ok(VcpuExit::InternalError) => return self.internal_error(),
            Ok(VcpuExit::Intr) => Exit::Interrupted,
            Ok(_) => return Exit::Other { reason: self.exit_reason() },
            Err(error) => Exit::from_errno(error.errno()),
        };
        if exit == Exit::Interrupted {
            self.fd.get_kvm_run().exit_reason = KVM_EXIT_INTR;
        }
        exit
    }

    /// The number of the last exit, KVM_EXIT_*.
    pub fn exit_reason(&mut self) -> u32 {
        self.fd.get_kvm_run().exit_reason
    }

    /// Answers a port read; every element of a string gets the same.
    pub fn answer_port(&mut self, value: u32) {
        let (io, data) = self.port_access();
        for element in data.chunks_exact_mut(usize::from(io.size.max(1))) {
            let size = element.len();
            element.copy_from_slice(&value.to_le_bytes()[..size]);
        }
    }

    /// KVM's own counts.
    pub fn kvm_counts(&self) -> KvmCounts {
        stats::read(&self.fd)
    }

    /// The general registers at the last exit.
    pub fn registers(&self) -> kvm_regs {
        self.fd.sync_regs().regs
    }

    /// Whether the guest halted with interrupts off when KVM_RUN was interrupted. KVM's local APIC keeps such a guest in
    /// KVM_RUN. No interrupt can wake it; nothing here sends an NMI, SMI or INIT.
    pub fn is_halted_for_good(&self) -> bool {
        let interrupts_are_off = self.registers().rflags & rflags::IF == 0;
        interrupts_are_off && self.fd.get_mp_state().is_ok_and(|state| state.mp_state == KVM_MP_STATE_HALTED)
    }

    /// The byte that makes KVM_RUN return at once.
    pub fn immediate_exit(&mut self) -> NonNull<u8> {
        NonNull::from(&mut self.fd.get_kvm_run().immediate_exit)
    }

    /// The guest's TSC rate in kHz.
    pub fn tsc_khz(&self) -> Result<u64, VmError> {
        self.fd.get_tsc_khz().map(u64::from).map_err(failed("KVM_GET_TSC_KHZ"))
    }

    /// The guest's time, from the host's.
    pub fn clock(&self, tsc_khz: u64) -> Result<Clock, VmError> {
        let entry = kvm_msr_entry { index: MSR_TSC, ..Default::default() };
        let mut msrs = Msrs::from_entries(&[entry]).expect("one MSR is never too many");
        let before = host_tsc();
        self.fd.get_msrs(&mut msrs).map_err(failed("KVM_GET_MSRS(IA32_TSC)"))?;
        Ok(Clock::new(before, msrs.as_slice()[0].data, host_tsc(), tsc_khz))
    }

    fn port_write(&mut self) -> Exit {
        let (io, data) = self.port_access();
        let mut value = [0; 4];
        let size = usize::from(io.size).min(value.len());
        value[..size].copy_from_slice(&data[..size]);
        Exit::Out { port: io.port, size: io.width(), value: u32::from_le_bytes(value) }
    }

    fn port_read(&mut self) -> Exit {
        let (io, _) = self.port_access();
        Exit::In { port: io.port, size: io.width() }
    }

    /// The last port access and its data. kvm-ioctls returns the data as one slice, which does not have the size of an
    /// access.
    fn port_access(&mut self) -> (PortAccess, &mut [u8]) {
        let run = self.fd.get_kvm_run();
        // SAFETY: only called after KVM_EXIT_IO, for which `io` is the member of the union that KVM filled.
        let io = unsafe { run.__bindgen_anon_1.io };
        let access = PortAccess { port: io.port, size: io.size, count: io.count };
        let length = usize::from(io.size) * io.count as usize;
        // SAFETY: KVM put `length` bytes of data at this offset of the mapping that starts with `kvm_run`, and
        // the slice borrows the vCPU, so that nothing enters the guest while it lives.
        let data = unsafe {
            let start = std::ptr::from_mut(run).cast::<u8>().add(io.data_offset as usize);
            std::slice::from_raw_parts_mut(start, length)
        };
        (access, data)
    }

    fn internal_error(&mut self) -> Exit {
        /// The bytes of the instruction, from KVM.
        const HAS_INSTRUCTION: u64 = 1;
        /// Words of data that hold the flags, the length and the bytes.
        const WORDS: u32 = 3;
        let run = self.fd.get_kvm_run();
        // SAFETY: called after KVM_EXIT_INTERNAL_ERROR, for which KVM filled this member of the union; every bit
        // pattern is a value of its integers.
        let failure = unsafe { run.__bindgen_anon_1.emulation_failure };
        // SAFETY: the inner union has the one member.
        let details = unsafe { failure.__bindgen_anon_1.__bindgen_anon_1 };
        let emulation = failure.suberror == kvm_bindings::KVM_INTERNAL_ERROR_EMULATION;
        let known = emulation && failure.ndata >= WORDS && failure.flags & HAS_INSTRUCTION != 0;
        let length = if known { usize::from(details.insn_size).min(details.insn_bytes.len()) } else { 0 };
        Exit::InternalError { suberror: failure.suberror, instruction: details.insn_bytes[..length].to_vec() }
    }
}

/// A port access, as KVM reports it.
#[derive(Clone, Copy)]
struct PortAccess {
    port: u16,
    size: u8,
    count: u32,
}

impl PortAccess {
    /// Bytes of the access, 0 for a string instruction.
    fn width(self) -> u8 {
        if self.count == 1 { self.size } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_leave_the_vcpu_as_it_was_are_interruptions() {
        assert_eq!(Exit::from_errno(libc::EINTR), Exit::Interrupted);
        assert_eq!(Exit::from_errno(libc::EAGAIN), Exit::Interrupted);
        assert_eq!(Exit::from_errno(libc::EFAULT), Exit::Failed { errno: libc::EFAULT });
    }

    #[test]
    fn a_call_that_a_signal_interrupts_is_made_again() {
        let mut results = [Err(libc::EINTR), Err(libc::EINTR), Ok(7), Err(libc::EIO)].into_iter();
        let mut call = || until_done(|| results.next().unwrap().map_err(kvm_ioctls::Error::new)).ok();
        assert_eq!((call(), call()), (Some(7), None));
    }
}
