//! An address space of Linux programs: its mappings (what may be at an address), and its pages (what is there now).
//!
//! A mapping says which addresses a program may use, how, and where their content comes from. A page is created at the
//! first access: a zeroed frame, a page of a file at the file's own place, or a copy of it. After `fork` both address
//! spaces map the same frames, read-only, and a write makes a copy.
//!
//! The structure and its mappings share one frame, so a space has at most [`MAPPINGS_MAX`] mappings. Page tables are kept
//! until the space is freed.

use abi::record::emit::PageResolved;
use abi::record::{Panic, Resolution};
use abi::syscall::errno::ENOMEM;

use super::frames;
use super::{first, misc};
use crate::arch::cpu;
use crate::cell::Local;
use crate::hosts::emulated;
use crate::layout::{PAGE, USER_END, USER_START};
use crate::memory::address_space::{ADDRESS, AddressSpace, NO_EXECUTE, PRESENT, USER, WRITABLE, entry};
use crate::memory::physical;
use crate::panic::panic;
use crate::scheduler;
use crate::trace::Emit;

/// The end of the main stack: the page above it stays empty.
pub const STACK_TOP: u64 = USER_END - PAGE;
/// The size of the stack's first mapping. An access below it makes the stack grow.
const STACK_START: u64 = 33 * PAGE;
/// A mapping without a requested address is placed at least this far below the stack.
const MMAP_GAP: u64 = 1 << 20;

/// The rights of a mapping, as `mmap` defines them.
pub const READ: u64 = 1;
pub const WRITE: u64 = 2;
pub const EXECUTE: u64 = 4;
pub const RIGHTS: u64 = READ | WRITE | EXECUTE;
/// A child of `fork` shares its pages, so a write makes no copy.
pub const SHARED: u64 = 8;
/// The mapping grows downwards when the program accesses an address below it.
pub const STACK: u64 = 16;
/// The mapping lies beyond the end of its file. An access is a bus error.
pub const BEYOND: u64 = 32;

/// In a page table entry, whose bits 9 to 11 are free for software: the frame has a count of users.
const COUNTED: u64 = 1 << 9;

/// A range of addresses with the same rights and the same source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// The start address. The low 12 bits are the rights and flags above.
    first: u64,
    pages: u32,
    /// The frame number of the file's content for the first page; 0: zeros.
    backing: u32,
}

impl Mapping {
    /// A mapping from `start` to `end` whose first page shows the file's content at the physical address `backing` (0:
    /// zeros).
    pub fn new(start: u64, end: u64, flags: u64, backing: u64) -> Self {
        Self { first: start | flags, pages: ((end - start) / PAGE) as u32, backing: (backing / PAGE) as u32 }
    }

    pub fn start(self) -> u64 {
        self.first & !(PAGE - 1)
    }

    pub fn end(self) -> u64 {
        self.start() + u64::from(self.pages) * PAGE
    }

    pub fn flags(self) -> u64 {
        self.first & (PAGE - 1)
    }

    /// Physical address of the file's content for `page`, if it comes from a file.
    fn content(self, page: u64) -> Option<u64> {
        (self.backing != 0).then(|| u64::from(self.backing) * PAGE + (page - self.start()))
    }

    /// The part of it between two addresses, which must lie in it.
    fn part(self, start: u64, end: u64) -> Self {
        Self::new(start, end, self.flags(), self.content(start).unwrap_or(0))
    }

    /// True if its content comes from a file.
    pub fn is_of_file(self) -> bool {
        self.backing != 0
    }

    /// The same mapping with other rights.
    fn with_rights(self, rights: u64) -> Self {
        Self { first: self.first & !RIGHTS | rights, ..self }
    }

    /// True if `next` starts where this mapping ends and is equal in all else.
    fn continues(self, next: Self) -> bool {
        let content = if self.backing == 0 { 0 } else { self.backing + self.pages };
        self.end() == next.start() && self.flags() == next.flags() && content == next.backing
    }
}

/// How many mappings an address space can have.
pub const MAPPINGS_MAX: usize = 248;

/// An address space. It lies at the start of its own frame.
#[repr(C)]
pub struct Space {
    tables: Local<AddressSpace>,
    /// The number of thread groups that use it: two after `vfork`.
    users: Local<u32>,
    count: Local<u32>,
    /// How many pages and page tables calls have worked on.
    worked: Local<u32>,
    /// A call lets other processes run in the middle of its work.
    busy: Local<bool>,
    /// Where the heap of `brk` starts and ends.
    pub heap_start: Local<u64>,
    pub heap_end: Local<u64>,
    /// Sorted by address.
    mappings: [Local<Mapping>; MAPPINGS_MAX],
}

