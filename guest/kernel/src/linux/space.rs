//! An address space of Linux programs: what may be where (the mappings), and what is there (the pages).
//!
//! A mapping says which addresses a program may use, how, and where their content comes from. A page comes at the first
//! touch: a zeroed frame, a page of a file where the file lies, or a copy of it. After `fork` both address spaces show
//! the same frames, read-only, and a write makes a copy.
//!
//! The structure and its mappings share one frame, which limits a space to [`MAPPINGS_MAX`] mappings. Page tables
//! stay until the space goes.

use abi::record::emit::PageResolved;
use abi::record::{Panic, Resolution};
use abi::syscall::errno::ENOMEM;

use super::{first, misc};
use crate::arch::{cpu, mem};
use crate::cell::Local;
use crate::layout::{PAGE, USER_END, USER_START};
use crate::memory::address_space::{ADDRESS, AddressSpace, NO_EXECUTE, PRESENT, USER, WRITABLE, find_entry};
use crate::memory::{frames, physical};
use crate::panic::panic;
use crate::trace::Emit;

/// The end of the main stack: the page above it stays empty.
pub const STACK_TOP: u64 = USER_END - PAGE;
/// How far the main stack can grow: what `getrlimit` says too.
pub const STACK_LIMIT: u64 = 8 << 20;
/// The part of it that is a mapping from the start; a touch below makes it grow.
const STACK_START: u64 = 33 * PAGE;
/// Mappings without an address are placed below this, the highest first.
const MMAP_TOP: u64 = STACK_TOP - STACK_LIMIT - (1 << 20);

/// Rights of a mapping, as `mmap` has them.
pub const READ: u64 = 1;
pub const WRITE: u64 = 2;
pub const EXECUTE: u64 = 4;
pub const RIGHTS: u64 = READ | WRITE | EXECUTE;
/// A child of `fork` shares its pages: a write makes no copy.
pub const SHARED: u64 = 8;
/// It grows downwards at a touch below it.
pub const STACK: u64 = 16;
/// It lies beyond the end of its file: a touch is a bus error.
pub const BEYOND: u64 = 32;

/// In a page table entry, where software may use bits 9 to 11: users of the frame are counted.
const COUNTED: u64 = 1 << 9;

/// A stretch of addresses of one kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// Address; in its low 12 bits the rights and flags above.
    first: u64,
    pages: u32,
    /// Number of the frame with the file's content for the first page; 0: zeroes.
    backing: u32,
}

impl Mapping {
    /// A mapping from `start` to `end` whose first page shows the file's content at the physical address `backing`
    /// (0: zeroes).
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

    /// The part of it between two addresses that lie in it.
    fn part(self, start: u64, end: u64) -> Self {
        Self::new(start, end, self.flags(), self.content(start).unwrap_or(0))
    }

    /// True if its content comes from a file.
    pub fn is_of_file(self) -> bool {
        self.backing != 0
    }

    /// The same with other rights.
    fn with_rights(self, rights: u64) -> Self {
        Self { first: self.first & !RIGHTS | rights, ..self }
    }

    /// True if `next` goes on where this one ends, in every respect.
    fn continues(self, next: Self) -> bool {
        let content = if self.backing == 0 { 0 } else { self.backing + self.pages };
        self.end() == next.start() && self.flags() == next.flags() && content == next.backing
    }
}

/// How many mappings an address space can have.
pub const MAPPINGS_MAX: usize = 248;

/// An address space; it lies at the start of a frame of its own.
#[repr(C)]
pub struct Space {
    tables: Local<AddressSpace>,
    /// Thread groups that use it: after `vfork` there are two.
    users: Local<u32>,
    count: Local<u32>,
    /// Where the heap of `brk` starts and ends.
    pub heap_start: Local<u64>,
    pub heap_end: Local<u64>,
    /// Sorted by address.
    mappings: [Local<Mapping>; MAPPINGS_MAX],
}

const _: () = assert!(size_of::<Space>() <= PAGE as usize);

/// Why a touch of a page fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Nothing is mapped there.
    Unmapped,
    /// The mapping does not allow it.
    Forbidden,
    /// It lies beyond the end of a file.
    BeyondFile,
    OutOfMemory,
}

