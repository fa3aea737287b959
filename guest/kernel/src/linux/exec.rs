//! Loads a program into an address space: maps the segments of its ELF file and builds a stack with arguments,
//! environment and auxiliary vector (System V ABI, AMD64 supplement, 3.4.1; Linux's fs/binfmt_elf.c).
//!
//! Limits: programs are static. They are linked at a fixed address, or are position independent without an interpreter.

use abi::boot::STACK_MIB_DEFAULT;
use abi::elf::{self, LOAD, SHARED, Segment};
use abi::program::check_for_linux;
use abi::record::emit::{SegmentLoaded, StackBuilt};
use abi::syscall::errno::{E2BIG, EFAULT, ENAMETOOLONG, ENOEXEC, ENOMEM};

use super::space::{EXECUTE, Mapping, READ, STACK_TOP, Space, Touch, WRITE};
use super::{Outcome, misc, tree, user};
use crate::arch::cpu;
use crate::layout::{DIRECT_MAP, PAGE, USER_START};
use crate::memory::address_space::translate;
use crate::memory::physical;
use crate::scheduler;
use crate::trace::Emit;

/// Size of a program header, for AT_PHENT.
const PROGRAM_HEADER_SIZE: u64 = 56;
/// Where the heap of a position independent program starts. The program itself is placed among the mappings of `mmap`.
const HEAP_OF_PIE: u64 = 0x5555_5555_5000;
/// The most bytes of arguments and environment, a quarter of the stack's default limit as in Linux.
const STRINGS_MAX: u64 = (STACK_MIB_DEFAULT << 20) / 4;
/// The most bytes of one of them, as in Linux.
const STRING_MAX: u64 = 32 * PAGE;

/// The registers with which a program starts.
pub struct Start {
    pub rip: u64,
    pub rsp: u64,
}

/// What the auxiliary vector says about a program's file.
struct Image {
    entry: u64,
    headers: u64,
    header_count: u64,
}

/// Strings, each with a zero byte at its end.
#[derive(Clone, Copy)]
pub enum Strings {
    /// The strings follow each other in memory.
    Packed(&'static [u8]),
    /// The address, in the process's memory, of a null-terminated array of pointers to the strings. 0: no strings.
    User(u64),
}

impl Strings {
    /// Calls `use_it` with each string, including its zero byte. Other processes may run between two of a process's strings,
    /// so another thread can change them.
    fn each(self, mut use_it: impl FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        match self {
            Strings::Packed(bytes) => bytes.split_inclusive(|&byte| byte == 0).try_for_each(use_it),
            Strings::User(0) => Ok(()),
            Strings::User(array) => {
                let mut work = 0;
                for index in 0.. {
                    if work > PAGE {
                        scheduler::pause();
                        work = 0;
                    }
                    let pointer = array.checked_add(index * 8).ok_or(EFAULT)?;
                    let text = match user::read::<u64>(pointer)? {
                        0 => break,
                        text => user::string(text, STRING_MAX).map_err(too_long_is_too_big)?,
                    };
                    // A short string costs as much as 64 bytes of a long one.
                    work += 64 + text.len() as u64;
                    use_it(user::bytes(text.as_ptr() as u64, text.len() as u64 + 1)?)?;
                }
                Ok(())
            }
        }
    }

