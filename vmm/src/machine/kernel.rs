//! A kernel's ELF file: which of its bytes go where in guest memory, and where its PVH entry point is.
//!
//! PVH starts a kernel in 32-bit mode without paging, so the file may be ELF32 or ELF64, and only physical addresses
//! count. As with QEMU, any of its note segments may hold the entry point (XEN_ELFNOTE_PHYS32_ENTRY in Xen's
//! public/elfnote.h), and its sections are not read.

use abi::elf::{self, Class, EXECUTABLE, EXECUTE, Elf, I386, LITTLE_ENDIAN, LOAD, NOTE, Segment, X86_64};
use vm_memory::{Bytes, GuestAddress};

use super::boot::BootError;
use super::layout::{self, LayoutError, MEMORY_MAX_MIB, MIB, Memory};

/// The name of Xen's notes.
const XEN: &[u8] = b"Xen\0";
/// The type of the note whose value is the physical address of the 32-bit entry point.
const PHYS32_ENTRY: u32 = 18;
/// Where physical addresses end that a page table can hold (SDM vol. 3, 4.1.4: at most 52 bits). Higher ones are virtual.
const PHYSICAL_END: u64 = 1 << 52;

/// A kernel that can be loaded.
#[derive(Debug)]
pub struct Kernel<'a> {
    /// Physical address of its entry point.
    pub entry: u64,
    /// The end of its memory.
    pub end: u64,
    /// Physical addresses, and what goes there.
    segments: Vec<(u64, &'a [u8])>,
}

impl<'a> Kernel<'a> {
    /// Checks the file of a kernel for a guest with `memory` bytes of memory.
    pub fn parse(file: &'a [u8], memory: u64) -> Result<Kernel<'a>, BootError> {
        let elf = header(file)?;
        let cut_short = |end| BootError::CutShort { end, size: file.len() as u64 };
        let mut kernel = Kernel { entry: 0, end: layout::KERNEL_LOWEST, segments: Vec::new() };
        let mut code = Vec::new();
        let mut entry = None;
        for segment in elf.segments().ok_or(BootError::NoProgramHeaders)? {
            let bytes = || segment.bytes(file).ok_or(cut_short(segment.file_end().unwrap_or(u64::MAX)));
            match segment.kind {
                LOAD if segment.memory_size > 0 => {
                    kernel.end = kernel.end.max(check_place(&segment, memory)?);
                    kernel.segments.push((segment.physical, bytes()?));
                    if segment.flags & EXECUTE != 0 {
                        code.push(segment.physical..segment.physical + segment.file_size);
                    }
                }
                NOTE if entry.is_none() => entry = pvh_entry(bytes()?, segment.align),
                _ => {}
            }
        }
        kernel.entry = entry.ok_or(BootError::NoPvhNote)?;
        if !code.iter().any(|code| code.contains(&kernel.entry)) {
            return Err(BootError::BadEntry { entry: kernel.entry });
        }
        Ok(kernel)
    }

    /// Copies the kernel into guest memory, which is zero where the file has no bytes.
    pub fn load(&self, memory: &Memory) -> Result<(), BootError> {
        let copy = |&(address, bytes): &(u64, &[u8])| memory.write_slice(bytes, GuestAddress(address));
        self.segments.iter().try_for_each(copy).map_err(BootError::Memory)
    }
}

/// The header of an executable for the 386 or x86-64.
fn header(file: &[u8]) -> Result<Elf<'_>, BootError> {
    /// Where `EI_DATA` is.
    const DATA: usize = 5;
    if !file.starts_with(elf::MAGIC) {
        return Err(BootError::NotElf("it does not start with the magic number of ELF"));
    }
    if file.get(DATA) != Some(&LITTLE_ENDIAN) {
        return Err(BootError::NotElf("it is not little-endian, so it is built for another machine"));
    }
    let class = elf::class(file).ok_or(BootError::NotElf("it is neither ELF32 nor ELF64"))?;
    let elf = Elf::parse(file, class).ok_or(BootError::NotElf("its header is truncated"))?;
    if !matches!((class, elf.header.machine), (_, X86_64) | (Class::Bits32, I386)) {
        return Err(BootError::NotElf("it is built for another machine"));
    }
    if elf.header.kind != EXECUTABLE {
        return Err(BootError::NotElf("it is not linked to a fixed address"));
    }
    Ok(elf)
}