/// What a program, or the kernel for it, does with a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    Read,
    Write,
    Execute,
}

impl Space {
    /// An empty one with a stack. `None`: no memory.
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
        // SAFETY: no one else writes it meanwhile.
        unsafe { (*self.tables.pointer()).root }
    }

    /// Another thread group uses it.
    pub fn share(&self) {
        self.users.set(self.users.get() + 1);
    }

    /// A thread group does not use it any more. It must not be loaded.
    pub fn release(&self) {
        self.users.set(self.users.get() - 1);
        if self.users.get() == 0 {
            self.mappings().for_each(|mapping| self.unmap_pages(mapping.start(), mapping.end()));
            // The frame of this structure is among those that go, but no one allocates it meanwhile.
            self.tables.replace(AddressSpace::NONE).free();
        }
    }

    /// Its mappings, in order of address.
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
        let next = self.at(index);
        // One that goes on where its neighbour ends makes that one longer.
        if let Some(before) = index.checked_sub(1).and_then(|index| self.at(index))
            && before.continues(mapping)
        {
            self.mapping(index - 1).set(before.longer(mapping));
            return Ok(());
        }
        if let Some(next) = next
            && mapping.continues(next)
        {
            self.mapping(index).set(mapping.longer(next));
            return Ok(());
        }
        self.insert(index, mapping)
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
        // SAFETY: both stretches lie in the table; a cell has the layout of what is in it.
        unsafe { table.add(to).copy_from(table.add(from), count) }
    }

    /// Cuts mappings so that none reaches across `address`.
    fn cut(&self, address: u64) -> Result<(), i64> {
        let index = self.index(address);
        match self.at(index) {
            Some(mapping) if mapping.start() < address => {
                self.insert(index + 1, mapping.part(address, mapping.end()))?;
                self.mapping(index).set(mapping.part(mapping.start(), address));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Nothing is mapped from `start` to `end` any more.
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

    /// All that is mapped from `start` to `end` gets these rights. `ENOMEM`: not everything there is mapped.
    pub fn protect(&self, start: u64, end: u64, rights: u64) -> Result<(), i64> {
        self.cut(start)?;
        self.cut(end)?;
        let mut next = start;
        let mut index = self.index(start);
        while next < end {
            let mapping = self.at(index).filter(|mapping| mapping.start() == next).ok_or(ENOMEM)?;
            self.mapping(index).set(mapping.with_rights(rights));
            self.protect_pages(mapping.start(), mapping.end(), rights);
            next = mapping.end();
            index += 1;
        }
        // Neighbours that differed in their rights only are one again.
        self.join(end);
        self.join(start);
        Ok(())
    }

    /// Makes one mapping of the two that meet at `address`, if they are alike.
    fn join(&self, address: u64) {
        let index = self.index(address);
        if let (Some(before), Some(next)) = (index.checked_sub(1).and_then(|i| self.at(i)), self.at(index))
            && before.continues(next)
        {
            self.mapping(index - 1).set(before.longer(next));
            self.remove(index);
        }
    }

    /// The highest free place of this size, for a mapping without an address.
    pub fn place(&self, size: u64) -> Result<u64, i64> {
        let mut end = MMAP_TOP;
        let mut index = self.index(MMAP_TOP);
        loop {
            let below = index.checked_sub(1).and_then(|index| self.at(index));
            let floor = below.map_or(USER_START, Mapping::end);
            if floor <= end && end - floor >= size {
                return Ok(end - size);
            }
            end = below.ok_or(ENOMEM)?.start().min(end);
            index -= 1;
        }
    }

    /// The process touches `address`: makes the page there as it must be. `by_kernel`: for a system call.
    pub fn touch(&self, address: u64, touch: Touch, by_kernel: bool) -> Result<(), Bad> {
        let page = address & !(PAGE - 1);
        let mapping = self.mapping_for(page)?;
        let flags = mapping.flags();
        let needed = match touch {
            // What can be written or executed can be read: x86 has no other way.
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
        // SAFETY: no one else uses the tables meanwhile.
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

    /// The mapping for `page`; the stack grows where that makes one.
    fn mapping_for(&self, page: u64) -> Result<Mapping, Bad> {
        let index = self.index(page);
        let mapping = self.at(index).ok_or(Bad::Unmapped)?;
        if mapping.start() <= page {
            return Ok(mapping);
        }
        let floor = index.checked_sub(1).and_then(|index| self.at(index)).map_or(USER_START, Mapping::end);
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

    /// Calls `change` with each page from `start` to `end` that is there and its entry.
    fn for_pages(&self, start: u64, end: u64, mut change: impl FnMut(u64, *mut u64)) {
        const REGION: u64 = 512 * PAGE;
        let mut page = start;
        while page < end {
            let region_end = ((page / REGION + 1) * REGION).min(end);
            match find_entry(self.root(), page) {
                Err(next) => page = next,
                Ok(mut entry) => {
                    while page < region_end {
                        let count = ((region_end - page) / PAGE) as usize;
                        // SAFETY: as many entries of one page table lie between here and the end of the region.
                        let skipped = unsafe { mem::zero_words(entry, count) };
                        if skipped == count {
                            break;
                        }
                        // SAFETY: as above.
                        entry = unsafe { entry.add(skipped) };
                        page += skipped as u64 * PAGE;
                        change(page, entry);
                        // SAFETY: as above; at the end of the region it is not used.
                        entry = unsafe { entry.add(1) };
                        page += PAGE;
                    }
                    page = region_end;
                }
            }
        }
    }

    /// Moves `size` bytes at `start`, which lie in `mapping`, to `to`, where a mapping of `new_size` bytes appears.
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
                    Some(moved) => *moved = entry.replace(0),
                    None => whole = Err(ENOMEM),
                }
            }
            cpu::invalidate(page);
        });
        whole
    }

    /// The pages go; the mappings are another matter.
    pub fn unmap_pages(&self, start: u64, end: u64) {
        self.for_pages(start, end, |page, entry| {
            // SAFETY: an entry of a page table of this space.
            let old = unsafe { entry.replace(0) };
            if old & COUNTED != 0 {
                frames::release(old & ADDRESS);
            }
            cpu::invalidate(page);
        });
    }

    /// The pages get these rights. A right to write comes at the next write, which looks who else uses the frame.
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

    /// A copy for a child of `fork`: the same mappings, and the same frames until one of the two writes. `None`: no
    /// memory.
    pub fn copy(&self) -> Option<&'static Self> {
        let child = Self::new()?;
        // SAFETY: the tables are alike, and no one uses the child's yet.
        unsafe {
            let table = child.mappings.as_ptr().cast_mut();
            table.copy_from_nonoverlapping(self.mappings.as_ptr(), self.count.get() as usize);
        }
        child.count.set(self.count.get());
        child.heap_start.set(self.heap_start.get());
        child.heap_end.set(self.heap_end.get());
        for mapping in self.mappings() {
            // A page that shows the file itself comes back at the next touch.
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

    /// Shows the child the pages of a mapping whose entries have all bits of `needed`.
    fn copy_pages(&self, child: &Self, mapping: Mapping, needed: u64) -> Option<()> {
        let mut whole = Some(());
        let shared = mapping.flags() & SHARED != 0;
        self.for_pages(mapping.start(), mapping.end(), |page, entry| {
            // SAFETY: both are entries of page tables of the two spaces; no one else uses them meanwhile.
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

impl Mapping {
    /// This one and `next`, which it continues into.
    fn longer(self, next: Self) -> Self {
        Self { pages: self.pages + next.pages, ..self }
    }
}

/// The bits of an entry that allow to read, and to execute where the mapping allows it.
fn readable(flags: u64) -> u64 {
    PRESENT | USER | if flags & EXECUTE == 0 { NO_EXECUTE } else { 0 }
}

/// What the entry of a page becomes at a touch that its mapping allows, and how. `None`: no memory.
fn resolve(old: u64, mapping: Mapping, page: u64, write: bool) -> Option<(u64, Resolution)> {
    let flags = mapping.flags();
    let rights = readable(flags);
    let frame = old & ADDRESS;
    let counted = rights | COUNTED;
    let shared = flags & SHARED != 0;
    Some(match (old != 0, mapping.content(page)) {
        // It is there, and perhaps was hidden by `mprotect`.
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
