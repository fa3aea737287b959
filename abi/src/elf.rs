//! Reading ELF files: the header and the program headers, of both classes, little-endian (System V ABI, chapters 4 and 5).
//!
//! These are pure functions over bytes: no allocation, no formatting, no panic on any file. Sections are not read: loading
//! a file does not need them.

/// The class of a file: how wide its fields are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// ELF32.
    Bits32,
    /// ELF64.
    Bits64,
}

/// The class in `EI_CLASS`, or nothing if that byte is not a class.
pub fn class(file: &[u8]) -> Option<Class> {
    match file.get(4) {
        Some(1) => Some(Class::Bits32),
        Some(2) => Some(Class::Bits64),
        _ => None,
    }
}

/// The first bytes of every ELF file.
pub const MAGIC: &[u8; 4] = b"\x7fELF";
/// `EI_DATA` of a little-endian file.
pub const LITTLE_ENDIAN: u8 = 1;
/// `e_type` of an executable at a fixed address.
pub const EXECUTABLE: u16 = 2;
/// `e_type` of a file that runs at any address.
pub const SHARED: u16 = 3;
/// `e_machine` of the 386.
pub const I386: u16 = 3;
/// `e_machine` of x86-64.
pub const X86_64: u16 = 62;
/// `p_type` of a segment to load.
pub const LOAD: u32 = 1;
/// `p_type` of what a dynamic linker reads.
pub const DYNAMIC: u32 = 2;
/// `p_type` of the name of a dynamic linker.
pub const INTERPRETER: u32 = 3;
/// `p_type` of notes.
pub const NOTE: u32 = 4;
/// `p_flags`: the segment is executable.
pub const EXECUTE: u32 = 1;
/// `p_flags`: the segment is readable.
pub const READ: u32 = 4;
/// `p_flags`: the segment is writable.
pub const WRITE: u32 = 2;

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// `e_type`.
    pub kind: u16,
    /// `e_machine`.
    pub machine: u16,
    /// `e_entry`.
    pub entry: u64,
    /// `e_phoff`: where the program headers start.
    pub table: u64,
    /// `e_phnum`: how many they are.
    pub count: u16,
}

/// A program header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// `p_offset`: where its bytes are in the file.
    pub offset: u64,
    /// `p_vaddr`.
    pub address: u64,
    /// `p_paddr`.
    pub physical: u64,
    /// `p_filesz`: its bytes in the file.
    pub file_size: u64,
    /// `p_memsz`: its bytes in memory. Those that are not in the file are zero.
    pub memory_size: u64,
    /// `p_align`.
    pub align: u64,
}

/// The program headers of a file, in order.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    table: &'a [u8],
    class: Class,
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    #[inline(always)]
    fn next(&mut self) -> Option<Segment> {
        match self.class {
            Class::Bits32 => {
                let (first, rest) = self.table.split_first_chunk()?;
                self.table = rest;
                Some(segment_32(first))
            }
            Class::Bits64 => {
                let (first, rest) = self.table.split_first_chunk()?;
                self.table = rest;
                Some(segment_64(first))
            }
        }
    }
}

/// A file whose header could be read.
#[derive(Clone, Copy, Debug)]
pub struct Elf<'a> {
    bytes: &'a [u8],
    class: Class,
    /// Its header.
    pub header: Header,
}

const HEADER_32: usize = 52;
const HEADER_64: usize = 64;
const SEGMENT_32: usize = 32;
const SEGMENT_64: usize = 56;

impl<'a> Elf<'a> {
    /// Reads the header of a file of this class. `None`: the file has none, or its program headers have another size.
    pub fn parse(bytes: &'a [u8], class: Class) -> Option<Elf<'a>> {
        // Compared as a number, which takes an instruction.
        if bytes.first_chunk() != Some(MAGIC) {
            return None;
        }
        let (header, segment_size) = match class {
            Class::Bits32 => header_32(bytes.first_chunk()?),
            Class::Bits64 => header_64(bytes.first_chunk()?),
        };
        let elf = Elf { bytes, class, header };
        (usize::from(segment_size) == elf.segment_size()).then_some(elf)
    }

    /// The program headers. `None`: the file ends before they do.
    pub fn segments(&self) -> Option<Segments<'a>> {
        let start = usize::try_from(self.header.table).ok()?;
        let size = self.segment_size() * usize::from(self.header.count);
        Some(Segments { table: self.bytes.get(start..)?.get(..size)?, class: self.class })
    }

    fn segment_size(&self) -> usize {
        match self.class {
            Class::Bits32 => SEGMENT_32,
            Class::Bits64 => SEGMENT_64,
        }
    }
}

impl Segment {
    /// The end of its bytes in the file. `None`: it is beyond any file.
    pub fn file_end(&self) -> Option<u64> {
        self.offset.checked_add(self.file_size)
    }

    /// The bytes that the file has of it. `None`: the file ends before they do.
    pub fn bytes<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        file.get(usize::try_from(self.offset).ok()?..usize::try_from(self.file_end()?).ok()?)
    }
}

fn header_64(bytes: &[u8; HEADER_64]) -> (Header, u16) {
    let header = Header {
        kind: half(bytes, 16),
        machine: half(bytes, 18),
        entry: long(bytes, 24),
        table: long(bytes, 32),
        count: half(bytes, 56),
    };
    (header, half(bytes, 54))
}

fn header_32(bytes: &[u8; HEADER_32]) -> (Header, u16) {
    let header = Header {
        kind: half(bytes, 16),
        machine: half(bytes, 18),
        entry: word(bytes, 24).into(),
        table: word(bytes, 28).into(),
        count: half(bytes, 44),
    };
    (header, half(bytes, 42))
}

fn segment_64(bytes: &[u8; SEGMENT_64]) -> Segment {
    Segment {
        kind: word(bytes, 0),
        flags: word(bytes, 4),
        offset: long(bytes, 8),
        address: long(bytes, 16),
        physical: long(bytes, 24),
        file_size: long(bytes, 32),
        memory_size: long(bytes, 40),
        align: long(bytes, 48),
    }
}

fn segment_32(bytes: &[u8; SEGMENT_32]) -> Segment {
    Segment {
        kind: word(bytes, 0),
        offset: word(bytes, 4).into(),
        address: word(bytes, 8).into(),
        physical: word(bytes, 12).into(),
        file_size: word(bytes, 16).into(),
        memory_size: word(bytes, 20).into(),
        flags: word(bytes, 24),
        align: word(bytes, 28).into(),
    }
}

// The compiler knows that these offsets lie in the arrays, so no bounds check is left.

#[inline(always)]
fn half<const SIZE: usize>(bytes: &[u8; SIZE], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn word<const SIZE: usize>(bytes: &[u8; SIZE], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline(always)]
fn long<const SIZE: usize>(bytes: &[u8; SIZE], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}