/// Checks that guest memory has the place of a segment. Returns the segment's end.
fn check_place(segment: &Segment, memory: u64) -> Result<u64, BootError> {
    let (address, end) = (segment.physical, segment.physical.saturating_add(segment.memory_size));
    if address >= PHYSICAL_END {
        return Err(BootError::Virtual { address });
    }
    if address < layout::KERNEL_LOWEST {
        return Err(BootError::TooLow { address });
    }
    if end > MEMORY_MAX_MIB * MIB {
        return Err(BootError::TooHigh { address, end });
    }
    if end > memory {
        let needed = end.div_ceil(MIB);
        return Err(LayoutError::TooSmall { needed, memory: memory / MIB }.into());
    }
    if segment.file_size > segment.memory_size {
        return Err(BootError::LargerThanMemory { address });
    }
    Ok(end)
}

/// The PVH entry point, if one of these notes holds it.
fn pvh_entry(mut notes: &[u8], align: u64) -> Option<u64> {
    const HEAD: usize = 12;
    // Notes are aligned to 4 bytes, in segments that say so to 8 (the gABI's note sections of ELF64 objects).
    let align = if align == 8 { 8 } else { 4 };
    loop {
        let word = |at: usize| Some(u32::from_le_bytes(*notes.get(at..)?.first_chunk()?));
        let (name_size, value_size, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let value_at = HEAD.checked_add(name_size)?.checked_next_multiple_of(align)?;
        let end = value_at.checked_add(value_size)?;
        let (name, value) = (notes.get(HEAD..HEAD.checked_add(name_size)?)?, notes.get(value_at..end)?);
        if (name, kind) == (XEN, PHYS32_ENTRY) {
            // 4 bytes, or 8 in a note that was made for ELF64.
            let mut entry = [0; 8];
            entry.get_mut(..value_size)?.copy_from_slice(value);
            return Some(u64::from_le_bytes(entry));
        }
        notes = notes.get(end.checked_next_multiple_of(align)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A note.
    fn note(name: &[u8], kind: u32, value: &[u8], align: usize) -> Vec<u8> {
        let mut note = [name.len() as u32, value.len() as u32, kind].map(u32::to_le_bytes).concat();
        note.extend(name);
        note.resize(note.len().next_multiple_of(align), 0);
        note.extend(value);
        note.resize(note.len().next_multiple_of(align), 0);
        note
    }

    #[test]
    fn the_entry_point_is_found_among_other_notes() {
        let build_id = |align| note(b"GNU\0", 3, &[7; 20], align);
        let entry = |align| note(XEN, PHYS32_ENTRY, &0x10_0000_u32.to_le_bytes(), align);
        for align in [4, 8] {
            let (before, after) = ([build_id(align), entry(align)], [entry(align), build_id(align)]);
            assert_eq!(pvh_entry(&before.concat(), align as u64), Some(0x10_0000));
            assert_eq!(pvh_entry(&after.concat(), align as u64), Some(0x10_0000));
        }
        let wide = note(XEN, PHYS32_ENTRY, &0x10_0000_u64.to_le_bytes(), 4);
        assert_eq!(pvh_entry(&wide, 4), Some(0x10_0000));
        assert_eq!(pvh_entry(&build_id(4), 4), None);
        assert_eq!(pvh_entry(&note(XEN, 6, b"x86", 4), 4), None);
    }

    #[test]
    fn notes_that_are_cut_or_lie_have_no_entry_point() {
        let whole = note(XEN, PHYS32_ENTRY, &[0; 4], 4);
        for end in 0..whole.len() {
            assert_eq!(pvh_entry(&whole[..end], 4), None, "cut at {end}");
        }
        for at in [0, 4] {
            let mut lie = whole.clone();
            lie[at..at + 4].fill(0xFF);
            assert_eq!(pvh_entry(&lie, 4), None);
        }
    }
}
