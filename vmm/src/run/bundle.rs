//! The bundle of a run: its programs and the files that they can read, in one module. `abi::bundle` defines the layout.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use abi::bundle::{
    ALIGN, DIRECTORY, File, Head, LINUX, MAGIC, Program, REGULAR, TERMINAL, TRAPLINE, Text, VERSION,
};

use super::files::{self, Entry, Tree};
use super::{Run, RunError, program};

/// The module of a run: every program, in order, and the tree of files. `is_direct`: under the policy direct, no program
/// is a Linux program.
pub(super) fn build(run: &Run, is_direct: bool) -> Result<Vec<u8>, RunError> {
    let directory = files::current_directory();
    let mut tree = files::read(&run.files, run.memory_mib)?;
    let paths: Vec<Vec<u8>> = run
        .programs
        .iter()
        .map(|program| {
            let path = program.path_in(&directory).into_os_string().as_bytes().to_vec();
            let content = program.elf.to_vec();
            tree.insert(path.clone(), Entry { mode: REGULAR | 0o755, modified: 0, content });
            path
        })
        .collect();
    add_directories(&mut tree, directory.as_os_str().as_bytes());
    Ok(write(&run.programs, is_direct, &paths, &tree, directory.as_os_str().as_bytes()))
}

/// Adds `directory`, and every directory above it and above a file.
fn add_directories(tree: &mut Tree, directory: &[u8]) {
    let paths: Vec<Vec<u8>> = tree.keys().cloned().chain([directory.into()]).collect();
    for path in paths.iter().flat_map(|path| Path::new(OsStr::from_bytes(path)).ancestors()) {
        let entry = Entry { mode: DIRECTORY | 0o755, modified: 0, content: Vec::new() };
        tree.entry(path.as_os_str().as_bytes().to_vec()).or_insert(entry);
    }
}

fn write(
    programs: &[program::Program],
    is_direct: bool,
    paths: &[Vec<u8>],
    tree: &Tree,
    directory: &[u8],
) -> Vec<u8> {
    let mut strings = Strings {
        start: size_of::<Head>() + programs.len() * size_of::<Program>() + tree.len() * size_of::<File>(),
        bytes: Vec::new(),
    };
    let directory = strings.add(directory);
    let mut entries = Vec::new();
    for (program, path) in programs.iter().zip(paths) {
        let file = tree.keys().position(|other| other == path).unwrap_or_default() as u32;
        let (kind, arguments) = match program.is_linux && !is_direct {
            true => (LINUX, strings.add(&program.arguments_of_linux())),
            false => (TRAPLINE, strings.add(&program.command_line())),
        };
        let environment = strings.add(&terminated(&program.environment));
        let path = strings.add(program.path.as_os_str().as_bytes());
        [file, kind].iter().for_each(|word| entries.extend(word.to_le_bytes()));
        [path, arguments, environment].into_iter().for_each(|text| put_text(&mut entries, text));
    }
    let names: Vec<Text> = tree.keys().map(|path| strings.add(path)).collect();
    let mut next = ((strings.start + strings.bytes.len()) as u64).next_multiple_of(ALIGN);
    for (name, entry) in names.into_iter().zip(tree.values()) {
        let offset = if entry.content.is_empty() { 0 } else { next };
        put_text(&mut entries, name);
        [entry.mode, 0].iter().for_each(|word| entries.extend(word.to_le_bytes()));
        [entry.modified, offset, entry.content.len() as u64]
            .iter()
            .for_each(|word| entries.extend(word.to_le_bytes()));
        next += (entry.content.len() as u64).next_multiple_of(ALIGN);
    }
    let mut bundle = MAGIC.to_vec();
    [VERSION, programs.len() as u32, tree.len() as u32]
        .iter()
        .for_each(|word| bundle.extend(word.to_le_bytes()));
    put_text(&mut bundle, directory);
    bundle.extend(streams().to_le_bytes());
    bundle.extend(entries);
    bundle.extend(strings.bytes);
    for entry in tree.values() {
        bundle.resize(bundle.len().next_multiple_of(ALIGN as usize), 0);
        bundle.extend(&entry.content);
    }
    bundle.resize(bundle.len().next_multiple_of(ALIGN as usize), 0);
    bundle
}

/// The strings of a bundle, and their offset in it.
struct Strings {
    start: usize,
    bytes: Vec<u8>,
}

impl Strings {
    fn add(&mut self, text: &[u8]) -> Text {
        let offset = (self.start + self.bytes.len()) as u32;
        self.bytes.extend(text);
        Text { offset, size: text.len() as u32 }
    }
}

fn put_text(to: &mut Vec<u8>, text: Text) {
    [text.offset, text.size].iter().for_each(|word| to.extend(word.to_le_bytes()));
}

/// Strings, each with a zero byte at its end.
pub(super) fn terminated<T: AsRef<OsStr>>(strings: &[T]) -> Vec<u8> {
    strings.iter().flat_map(|text| [text.as_ref().as_bytes(), &[0]].concat()).collect()
}

/// The types of the standard streams, one byte each, input lowest: the type in `st_mode`, and whether it is a terminal.
fn streams() -> u32 {
    let input = kind(&std::io::stdin());
    let output = kind(&std::io::stdout());
    let errors = kind(&std::io::stderr());
    u32::from_le_bytes([input, output, errors, 0])
}

fn kind(stream: &(impl AsFd + IsTerminal)) -> u8 {
    const TYPE_SHIFT: u32 = 12;
    let kind = nix::sys::stat::fstat(stream).map_or(0, |stat| (stat.st_mode >> TYPE_SHIFT & 0xF) as u8);
    if stream.is_terminal() { kind | TERMINAL } else { kind }
}
