//! The stubs: the only entry to the kernel and the only exit from it.
//!
//! Each trap has a stub that pushes its vector (and a 0 where the CPU pushes no error code), so that all trap frames
//! have the same form. All traps return by `iretq`: `sysret` is faster, but does not restore RCX and R11
//! and faults in ring 0 on a non-canonical RCX (AMD APM vol. 3, SYSRET; CVE-2012-0217).
//!
//! The stubs call the handlers in `trap`, which is above this module: the one import in the kernel that points upwards.

use core::arch::{global_asm, naked_asm};

use abi::record::SYSCALL_VECTOR;
use abi::syscall::INT_VECTOR;

use super::cpu::rflags;
use super::trap_frame::TrapFrame;
use crate::cell::Local;
use crate::layout::{TEXT, USER_END, selector, vector};

/// Bytes between two stubs.
const STUB_SIZE: u64 = 16;
/// The stubs after those of the vectors 0 to 31, in this order.
pub const TIMER: u64 = 32;
pub const INPUT: u64 = 33;
pub const INT: u64 = 34;
pub const SPURIOUS: u64 = 35;
const SYSCALL: u64 = 36;

global_asm!(
    r#"
    // Completes the frame (`TrapFrame` has the picture), handles the trap, returns from it.
    .macro handle handler:vararg
    push rax; push rbx; push rcx; push rdx; push rsi; push rdi; push rbp
    push r8; push r9; push r10; push r11; push r12; push r13; push r14; push r15
    cld
    mov rdi, rsp
    call \handler
    return_from_trap
    .endm

    // RSP is the address of a `TrapFrame`.
    .macro return_from_trap
    pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8
    pop rbp; pop rdi; pop rsi; pop rdx; pop rcx; pop rbx; pop rax
    add rsp, 16                         // vector and error code
    iretq
    .endm

    .section .text.stubs, "ax"
    .global trap_stubs
trap_stubs:
    .set number, 0
    .rept 32
    .balign {size}
    .if (number == 8) || (number >= 10 && number <= 14) || (number == 17) || (number == 21) || (number == 29) || (number == 30)
    .else
    push 0
    .endif
    .byte 0x6A, number                  // push number
    jmp any_trap
    .set number, number + 1
    .endr

    .balign {size}
    push 0
    push {timer}
    jmp timer_interrupt_common

    .balign {size}
    push 0
    push {input}
    jmp any_trap

    .balign {size}
    push 0
    push {int}
    jmp any_trap

    .balign {size}
spurious_stub:
    push 0
    push {spurious}
    jmp any_trap

    // `syscall`: RCX is the RIP to return to, R11 the RFLAGS, and RSP is still the user's (SDM vol. 2, SYSCALL).
    // The stub builds the frame that an interrupt would have pushed. SFMASK cleared IF; an NMI has its own stack.
    .balign {size}
syscall_stub:
    mov [rip + user_rsp], rsp
    mov rsp, [rip + {tss} + {kernel_stack}]
    push [rip + call_ss]
    push [rip + user_rsp]
    push r11
    push [rip + call_cs]
    push rcx
    push 0
    push {syscall}
    jmp [rip + {ways} + 8]
call_entry:
    handle {system_call}

    // #PF on a host where `syscall` arrives as one, at LSTAR. A fault there can only be the one by which `syscall` arrives, or
    // a jump of a process to that address. With a jump anything may be in RCX and R11: if RCX is not a user address, it is
    // handled as a fault, and of R11 only the flags that user mode may set are used. (The RFLAGS that the fault pushed lack
    // the flags that the host's own SFMASK clears.)
    .balign {size}
fault_or_call_stub:
    cmp qword ptr [rsp + 8], offset syscall_stub
    jne 2f
    cmp rcx, [rip + user_end]
    jae 2f
    mov [rsp + 8], rcx
    and r11d, {user_flags}
    or r11d, {fixed_flags}
    mov [rsp + 24], r11
    push {syscall}
    handle {call_by_fault}
2:  push {page_fault}

any_trap:
    jmp [rip + {ways}]
trap_entry:
    handle {trap}
timer_interrupt_common:
    handle {timer_interrupt}

    // A new process starts here: its kernel stack holds only a `TrapFrame`.
first_return:
    mov rdi, rsp
    call {started}
    return_from_trap

    // The segments of the code that makes system calls, as `syscall` does not save them.
    .section .data.call_segments, "aw"
    .balign 8
call_cs:
    .quad {user_code}
call_ss:
    .quad {user_data}
    // RSP of a process that makes a call, while its frame is built.
user_rsp:
    .quad 0
user_end:
    .quad {user_end}
    .text
    "#,
    size = const STUB_SIZE,
    ways = sym WAYS,
    trap = sym crate::trap::trap,
    system_call = sym crate::trap::system_call,
    timer_interrupt = sym crate::trap::timer_interrupt,
    call_by_fault = sym crate::trap::system_call_by_fault,
    started = sym crate::trap::started,
    page_fault = const vector::PAGE_FAULT,
    timer = const vector::TIMER,
    input = const vector::INPUT,
    int = const INT_VECTOR,
    spurious = const vector::SPURIOUS,
    syscall = const SYSCALL_VECTOR,
    user_data = const selector::USER_DATA,
    user_code = const selector::USER_CODE,
    user_end = const USER_END,
    user_flags = const rflags::USER,
    fixed_flags = const rflags::IF | rflags::FIXED,
    tss = sym super::gdt::TSS,
    kernel_stack = const super::gdt::KERNEL_STACK,
);

