//! What a loadable program is. The kernel and its host check a file by these same rules, so both refuse the same files for
//! the same [`LoadError`].
//!
//! A program is a static ELF64 executable for x86-64. As with Linux, only the header fields and program headers that
//! loading needs count: the identification behind the magic number and all sections may be anything.

use crate::elf::{
    Class, DYNAMIC, EXECUTABLE, EXECUTE, Elf, INTERPRETER, LOAD, SHARED, Segment, Segments, WRITE, X86_64,
};
use crate::record::LoadError;

/// Size of a page in bytes.
pub const PAGE: u64 = 4096;
/// The first address that a program may use. Page 0 stays absent, so that a null pointer faults.
pub const USER_START: u64 = PAGE;
/// The end of user memory. The last page of the lower half stays absent: a `syscall` at its very end
/// would return to a non-canonical address, and `iretq` would fault on it in ring 0.
pub const USER_END: u64 = 0x7FFF_FFFF_F000;
/// Pages of a user stack, which ends at [`USER_END`].
pub const USER_STACK_PAGES: u64 = 8;
/// The lowest address of a user stack. The pages below it are absent.
pub const USER_STACK: u64 = USER_END - USER_STACK_PAGES * PAGE;
/// Size of the absent memory below the stack, in bytes. No segment may take it.
pub const USER_STACK_GUARD: u64 = 16 * PAGE;
/// The end of the memory that segments may occupy.
pub const SEGMENTS_END: u64 = USER_STACK - USER_STACK_GUARD;
/// The most program headers of a file: they fit 64 KiB, as with Linux.
pub const SEGMENTS_MAX: u16 = 1170;

/// Why a file cannot be loaded as a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule that it breaks.
    pub error: LoadError,
    /// The address that is wrong: of the segment, the shared page, or the entry point. 0 if the rule has none.
    pub at: u64,
}

/// The rights to a segment's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only to read.
    Read,
    /// To read and execute.
    ReadExecute,
    /// To read and write.
    ReadWrite,
}

/// A file that keeps all the rules.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    entry: u64,
    segments: Segments<'a>,
}

impl<'a> Program<'a> {
    /// Checks a file. The time is linear in its program headers where they are sorted by address, as linkers write them.
    pub fn check(file: &'a [u8]) -> Result<Program<'a>, Fault> {
        let fault = |error, at| Err(Fault { error, at });
        let Some(elf) = Elf::parse(file, Class::Bits64) else { return fault(LoadError::NotElf, 0) };
        let header = elf.header;
        let is_program = (header.kind, header.machine) == (EXECUTABLE, X86_64);
        if !is_program || header.count == 0 || header.count > SEGMENTS_MAX {
            return fault(LoadError::NotElf, 0);
        }
        let Some(segments) = elf.segments() else { return fault(LoadError::CutShort, 0) };
        let program = Program { entry: header.entry, segments };
        let (mut entry_is_code, mut sorted, mut end) = (false, true, 0);
        for segment in segments {
            if matches!(segment.kind, INTERPRETER | DYNAMIC) {
                return fault(LoadError::Dynamic, 0);
            }
            if !is_loaded(&segment) {
                continue;
            }
            if let Err(error) = check_segment(&segment, file.len() as u64) {
                return fault(error, segment.address);
            }
            let inside = header.entry.wrapping_sub(segment.address) < segment.memory_size;
            entry_is_code |= inside && access(&segment) == Access::ReadExecute;
            let pages = pages(&segment);
            sorted &= end <= pages.0;
            end = pages.1;
        }
        if !sorted && let Some(page) = program.shared_page() {
            return fault(LoadError::Overlap, page);
        }
        if entry_is_code { Ok(program) } else { fault(LoadError::BadEntry, header.entry) }
    }

    /// Where it starts.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Its segments, each with the rights to its pages.
    pub fn segments(&self) -> impl Iterator<Item = (Segment, Access)> + use<'a> {
        self.segments.filter(is_loaded).map(|segment| (segment, access(&segment)))
    }