const _: () = assert!(size_of::<Space>() <= PAGE as usize);

/// Why an access to a page fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Nothing is mapped there.
    Unmapped,
    /// The mapping does not allow it.
    Forbidden,
    /// The page lies beyond the end of a file.
    BeyondFile,
    OutOfMemory,
}

/// How a program, or the kernel on its behalf, accesses a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    Read,
    Write,
    Execute,
}

impl Space {
    /// Creates a space with a stack and nothing else. `None`: there is no memory.
    pub fn new() -> Option<&'static Self> {
        let mut tables = AddressSpace::new()?;
        let Some(frame) = tables.allocate() else {
            tables.free();
            return None;
        };
        // SAFETY: the frame is fresh and zero, which is a value of every field (no mapping, no table), and it lives until
        // `release` frees it.
        let space = unsafe { &*physical::<Self>(frame) };
        space.tables.set(tables);
        space.users.set(1);
        let _ = space.add(Mapping::new(STACK_TOP - STACK_START, STACK_TOP, READ | WRITE | STACK, 0));
        Some(space)
    }

    /// Physical address of the root table.
    pub fn root(&self) -> u64 {
        // SAFETY: no other code changes it during the read.
        unsafe { (*self.tables.pointer()).root }
    }

    /// Counts one more thread group that uses it.
    pub fn share(&self) {
        self.users.set(self.users.get() + 1);
    }

    /// Frees all pages, unless another thread group uses them too.
    pub fn clear(&self) {
        if self.users.get() == 1 {
            self.mappings().for_each(|mapping| self.unmap_pages(mapping.start(), mapping.end()));
            self.count.set(0);
        }
    }

    /// Counts one thread group less, and frees the space after the last one. The space must not be loaded.
    pub fn release(&self) {
        self.clear();
        self.users.set(self.users.get() - 1);
        if self.users.get() == 0 {
            // This frees the frame of this structure too, but nothing allocates that frame before `free` returns.
            self.tables.replace(AddressSpace::NONE).free();
        }
    }

    /// The mappings in order of address.
    pub fn mappings(&self) -> impl Iterator<Item = Mapping> {
        first(&self.mappings, self.count.get() as usize).iter().map(Local::get)
    }

    /// The index of the first mapping that ends above `address`.
    fn index(&self, address: u64) -> usize {
        let (mut low, mut high) = (0, self.count.get() as usize);
        while low < high {
            let middle = (low + high) / 2;
            if self.mapping(middle).get().end() <= address {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The place of a mapping in the table.
    fn mapping(&self, index: usize) -> &Local<Mapping> {
        match self.mappings.get(index) {
            Some(place) => place,
            None => panic(Panic::Bug, index as u64),
        }
    }

    /// The mapping at an index, if there is one.
    fn at(&self, index: usize) -> Option<Mapping> {
        (index < self.count.get() as usize).then(|| self.mapping(index).get())
    }

    /// The mapping before the one at an index, if there is one.
    fn before(&self, index: usize) -> Option<Mapping> {
        self.at(index.checked_sub(1)?)
    }

    /// The mapping that `address` lies in.
    pub fn find(&self, address: u64) -> Option<Mapping> {
        self.at(self.index(address)).filter(|mapping| mapping.start() <= address)
    }

    /// True if nothing is mapped from `start` to `end`.
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.at(self.index(start)).is_none_or(|mapping| mapping.start() >= end)
    }

    /// Adds a mapping where nothing is mapped.
    pub fn add(&self, mapping: Mapping) -> Result<(), i64> {
        let index = self.index(mapping.start());
        // Two neighbours become one mapping if the second continues the first.
        match (self.before(index), self.at(index)) {
            (Some(before), _) if before.continues(mapping) => {
                self.mapping(index - 1).set(before.longer(mapping));
            }
            (_, Some(next)) if mapping.continues(next) => self.mapping(index).set(mapping.longer(next)),
            _ => return self.insert(index, mapping),
        }
        Ok(())
    }

    fn insert(&self, index: usize, mapping: Mapping) -> Result<(), i64> {
        let count = self.count.get() as usize;
        if count == MAPPINGS_MAX {
            return Err(ENOMEM);
        }
        self.shift(index, index + 1, count - index);
        self.mapping(index).set(mapping);
        self.count.set(count as u32 + 1);
        Ok(())
    }

    fn remove(&self, index: usize) {
        let count = self.count.get() as usize;
        self.shift(index + 1, index, count - index - 1);
        self.count.set(count as u32 - 1);
    }

    /// Moves `count` mappings in the table.
    fn shift(&self, from: usize, to: usize, count: usize) {
        let table = self.mappings.as_ptr().cast_mut();
        // SAFETY: both ranges lie in the table, and a cell has the layout of its content.
        unsafe { table.add(to).copy_from(table.add(from), count) }
    }

    /// Splits the mapping across `address`, if there is one.
    fn cut(&self, address: u64) -> Result<(), i64> {
        let index = self.index(address);
        if let Some(mapping) = self.at(index).filter(|mapping| mapping.start() < address) {
            self.insert(index + 1, mapping.part(address, mapping.end()))?;
            self.mapping(index).set(mapping.part(mapping.start(), address));
        }
        Ok(())
    }

    /// Removes all mappings from `start` to `end`.
    pub fn unmap(&self, start: u64, end: u64) -> Result<(), i64> {
        self.cut(start)?;
        self.cut(end)?;
        let index = self.index(start);
        while self.at(index).is_some_and(|mapping| mapping.start() < end) {
            self.remove(index);
        }
        self.unmap_pages(start, end);
        Ok(())
    }

    /// Gives all mappings from `start` to `end` these rights. `ENOMEM`: a part of the range is not mapped.
    pub fn protect(&self, start: u64, end: u64, rights: u64) -> Result<(), i64> {
        self.cut(start)?;
        self.cut(end)?;
        let mut next = start;
        while next < end {
            let index = self.index(next);
            let mapping = self.at(index).filter(|mapping| mapping.start() == next).ok_or(ENOMEM)?;
            self.mapping(index).set(mapping.with_rights(rights));
            self.protect_pages(next, mapping.end(), rights);
            // Neighbours that differed only in their rights can be joined again.
            self.join(next);
            next = mapping.end();
        }
        self.join(end);
        Ok(())
    }

    /// Joins the two mappings that meet at `address`, if the second continues the first.
    fn join(&self, address: u64) {
        let index = self.index(address);
        if let (Some(before), Some(next)) = (self.before(index), self.at(index))
            && before.continues(next)
        {
            self.mapping(index - 1).set(before.longer(next));
            self.remove(index);
        }
    }

    /// The highest free range of this size, for a mapping without a requested address.
    pub fn place(&self, size: u64) -> Result<u64, i64> {
        let mut end = STACK_TOP - misc::STACK_MAX.get() - MMAP_GAP;
        let mut index = self.index(end);
        // A mapping that grew can lie across the highest address for new ones.
        end = self.at(index).map_or(end, |mapping| mapping.start().min(end));
        loop {
            let below = self.before(index);
            let floor = below.map_or(USER_START, Mapping::end);
            if floor <= end && end - floor >= size {
                return Ok(end - size);
            }
            end = below.ok_or(ENOMEM)?.start().min(end);
            index -= 1;
        }
    }

    /// Makes the page at `address` ready for an access of the process. `by_kernel`: for a system call.
    pub fn touch(&self, address: u64, touch: Touch, by_kernel: bool) -> Result<(), Bad> {
        let page = address & !(PAGE - 1);
        let mapping = self.mapping_for(page)?;
        let flags = mapping.flags();
        let needed = match touch {
            // On x86, a page that can be written or executed can always be read.
            Touch::Read => RIGHTS,
            Touch::Write => WRITE,
            Touch::Execute => EXECUTE,
        };
        if flags & needed == 0 {
            return Err(Bad::Forbidden);
        }
        if flags & BEYOND != 0 {
            return Err(Bad::BeyondFile);
        }
        // SAFETY: no other code uses the tables during the call.
        let entry = unsafe { &mut *self.tables.pointer() }.entry(page).ok_or(Bad::OutOfMemory)?;
        // SAFETY: an entry of a page table of this space.
        let old = unsafe { entry.read() };
        let (new, resolution) = resolve(old, mapping, page, touch == Touch::Write).ok_or(Bad::OutOfMemory)?;
        // SAFETY: as above.
        unsafe { entry.write(new) };
        if old & PRESENT != 0 {
            cpu::invalidate(page);
        }
        PageResolved { how: resolution, by_kernel, page, frame: new & ADDRESS }.emit();
        Ok(())
    }

    /// Returns the mapping for `page`. The stack grows if the page is below it and within its limit.
    fn mapping_for(&self, page: u64) -> Result<Mapping, Bad> {
        let index = self.index(page);
        let mapping = self.at(index).ok_or(Bad::Unmapped)?;
        if mapping.start() <= page {
            return Ok(mapping);
        }
        let floor = self.before(index).map_or(USER_START, Mapping::end);
        if mapping.flags() & STACK == 0
            || page < mapping.end().saturating_sub(misc::stack_limit())
            || page < floor
        {
            return Err(Bad::Unmapped);
        }
        let grown = Mapping::new(page, mapping.end(), mapping.flags(), 0);
        self.mapping(index).set(grown);
        Ok(grown)
    }

    /// Calls `change` with each page from `start` to `end` that is present, and with its entry.
    fn for_pages(&self, start: u64, end: u64, mut change: impl FnMut(u64, *mut u64)) {
        const REGION: u64 = 512 * PAGE;
        let mut page = start;
        while page < end {
            self.count_work();
            let region_end = ((page / REGION + 1) * REGION).min(end);
            match find_entry(self.root(), page) {
                Err(next) => page = next,
                Ok(mut entry) => {
                    while page < region_end {
                        let count = ((region_end - page) / PAGE) as usize;
                        // SAFETY: `count` entries of one page table lie between this entry and the end of the region.
                        let skipped = unsafe { emulated::zero_words(entry, count) };
                        if skipped == count {
                            break;
                        }
                        // SAFETY: as above.
                        entry = unsafe { entry.add(skipped) };
                        page += skipped as u64 * PAGE;
                        change(page, entry);
                        self.count_work();
                        // SAFETY: as above; at the end of the region the pointer is not read.
                        entry = unsafe { entry.add(1) };
                        page += PAGE;
                    }
                    page = region_end;
                }
            }
        }
    }

    /// Lets other processes run after every 64 pages or page tables, because interrupts are off: 64 are a few milliseconds
    /// on a host that emulates ring 0.
    fn count_work(&self) {
        self.worked.set(self.worked.get().wrapping_add(1));
        if self.worked.get().is_multiple_of(64) {
            self.pause();
        }
    }

    /// Lets other processes run in the middle of a call that changes the mappings or all of their pages.
    pub fn pause(&self) {
        self.busy.set(true);
        scheduler::pause();
        self.busy.set(false);
    }

    /// Waits until no other thread is in the middle of such a call.
    pub fn settled(&self) -> &Self {
        while self.busy.get() {
            scheduler::pause();
        }
        self
    }

    /// Moves `size` bytes at `start`, which lie in `mapping`, to `to`, where it adds a mapping of `new_size` bytes.
    pub fn relocate(
        &self,
        mapping: Mapping,
        start: u64,
        size: u64,
        to: u64,
        new_size: u64,
    ) -> Result<(), i64> {
        let content = mapping.content(start).unwrap_or(0);
        self.add(Mapping::new(to, to + new_size, mapping.flags(), content))?;
        let mut whole = Ok(());
        self.for_pages(start, start + size, |page, entry| {
            // SAFETY: both are entries of page tables of this space, for different pages.
            unsafe {
                match (&mut *self.tables.pointer()).entry(page - start + to) {
                    Some(moved) => {
                        // Another thread can have accessed this page since the mapping was added.
                        free_page(page - start + to, moved);
                        *moved = entry.replace(0);
                    }
                    None => whole = Err(ENOMEM),
                }
            }
            cpu::invalidate(page);
        });
        whole
    }

    /// Frees the pages. The mappings do not change.
    pub fn unmap_pages(&self, start: u64, end: u64) {
        self.for_pages(start, end, free_page);
    }

    /// Gives the pages these rights. The next write adds the right to write, after it checks whether the frame is shared.
    fn protect_pages(&self, start: u64, end: u64, rights: u64) {
        self.for_pages(start, end, |page, entry| {
            // SAFETY: an entry of a page table of this space.
            unsafe {
                let kept = *entry & (ADDRESS | COUNTED);
                let writable = if rights & WRITE != 0 { *entry & WRITABLE } else { 0 };
                *entry = kept | writable | if rights == 0 { 0 } else { readable(rights) };
            }
            cpu::invalidate(page);
        });
    }

    /// A copy for a child of `fork`: the same mappings, and the same frames until one of the two writes. `None`: there is
    /// no memory.
    pub fn copy(&self) -> Option<&'static Self> {
        let child = Self::new()?;
        // SAFETY: both tables have the same layout, and the child's are not in use yet.
        unsafe {
            let table = child.mappings.as_ptr().cast_mut();
            table.copy_from_nonoverlapping(self.mappings.as_ptr(), self.count.get() as usize);
        }
        child.count.set(self.count.get());
        child.heap_start.set(self.heap_start.get());
        child.heap_end.set(self.heap_end.get());
        // Other threads can run meanwhile, and the parent's stack can grow.
        for mapping in child.mappings() {
            // A page that maps the file itself is created again at the next access.
            if mapping.flags() & WRITE == 0 && mapping.is_of_file() {
                self.copy_pages(child, mapping, COUNTED).or_else(|| child.abandon())?;
            } else {
                self.copy_pages(child, mapping, 0).or_else(|| child.abandon())?;
            }
        }
        Some(child)
    }

    fn abandon(&self) -> Option<()> {
        self.release();
        None
    }

    /// Maps the pages of a mapping whose entries have all bits of `needed` in the child.
    fn copy_pages(&self, child: &Self, mapping: Mapping, needed: u64) -> Option<()> {
        let mut whole = Some(());
        let shared = mapping.flags() & SHARED != 0;
        self.for_pages(mapping.start(), mapping.end(), |page, entry| {
            // SAFETY: both are entries of page tables of the two spaces, which no other code uses during the call.
            unsafe {
                if *entry & needed != needed || whole.is_none() {
                    return;
                }
                let Some(copy) = (&mut *child.tables.pointer()).entry(page) else {
                    whole = None;
                    return;
                };
                if *entry & WRITABLE != 0 && !shared {
                    *entry &= !WRITABLE;
                    cpu::invalidate(page);
                }
                if *entry & COUNTED != 0 {
                    frames::share(*entry & ADDRESS);
                }
                *copy = *entry;
            }
        });
        whole
    }
}

