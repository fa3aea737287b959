//! A program of a run: its ELF file, its name and its arguments.
//!
//! What a file alone shows is checked here, before there is a VM. The kernel checks again when it loads the program.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use abi::boot::MODULE_COMMAND_LINE_MAX;
use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_DYN, ET_EXEC, PF_W, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;
use thiserror::Error;

use crate::images;
use crate::machine::layout::PAGE;

/// The end of user space: the lower half of canonical addresses (SDM vol. 1, 3.3.7.1).
const USER_END: u64 = 1 << 47;
/// Page 0 stays empty, so that a null pointer faults.
const USER_START: u64 = 4096;

/// A program of a run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name, which is its `argv[0]`: that of a built-in program, or the file's without its folders.
    pub name: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its ELF file.
    pub elf: Cow<'static, [u8]>,
}

/// Why a program cannot run.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// Its file cannot be read.
    #[error("cannot read the program {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the read.
        source: io::Error,
    },
    /// Its file is not one that the kernel can load.
    #[error("{} cannot run here: {fault}", name.display())]
    Refused {
        /// Its name.
        name: OsString,
        /// What is wrong, and what helps.
        fault: String,
    },
    /// Its command line does not fit.
    #[error("{}: name and arguments are longer than {MODULE_COMMAND_LINE_MAX} bytes", name.display())]
    TooManyArguments {
        /// Its name.
        name: OsString,
    },
}

impl Program {
    /// The built-in program of this name, without arguments.
    pub fn built_in(name: &str) -> Option<Program> {
        let program = images::program(name)?;
        Some(Program { name: name.into(), arguments: Vec::new(), elf: program.elf.into() })
    }

    /// The program in a file, a static x86-64 ELF executable, without arguments.
    pub fn from_file(path: &Path) -> Result<Program, ProgramError> {
        let elf = std::fs::read(path).map_err(|source| ProgramError::Read { path: path.into(), source })?;
        check(&elf).map_err(|fault| ProgramError::Refused { name: path.into(), fault })?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_owned();
        Ok(Program { name, arguments: Vec::new(), elf: elf.into() })
    }

    /// The same program with these arguments.
    pub fn with_arguments<T: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = T>,
    ) -> Result<Program, ProgramError> {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        if self.command_line().len() > MODULE_COMMAND_LINE_MAX {
            return Err(ProgramError::TooManyArguments { name: self.name });
        }
        Ok(self)
    }

    /// The memory that its segments take, in bytes of whole pages.
    pub(super) fn memory(&self) -> u64 {
        let segments =
            ElfBytes::<LittleEndian>::minimal_parse(&self.elf).ok().and_then(|file| file.segments());
        let loaded =
            segments.iter().flat_map(|table| table.iter()).filter(|segment| segment.p_type == PT_LOAD);
        let sizes = loaded.map(|segment| pages(&segment)).map(|(first, end)| end - first);
        sizes.fold(0, u64::saturating_add).saturating_mul(PAGE)
    }

    /// The module's command line: name and arguments, with one blank between.
    pub(super) fn command_line(&self) -> Vec<u8> {
        let words = std::iter::once(&self.name).chain(&self.arguments);
        words.map(|word| OsStr::as_bytes(word)).collect::<Vec<_>>().join(&b' ')
    }
}

/// Whether these bytes are a static x86-64 executable; if not, a sentence that says why.
fn check(bytes: &[u8]) -> Result<(), String> {
    const BUILD: &str = "build it with -static and without -pie";
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes)
        .map_err(|error| format!("it is no whole ELF file ({error}); {BUILD}"))?;
    if file.ehdr.class != Class::ELF64 || file.ehdr.e_machine != EM_X86_64 {
        return Err("it is for another machine; build it for x86-64".into());
    }
    let segments: Vec<ProgramHeader> = file.segments().iter().flat_map(|table| table.iter()).collect();
    let has = |kind| segments.iter().any(|segment| segment.p_type == kind);
    if file.ehdr.e_type == ET_DYN || has(PT_INTERP) || has(PT_DYNAMIC) {
        return Err(format!("it is dynamically linked or position independent; {BUILD}"));
    }
    if file.ehdr.e_type != ET_EXEC {
        return Err(format!("it is no executable (an object file?); link it, and {BUILD}"));
    }
    let loaded: Vec<&ProgramHeader> =
        segments.iter().filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz > 0).collect();
    loaded.iter().try_for_each(|segment| check_segment(segment, bytes.len() as u64))?;
    check_pages(&loaded)?;
    let entry = file.ehdr.e_entry;
    let holds_entry = |s: &&ProgramHeader| s.p_flags & PF_X != 0 && (s.p_vaddr..end(s)).contains(&entry);
    if !loaded.iter().any(holds_entry) {
        return Err(format!("its entry point {entry:#x} is in no executable segment"));
    }
    Ok(())
}

