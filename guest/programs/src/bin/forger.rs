//! Passes false call numbers and pointers: the kernel checks each of them, refuses the call, and touches nothing else.

#![no_std]
#![no_main]

use abi::syscall::{Call, errno};
use user::registers::{Across, R11, RAX, RCX, RDI, RDX, RSI, Registers, hold};
use user::syscall::{CLOCK_MONOTONIC, STDIN, STDOUT, Timespec};
use user::{Args, Hex, program, say};

program!(main);

/// Addresses that are not the program's: null, the kernel's image, the start of the upper half, a non-canonical one, the
/// last byte, and one that is not mapped.
const NOT_OURS: [u64; 8] = [
    0,
    0xFFFF_FFFF_8020_0000,
    0xFFFF_8000_0000_0000,
    0x0000_8000_0000_0000,
    0x1234_5678_9ABC_DEF0,
    u64::MAX,
    0x7FFF_FFFF_F000,
    0x10_0000_0000,
];

const NO_CALLS: [u64; 5] =
    [0x7FFF, u64::MAX, 1 << 63, 1 << 32 | Call::write as u64, 1 << 63 | Call::getpid as u64];

unsafe extern "C" {
    /// The end of the program's last page, set by the linker script.
    static program_end: u8;
}

fn main(_: Args) -> i32 {
    let mut forger = Forger { calls: 0, surprises: 0 };
    forger.numbers();
    forger.pointers();
    forger.edges();
    forger.files_and_values();
    say!("forger: ", forger.calls, " forgeries, ", forger.surprises, " unexpected results");
    i32::from(forger.surprises != 0)
}

struct Forger {
    calls: u64,
    surprises: u64,
}

impl Forger {
    fn numbers(&mut self) {
        for number in NO_CALLS {
            self.expect(-errno::ENOSYS, number, [0; 3]);
        }
    }

    fn pointers(&mut self) {
        for pointer in NOT_OURS {
            self.expect(-errno::EFAULT, Call::write as u64, [STDOUT, pointer, 1]);
            self.expect(-errno::EFAULT, Call::read as u64, [STDIN, pointer, 1]);
            self.expect(-errno::EFAULT, Call::nanosleep as u64, [pointer, 0, 0]);
            self.expect(-errno::EFAULT, Call::clock_gettime as u64, [CLOCK_MONOTONIC, pointer, 0]);
            // A buffer of 0 bytes has no page to check.
            self.expect(0, Call::write as u64, [STDOUT, pointer, 0]);
        }
    }

    /// Buffers that lie only in part in memory of the program, or in memory that it may not write.
    fn edges(&mut self) {
        let end = &raw const program_end as u64;
        let mut bytes = [0u8; 8];
        let ours = bytes.as_mut_ptr() as u64;
        let text = main as *const () as u64;
        self.expect(-errno::EFAULT, Call::write as u64, [STDOUT, end - 8, 64]);
        self.expect(-errno::EFAULT, Call::read as u64, [STDIN, end - 8, 64]);
        self.expect(-errno::EFAULT, Call::nanosleep as u64, [end - 8, 0, 0]);
        self.expect(-errno::EFAULT, Call::clock_gettime as u64, [CLOCK_MONOTONIC, end - 8, 0]);
        self.expect(-errno::EFAULT, Call::write as u64, [STDOUT, ours, u64::MAX]);
        self.expect(-errno::EFAULT, Call::read as u64, [STDIN, ours, u64::MAX]);
        // The kernel could write there, the program may not.
        self.expect(-errno::EFAULT, Call::read as u64, [STDIN, text, 1]);
        self.expect(-errno::EFAULT, Call::clock_gettime as u64, [CLOCK_MONOTONIC, text, 0]);
        self.expect(0, Call::read as u64, [STDIN, ours, bytes.len() as u64]);
    }

    fn files_and_values(&mut self) {
        let mut time = Timespec { seconds: 0, nanoseconds: 1_000_000_000 };
        let ours = &raw mut time as u64;
        self.expect(-errno::EBADF, Call::write as u64, [7, ours, 1]);
        self.expect(-errno::EBADF, Call::write as u64, [u64::MAX, ours, 1]);
        self.expect(-errno::EBADF, Call::read as u64, [7, ours, 1]);
        self.expect(-errno::EINVAL, Call::nanosleep as u64, [ours, 0, 0]);
        self.expect(-errno::EINVAL, Call::clock_gettime as u64, [99, ours, 0]);
    }

    /// Makes the call by both entry paths, with a pattern in every other register, and prints what is not as expected.
    fn expect(&mut self, result: i64, number: u64, arguments: [u64; 3]) {
        for door in [Across::Syscall, Across::Interrupt] {
            self.calls += 1;
            let mut wanted = Registers::pattern(self.calls);
            for (register, value) in [RDI, RSI, RDX].into_iter().zip(arguments) {
                wanted.general[register] = value;
            }
            wanted.general[RAX] = number;
            // SAFETY: where the pointer is valid, it is that of a local that is not read afterwards.
            let found = unsafe { hold(&mut wanted, door) };
            let got = found.general[RAX] as i64;
            if got != result {
                self.surprises += 1;
                let [first, second, third] = arguments.map(Hex);
                say!(
                    "forger: call ",
                    Hex(number),
                    "(",
                    first,
                    ", ",
                    second,
                    ", ",
                    third,
                    ") gave ",
                    got,
                    ", not ",
                    result
                );
            }
            self.expect_unchanged(wanted, &found, door);
        }
    }

    fn expect_unchanged(&mut self, mut wanted: Registers, found: &Registers, door: Across) {
        // `syscall` overwrites two registers itself, the interrupt none.
        let free: &[usize] = if door == Across::Syscall { &[RAX, RCX, R11] } else { &[RAX] };
        for &register in free {
            wanted.general[register] = found.general[register];
        }
        if let Some(difference) = wanted.difference(found) {
            self.surprises += 1;
            let number = Hex(wanted.general[RDI]);
            say!(
                "forger: a call with ",
                number,
                " changed register ",
                difference.name,
                " to ",
                Hex(difference.found[0])
            );
        }
    }
}
