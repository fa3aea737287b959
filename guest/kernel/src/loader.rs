//! Programs: static ELF64 files for x86-64, one a module (System V ABI, chapters 4 and 5; its AMD64 supplement).
//!
//! The module stays where the VMM put it, and what is not writable is mapped from there. The VMM checks programs
//! too, with better messages; but a kernel does not trust what it is given.

use abi::record::{Kind, LoadError};

use crate::layout::{PAGE, USER_END, USER_STACK, USER_STACK_GUARD, USER_STACK_PAGES, USER_START};
use crate::memory::address_space::{Access, AddressSpace, MapError, translate};
use crate::memory::physical;
use crate::pvh::Module;
use crate::trace;

#[repr(C)]
#[derive(Clone, Copy)]
struct ElfHeader {
    magic: [u8; 4],
    class: u8,
    data: u8,
    ident: [u8; 10],
    kind: u16,
    machine: u16,
    version: u32,
    entry: u64,
    program_headers: u64,
    section_headers: u64,
    flags: u32,
    size: u16,
    program_header_size: u16,
    program_header_count: u16,
    rest: [u16; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    file_size: u64,
    memory_size: u64,
    align: u64,
}

const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const EXECUTABLE: u16 = 2;
const X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const EXECUTE: u32 = 1;
const WRITE: u32 = 2;
/// In a record: copied rather than mapped.
const COPIED: u32 = 0x100;

/// Where the program starts, and its stack pointer.
pub struct Start {
    pub rip: u64,
    pub rsp: u64,
}

/// Loads a program and its arguments into an address space.
pub fn load(process: u16, module: &Module, space: &mut AddressSpace) -> Result<Start, LoadError> {
    let header: ElfHeader = read(module, 0)?;
    if header.magic != *b"\x7fELF"
        || (header.class, header.data) != (CLASS_64, LITTLE_ENDIAN)
        || (header.kind, header.machine) != (EXECUTABLE, X86_64)
        || usize::from(header.program_header_size) != size_of::<ProgramHeader>()
    {
        return Err(LoadError::NotElf);
    }
    let mut entry_is_code = false;
    for index in 0..u64::from(header.program_header_count) {
        let offset = index * size_of::<ProgramHeader>() as u64;
        let segment: ProgramHeader =
            read(module, header.program_headers.checked_add(offset).ok_or(LoadError::CutShort)?)?;
        match segment.kind {
            PT_INTERP | PT_DYNAMIC => return Err(LoadError::Dynamic),
            PT_LOAD if segment.memory_size > 0 => {
                load_segment(process, module, space, &segment)?;
                let inside = header.entry.wrapping_sub(segment.address) < segment.memory_size;
                entry_is_code |= inside && segment.flags & EXECUTE != 0;
            }
            _ => {}
        }
    }
    if !entry_is_code {
        return Err(LoadError::BadEntry);
    }
    Ok(Start { rip: header.entry, rsp: build_stack(process, module, space)? })
}

/// A value of the module; `T` is plain data.
fn read<T: Copy>(module: &Module, offset: u64) -> Result<T, LoadError> {
    let end = offset.checked_add(size_of::<T>() as u64).ok_or(LoadError::CutShort)?;
    if end > module.size {
        return Err(LoadError::CutShort);
    }
    // SAFETY: inside the module, which nobody writes.
    Ok(unsafe { physical::<u8>(module.address + offset).cast::<T>().read_unaligned() })
}

fn load_segment(
    process: u16,
    module: &Module,
    space: &mut AddressSpace,
    segment: &ProgramHeader,
) -> Result<(), LoadError> {
    let end = segment.address.checked_add(segment.memory_size).ok_or(LoadError::BadAddress)?;
    if segment.address < USER_START || end > USER_STACK - USER_STACK_GUARD {
        return Err(LoadError::BadAddress);
    }
    let file_end = segment.offset.checked_add(segment.file_size).ok_or(LoadError::CutShort)?;
    if file_end > module.size || segment.file_size > segment.memory_size {
        return Err(LoadError::CutShort);
    }
    let access = match (segment.flags & WRITE != 0, segment.flags & EXECUTE != 0) {
        (true, true) => return Err(LoadError::WritableCode),
        (true, false) => Access::ReadWrite,
        (false, true) => Access::ReadExecute,
        (false, false) => Access::Read,
    };
    // What nobody writes and what lies in the file as it does in memory can be seen where it is.
    let in_place = access != Access::ReadWrite
        && segment.file_size == segment.memory_size
        && module.address.is_multiple_of(PAGE)
        && (segment.offset ^ segment.address).is_multiple_of(PAGE);
    let mut page = segment.address & !(PAGE - 1);
    while page < end {
        let frame = if in_place {
            module.address + segment.offset + (page.wrapping_sub(segment.address))
        } else {
            copy_page(module, space, segment, page)?
        };
        map(space, page, frame, access)?;
        page += PAGE;
    }
    let copied = if in_place { 0 } else { COPIED };
    let words = [segment.address, segment.memory_size, segment.file_size];
    trace::record_of(process, Kind::SegmentLoaded, segment.flags | copied, words);
    Ok(())
}

/// A frame with what the file has of `page`, zero elsewhere.
fn copy_page(
    module: &Module,
    space: &mut AddressSpace,
    segment: &ProgramHeader,
    page: u64,
) -> Result<u64, LoadError> {
    let frame = space.allocate().ok_or(LoadError::OutOfMemory)?;
    let start = page.max(segment.address);
    let end = (page + PAGE).min(segment.address + segment.file_size);
    if start < end {
        let from = physical::<u8>(module.address + segment.offset + (start - segment.address));
        // SAFETY: the bytes lie in the module, the frame is ours, both less than a page apart from `page`.
        unsafe {
            physical::<u8>(frame + (start - page)).copy_from_nonoverlapping(from, (end - start) as usize)
        }
    }
    Ok(frame)
}

fn map(space: &mut AddressSpace, page: u64, frame: u64, access: Access) -> Result<(), LoadError> {
    space.map(page, frame, access).map_err(|error| match error {
        MapError::OutOfMemory => LoadError::OutOfMemory,
        MapError::Taken => LoadError::Overlap,
    })
}

/// Words above argv: its NULL, that of an empty environment, and the two of AT_NULL.
const STACK_TAIL: u64 = 4;

/// The user stack as Linux lays it out: argc, argv, NULL, no environment, NULL, AT_NULL, and above them the strings.
fn build_stack(process: u16, module: &Module, space: &mut AddressSpace) -> Result<u64, LoadError> {
    let mut page = USER_STACK;
    while page < USER_END {
        let frame = space.allocate().ok_or(LoadError::OutOfMemory)?;
        map(space, page, frame, Access::ReadWrite)?;
        page += PAGE;
    }
    let line = module.command_line;
    if line.len() > abi::boot::MODULE_COMMAND_LINE_MAX {
        return Err(LoadError::BadArguments);
    }
    let argc = words_of(line).count() as u64;
    // The strings take a byte more than the line: the last one's NUL. All of it fits the top page.
    let strings = (USER_END - line.len() as u64 - 1) & !7;
    let stack_pointer = (strings - (1 + argc + STACK_TAIL) * 8) & !15;
    let top = translate(space.root, USER_END - PAGE, true).ok_or(LoadError::OutOfMemory)?;
    if stack_pointer < USER_END - PAGE {
        return Err(LoadError::BadArguments);
    }
    let at = |address: u64| physical::<u8>(top + (address - (USER_END - PAGE)));
    // SAFETY: stack_pointer..USER_END lies in the top page of the stack, whose frame is ours and zero.
    unsafe {
        at(stack_pointer).cast::<u64>().write(argc);
        at(strings).copy_from_nonoverlapping(line.as_ptr(), line.len());
        let mut pointer = stack_pointer + 8;
        for word in words_of(line) {
            let offset = word.as_ptr() as u64 - line.as_ptr() as u64;
            at(pointer).cast::<u64>().write(strings + offset);
            at(strings + offset + word.len() as u64).write(0);
            pointer += 8;
        }
    }
    trace::record_of(process, Kind::StackBuilt, argc as u32, [USER_STACK, stack_pointer, stack_pointer + 8]);
    const { assert!(USER_STACK_PAGES > 1) };
    Ok(stack_pointer)
}

fn words_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b' ').filter(|word| !word.is_empty())
}