    /// A page that belongs to two segments. Segments have different access rights, so they cannot share a page.
    fn shared_page(&self) -> Option<u64> {
        self.segments().enumerate().find_map(|(index, (segment, _))| {
            let (first, end) = pages(&segment);
            self.segments().skip(index + 1).find_map(|(other, _)| {
                let (other_first, other_end) = pages(&other);
                let page = if first < other_first { other_first } else { first };
                (first < other_end && other_first < end).then_some(page)
            })
        })
    }
}

/// The address of a segment's first page, and the end of its last one.
pub fn pages(segment: &Segment) -> (u64, u64) {
    let end = segment.address + segment.memory_size; // at most SEGMENTS_END
    (segment.address & !(PAGE - 1), (end + PAGE - 1) & !(PAGE - 1))
}

fn is_loaded(segment: &Segment) -> bool {
    segment.kind == LOAD && segment.memory_size > 0
}

fn check_segment(segment: &Segment, file: u64) -> Result<(), LoadError> {
    let end = segment.address.checked_add(segment.memory_size).ok_or(LoadError::BadAddress)?;
    if segment.address < USER_START || end > SEGMENTS_END {
        return Err(LoadError::BadAddress);
    }
    let file_end = segment.file_end().ok_or(LoadError::CutShort)?;
    if file_end > file || segment.file_size > segment.memory_size {
        return Err(LoadError::CutShort);
    }
    if segment.flags & (WRITE | EXECUTE) == WRITE | EXECUTE {
        return Err(LoadError::WritableCode);
    }
    Ok(())
}

fn access(segment: &Segment) -> Access {
    match segment.flags & (WRITE | EXECUTE) {
        0 => Access::Read,
        EXECUTE => Access::ReadExecute,
        _ => Access::ReadWrite,
    }
}

