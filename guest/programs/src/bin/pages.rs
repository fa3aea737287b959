//! Passes pointers near the ends of pages: a buffer may end where its page ends, but not continue into a page that is not mapped.

#![no_std]
#![no_main]

use core::arch::asm;

use abi::syscall::Call;
use abi::syscall::errno::EFAULT;
use user::kernel::{PAGE, USER_END, USER_STACK};
use user::syscall::{CLOCK_MONOTONIC, STDIN, STDOUT};
use user::{Args, Hex, program, say};

program!(main);

/// The size of a time, the largest thing that the kernel reads or writes as one.
const TIME: u64 = 16;
const TEXT_SIZE: usize = 55;

/// A page whose last bytes are text.
#[repr(C, align(4096))]
struct Page {
    zero: [u8; PAGE as usize - TEXT_SIZE],
    text: [u8; TEXT_SIZE],
}

static PAGE_WITH_TEXT: Page =
    Page { zero: [0; _], text: *b"pages: this text ends with its page, and was all there\n" };
/// A page that the program may write. The page behind it is the program's too, or is not mapped.
static mut ZERO: Page = Page { zero: [0; _], text: [0; _] };

unsafe extern "C" {
    /// The program's first byte, its code; by the linker script.
    static program_start: u8;
    /// The end of its last page.
    static program_end: u8;
}

fn main(_: Args) -> i32 {
    let text = &raw const program_start as u64;
    let data = &raw const ZERO as u64;
    let end = &raw const program_end as u64;
    let (mut calls, mut surprises) = (0_u64, 0_u64);
    let mut expect = |right: bool, what: &str, address: u64, size: u64| {
        calls += 1;
        if !right {
            surprises += 1;
            say!("pages: ", what, " at ", Hex(address), " size ", size, ": not as it should be");
        }
    };
    let text_end = &raw const PAGE_WITH_TEXT.text as u64;
    expect(
        call(Call::write, [STDOUT, text_end, TEXT_SIZE as u64]) == TEXT_SIZE as i64,
        "write",
        text_end,
        TEXT_SIZE as u64,
    );

    // These must succeed: up to the end of the program's memory, and across the border of two of its pages.
    for address in [data + PAGE - TIME, end - TIME, USER_STACK, data + PAGE / 2] {
        expect(call(Call::read, [STDIN, address, TIME]) == 0, "read", address, TIME);
    }
    expect(call(Call::read, [STDIN, data, PAGE]) == 0, "read", data, PAGE);
    expect(
        call(Call::read, [STDIN, USER_STACK, USER_END - USER_STACK]) == 0,
        "read",
        USER_STACK,
        USER_END - USER_STACK,
    );
    expect(call(Call::nanosleep, [data + PAGE - TIME, 0, 0]) == 0, "nanosleep", data + PAGE - TIME, TIME);

    // These must fail: one byte beyond the program's memory is enough.
    let outside = [
        ("into nothing", end - TIME + 1),
        ("into what follows the stack", USER_END - TIME + 1),
        ("from below the stack", USER_STACK - 1),
        ("from below the program", text - 1),
        ("from page 0", PAGE - 1),
        ("from the last page of the lower half", USER_END),
        ("into the hole", 0x0000_8000_0000_0000 - TIME + 1),
        ("into the kernel's half", 0xFFFF_8000_0000_0000 - TIME + 1),
    ];
    for (what, address) in outside {
        expect(call(Call::write, [STDOUT, address, TIME]) == -EFAULT, what, address, TIME);
        expect(call(Call::read, [STDIN, address, TIME]) == -EFAULT, what, address, TIME);
        expect(call(Call::nanosleep, [address, 0, 0]) == -EFAULT, what, address, TIME);
        expect(call(Call::clock_gettime, [CLOCK_MONOTONIC, address, 0]) == -EFAULT, what, address, TIME);
    }

    // The program may read this memory, but not write it. The bytes before the border must not change either.
    let read_only = [("code", text), ("constants", text_end)];
    for (what, address) in read_only {
        expect(call(Call::clock_gettime, [CLOCK_MONOTONIC, address, 0]) == -EFAULT, what, address, TIME);
        expect(call(Call::read, [STDIN, address, TIME]) == -EFAULT, what, address, TIME);
    }
    let last = end - 8;
    let before = peek(last);
    expect(call(Call::clock_gettime, [CLOCK_MONOTONIC, last, 0]) == -EFAULT, "half outside", last, TIME);
    expect(peek(last) == before, "what was half outside was written", last, 8);
    say!("pages: ", calls, " checks, ", surprises, " unexpected results");
    i32::from(surprises != 0)
}

fn peek(address: u64) -> u64 {
    // SAFETY: the last word of the program's last page. Volatile, because the kernel might write it.
    unsafe { (address as *const u64).read_volatile() }
}

/// A call with any arguments.
fn call(call: Call, [first, second, third]: [u64; 3]) -> i64 {
    let result;
    // SAFETY: where the kernel may write, it is `ZERO` or the unused end of the program, and only for a call that
    // should have been refused.
    unsafe {
        asm!("syscall", inlateout("rax") call as u64 => result, in("rdi") first, in("rsi") second, in("rdx") third,
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}