unsafe extern "C" {
    /// The stub of #PF on a host where `syscall` arrives as one.
    pub static fault_or_call_stub: u8;
    /// A new process starts here: its kernel stack holds only a `TrapFrame`.
    pub fn first_return();
    /// CS and SS.
    static mut call_cs: [u64; 2];
    fn trap_entry();
    fn call_entry();
}

/// Where the stubs continue: that of `syscall` at the second address, those without a handler of their own at the first. The
/// probe leads both to itself while it runs.
pub static WAYS: Local<[unsafe extern "C" fn(); 2]> = Local::new([trap_entry, call_entry]);

/// The address of a stub: of an exception by its vector, or one of the others by its number above. `kernel.ld` puts the first
/// where the kernel's text starts, so that the trap table is a constant.
pub const fn stub(number: u64) -> u64 {
    TEXT + number * STUB_SIZE
}

/// What LSTAR has: the stub of `syscall`.
pub const SYSCALL_STUB: u64 = stub(SYSCALL);

/// The policy is direct: system calls come from ring 0.
pub fn set_calls_from_ring_0() {
    // SAFETY: one CPU; only the stub of `syscall` reads these, and no program runs yet.
    unsafe { call_cs = [selector::KERNEL_CODE, selector::KERNEL_DATA].map(u64::from) }
}

/// A new process starts here under the policy direct: the kernel calls the program in ring 0, on the program's own stack,
/// with clear registers, as in the book's first figure. RDX is the address of the function that the program calls at
/// exit (System V ABI, AMD64, 3.4.1).
#[unsafe(naked)]
pub unsafe extern "C" fn direct_call() {
    naked_asm!(
        "mov rdi, rsp",
        "call {called}",
        "mov rax, [rsp + {rip}]",
        "mov rsp, [rsp + {rsp}]",
        "lea rdx, [rip + {direct_return}]",
        "xor edi, edi",
        "xor esi, esi",
        "xor ebp, ebp",
        "jmp rax",
        called = sym crate::trap::called,
        direct_return = sym direct_return,
        rip = const core::mem::offset_of!(TrapFrame, rip),
        rsp = const core::mem::offset_of!(TrapFrame, rsp),
    )
}

/// Such a program calls this at exit, with its status in RDI.
#[unsafe(naked)]
unsafe extern "C" fn direct_return() {
    naked_asm!(
        "mov rsp, [rip + {tss} + {kernel_stack}]",
        "call {returned}",
        tss = sym super::gdt::TSS,
        kernel_stack = const super::gdt::KERNEL_STACK,
        returned = sym crate::trap::returned,
    )
}
