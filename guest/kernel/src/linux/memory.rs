//! The system calls that change the mappings.

use abi::syscall::errno::{EACCES, EBADF, EEXIST, EINVAL, ENODEV, ENOMEM};
use abi::syscall::values::*;

use super::files::{self, Kind, PART};
use super::frames;
use super::space::{BEYOND, Mapping, RIGHTS, SHARED, STACK_TOP, Space, Touch, WRITE};
use super::{Outcome, task, tree};
use crate::layout::{DIRECT_MAP, PAGE, USER_START};

/// The bits of the flags that are one of several values.
const MAP_TYPE: u64 = 0xF;

/// The address space of the current task, once no other thread is in the middle of a change.
fn space() -> &'static Space {
    task::space().settled()
}

/// A size rounded up to whole pages. The size must not be 0, and the sum must not overflow.
fn pages(size: u64) -> Outcome<u64> {
    match size.checked_next_multiple_of(PAGE) {
        Some(0) => Err(EINVAL),
        Some(size) if size <= STACK_TOP => Ok(size),
        _ => Err(ENOMEM),
    }
}

/// The size of a new mapping, which counts its pages in 32 bits.
fn pages_of_new(size: u64) -> Outcome<u64> {
    pages(size).and_then(|size| if size / PAGE > u32::MAX.into() { Err(ENOMEM) } else { Ok(size) })
}

/// The end, at a page boundary, of a range of user memory.
fn end_of(start: u64, size: u64) -> Outcome<u64> {
    if !start.is_multiple_of(PAGE) {
        return Err(EINVAL);
    }
    start.checked_add(size).filter(|&end| end <= STACK_TOP).ok_or(ENOMEM)
}

pub fn brk(wanted: u64) -> Outcome<u64> {
    let space = space();
    let (start, old) = (space.heap_start.get(), space.heap_end.get());
    if wanted < start || wanted > STACK_TOP {
        return Ok(old);
    }
    let (old_end, new_end) = (old.next_multiple_of(PAGE), wanted.next_multiple_of(PAGE));
    let changed = if new_end > old_end {
        // One page above the heap must stay free.
        if !space.is_free(old_end, new_end + PAGE) {
            return Ok(old);
        }
        space.add(Mapping::new(old_end, new_end, super::space::READ | WRITE, 0))
    } else if new_end < old_end {
        space.unmap(new_end, old_end)
    } else {
        Ok(())
    };
    if changed.is_err() {
        return Ok(old);
    }
    space.heap_end.set(wanted);
    Ok(wanted)
}

pub fn mmap(address: u64, size: u64, rights: u64, flags: u64, descriptor: u64, offset: u64) -> Outcome<u64> {
    let space = space();
    let size = pages_of_new(size)?;
    if !offset.is_multiple_of(PAGE)
        || !matches!(flags & MAP_TYPE, MAP_SHARED | MAP_PRIVATE | MAP_SHARED_VALIDATE)
    {
        return Err(EINVAL);
    }
    let content =
        if flags & MAP_ANONYMOUS != 0 { None } else { content_of(descriptor, offset, rights, flags)? };
    let is_shared = flags & MAP_TYPE != MAP_PRIVATE && content.is_none();
    let start = place(space, address, size, flags)?;
    let bits = rights & RIGHTS | if is_shared { SHARED } else { 0 };
    match content {
        None => space.add(Mapping::new(start, start + size, bits, 0))?,
        Some((physical, bytes)) => {
            let end = start + bytes.next_multiple_of(PAGE).min(size);
            if start < end {
                space.add(Mapping::new(start, end, bits, physical))?;
            }
            if end < start + size {
                space.add(Mapping::new(end, start + size, bits | BEYOND, 0))?;
            }
        }
    }
    // A child of `fork` can share only pages that exist, so they are created now.
    if is_shared || flags & MAP_POPULATE != 0 {
        populate(space, start, size, rights).inspect_err(|_| {
            let _ = space.unmap(start, start + size);
        })?;
    }
    Ok(start)
}

/// Where a file's content starts at an offset, and its size from there; `None` for a device whose content is zeros.
fn content_of(descriptor: u64, offset: u64, rights: u64, flags: u64) -> Outcome<Option<(u64, u64)>> {
    let open = files::open(descriptor)?;
    match open.kind.get() {
        Kind::File if flags & MAP_TYPE != MAP_PRIVATE && rights & WRITE != 0 => Err(EACCES),
        Kind::File => {
            let content = tree::contents(open.object.get());
            let rest = content.get(offset as usize..).unwrap_or_default();
            Ok(Some((content.as_ptr() as u64 - DIRECT_MAP + offset, rest.len() as u64)))
        }
        Kind::Zero => Ok(None),
        Kind::Free => Err(EBADF),
        _ => Err(ENODEV),
    }
}