    /// The number of strings and their total size in bytes.
    fn size(self) -> Outcome<(u64, u64)> {
        let (mut count, mut size) = (0, 0);
        self.each(|text| {
            count += 1;
            size += text.len() as u64;
            if size + 8 * count > STRINGS_MAX { Err(E2BIG) } else { Ok(()) }
        })?;
        Ok((count, size))
    }
}

fn too_long_is_too_big(error: i64) -> i64 {
    if error == ENAMETOOLONG { E2BIG } else { error }
}

/// Loads the program at an index of the tree into a new address space.
pub fn load(
    process: u16,
    space: &'static Space,
    file: u32,
    path: &[u8],
    arguments: Strings,
    environment: Strings,
) -> Outcome<Start> {
    // First, because the path lies in the memory of a process that other threads can change later.
    let path_at = STACK_TOP - 8 - path.len() as u64 - 1;
    put(space, path_at, path)?;
    let image = load_image(process, space, tree::contents(file))?;
    let rsp = build_stack(process, space, &image, path_at, arguments, environment)?;
    Ok(Start { rip: image.entry, rsp })
}

fn load_image(process: u16, space: &'static Space, file: &'static [u8]) -> Outcome<Image> {
    let elf = check_for_linux(file).map_err(|_| ENOEXEC)?;
    let header = elf.header;
    let loaded = || {
        elf.segments().into_iter().flatten().filter(|segment| segment.kind == LOAD && segment.memory_size > 0)
    };
    let (mut low, mut high, mut headers) = (u64::MAX, 0, 0);
    for segment in loaded() {
        low = low.min(segment.address & !(PAGE - 1));
        high = high.max(segment.address + segment.memory_size);
        if header.table.wrapping_sub(segment.offset) < segment.file_size {
            headers = header.table - segment.offset + segment.address;
        }
    }
    let independent = header.kind == SHARED;
    let size = (high - low).next_multiple_of(PAGE);
    let base = if independent { space.place(size)?.wrapping_sub(low) } else { 0 };
    for segment in loaded() {
        load_segment(process, space, file, &segment, base)?;
    }
    let heap = if independent { HEAP_OF_PIE } else { high.next_multiple_of(PAGE) };
    space.heap_start.set(heap);
    space.heap_end.set(heap);
    Ok(Image {
        entry: header.entry.wrapping_add(base),
        headers: headers.wrapping_add(base),
        header_count: header.count.into(),
    })
}

fn load_segment(
    process: u16,
    space: &'static Space,
    file: &'static [u8],
    segment: &Segment,
    base: u64,
) -> Outcome<()> {
    let rights = [(elf::READ, READ), (elf::WRITE, WRITE), (elf::EXECUTE, EXECUTE)];
    let rights =
        rights.into_iter().filter(|(flag, _)| segment.flags & flag != 0).fold(0, |all, (_, one)| all | one);
    let address = segment.address.wrapping_add(base);
    let (start, end) = (address & !(PAGE - 1), (address + segment.memory_size).next_multiple_of(PAGE));
    if start < USER_START || end > STACK_TOP - misc::STACK_MAX.get() {
        return Err(ENOEXEC);
    }
    let file_end = address + segment.file_size;
    let zeroes = if segment.file_size == 0 { start } else { file_end.next_multiple_of(PAGE) };
    space.unmap(start, end)?;
    if start < zeroes {
        let content = file.as_ptr() as u64 - DIRECT_MAP + (segment.offset & !(PAGE - 1));
        space.add(Mapping::new(start, zeroes, rights, content))?;
    }
    if zeroes < end {
        space.add(Mapping::new(zeroes, end, rights, 0))?;
    }
    if segment.memory_size > segment.file_size && rights & WRITE != 0 && file_end < zeroes {
        // The rest of the segment's last page in the file does not belong to the program.
        clear(space, file_end, zeroes - file_end).ok_or(ENOMEM)?;
    }
    let (memory, file) = (segment.memory_size, segment.file_size);
    SegmentLoaded { flags: segment.flags as u8, copied: false, address, memory, file }.emit_for(process);
    Ok(())
}

/// The kernel's address of `address`, which user mode can write. The space need not be loaded.
fn at(space: &Space, address: u64) -> Option<*mut u8> {
    if translate(space.root(), address, true).is_none() {
        space.touch(address, Touch::Write, true).ok()?;
    }
    translate(space.root(), address, true).map(physical)
}

fn clear(space: &Space, address: u64, size: u64) -> Option<()> {
    // SAFETY: the bytes lie in one page, which belongs to the space.
    unsafe { at(space, address)?.write_bytes(0, size as usize) };
    Some(())
}

/// Writes bytes into a space, which need not be loaded.
pub fn put(space: &Space, mut address: u64, mut bytes: &[u8]) -> Outcome<()> {
    while !bytes.is_empty() {
        let size = bytes.len().min((PAGE - address % PAGE) as usize);
        let (now, rest) = bytes.split_at(size);
        let to = at(space, address).ok_or(ENOMEM)?;
        // SAFETY: `size` bytes are left in this page, which belongs to the space.
        unsafe { to.copy_from_nonoverlapping(now.as_ptr(), size) };
        address += size as u64;
        bytes = rest;
    }
    Ok(())
}

const WORDS: usize = 64;

/// Words that are written to consecutive addresses, many at a time.
struct Words {
    space: &'static Space,
    at: u64,
    waiting: [u64; WORDS],
    count: usize,
}

impl Words {
    fn put(&mut self, word: u64) -> Outcome<()> {
        if self.count == self.waiting.len() {
            self.flush()?;
        }
        self.waiting[self.count % WORDS] = word;
        self.count += 1;
        Ok(())
    }

