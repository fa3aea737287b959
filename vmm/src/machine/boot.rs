//! Booting by PVH (the x86/HVM direct boot ABI): kernel, modules and start info into guest memory, and the
//! state in which the vCPU starts.
//!
//! What the kernel finds: 32-bit protected mode, paging off, flat segments, interrupts off, and EBX at
//! `hvm_start_info`, which leads to the memory map, the command line and a module a user program.

use abi::boot::{Key, Options, PREPARED_MAGIC, Values};
use abi::record::{Policy, Timer};
use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};
use linux_loader::configurator::pvh::PvhBootConfigurator;
use linux_loader::configurator::{BootConfigurator, BootParams};
use linux_loader::loader::elf::start_info::{XEN_HVM_START_MAGIC_VALUE, hvm_modlist_entry, hvm_start_info};
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use super::kernel::Kernel;
use super::layout::{self, LayoutError, Memory};

/// The version of `hvm_start_info` that has a memory map.
const START_INFO_VERSION: u32 = 1;

/// A module: a user program.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// Its ELF file.
    pub elf: &'a [u8],
    /// Its name and arguments, as [`abi::boot`] has them.
    pub command_line: &'a [u8],
}

/// The settings of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The scheduling policy.
    pub policy: Policy,
    /// The quantum in microseconds, [`abi::boot::QUANTUM_US_MIN`] to [`abi::boot::QUANTUM_US_MAX`].
    pub quantum_us: u64,
    /// How the timer is programmed.
    pub timer: Timer,
    /// How many records the guest collects before it rings the doorbell, 1 to [`abi::boot::BATCH_MAX`].
    pub batch: u64,
    /// How far the stack of a Linux program may grow, in MiB, [`abi::boot::STACK_MIB_DEFAULT`] to
    /// [`abi::boot::STACK_MIB_MAX`].
    pub stack_mib: u64,
}

/// The rates of the clocks that the host passes to the kernel, so that the kernel need not calibrate them in a VM.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The guest's TSC rate in kHz.
    pub tsc_khz: u64,
    /// The LAPIC timer's input rate in kHz.
    pub apic_khz: u64,
    /// CLOCK_REALTIME in nanoseconds since 1970.
    pub epoch_ns: u64,
}

/// Where the vCPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Physical address of the kernel's PVH entry point.
    pub address: u64,
}