fn place(space: &Space, address: u64, size: u64, flags: u64) -> Outcome<u64> {
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 {
        let end = end_of(address, size)?;
        if address < USER_START {
            return Err(abi::syscall::errno::EPERM);
        }
        if flags & MAP_FIXED_NOREPLACE != 0 {
            return if space.is_free(address, end) { Ok(address) } else { Err(EEXIST) };
        }
        space.unmap(address, end)?;
        return Ok(address);
    }
    // The requested address is used if nothing is mapped there.
    let wish = address & !(PAGE - 1);
    if wish >= USER_START && end_of(wish, size).is_ok_and(|end| space.is_free(wish, end)) {
        return Ok(wish);
    }
    space.place(size)
}

/// Creates every page of a range now.
fn populate(space: &Space, start: u64, size: u64, rights: u64) -> Outcome<()> {
    if size / PAGE > u64::from(frames::POOL.free()) {
        return Err(ENOMEM);
    }
    let touch = if rights & WRITE != 0 { Touch::Write } else { Touch::Read };
    for page in (start..start + size).step_by(PAGE as usize) {
        if page > start && (page - start).is_multiple_of(PART) {
            space.pause();
        }
        match space.touch(page, touch, true) {
            Err(super::space::Bad::OutOfMemory) => return Err(ENOMEM),
            // A page that the mapping does not allow to use is not created.
            _ => continue,
        }
    }
    Ok(())
}

pub fn munmap(start: u64, size: u64) -> Outcome<u64> {
    let size = pages(size).map_err(|_| EINVAL)?;
    let end = end_of(start, size).map_err(|_| EINVAL)?;
    space().unmap(start, end).map(|()| 0)
}

pub fn mprotect(start: u64, size: u64, rights: u64) -> Outcome<u64> {
    if !start.is_multiple_of(PAGE) || rights & !RIGHTS != 0 {
        return Err(EINVAL);
    }
    if size == 0 {
        return Ok(0);
    }
    let end = end_of(start, pages(size)?)?;
    space().protect(start, end, rights).map(|()| 0)
}

pub fn mremap(start: u64, old_size: u64, new_size: u64, flags: u64, wanted: u64) -> Outcome<u64> {
    let space = space();
    if flags & !(MREMAP_MAYMOVE | MREMAP_FIXED) != 0
        || (flags & MREMAP_FIXED != 0 && flags & MREMAP_MAYMOVE == 0)
    {
        return Err(EINVAL);
    }
    let (old_size, new_size) = (pages(old_size)?, pages_of_new(new_size)?);
    let end = end_of(start, old_size)?;
    let mapping =
        space.find(start).filter(|mapping| mapping.end() >= end).ok_or(abi::syscall::errno::EFAULT)?;
    if new_size > old_size && mapping.is_of_file() {
        return Err(EINVAL);
    }
    let can_grow =
        || mapping.end() == end && end_of(start, new_size).is_ok_and(|new_end| space.is_free(end, new_end));
    let to = if flags & MREMAP_FIXED != 0 {
        let new_end = end_of(wanted, new_size)?;
        if wanted < end && start < new_end {
            return Err(EINVAL);
        }
        space.unmap(wanted, new_end)?;
        wanted
    } else if new_size == old_size {
        return Ok(start);
    } else if new_size < old_size {
        return space.unmap(start + new_size, end).map(|()| start);
    } else if can_grow() {
        return space.add(Mapping::new(end, start + new_size, mapping.flags(), 0)).map(|()| start);
    } else if flags & MREMAP_MAYMOVE == 0 {
        return Err(ENOMEM);
    } else {
        space.place(new_size)?
    };
    space.relocate(mapping, start, old_size.min(new_size), to, new_size)?;
    space.unmap(start, end)?;
    Ok(to)
}

/// `mlock` and `munlock`: only look for the pages. Memory is never taken from a process. The start may lie inside a page.
pub fn lock(start: u64, size: u64) -> Outcome<u64> {
    madvise(start - start % PAGE, size.saturating_add(start % PAGE), MADV_NORMAL)
}

pub fn madvise(start: u64, size: u64, advice: u64) -> Outcome<u64> {
    if !start.is_multiple_of(PAGE) || Names::Advice.set().name(advice).is_none() {
        return Err(EINVAL);
    }
    if size == 0 {
        return Ok(0);
    }
    let end = end_of(start, pages(size)?)?;
    let space = space();
    let mut next = start;
    for mapping in space.mappings().filter(|mapping| mapping.start() < end && start < mapping.end()) {
        let is_droppable = matches!(advice, MADV_DONTNEED | MADV_FREE) && mapping.flags() & SHARED == 0;
        if is_droppable {
            space.unmap_pages(mapping.start().max(start), mapping.end().min(end));
        }
        next = if mapping.start() <= next { mapping.end() } else { next };
    }
    if next < end { Err(ENOMEM) } else { Ok(0) }
}
