//! Page tables of a process: its own lower half, the kernel's upper half (SDM vol. 3, 4.5).

use abi::program::Access;

use super::frame_pool::FrameList;
use super::{frames, physical};
use crate::arch::boot;
use crate::layout::{PAGE, USER_END};

pub const PRESENT: u64 = 1 << 0;
pub const WRITABLE: u64 = 1 << 1;
pub const USER: u64 = 1 << 2;
pub const NO_EXECUTE: u64 = 1 << 63;
pub const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// Entries of the root table that are the kernel's: DIRECT_MAP and the top.
const KERNEL_ENTRIES: [usize; 2] = [256, 511];

/// The memory that a page table maps.
const TABLE_SPAN: u64 = 512 * PAGE;

/// No region has this number.
const NO_TABLE: (u64, u64) = (u64::MAX, 0);

/// The bits of a page-table entry for a page of user mode.
pub fn rights(access: Access) -> u64 {
    match access {
        Access::Read => PRESENT | USER | NO_EXECUTE,
        Access::ReadWrite => PRESENT | USER | WRITABLE | NO_EXECUTE,
        Access::ReadExecute => PRESENT | USER,
    }
}

/// An address space and every frame that went into it.
pub struct AddressSpace {
    /// Physical address of the root table: CR3.
    pub root: u64,
    frames: FrameList,
    /// The region (address >> 21) and page table of the last page mapped: neighbours come in a row.
    last: (u64, u64),
}

impl AddressSpace {
    /// No address space: of a process that does not exist.
    pub const NONE: Self = Self::without_frames(0);

    /// The kernel's own, whose tables are statics.
    pub const fn without_frames(root: u64) -> Self {
        Self { root, frames: FrameList::EMPTY, last: NO_TABLE }
    }

    /// A new one, its lower half empty.
    pub fn new() -> Option<Self> {
        let mut space = Self::NONE;
        space.root = space.allocate()?;
        for index in KERNEL_ENTRIES {
            // SAFETY: the root is a fresh frame; the kernel's table is a static. Both have 512 entries.
            unsafe { physical::<u64>(space.root).add(index).write(boot::root_table().add(index).read()) }
        }
        Some(space)
    }

    /// A zeroed frame that belongs to this address space.
    pub fn allocate(&mut self) -> Option<u64> {
        frames::allocate(&mut self.frames)
    }

    /// Maps the pages from the first to the end, each to the frame that `frame` returns for it. `None`: no memory.
    #[inline(always)]
    pub fn map(
        &mut self,
        (mut page, end): (u64, u64),
        access: Access,
        mut frame: impl FnMut(&mut Self, u64) -> Option<u64>,
    ) -> Option<()> {
        while page < end {
            let mut entry = self.entry(page)?;
            let table_end = end.min((page | (TABLE_SPAN - 1)) + 1);
            while page < table_end {
                let frame = frame(self, page)?;
                // SAFETY: an entry of a table of this address space; the next page's is behind it.
                unsafe {
                    entry.write(frame | rights(access));
                    entry = entry.add(1);
                }
                page += PAGE;
            }
        }
        Some(())
    }

    /// The entry for `page` in its page table, which is created if it does not exist.
    #[inline(always)]
    pub fn entry(&mut self, page: u64) -> Option<*mut u64> {
        if self.last.0 != page >> 21 {
            self.last = (page >> 21, self.leaf_table(page)?);
        }
        Some(entry(self.last.1, page, 12))
    }

    /// The page table for `page`, which is created if it does not exist.
    #[inline(always)]
    fn leaf_table(&mut self, page: u64) -> Option<u64> {
        let mut table = self.root;
        for shift in [39, 30, 21] {
            let entry = entry(table, page, shift);
            // SAFETY: an entry of a table of this address space.
            unsafe {
                table = *entry & ADDRESS;
                if table == 0 {
                    table = frames::allocate(&mut self.frames)?;
                    *entry = table | PRESENT | WRITABLE | USER;
                }
            }
        }
        Some(table)
    }

    /// Frees all its frames, so that it cannot be used again. Returns how many there were.
    pub fn free(&mut self) -> u32 {
        frames::POOL.give_back(self.frames);
        self.frames.count
    }
}

/// The entry of a table for `page`. `shift`: what an address is divided by to get its index, by the table's level.
pub fn entry(table: u64, page: u64, shift: u32) -> *mut u64 {
    // SAFETY: an index of nine bits lies within a table; the direct map shows every frame.
    unsafe { physical::<u64>(table).add((page >> shift & 511) as usize) }
}

/// The physical address of `address`, if user mode may read it (with `write`: write it).
pub fn translate(root: u64, address: u64, write: bool) -> Option<u64> {
    if address >= USER_END {
        return None;
    }
    let needed = PRESENT | USER | if write { WRITABLE } else { 0 };
    let mut table = root;
    for shift in [39, 30, 21, 12] {
        // SAFETY: `root` is a root table, and every present entry of the lower half leads to a table or frame.
        let entry = unsafe { entry(table, address, shift).read() };
        if entry & needed != needed {
            return None;
        }
        table = entry & ADDRESS;
    }
    Some(table | address & (PAGE - 1))
}
