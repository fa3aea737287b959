//! The boot information that the VMM passes to a kernel: `hvm_start_info` and what it points to (Xen's public/arch-x86/hvm/start_info.h).

use crate::arch::text::cut;
use crate::layout::DIRECT_MAP_SIZE;
use crate::memory::physical;

#[repr(C)]
#[derive(Clone, Copy)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_count: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct ModuleEntry {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct MemoryEntry {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

const MAGIC: u32 = 0x336E_C578;
const RAM: u32 = 1;
/// The longest command line that is read.
const COMMAND_LINE_MAX: u64 = 4096;

/// A program, as the VMM put it into memory.
pub struct Module {
    /// Physical address, page aligned.
    pub address: u64,
    pub size: u64,
    /// Name and arguments.
    pub command_line: &'static [u8],
}

impl Module {
    /// The program's name.
    pub fn name(&self) -> &'static [u8] {
        abi::boot::words(self.command_line).next().unwrap_or(&[])
    }

    /// Its file.
    pub fn bytes(&self) -> &'static [u8] {
        // SAFETY: `Boot::modules` hands out modules inside the direct map only, and the kernel never writes there.
        unsafe { core::slice::from_raw_parts(physical::<u8>(self.address), self.size as usize) }
    }
}

/// The boot information.
pub struct Boot(StartInfo);

impl Boot {
    /// Reads it. `None`: there is no `hvm_start_info` at this address.
    pub fn read(address: u64) -> Option<Self> {
        let info: StartInfo = read(address)?;
        (info.magic == MAGIC && info.version >= 1).then_some(Self(info))
    }

    /// The kernel's command line.
    pub fn command_line(&self) -> &'static [u8] {
        string(self.0.command_line)
    }

    /// The end of the RAM that `address` lies in.
    pub fn ram_end(&self, address: u64) -> Option<u64> {
        (0..self.0.memory_map_count.into())
            .filter_map(|index| read::<MemoryEntry>(entry::<MemoryEntry>(self.0.memory_map, index)))
            .find(|entry| {
                entry.kind == RAM && entry.address <= address && address - entry.address < entry.size
            })
            .map(|entry| entry.address.saturating_add(entry.size))
    }

    /// The modules that the kernel can see.
    pub fn modules(&self) -> impl Iterator<Item = Module> {
        let list = self.0.modules;
        (0..self.0.module_count.into())
            .filter_map(move |index| read::<ModuleEntry>(entry::<ModuleEntry>(list, index)))
            .filter(|entry| entry.address.checked_add(entry.size).is_some_and(|end| end <= DIRECT_MAP_SIZE))
            .map(|entry| Module {
                address: entry.address,
                size: entry.size,
                command_line: string(entry.command_line),
            })
    }
}

fn entry<T>(list: u64, index: u64) -> u64 {
    list.saturating_add(index * size_of::<T>() as u64)
}

/// Reads plain data of physical memory, if the kernel sees it.
fn read<T: Copy>(address: u64) -> Option<T> {
    if address == 0 || address.checked_add(size_of::<T>() as u64)? > DIRECT_MAP_SIZE {
        return None;
    }
    // SAFETY: inside the direct map; the kernel does not write what the VMM left there.
    Some(unsafe { physical::<T>(address).read_unaligned() })
}

/// A NUL-terminated string; empty where there is none.
fn string(address: u64) -> &'static [u8] {
    if address == 0 || address.saturating_add(COMMAND_LINE_MAX) > DIRECT_MAP_SIZE {
        return &[];
    }
    // SAFETY: inside the direct map; the kernel does not write what the VMM left there.
    let bytes = unsafe { core::slice::from_raw_parts(physical::<u8>(address), COMMAND_LINE_MAX as usize) };
    cut(bytes, 0).0
}