/// Why a guest could not be loaded.
#[derive(Debug, Error)]
pub enum BootError {
    /// The kernel's file is of another kind.
    #[error("the kernel is not an x86 ELF executable: {0}; give --kernel a static ELF file with a PVH note")]
    NotElf(&'static str),
    /// The kernel's file ends in its program headers.
    #[error("the kernel's file is cut short in its program headers; build or copy it again")]
    NoProgramHeaders,
    /// The kernel's file ends before its segments do.
    #[error(
        "the kernel's file is cut short: a segment ends at byte {end} and the file at {size}; build or copy it again"
    )]
    CutShort {
        /// Where the segment ends.
        end: u64,
        /// Size of the file.
        size: u64,
    },
    /// A segment has more bytes than memory.
    #[error("the kernel's segment at {address:#x} is larger in the file than in memory; link it again")]
    LargerThanMemory {
        /// Physical address of the segment.
        address: u64,
    },
    /// A segment overlaps with the start info.
    #[error(
        "the kernel's segment at {address:#x} is below {:#x}, where Trapline puts its boot tables; link it higher",
        layout::KERNEL_LOWEST
    )]
    TooLow {
        /// Physical address of the segment.
        address: u64,
    },
    /// A segment ends beyond any guest's memory.
    #[error(
        "the kernel's segment at {address:#x} ends at {end:#x}, but a guest has at most {} MiB of memory; link it lower",
        layout::MEMORY_MAX_MIB
    )]
    TooHigh {
        /// Physical address of the segment.
        address: u64,
        /// Its end.
        end: u64,
    },
    /// A virtual address in place of a physical one.
    #[error(
        "the kernel's segment has the physical address {address:#x}, which is a virtual address: in the linker script, give \
         its sections physical addresses with AT(...)"
    )]
    Virtual {
        /// `p_paddr` of the segment.
        address: u64,
    },
    /// It cannot be booted by PVH.
    #[error(
        "the kernel has no PVH note (XEN_ELFNOTE_PHYS32_ENTRY), which names the entry point; link it with one (Linux: \
         CONFIG_PVH)"
    )]
    NoPvhNote,
    /// The entry point is not code of the file.
    #[error(
        "the kernel's PVH note has the entry point {entry:#x}, which is not in an executable segment of the file; it must be a \
         physical address of the kernel's code"
    )]
    BadEntry {
        /// The entry point.
        entry: u64,
    },
    /// It does not fit.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// More programs than the contract has room for.
    #[error("the kernel can run at most {} programs, but this run has {count}", abi::boot::PROCESSES_MAX)]
    TooManyModules {
        /// How many there are.
        count: usize,
    },
    /// A command line that does not fit its place.
    #[error("the command line \"{0}\" is too long")]
    CommandLineTooLong(String),
    /// Guest memory refused a write.
    #[error("cannot write to guest memory")]
    Memory(#[source] vm_memory::GuestMemoryError),
    /// linux-loader refused the start info.
    #[error("cannot write the start info to guest memory")]
    StartInfo(#[source] linux_loader::configurator::Error),
}

/// The options of a run. `engine` is an option that depends on what runs the guest.
pub fn options(settings: &Settings, clocks: &Clocks, engine: (Key, u64)) -> Options {
    let Settings { policy, quantum_us, timer, batch, stack_mib } = *settings;
    Options::DEFAULT
        .with(Key::Policy, policy as u64)
        .with(Key::QuantumUs, quantum_us)
        .with(Key::Timer, timer as u64)
        .with(Key::Batch, batch)
        .with(Key::StackMib, stack_mib)
        .with(Key::TscKhz, clocks.tsc_khz)
        .with(Key::ApicKhz, clocks.apic_khz)
        .with(Key::EpochNs, clocks.epoch_ns)
        .with(engine.0, engine.1)
}

/// The kernel's command line with these options. One that has its default is left out.
pub fn command_line(options: &Options) -> String {
    let words = options.all().filter(|(rule, number)| *number != rule.default).map(|(rule, number)| {
        let name = match rule.values {
            Values::Names(names) => names.iter().find(|name| name.0 == number),
            Values::Numbers(..) => None,
        };
        name.map_or_else(|| format!("{}={number}", rule.name), |name| format!("{}={}", rule.name, name.1))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Loads the kernel and its modules into `memory` and writes the start info. This needs no KVM, so what is
/// wrong with a file is found before a VM exists.
pub fn load(memory: &Memory, kernel: &[u8], modules: &[Module]) -> Result<Entry, BootError> {
    let size = memory.last_addr().0 + 1;
    let kernel = Kernel::parse(kernel, size)?;
    kernel.load(memory)?;
    let list = load_modules(memory, kernel.end, modules, size)?;
    write_start_info(memory, &list, size)?;
    Ok(Entry { address: kernel.entry })
}

/// Passes the options to the kernel: as its command line, and as numbers behind the start info.
pub fn write_options(memory: &Memory, options: &Options) -> Result<(), BootError> {
    let text = command_line(options);
    write_text(memory, layout::COMMAND_LINE, text.as_bytes(), layout::PAGE as usize)?;
    let mut bytes = PREPARED_MAGIC.to_le_bytes().to_vec();
    bytes.extend(options.all().flat_map(|(_, number)| number.to_le_bytes()));
    let behind = layout::START_INFO + size_of::<hvm_start_info>() as u64;
    memory.write_slice(&bytes, GuestAddress(behind)).map_err(BootError::Memory)
}

/// Copies the modules behind the kernel, with their command lines; the module list for the start info.
fn load_modules(
    memory: &Memory,
    kernel_end: u64,
    modules: &[Module],
    size: u64,
) -> Result<Vec<hvm_modlist_entry>, BootError> {
    if modules.len() > abi::boot::PROCESSES_MAX {
        return Err(BootError::TooManyModules { count: modules.len() });
    }
    let addresses = layout::place_modules(kernel_end, modules.iter().map(|m| m.elf.len() as u64), size)?;
    let mut text = layout::MODULE_COMMAND_LINES;
    let mut list = Vec::with_capacity(modules.len());
    for (module, paddr) in modules.iter().zip(addresses) {
        memory.write_slice(module.elf, GuestAddress(paddr)).map_err(BootError::Memory)?;
        write_text(memory, text, module.command_line, abi::boot::MODULE_COMMAND_LINE_MAX + 1)?;
        list.push(hvm_modlist_entry {
            paddr,
            size: module.elf.len() as u64,
            cmdline_paddr: text,
            reserved: 0,
        });
        text += module.command_line.len() as u64 + 1;
    }
    Ok(list)
}

fn write_start_info(memory: &Memory, list: &[hvm_modlist_entry], size: u64) -> Result<(), BootError> {
    let map = layout::memory_map(size);
    let info = hvm_start_info {
        magic: XEN_HVM_START_MAGIC_VALUE,
        version: START_INFO_VERSION,
        nr_modules: list.len() as u32,
        modlist_paddr: layout::MODULE_LIST,
        cmdline_paddr: layout::COMMAND_LINE,
        memmap_paddr: layout::MEMORY_MAP,
        memmap_entries: map.len() as u32,
        ..Default::default()
    };
    let mut params = BootParams::new(&info, GuestAddress(layout::START_INFO));
    params.set_sections(&map, GuestAddress(layout::MEMORY_MAP));
    if !list.is_empty() {
        params.set_modules(list, GuestAddress(layout::MODULE_LIST));
    }
    PvhBootConfigurator::write_bootparams(&params, memory).map_err(BootError::StartInfo)
}

/// Writes `text` and a zero at `address`, where `room` bytes are free.
fn write_text(memory: &Memory, address: u64, text: &[u8], room: usize) -> Result<(), BootError> {
    if text.len() >= room {
        return Err(BootError::CommandLineTooLong(String::from_utf8_lossy(text).into_owned()));
    }
    memory.write_slice(text, GuestAddress(address)).map_err(BootError::Memory)?;
    memory.write_slice(&[0], GuestAddress(address + text.len() as u64)).map_err(BootError::Memory)
}

/// The general registers at entry: EBX at the start info, interrupts off.
pub fn registers(entry: Entry) -> kvm_regs {
    /// Bit 1 of RFLAGS is always 1 (SDM vol. 1, 3.4.3).
    const RFLAGS_RESERVED: u64 = 1 << 1;
    kvm_regs { rip: entry.address, rbx: layout::START_INFO, rflags: RFLAGS_RESERVED, ..Default::default() }
}

/// Changes `sregs`, as they are after reset, to what PVH promises: protected mode without paging, flat
/// segments, and a task register, which VMX requires to be busy (SDM vol. 3, 27.3.1.2).
pub fn system_registers(sregs: &mut kvm_sregs) {
    const CODE: u8 = 0xB;
    const DATA: u8 = 0x3;
    const BUSY_TSS: u8 = 0xB;
    const TSS_LIMIT: u32 = 0x67;
    const CR0_PE: u64 = 1;
    const CR0_ET: u64 = 1 << 4;
    let flat = |selector, type_| kvm_segment {
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
    sregs.cs = flat(0x8, CODE);
    let data = flat(0x10, DATA);
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr =
        kvm_segment { limit: TSS_LIMIT, selector: 0x18, type_: BUSY_TSS, present: 1, ..Default::default() };
    sregs.cr0 = CR0_PE | CR0_ET;
    sregs.cr4 = 0;
    sregs.efer = 0;
}
