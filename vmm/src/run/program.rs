//! A program of a run: its ELF file, its name and its arguments.
//!
//! The file is checked here, before the VM is created. The kernel checks it again when it loads the program.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use abi::boot::{MODULE_COMMAND_LINE_MAX, SEPARATOR};
use abi::elf;
use abi::program::{Fault, SEGMENTS_END, USER_START, pages};
use abi::record::LoadError;
use thiserror::Error;

use super::bundle;
use super::input;
use crate::images;

/// A program of a run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name, which is its `argv[0]`: that of a built-in program, or the file's without its folders.
    pub name: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its ELF file.
    pub elf: Cow<'static, [u8]>,
    /// The path by which it is started; for a built-in program, its name.
    pub path: PathBuf,
    /// Its environment, `NAME=value` each.
    pub environment: Vec<OsString>,
    /// Whether it is a Linux program and not a built-in one. Under the policy direct, all programs are loaded as built-in
    /// ones.
    pub is_linux: bool,
}

/// Why a program cannot be run.
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
    /// Its file breaks a rule of [`abi::program`].
    #[error("{} cannot run here: {}{}; {advice}", path.display(), fault.error.name(), at(fault))]
    Refused {
        /// The file.
        path: PathBuf,
        /// The rule.
        fault: Fault,
        /// What to do.
        advice: String,
    },
    /// An argument contains the byte that separates arguments.
    #[error("{}: the name or an argument contains the byte {SEPARATOR:#x}, which Trapline uses as a separator", name.display())]
    Separator {
        /// Its name.
        name: OsString,
    },
    /// Its command line does not fit.
    #[error("{}: the name and the arguments are longer than {MODULE_COMMAND_LINE_MAX} bytes; use shorter ones", name.display())]
    TooManyArguments {
        /// Its name.
        name: OsString,
    },
}

impl Program {
    /// The built-in program of this name, without arguments.
    pub fn built_in(name: &str) -> Option<Program> {
        let program = images::program(name)?;
        Some(Program {
            name: name.into(),
            arguments: Vec::new(),
            elf: program.elf.into(),
            path: name.into(),
            environment: Vec::new(),
            is_linux: false,
        })
    }

    /// The program in a file, a static x86-64 ELF executable, without arguments.
    pub fn from_file(path: &Path) -> Result<Program, ProgramError> {
        let elf = input::read(path).map_err(|source| ProgramError::Read { path: path.into(), source })?;
        abi::program::check_for_linux(&elf).map_err(|fault| ProgramError::Refused {
            path: path.into(),
            fault,
            advice: advice(fault, &elf),
        })?;
        // A file with the content of a built-in program is that program, wherever it lies.
        let is_built_in = images::PROGRAMS.iter().any(|program| program.elf == elf);
        let name = path.file_name().unwrap_or(path.as_os_str()).to_owned();
        Ok(Program {
            name,
            arguments: Vec::new(),
            elf: elf.into(),
            path: path.into(),
            environment: Vec::new(),
            is_linux: !is_built_in,
        })
    }

    /// The same program with these arguments.
    pub fn with_arguments<T: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = T>,
    ) -> Result<Program, ProgramError> {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        if self.words().any(|word| word.contains(&SEPARATOR)) {
            return Err(ProgramError::Separator { name: self.name });
        }
        if self.command_line().len() > MODULE_COMMAND_LINE_MAX {
            return Err(ProgramError::TooManyArguments { name: self.name });
        }
        Ok(self)
    }

    /// The memory for its segments, in bytes of whole pages; 0 for a file that the kernel refuses.
    pub(super) fn memory(&self) -> u64 {
        let program = abi::program::Program::check(&self.elf);
        let segments = program.iter().flat_map(abi::program::Program::segments);
        let sizes = segments.map(|(segment, _)| pages(&segment)).map(|(start, end)| end - start);
        sizes.fold(0, u64::saturating_add)
    }

    /// The absolute path of the program, if it starts in `directory`.
    pub(super) fn path_in(&self, directory: &Path) -> PathBuf {
        let path = directory.join(&self.path);
        path.canonicalize().unwrap_or(path)
    }

    /// Its arguments for Linux, the path first, each with a zero byte at its end.
    pub(super) fn arguments_of_linux(&self) -> Vec<u8> {
        let arguments = self.arguments.iter().map(OsString::as_os_str);
        let words: Vec<&OsStr> = std::iter::once(self.path.as_os_str()).chain(arguments).collect();
        bundle::terminated(&words)
    }

    /// The module's command line: name and arguments, as [`abi::boot::words`] reads them.
    pub(super) fn command_line(&self) -> Vec<u8> {
        let words: Vec<&[u8]> = self.words().collect();
        if words.iter().any(|word| word.is_empty() || word.contains(&b' ')) {
            return [&[SEPARATOR], words.join(&SEPARATOR).as_slice()].concat();
        }
        words.join(&b' ')
    }

    fn words(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.name).chain(&self.arguments).map(|word| word.as_bytes())
    }
}

