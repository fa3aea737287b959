//! The I/O ports. The guest writes them with `out`. It reads [`ATTACH`], to find out whether a host records a trace, and
//! [`INPUT`].
//!
//! ```text
//! 0x00E9          console      1 byte      as in Bochs, QEMU and most others
//! 0x0500  ATTACH  4 bytes      write: page frame number of the trace buffer; read: the host's `abi::VERSION`
//! 0x0504  DOORBELL 4 bytes     the bytes of records that wait in the buffer
//! 0x0508  EXIT    4 bytes      a status of `abi::exit`; the guest does not run on
//! 0x050C  OUTPUT  4 bytes      physical address of an [`Output`]
//! 0x0510  INPUT   4 bytes      write: physical address of an [`Input`]; read: the state of the input, see below
//! 0x0514  ASK     4 bytes      how many bytes of standard input the host is to read
//! ```
//!
//! A port exit is synchronous: the vCPU stops until the host has read the buffer. So the buffer needs no ring arithmetic and
//! no lock, and no record is lost.
//!
//! Standard input: the guest writes to [`ASK`], and continues. The host reads at most so many bytes of its standard input, and
//! then interrupts with the vector [`INPUT_VECTOR`]. With 0, it interrupts as soon as something can be read. The guest reads
//! the state of the input from [`INPUT`]: the number of bytes available (0 to [`INPUT_MAX`]), or one of the values below. It
//! writes to [`INPUT`] to take the bytes, all at once or in parts, or to clear the end or the error that it has read.
//!
//! An emulator such as QEMU only stores the bytes that are written to a port, and the host reads them later. With
//! `doorbell=shared` (see [`crate::boot::SHARED`]) the guest therefore writes single bytes to [`DOORBELL`] and nothing to
//! [`ATTACH`]: first the four bytes of the buffer's page frame number, the lowest first; then one byte for each bell, of
//! any value. After the four bytes and after each bell it waits until the host has set
//! [`BufferHead::used`](crate::record::BufferHead::used) to 0.
//!
//! With `doorbell=stream` ([`crate::boot::STREAM`]) nothing is attached and no host answers: at each bell the guest writes the
//! buffer itself to [`DOORBELL`], byte by byte: its head and the records that wait. `trapline import` makes a trace of these bytes.

/// Console: one byte a write.
pub const CONSOLE: u16 = 0xE9;
/// First port of Trapline's window of [`WINDOW_SIZE`] ports.
pub const WINDOW: u16 = 0x0500;
/// Size of the window, in ports.
pub const WINDOW_SIZE: u16 = 24;
/// Attach the trace buffer: the page frame number (physical address / 4096) of its head.
pub const ATTACH: u16 = WINDOW;
/// Records wait: their size in bytes.
pub const DOORBELL: u16 = WINDOW + 4;
/// The end: a status of [`crate::exit`].
pub const EXIT: u16 = WINDOW + 8;
/// Bytes for the console or a standard stream of the host: the physical address of an [`Output`].
pub const OUTPUT: u16 = WINDOW + 12;

/// Bytes that the guest prints, where they lie in its memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Physical address of the first.
    pub address: u64,
    /// How many.
    pub size: u32,
    /// [`TO_CONSOLE`], [`STDOUT`] or [`STDERR`].
    pub stream: u32,
}

/// [`Output::stream`]: the console, as if each byte were written to [`CONSOLE`].
pub const TO_CONSOLE: u32 = 0;
/// [`Output::stream`]: standard output.
pub const STDOUT: u32 = 1;
/// [`Output::stream`]: standard error.
pub const STDERR: u32 = 2;

/// Standard input: see above.
pub const INPUT: u16 = WINDOW + 16;
/// Asks for bytes of standard input, at most [`INPUT_MAX`].
pub const ASK: u16 = WINDOW + 20;
/// The most bytes of standard input at once.
pub const INPUT_MAX: u32 = 64 << 10;
/// The vector of the interrupt of standard input.
pub const INPUT_VECTOR: u8 = 0x21;
/// In a value of [`INPUT`]: something can be read; the low 16 bits are the events of `poll`.
pub const INPUT_READY: u32 = 1 << 24;
/// In a value of [`INPUT`]: the input is at its end.
pub const INPUT_END: u32 = 2 << 24;
/// In a value of [`INPUT`]: the read failed; the low 16 bits are the error number of Linux.
pub const INPUT_FAILED: u32 = 3 << 24;

/// Where the host must copy bytes of standard input.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Physical address of the first.
    pub address: u64,
    /// How many.
    pub size: u64,
}

/// What a read returns from a port without a device. It shows the guest that no host records a trace.
pub const NO_DEVICE: u32 = u32::MAX;