fn check_segment(segment: &ProgramHeader, file: u64) -> Result<(), String> {
    let ProgramHeader { p_offset, p_filesz, p_memsz, p_vaddr, .. } = *segment;
    let file_end = p_offset.saturating_add(p_filesz);
    if file_end > file {
        return Err(format!("it is cut short: a segment ends at byte {file_end} and the file at {file}"));
    }
    if segment.p_flags & (PF_W | PF_X) == PF_W | PF_X {
        return Err(format!(
            "its segment at {p_vaddr:#x} is both writable and executable; link it without -N"
        ));
    }
    if p_filesz > p_memsz {
        return Err(format!("its segment at {p_vaddr:#x} is larger in the file than in memory"));
    }
    if p_vaddr < USER_START || end(segment) > USER_END {
        return Err(format!(
            "its segment at {p_vaddr:#x} is outside user memory ({USER_START:#x} to {USER_END:#x})"
        ));
    }
    Ok(())
}

/// No page can belong to two segments: each has its own rights.
fn check_pages(segments: &[&ProgramHeader]) -> Result<(), String> {
    let mut pages: Vec<(u64, u64)> = segments.iter().map(|segment| pages(segment)).collect();
    pages.sort_unstable();
    match pages.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        Some(pair) => Err(format!(
            "two of its segments share the page at {:#x}; link it with -z separate-code",
            pair[1].0 * PAGE
        )),
        None => Ok(()),
    }
}

/// The pages of a segment: the number of its first one, and of the one behind its last.
fn pages(segment: &ProgramHeader) -> (u64, u64) {
    (segment.p_vaddr / PAGE, end(segment).div_ceil(PAGE))
}

/// The end of a segment in memory.
fn end(segment: &ProgramHeader) -> u64 {
    segment.p_vaddr.saturating_add(segment.p_memsz)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: usize = 64;
    const SEGMENT: usize = 56;
    const CODE: u64 = 0x40_0000;

    /// An executable of one segment with one instruction, made by hand.
    fn executable() -> Vec<u8> {
        let mut file = vec![0; HEADER + SEGMENT + 1];
        file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0");
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(20, &1_u32.to_le_bytes());
        put(24, &CODE.to_le_bytes());
        put(32, &(HEADER as u64).to_le_bytes());
        put(52, &(HEADER as u16).to_le_bytes());
        put(54, &(SEGMENT as u16).to_le_bytes());
        put(56, &1_u16.to_le_bytes());
        put(HEADER, &PT_LOAD.to_le_bytes());
        put(HEADER + 4, &5_u32.to_le_bytes());
        put(HEADER + 8, &((HEADER + SEGMENT) as u64).to_le_bytes());
        put(HEADER + 16, &CODE.to_le_bytes());
        put(HEADER + 32, &1_u64.to_le_bytes());
        put(HEADER + 40, &1_u64.to_le_bytes());
        file
    }

    fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut file = executable();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    }

    #[test]
    fn rights_and_pages_are_checked() {
        let mut both = executable();
        both[HEADER + 4] = (PF_W | PF_X) as u8;
        assert!(check(&both).unwrap_err().contains("both writable and executable"));
        let segment = |p_vaddr, p_memsz| ProgramHeader {
            p_type: PT_LOAD,
            p_offset: 0,
            p_vaddr,
            p_paddr: 0,
            p_filesz: 0,
            p_memsz,
            p_flags: 0,
            p_align: 1,
        };
        let (low, high) = (segment(0x40_0000, 0x1001), segment(0x40_1800, 8));
        assert!(check_pages(&[&high, &low]).unwrap_err().contains("0x401000"));
        assert!(check_pages(&[&low, &segment(0x40_2000, 8)]).is_ok());
    }

    #[test]
    fn memory_is_whole_pages() {
        let elf = executable();
        assert_eq!(Program { name: "x".into(), arguments: vec![], elf: elf.into() }.memory(), PAGE);
    }

    #[test]
    fn a_static_executable_is_taken() {
        assert_eq!(check(&executable()), Ok(()));
    }

    #[test]
    fn each_thing_that_is_wrong_with_a_file_has_its_sentence() {
        let far = u64::MAX.to_le_bytes();
        let cases = [
            (vec![], "no whole ELF file"),
            (b"#!/bin/sh\n".to_vec(), "no whole ELF file"),
            (executable()[..HEADER + 8].to_vec(), "no whole ELF file"),
            (executable()[..HEADER + SEGMENT].to_vec(), "cut short"),
            (changed(18, &[0xB7]), "another machine"),
            (changed(16, &[3]), "dynamically linked"),
            (changed(16, &[1]), "no executable"),
            (changed(HEADER, &[3]), "dynamically linked"),
            (changed(HEADER + 4, &[4]), "entry point"),
            (changed(24, &far), "entry point"),
            (changed(HEADER + 8, &far), "cut short"),
            (changed(HEADER + 16, &far), "outside user memory"),
            (changed(HEADER + 16, &[0; 8]), "outside user memory"),
            (changed(HEADER + 32, &[0; 8]), ""),
        ];
        for (file, words) in cases {
            match check(&file) {
                Ok(()) => assert_eq!(words, "", "taken, and should say: {words}"),
                Err(fault) => assert!(!words.is_empty() && fault.contains(words), "{words}: {fault}"),
            }
        }
    }
}