/// The place of a fault, for a message.
fn at(fault: &Fault) -> String {
    if fault.at == 0 { String::new() } else { format!(" ({:#x})", fault.at) }
}

/// What to do about a fault of a file.
fn advice(fault: Fault, file: &[u8]) -> String {
    const BUILD: &str = "build it with -static or -static-pie";
    match fault.error {
        LoadError::NotElf => format!("it is {}; {BUILD}", kind(file)),
        LoadError::Dynamic => BUILD.into(),
        LoadError::CutShort => "copy or build it again".into(),
        LoadError::BadAddress => {
            format!("user memory is {USER_START:#x} to {SEGMENTS_END:#x}: link it there")
        }
        LoadError::Overlap => "two segments share this page: link it with -z separate-code".into(),
        LoadError::WritableCode => "link it without -N (--omagic)".into(),
        LoadError::BadEntry => "link it with an entry point (-e) in its code".into(),
        LoadError::OutOfMemory => "give the guest more memory with --memory".into(),
        LoadError::BadArguments => "use fewer or shorter arguments".into(),
    }
}

/// A description of a file that is not a static x86-64 executable.
fn kind(file: &[u8]) -> String {
    const RELOCATABLE: u16 = 1;
    const CORE: u16 = 4;
    if !file.starts_with(elf::MAGIC) {
        return if file.starts_with(b"#!") { "a script" } else { "not an ELF file" }.into();
    }
    let Some(class) = elf::class(file) else { return "an ELF file that is neither 32-bit nor 64-bit".into() };
    let Some(elf::Elf { header, .. }) = elf::Elf::parse(file, class) else {
        return "an ELF file for another machine, or with a truncated header".into();
    };
    match (header.machine, header.kind) {
        (elf::I386, _) => "a 32-bit program: build it for x86-64 (-m64)".into(),
        (elf::X86_64, RELOCATABLE) => "an object file: link it".into(),
        (elf::X86_64, CORE) => "a core dump".into(),
        (elf::X86_64, _) if class == elf::Class::Bits32 => {
            "an x32 program: build it for x86-64 (-m64)".into()
        }
        (elf::X86_64, _) => format!("a file with {} program headers", header.count),
        (machine, _) => format!("built for another machine (number {machine})"),
    }
}

#[cfg(test)]
mod tests {
    use abi::program::PAGE;

    use super::*;

    fn program(name: &str, arguments: &[&str]) -> Result<Program, ProgramError> {
        let elf = images::program("hello").unwrap().elf.into();
        let path = PathBuf::from(name);
        Program { name: name.into(), arguments: vec![], elf, path, environment: vec![], is_linux: false }
            .with_arguments(arguments)
    }

    #[test]
    fn the_kernel_reads_the_same_words() {
        for words in [&["a"][..], &["a", "1", "two"], &["my prog", "1"], &["a", "", "b c"]] {
            let line = program(words[0], &words[1..]).unwrap().command_line();
            let read: Vec<&[u8]> = abi::boot::words(&line).collect();
            assert_eq!(read, words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        }
        assert_eq!(
            program("a", &["1", "2"]).unwrap().command_line(),
            b"a 1 2",
            "other kernels accept only blanks"
        );
    }

    #[test]
    fn arguments_that_the_kernel_cannot_read_are_refused() {
        assert!(matches!(program("a", &["b\x1fc"]), Err(ProgramError::Separator { .. })));
        let long = "x".repeat(MODULE_COMMAND_LINE_MAX);
        assert!(matches!(program("a", &[&long]), Err(ProgramError::TooManyArguments { .. })));
    }

    #[test]
    fn memory_is_whole_pages() {
        let memory = program("a", &[]).unwrap().memory();
        assert!(memory > 0 && memory.is_multiple_of(PAGE));
    }

    #[test]
    fn a_file_that_is_refused_is_named_with_what_is_wrong_and_what_helps() {
        let hello = images::program("hello").unwrap().elf;
        let changed = |at: usize, byte: u8| {
            let mut file = hello.to_vec();
            file[at] = byte;
            file
        };
        let cases = [
            (vec![], "not an ELF file"),
            (b"#!/bin/sh\n".to_vec(), "a script"),
            (changed(18, 0xB7), "another machine (number 183)"),
            (changed(18, 3), "32-bit"),
            (changed(16, 1), "link it"),
            (hello[..1000].to_vec(), "cut short"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine");
        for (file, words) in cases {
            std::fs::write(&path, file).unwrap();
            let message = Program::from_file(&path).unwrap_err().to_string();
            assert!(message.contains(words) && message.contains("mine"), "{words}: {message}");
        }
    }
}