/// Frees a page, given its entry in a page table.
fn free_page(page: u64, entry: *mut u64) {
    // SAFETY: an entry of a page table.
    let old = unsafe { entry.replace(0) };
    if old & COUNTED != 0 {
        frames::release(old & ADDRESS);
    }
    cpu::invalidate(page);
}

impl Mapping {
    /// This mapping and `next`, which continues it, as one.
    fn longer(self, next: Self) -> Self {
        Self { pages: self.pages + next.pages, ..self }
    }
}

/// The bits of an entry that allow reading, and execution if the mapping allows it.
fn readable(flags: u64) -> u64 {
    PRESENT | USER | if flags & EXECUTE == 0 { NO_EXECUTE } else { 0 }
}

/// The new entry of a page after an allowed access, and how it was made. `None`: there is no memory.
fn resolve(old: u64, mapping: Mapping, page: u64, write: bool) -> Option<(u64, Resolution)> {
    let flags = mapping.flags();
    let rights = readable(flags);
    let frame = old & ADDRESS;
    let counted = rights | COUNTED;
    let shared = flags & SHARED != 0;
    Some(match (old != 0, mapping.content(page)) {
        // The page exists, and `mprotect` may have removed its rights.
        (true, _) if !write || old & WRITABLE != 0 => (old | rights, Resolution::Allowed),
        (true, _) if old & COUNTED != 0 && (shared || frames::users(frame) == 1) => {
            (old | rights | WRITABLE, Resolution::Owned)
        }
        (true, _) => {
            let copy = frames::take_copy(frame)?;
            if old & COUNTED != 0 {
                frames::release(frame);
            }
            (copy | counted | WRITABLE, Resolution::Copied)
        }
        (false, Some(content)) if write => {
            (frames::take_copy(content)? | counted | WRITABLE, Resolution::FileCopied)
        }
        (false, Some(content)) => (content | rights, Resolution::File),
        (false, None) => {
            let writable = if flags & WRITE != 0 { WRITABLE } else { 0 };
            (frames::take()? | counted | writable, Resolution::Zeroed)
        }
    })
}

/// The entry for `page` in its page table; `Err` has the end of the stretch around `page` that has no page table.
fn find_entry(root: u64, page: u64) -> Result<*mut u64, u64> {
    let mut table = root;
    for shift in [39, 30, 21] {
        // SAFETY: `root` is a root table, and every present entry of the lower half leads to a table.
        let entry = unsafe { entry(table, page, shift).read() };
        if entry & PRESENT == 0 {
            return Err(((page >> shift) + 1) << shift);
        }
        table = entry & ADDRESS;
    }
    Ok(entry(table, page, 12))
}
