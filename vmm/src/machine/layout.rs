//! The layout of the guest's physical memory.
//!
//! ```text
//! 0x0000_0000  nothing: page 0 stays empty, so that a null pointer points at no structure
//! 0x0000_1000  hvm_start_info, and behind it the kernel's options as numbers
//! 0x0000_2000  memory map
//! 0x0000_3000  module list
//! 0x0000_4000  kernel command line
//! 0x0000_5000  the modules' command lines, one after the other
//! 0x000A_0000  legacy hole (no memory promised)
//! 0x0010_0000  kernel, at the address in its ELF file
//!     ...      modules, page aligned, directly behind the kernel
//!     ...      free, to the end of memory: at most 3 GiB
//! 0xFEE0_0000  local APIC, and KVM's own pages at 0xFFFB_C000
//! ```
//!
//! Memory is reserved and not touched: a page costs the host nothing until the guest uses it.

use std::fs::File;
use std::io;

use linux_loader::loader::elf::start_info::{
    XEN_HVM_MEMMAP_TYPE_RAM, XEN_HVM_MEMMAP_TYPE_RESERVED, hvm_memmap_table_entry,
};
use thiserror::Error;
use vm_memory::mmap::{FromRangesError, MmapRegionError};
use vm_memory::{FileOffset, GuestAddress, GuestMemoryMmap};

/// The guest's memory.
pub type Memory = GuestMemoryMmap<()>;

/// Size of a page in bytes.
pub const PAGE: u64 = 4096;
/// One MiB in bytes.
pub const MIB: u64 = 1 << 20;

/// `hvm_start_info`, the address that EBX holds at entry.
pub const START_INFO: u64 = PAGE;
/// The memory map.
pub const MEMORY_MAP: u64 = START_INFO + PAGE;
/// The module list: [`abi::boot::PROCESSES_MAX`] entries of 32 bytes fit a page.
pub const MODULE_LIST: u64 = MEMORY_MAP + PAGE;
/// The kernel's command line, zero terminated, at most a page.
pub const COMMAND_LINE: u64 = MODULE_LIST + PAGE;
/// The modules' command lines, each zero terminated.
pub const MODULE_COMMAND_LINES: u64 = COMMAND_LINE + PAGE;
/// Where the legacy hole starts (video memory and BIOS on a PC).
pub const LEGACY_HOLE: u64 = 0xA_0000;
/// Where it ends: the lowest address that a kernel may ask for.
pub const KERNEL_LOWEST: u64 = MIB;
/// Where KVM keeps the three pages that Intel's real mode needs; in the hole that no guest memory reaches.
pub const KVM_TSS: u64 = 0xFFFB_D000;

/// The least memory a guest gets, in MiB.
pub const MEMORY_MIN_MIB: u64 = 8;
/// The most memory, in MiB: the devices' hole starts above it.
pub const MEMORY_MAX_MIB: u64 = 3072;
/// The default size of the memory, in MiB.
pub const MEMORY_DEFAULT_MIB: u64 = 64;

const _: () = assert!(
    MODULE_COMMAND_LINES + (abi::boot::PROCESSES_MAX * (abi::boot::MODULE_COMMAND_LINE_MAX + 1)) as u64
        <= LEGACY_HOLE
);

/// Why guest memory could not be laid out.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// The host could not reserve the memory.
    #[error("cannot reserve {mib} MiB of guest memory; set a smaller size with --memory")]
    Reserve {
        /// What was asked for.
        mib: u64,
        /// The error of the mapping.
        source: io::Error,
    },
    /// Kernel and modules are larger than memory.
    #[error(
        "the kernel and the programs need {needed} MiB, but the guest has {memory} MiB; set a larger size with --memory"
    )]
    TooSmall {
        /// MiB that they take.
        needed: u64,
        /// MiB that there are.
        memory: u64,
    },
}

/// Reserves `mib` MiB of guest memory from address 0, untouched.
pub fn reserve(mib: u64) -> Result<Memory, LayoutError> {
    let bytes = usize::try_from(mib.saturating_mul(MIB)).unwrap_or(usize::MAX);
    Memory::from_ranges(&[(GuestAddress(0), bytes)])
        .map_err(|error| LayoutError::Reserve { mib, source: mapping_error(error) })
}

/// Maps a file of `mib` MiB as guest memory from address 0, shared with any other process that maps it.
pub fn map(file: File, mib: u64) -> Result<Memory, LayoutError> {
    let bytes = usize::try_from(mib.saturating_mul(MIB)).unwrap_or(usize::MAX);
    Memory::from_ranges_with_files([(GuestAddress(0), bytes, Some(FileOffset::new(file, 0)))])
        .map_err(|error| LayoutError::Reserve { mib, source: mapping_error(error) })
}

/// The error of mmap(2) in an error of vm-memory, whose text would repeat it.
fn mapping_error(error: FromRangesError) -> io::Error {
    match error {
        FromRangesError::MmapRegion(MmapRegionError::Mmap(error)) => error,
        other => io::Error::other(other),
    }
}

/// The memory map of a guest with `size` bytes.
pub fn memory_map(size: u64) -> [hvm_memmap_table_entry; 3] {
    let entry = |addr, end, type_| hvm_memmap_table_entry { addr, size: end - addr, type_, reserved: 0 };
    [
        entry(0, LEGACY_HOLE, XEN_HVM_MEMMAP_TYPE_RAM),
        entry(LEGACY_HOLE, KERNEL_LOWEST, XEN_HVM_MEMMAP_TYPE_RESERVED),
        entry(KERNEL_LOWEST, size, XEN_HVM_MEMMAP_TYPE_RAM),
    ]
}

/// Addresses for modules of these sizes, behind a kernel that ends at `kernel_end`, in `memory` bytes.
pub fn place_modules(
    kernel_end: u64,
    sizes: impl IntoIterator<Item = u64>,
    memory: u64,
) -> Result<Vec<u64>, LayoutError> {
    let mut next = kernel_end.next_multiple_of(PAGE);
    let mut addresses = Vec::new();
    for size in sizes {
        addresses.push(next);
        next = next.saturating_add(size).checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
    }
    if next > memory {
        return Err(LayoutError::TooSmall { needed: next.div_ceil(MIB), memory: memory / MIB });
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_page_aligned_contiguous_and_behind_the_kernel() {
        let placed = place_modules(0x10_0001, [1, PAGE, PAGE + 1, 7], 8 * MIB).unwrap();
        assert_eq!(placed, [0x10_1000, 0x10_2000, 0x10_3000, 0x10_5000]);
    }

    #[test]
    fn modules_that_do_not_fit_are_refused_by_name_of_the_option() {
        let error = place_modules(KERNEL_LOWEST, [7 * MIB, 1], 8 * MIB).unwrap_err();
        assert!(error.to_string().contains("--memory"), "{error}");
        assert!(matches!(error, LayoutError::TooSmall { needed: 9, memory: 8 }));
        assert!(place_modules(KERNEL_LOWEST, [u64::MAX, u64::MAX], 8 * MIB).is_err());
    }

    #[test]
    fn the_memory_map_covers_memory_without_a_gap_or_an_overlap() {
        let map = memory_map(64 * MIB);
        let mut next = 0;
        for entry in map {
            assert_eq!(entry.addr, next);
            next += entry.size;
        }
        assert_eq!(next, 64 * MIB);
    }
}
