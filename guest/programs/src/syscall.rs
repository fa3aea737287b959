//! System calls: the part of them that runs in user mode.
//!
//! For its caller [`write`] is a procedure like any other: it takes arguments and returns a result. Inside, it puts the
//! arguments in the registers that kernel and programs agreed on, puts a *number* in RAX, and traps. A program names the
//! call it wants; it cannot choose the address at which the kernel continues, because the kernel gave that address to the
//! hardware at boot. This is why a part of every C library is assembly.

use core::arch::asm;

use abi::syscall::Call;

/// Standard input.
pub const STDIN: u64 = 0;
/// Standard output, the console.
pub const STDOUT: u64 = 1;
/// The clock that never jumps, for [`clock_gettime`].
pub const CLOCK_MONOTONIC: u64 = 1;

/// An error that the kernel returned: one of [`abi::syscall::errno`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i64);

/// A time, as the kernel reads and writes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timespec {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds in the second.
    pub nanoseconds: i64,
}

impl Timespec {
    /// The whole time in nanoseconds.
    pub fn as_nanoseconds(self) -> i64 {
        self.seconds * 1_000_000_000 + self.nanoseconds
    }
}

/// Makes a system call by the instruction `syscall`. The CPU stores the return address in RCX and the flags in R11, so
/// these two registers are lost to the caller (SDM volume 2, SYSCALL).
///
/// # Safety
/// The call must not write memory that other code relies on.
unsafe fn call(call: Call, arguments: [u64; 3]) -> Result<u64, Errno> {
    let [first, second, third] = arguments;
    let result: i64;
    // SAFETY: the kernel changes no register but these three; the caller answers for the memory.
    unsafe {
        asm!("syscall", inlateout("rax") call as u64 => result, in("rdi") first, in("rsi") second, in("rdx") third,
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    if result < 0 { Err(Errno(result)) } else { Ok(result as u64) }
}

/// Writes `bytes` to `file` and returns how many were written.
pub fn write(file: u64, bytes: &[u8]) -> Result<u64, Errno> {
    write_from(file, bytes.as_ptr() as u64, bytes.len() as u64)
}

/// The same with any address: the kernel checks it, and reads only memory of the program.
pub fn write_from(file: u64, address: u64, count: u64) -> Result<u64, Errno> {
    // SAFETY: the kernel only reads.
    unsafe { call(Call::write, [file, address, count]) }
}

/// Lets the other processes run.
pub fn sched_yield() {
    // SAFETY: it touches no memory. It cannot fail.
    let _ = unsafe { call(Call::sched_yield, [0; 3]) };
}

/// The number of this process.
pub fn getpid() -> u64 {
    // SAFETY: it touches no memory. It cannot fail.
    unsafe { call(Call::getpid, [0; 3]) }.unwrap_or_default()
}

/// The same by the other entry path, the software interrupt. It saves registers as an exception does, so all of them but
/// RAX, the result, come back. Linux has this path too, with the call numbers of its 32-bit programs.
pub fn getpid_by_interrupt() -> u64 {
    let result;
    // SAFETY: it touches no memory, and RAX is all that the kernel changes.
    unsafe {
        asm!("int {vector}", vector = const abi::syscall::INT_VECTOR, inout("rax") Call::getpid as u64 => result)
    };
    result
}

/// Sleeps at least as long as `time`.
pub fn nanosleep(time: Timespec) -> Result<(), Errno> {
    // SAFETY: the kernel only reads the time; nothing is asked to be written.
    unsafe { call(Call::nanosleep, [&raw const time as u64, 0, 0]) }.map(|_| ())
}

/// Reads a clock.
pub fn clock_gettime(clock: u64) -> Result<Timespec, Errno> {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the kernel writes only the local `time`.
    unsafe { call(Call::clock_gettime, [clock, &raw mut time as u64, 0]) }.map(|_| time)
}

/// Ends the process.
pub fn exit_group(status: i32) -> ! {
    loop {
        // SAFETY: the call does not return. If a kernel returns from it all the same, it is made again.
        let _ = unsafe { call(Call::exit_group, [status as u64, 0, 0]) };
    }
}
