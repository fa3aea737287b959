//! The bundle: one module that holds programs with their arguments and environments, and the files that they can read.
//!
//! A virtual machine monitor that passes one module only, as QEMU does, can still start many programs with files of
//! their own. The host writes a bundle, the kernel reads it where it lies; neither copies the files.
//!
//! ```text
//!  0     magic, 8 bytes: "TRAPBNDL"
//!  8     version  u32      [`VERSION`]
//! 12     programs u32      how many
//! 16     files    u32      how many
//! 20     cwd      u32, u32 offset and size of the path of the working directory
//! 28     streams  u32      what standard input, output and error are
//! 32     a [`Program`] each, then a [`File`] each
//!        strings
//!        contents, each at a multiple of 4096; the rest of its last page is zero
//! ```
//!
//! All numbers are little-endian, all offsets count bytes from the start of the bundle. A string is the bytes from its
//! offset on, without a zero at the end; an argument or a variable of the environment ends with a zero byte. Files
//! are sorted by path, byte by byte, so a binary search finds a path, and the entries of a directory follow one another.
//! Paths are absolute, have no `.`, `..` or double slash, and no slash at the end but in the root directory, `/`.
//! Each directory above a file has an entry of its own.

/// The first eight bytes.
pub const MAGIC: [u8; 8] = *b"TRAPBNDL";
/// The version of this layout.
pub const VERSION: u32 = 1;
/// Contents start at multiples of this.
pub const ALIGN: u64 = 4096;

/// The head of a bundle.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// How many [`Program`] entries follow.
    pub programs: u32,
    /// How many [`File`] entries follow those.
    pub files: u32,
    /// The path of the working directory, one of the files.
    pub directory: Text,
    /// What the host's standard input, output and error are, a byte each, input lowest: bits 12 to 15 of `st_mode` in its low
    /// half, and [`TERMINAL`].
    pub streams: u32,
}

/// In a byte of [`Head::streams`]: it is a terminal.
pub const TERMINAL: u8 = 0x80;

/// A stretch of bytes in the bundle.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Where it starts.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
}

/// A program to start.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its ELF file: an index into the files.
    pub file: u32,
    /// [`LINUX`] or [`TRAPLINE`].
    pub kind: u32,
    /// The path that it was started by, as the first argument of `execve`. It need not be absolute.
    pub path: Text,
    /// Its arguments, the name first, each with a zero byte at its end. For [`TRAPLINE`]: one line, with blanks
    /// between and no zero.
    pub arguments: Text,
    /// Its environment, `NAME=value`, each with a zero byte at its end. Empty for [`TRAPLINE`].
    pub environment: Text,
}

/// A program for Linux: it gets Linux's calls, memory at first touch and signals.
pub const LINUX: u32 = 0;
/// A program for Trapline's own kernel: all of it is loaded before it starts, and it has a few calls.
pub const TRAPLINE: u32 = 1;

/// A file or a directory. There are no symbolic links: the host follows them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Its absolute path.
    pub path: Text,
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// 0.
    pub reserved: u32,
    /// Time of the last change, in seconds since 1970.
    pub modified: u64,
    /// Where its contents start: 0 for a directory.
    pub offset: u64,
    /// Their size in bytes.
    pub size: u64,
}

/// The type in `mode`.
pub const TYPE_MASK: u32 = 0o170_000;
/// A regular file.
pub const REGULAR: u32 = 0o100_000;
/// A directory.
pub const DIRECTORY: u32 = 0o040_000;

const _: () = assert!(size_of::<Head>() == 32 && size_of::<Program>() == 32 && size_of::<File>() == 40);

/// A bundle as it lies in memory: checked once, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Bundle<'a> {
    bytes: &'a [u8],
    head: Head,
}

impl<'a> Bundle<'a> {
    /// Reads the head; `None` if these bytes are not a bundle of this version, or are cut short before the entries end.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head: Head = plain(bytes, 0)?;
        let entries = u64::from(head.programs) * size_of::<Program>() as u64
            + u64::from(head.files) * size_of::<File>() as u64;
        let whole = size_of::<Head>() as u64 + entries <= bytes.len() as u64;
        (head.magic == MAGIC && head.version == VERSION && whole).then_some(Self { bytes, head })
    }

    /// How many programs there are.
    pub fn programs(&self) -> u32 {
        self.head.programs
    }

    /// How many files there are.
    pub fn files(&self) -> u32 {
        self.head.files
    }

    /// What a standard stream of the host is: see [`Head::streams`].
    pub fn stream(&self, number: u32) -> u8 {
        self.head.streams.to_le_bytes()[number as usize % 4]
    }

    /// The program at `index`.
    pub fn program(&self, index: u32) -> Option<Program> {
        let at = size_of::<Head>() + index as usize * size_of::<Program>();
        (index < self.head.programs).then(|| plain(self.bytes, at))?
    }

    /// The file at `index`.
    pub fn file(&self, index: u32) -> Option<File> {
        let programs = self.head.programs as usize * size_of::<Program>();
        let at = size_of::<Head>() + programs + index as usize * size_of::<File>();
        (index < self.head.files).then(|| plain(self.bytes, at))?
    }

    /// The path of the working directory.
    pub fn directory(&self) -> &'a [u8] {
        self.text(self.head.directory)
    }

    /// The bytes of a string; none of them if it does not lie in the bundle.
    pub fn text(&self, text: Text) -> &'a [u8] {
        self.stretch(text.offset.into(), text.size.into())
    }

    /// The contents of a file; none of them if they do not lie in the bundle.
    pub fn contents(&self, file: &File) -> &'a [u8] {
        self.stretch(file.offset, file.size)
    }

    fn stretch(&self, offset: u64, size: u64) -> &'a [u8] {
        let end = offset.saturating_add(size).min(usize::MAX as u64);
        self.bytes.get(offset as usize..end as usize).unwrap_or_default()
    }
}

/// A value of the bundle; `T` is one of the structures above, for which any bytes are a value.
fn plain<T: Copy>(bytes: &[u8], at: usize) -> Option<T> {
    let bytes = bytes.get(at..at.checked_add(size_of::<T>())?)?;
    // SAFETY: the slice has the size of T, and T is made of integers only.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