/// Checks a file as Linux does: a static executable at a fixed address, or a static one that runs anywhere. Its segments
/// lie in the file and below [`USER_END`], and their pages in memory are pages of the file.
pub fn check_for_linux(file: &[u8]) -> Result<Elf<'_>, Fault> {
    let fault = |error, at| Err(Fault { error, at });
    let Some(elf) = Elf::parse(file, Class::Bits64) else { return fault(LoadError::NotElf, 0) };
    let header = elf.header;
    let is_program = matches!(header.kind, EXECUTABLE | SHARED) && header.machine == X86_64;
    if !is_program || header.count == 0 || header.count > SEGMENTS_MAX {
        return fault(LoadError::NotElf, 0);
    }
    let Some(segments) = elf.segments() else { return fault(LoadError::CutShort, 0) };
    let mut any = false;
    for segment in segments {
        if segment.kind == INTERPRETER {
            return fault(LoadError::Dynamic, 0);
        }
        if !is_loaded(&segment) {
            continue;
        }
        any = true;
        let is_congruent = segment.file_size == 0 || (segment.offset ^ segment.address).is_multiple_of(PAGE);
        if segment.address.checked_add(segment.memory_size).is_none_or(|end| end > USER_END) || !is_congruent
        {
            return fault(LoadError::BadAddress, segment.address);
        }
        if segment.bytes(file).is_none() || segment.file_size > segment.memory_size {
            return fault(LoadError::CutShort, segment.address);
        }
    }
    if any { Ok(elf) } else { fault(LoadError::NotElf, 0) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    const HEADER: usize = 64;
    const SEGMENT: usize = 56;
    const CODE: u64 = 0x40_0000;

    /// An executable of these segments (flags, address, size in memory), each with one byte in the file. The first is entered.
    fn executable(segments: &[(u32, u64, u64)]) -> Vec<u8> {
        let text = (HEADER + segments.len() * SEGMENT) as u64;
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend([EXECUTABLE, X86_64, 1, 0].map(u16::to_le_bytes).as_flattened());
        file.extend([CODE, HEADER as u64, u64::MAX].map(u64::to_le_bytes).as_flattened());
        let sizes = [0, 0, HEADER as u16, SEGMENT as u16, segments.len() as u16, 7, 7, 7];
        file.extend(sizes.map(u16::to_le_bytes).as_flattened());
        for &(flags, address, size) in segments {
            file.extend([LOAD, flags].map(u32::to_le_bytes).as_flattened());
            file.extend([text, address, address, 1, size, 1].map(u64::to_le_bytes).as_flattened());
        }
        file.push(0xF4);
        file
    }

    fn one() -> Vec<u8> {
        executable(&[(EXECUTE, CODE, 1)])
    }

    fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut file = one();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    }

    fn fault(file: &[u8]) -> Option<(LoadError, u64)> {
        Program::check(file).err().map(|fault| (fault.error, fault.at))
    }

    #[test]
    fn a_static_executable_is_taken_whatever_its_sections_are() {
        let file = one();
        let program = Program::check(&file).unwrap();
        assert_eq!(program.entry(), CODE);
        let segments: Vec<_> =
            program.segments().map(|(segment, access)| (segment.address, access)).collect();
        assert_eq!(segments, [(CODE, Access::ReadExecute)]);
    }

    #[test]
    fn each_rule_has_its_error() {
        let far = u64::MAX.to_le_bytes();
        let cases = [
            (Vec::new(), LoadError::NotElf, 0),
            (b"#!/bin/sh\n".to_vec(), LoadError::NotElf, 0),
            (one()[..HEADER + 8].to_vec(), LoadError::CutShort, 0),
            (one()[..HEADER + SEGMENT].to_vec(), LoadError::CutShort, CODE),
            (changed(18, &[0xB7]), LoadError::NotElf, 0),
            (changed(16, &[3]), LoadError::NotElf, 0),
            (changed(54, &[32]), LoadError::NotElf, 0),
            (changed(56, &[0]), LoadError::NotElf, 0),
            (changed(56, &(SEGMENTS_MAX + 1).to_le_bytes()), LoadError::NotElf, 0),
            (changed(HEADER, &[3]), LoadError::Dynamic, 0),
            (changed(HEADER + 4, &[4]), LoadError::BadEntry, CODE),
            (changed(24, &far), LoadError::BadEntry, u64::MAX),
            (changed(32, &far), LoadError::CutShort, 0),
            (changed(HEADER + 8, &far), LoadError::CutShort, CODE),
            (changed(HEADER + 32, &[2]), LoadError::CutShort, CODE),
            (changed(HEADER + 16, &far), LoadError::BadAddress, u64::MAX),
            (changed(HEADER + 16, &[0; 8]), LoadError::BadAddress, 0),
            (changed(HEADER + 40, &SEGMENTS_END.to_le_bytes()), LoadError::BadAddress, CODE),
            (changed(HEADER + 4, &[7]), LoadError::WritableCode, CODE),
        ];
        for (index, (file, error, at)) in cases.iter().enumerate() {
            assert_eq!(fault(file), Some((*error, *at)), "case {index}");
        }
    }

    #[test]
    fn no_page_belongs_to_two_segments_in_any_order() {
        let code = (EXECUTE, CODE, 0x1001);
        let next = |address| (WRITE, address, 8);
        assert_eq!(fault(&executable(&[code, next(CODE + 0x2000)])), None);
        assert_eq!(fault(&executable(&[code, next(CODE - 8), next(CODE + 0x2000)])), None);
        let shared = Some((LoadError::Overlap, CODE + 0x1000));
        assert_eq!(fault(&executable(&[code, next(CODE + 0x1800)])), shared);
        assert_eq!(
            fault(&executable(&[(EXECUTE, CODE, 1), next(CODE + 0x1000), next(CODE + 0x1FFF)])),
            shared
        );
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused() {
        let file = executable(&[(EXECUTE, CODE, 1), (WRITE, CODE + 0x1000, 0x2000)]);
        for end in 0..file.len() {
            assert!(fault(&file[..end]).is_some(), "cut at {end}");
        }
    }
}
