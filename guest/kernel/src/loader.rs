//! Programs: static ELF64 files for x86-64, one a module (System V ABI, chapters 4 and 5; its AMD64 supplement).
//!
//! [`abi::program`] has the rules for a file. The VMM checks them too, but the kernel does not trust its input. The module stays where the VMM put it, and a segment that is not writable is mapped from there.

use abi::elf::Segment;
use abi::program::{Access, Program, pages};
use abi::record::LoadError;
use abi::record::emit::{SegmentLoaded, StackBuilt};

use crate::layout::{PAGE, USER_END, USER_STACK};
use crate::memory::address_space::AddressSpace;
use crate::memory::physical;
use crate::pvh::Module;
use crate::trace::Emit;

/// Where the program starts, and its stack pointer.
pub struct Start {
    pub rip: u64,
    pub rsp: u64,
}

/// Loads a program and its arguments into the address space of process `id`.
pub fn load(id: u16, module: &Module, space: &mut AddressSpace) -> Result<Start, LoadError> {
    let program = Program::check(module.bytes()).map_err(|fault| fault.error)?;
    for (segment, access) in program.segments() {
        let copied = load_segment(module, space, &segment, access).ok_or(LoadError::OutOfMemory)?;
        let Segment { address, memory_size: memory, file_size: file, .. } = segment;
        SegmentLoaded { flags: segment.flags as u8, copied, address, memory, file }.emit_for(id);
    }
    Ok(Start { rip: program.entry(), rsp: build_stack(id, module, space)? })
}

/// Maps a segment. Returns true if its pages are copies; `None`: no memory. A segment that is never written, and whose pages in
/// memory are pages of the file, is mapped where it is.
fn load_segment(
    module: &Module,
    space: &mut AddressSpace,
    segment: &Segment,
    access: Access,
) -> Option<bool> {
    let in_place = access != Access::ReadWrite
        && segment.file_size == segment.memory_size
        && module.address.is_multiple_of(PAGE)
        && (segment.offset ^ segment.address).is_multiple_of(PAGE);
    if in_place {
        let first = (module.address + segment.offset).wrapping_sub(segment.address);
        space.map(pages(segment), access, |_, page| Some(first.wrapping_add(page)))?;
    } else {
        space.map(pages(segment), access, |space, page| copy_page(module, space, segment, page))?;
    }
    Some(!in_place)
}

/// A frame with the file's bytes of `page`, and zeros elsewhere.
fn copy_page(module: &Module, space: &mut AddressSpace, segment: &Segment, page: u64) -> Option<u64> {
    let frame = space.allocate()?;
    let start = page.max(segment.address);
    let end = (page + PAGE).min(segment.address + segment.file_size);
    if start < end {
        let from = physical::<u8>(module.address + segment.offset + (start - segment.address));
        // SAFETY: the bytes lie in the module, the frame is the process's; both ranges lie within a page.
        unsafe {
            physical::<u8>(frame + (start - page)).copy_from_nonoverlapping(from, (end - start) as usize)
        }
    }
    Some(frame)
}

/// Words above argv: its NULL, that of an empty environment, and the two of AT_NULL.
const STACK_TAIL: u64 = 4;

/// The user stack as Linux lays it out: argc, argv, NULL, no environment, NULL, AT_NULL, and above them the strings.
fn build_stack(id: u16, module: &Module, space: &mut AddressSpace) -> Result<u64, LoadError> {
    let mut top = 0;
    let mapped = space.map((USER_STACK, USER_END), Access::ReadWrite, |space, _| {
        top = space.allocate()?;
        Some(top)
    });
    mapped.ok_or(LoadError::OutOfMemory)?;
    let line = module.command_line;
    if line.len() > abi::boot::MODULE_COMMAND_LINE_MAX {
        return Err(LoadError::BadArguments);
    }
    let argc = module.words().count() as u64;
    // The strings take a byte more than the line: the last one's NUL. All of it fits the top page.
    let strings = (USER_END - line.len() as u64 - 1) & !7;
    let stack_pointer = (strings - (1 + argc + STACK_TAIL) * 8) & !15;
    if stack_pointer < USER_END - PAGE {
        return Err(LoadError::BadArguments);
    }
    let at = |address: u64| physical::<u8>(top + (address - (USER_END - PAGE)));
    // SAFETY: stack_pointer..USER_END lies in the top page of the stack, whose frame is the process's and zero.
    unsafe {
        at(stack_pointer).cast::<u64>().write(argc);
        at(strings).copy_from_nonoverlapping(line.as_ptr(), line.len());
        let mut pointer = stack_pointer + 8;
        for word in module.words() {
            let offset = word.as_ptr() as u64 - line.as_ptr() as u64;
            at(pointer).cast::<u64>().write(strings + offset);
            at(strings + offset + word.len() as u64).write(0);
            pointer += 8;
        }
    }
    let argv = stack_pointer + 8;
    StackBuilt { argc: argc as u32, lowest: USER_STACK, rsp: stack_pointer, argv }.emit_for(id);
    Ok(stack_pointer)
}
