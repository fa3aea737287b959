//! What a host that boots a kernel by PVH leaves in memory: `hvm_start_info` and what it leads to (Xen's
//! public/arch-x86/hvm/start_info.h).

/// The start of it all, whose physical address is in EBX.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StartInfo {
    /// [`MAGIC`].
    pub magic: u32,
    /// From version 1 on there is a memory map.
    pub version: u32,
    /// Flags of Xen.
    pub flags: u32,
    /// How many modules there are.
    pub module_count: u32,
    /// Physical address of the first [`Module`].
    pub modules: u64,
    /// Physical address of the kernel's command line, which ends with a zero byte.
    pub command_line: u64,
    /// Physical address of ACPI's root table, or 0.
    pub rsdp: u64,
    /// Physical address of the first [`Memory`].
    pub memory_map: u64,
    /// How many there are.
    pub memory_map_count: u32,
    /// 0.
    pub reserved: u32,
}

/// A module: a file that the host put into memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Its physical address.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Physical address of its command line, which ends with a zero byte.
    pub command_line: u64,
    /// 0.
    pub reserved: u64,
}

/// A stretch of physical memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Its physical address.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
    /// [`RAM`], or something that a kernel may not use.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
}

/// [`StartInfo::magic`].
pub const MAGIC: u32 = 0x336E_C578;
/// [`Memory::kind`] of memory that a kernel may use.
pub const RAM: u32 = 1;

const _: () = assert!(size_of::<StartInfo>() == 56 && size_of::<Module>() == 32 && size_of::<Memory>() == 24);