    fn flush(&mut self) -> Outcome<()> {
        // SAFETY: `count` words of the array are initialised, and any word can be read as bytes.
        let bytes = unsafe { core::slice::from_raw_parts(self.waiting.as_ptr().cast(), self.count * 8) };
        put(self.space, self.at, bytes)?;
        self.at += bytes.len() as u64;
        self.count = 0;
        Ok(())
    }
}

const PLATFORM: &[u8] = b"x86_64\0";

/// Builds the initial stack. Upwards from the stack pointer: argc, the pointers of argv and a null, the pointers of the
/// environment and a null, the auxiliary vector, and then the data that the pointers refer to.
fn build_stack(
    process: u16,
    space: &'static Space,
    image: &Image,
    path_at: u64,
    arguments: Strings,
    environment: Strings,
) -> Outcome<u64> {
    let (argc, arguments_size) = arguments.size()?;
    let (envc, environment_size) = environment.size()?;
    let environment_at = path_at - environment_size;
    let arguments_at = environment_at - arguments_size;
    let platform_at = (arguments_at & !15) - 16;
    let random_at = platform_at - 16;
    put(space, platform_at, PLATFORM)?;
    put(space, random_at, &misc::random_word().to_le_bytes())?;
    put(space, random_at + 8, &misc::random_word().to_le_bytes())?;
    let vector = [
        (51, super::signal::frame_max()),                // AT_MINSIGSTKSZ
        (16, misc::hardware_capabilities()),             // AT_HWCAP
        (6, PAGE),                                       // AT_PAGESZ
        (17, misc::TICKS_PER_SECOND),                    // AT_CLKTCK
        (3, image.headers),                              // AT_PHDR
        (4, PROGRAM_HEADER_SIZE),                        // AT_PHENT
        (5, image.header_count),                         // AT_PHNUM
        (7, 0),                                          // AT_BASE: no interpreter
        (8, 0),                                          // AT_FLAGS
        (9, image.entry),                                // AT_ENTRY
        (11, 0),                                         // AT_UID
        (12, 0),                                         // AT_EUID
        (13, 0),                                         // AT_GID
        (14, 0),                                         // AT_EGID
        (23, 0),                                         // AT_SECURE
        (25, random_at),                                 // AT_RANDOM
        (26, if cpu::has_bases() { 1 << 1 } else { 0 }), // AT_HWCAP2: FSGSBASE
        (31, path_at),                                   // AT_EXECFN
        (15, platform_at),                               // AT_PLATFORM
        (0, 0),                                          // AT_NULL
    ];
    let words = 1 + argc + 1 + envc + 1 + 2 * vector.len() as u64;
    let rsp = (random_at - words * 8) & !15;
    let mut vectors = Words { space, at: rsp, waiting: [0; WORDS], count: 0 };
    vectors.put(argc)?;
    for (strings, mut text_at) in [(arguments, arguments_at), (environment, environment_at)] {
        strings.each(|text| {
            put(space, text_at, text)?;
            vectors.put(text_at)?;
            text_at += text.len() as u64;
            Ok(())
        })?;
        vectors.put(0)?;
    }
    for (key, value) in vector {
        vectors.put(key)?;
        vectors.put(value)?;
    }
    vectors.flush()?;
    StackBuilt { argc: argc as u32, lowest: STACK_TOP - misc::STACK_MAX.get(), rsp, argv: rsp + 8 }
        .emit_for(process);
    Ok(rsp)
}
