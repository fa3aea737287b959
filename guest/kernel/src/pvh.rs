//! The boot information that the VMM passes to the kernel: [`abi::pvh`] says how it is laid out.

use abi::boot::{Options, PREPARED_MAGIC, Prepared, words_by};
use abi::pvh::{self, MAGIC, RAM, StartInfo};

use crate::hosts::emulated;
use crate::layout::DIRECT_MAP_SIZE;
use crate::memory::physical;

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
    /// The program's name, and its arguments.
    #[inline(always)]
    pub fn words(&self) -> impl Iterator<Item = &'static [u8]> {
        words_by(self.command_line, emulated::size_before)
    }

    /// The program's name.
    pub fn name(&self) -> &'static [u8] {
        self.words().next().unwrap_or(&[])
    }

    /// Its file.
    pub fn bytes(&self) -> &'static [u8] {
        // SAFETY: `Boot::modules` hands out modules inside the direct map only, and the kernel never writes there.
        unsafe { core::slice::from_raw_parts(physical::<u8>(self.address), self.size as usize) }
    }
}

/// The boot information: what every VMM passes, and what only one that knows the crate `abi` puts behind it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Boot {
    info: StartInfo,
    prepared: Prepared,
}

impl Boot {
    /// Reads it. `None`: there is no `hvm_start_info` at this address.
    pub fn read(address: u64) -> Option<Self> {
        list::<Self>(address, 1).next().filter(|boot| boot.info.magic == MAGIC && boot.info.version >= 1)
    }

    /// The kernel's options. `None`: its command line has an unknown key or a bad value.
    pub fn options(&self) -> Option<Options> {
        if self.prepared.magic == PREPARED_MAGIC {
            return Some(self.prepared.options);
        }
        Options::parse(string(self.info.command_line))
    }

    /// The end of the RAM that `address` lies in.
    pub fn ram_end(&self, address: u64) -> Option<u64> {
        list::<pvh::Memory>(self.info.memory_map, self.info.memory_map_count)
            .find(|entry| entry.kind == RAM && address.wrapping_sub(entry.address) < entry.size)
            .map(|entry| entry.address.saturating_add(entry.size))
    }

    /// The modules that the kernel can see.
    pub fn modules(&self) -> impl Iterator<Item = Module> {
        list::<pvh::Module>(self.info.modules, self.info.module_count)
            .filter(|entry| is_seen(entry.address, entry.size))
            .map(|entry| Module {
                address: entry.address,
                size: entry.size,
                command_line: string(entry.command_line),
            })
    }
}

/// True if the direct map shows all of it.
fn is_seen(address: u64, size: u64) -> bool {
    address.checked_add(size).is_some_and(|end| end <= DIRECT_MAP_SIZE)
}

/// So many values of plain data in physical memory; none, if the kernel does not see all of them.
fn list<T: Copy>(address: u64, count: u32) -> impl Iterator<Item = T> {
    let is_there = address != 0 && is_seen(address, u64::from(count) * size_of::<T>() as u64);
    (0..if is_there { count as usize } else { 0 }).map(move |index| {
        // SAFETY: inside the direct map; the kernel does not write what the VMM left there.
        unsafe { physical::<T>(address).add(index).read_unaligned() }
    })
}

/// A NUL-terminated string; empty if the address is 0.
fn string(address: u64) -> &'static [u8] {
    if address == 0 || !is_seen(address, COMMAND_LINE_MAX) {
        return &[];
    }
    // SAFETY: inside the direct map; the kernel does not write what the VMM left there.
    let bytes = unsafe { core::slice::from_raw_parts(physical::<u8>(address), COMMAND_LINE_MAX as usize) };
    bytes.get(..emulated::size_before(bytes, 0)).unwrap_or(bytes)
}
