//! The stubs: the only entry to the kernel and the only exit from it.
//!
//! Each trap has a stub that pushes its vector (and a 0 where the CPU pushes no error code), so that all trap frames
//! have the same form. All traps return by `iretq`: `sysret` is faster, but does not restore RCX and R11
//! and faults in ring 0 on a non-canonical RCX (AMD APM vol. 3, SYSRET; CVE-2012-0217).
//!
//! The stubs call `trap`, which is above this module: the one import in the kernel that points upwards.

use core::arch::{global_asm, naked_asm};

use abi::record::SYSCALL_VECTOR;
use abi::syscall::INT_VECTOR;

use super::trap_frame::TrapFrame;
use crate::layout::{selector, vector};

/// Bytes between two stubs.
const STUB_SIZE: u64 = 16;

global_asm!(
    r#"
    .text
    .balign {size}
    .global trap_stubs
trap_stubs:                             // vectors 0 to 32: the exceptions and the timer
    .set number, 0
    .rept 33
    .balign {size}
    .if (number == 8) || (number >= 10 && number <= 14) || (number == 17) || (number == 21) || (number == 29) || (number == 30)
    .else
    push 0
    .endif
    .byte 0x6A, number                  // push number
    jmp {common}
    .set number, number + 1
    .endr

    .balign {size}
    .global int_stub
int_stub:
    push 0
    push {int_vector}
    jmp {common}

    .balign {size}
    .global spurious_stub
spurious_stub:
    push 0
    push {spurious}
    jmp {common}

    // `syscall`: RCX is the RIP to return to, R11 the RFLAGS, and RSP is still the user's (SDM vol. 2, SYSCALL).
    // The stub builds the frame that an interrupt would have pushed. SFMASK cleared IF; an NMI has its own stack.
    .balign {size}
    .global syscall_stub
syscall_stub:
    mov [rip + user_rsp], rsp
    mov rsp, [rip + {tss} + {kernel_stack}]
    push [rip + call_ss]
    push [rip + user_rsp]
    push r11
    push [rip + call_cs]
    push rcx
    push 0
    push {syscall_vector}
    jmp {call_common}

    // #PF on a host where `syscall` arrives as one.
    .balign {size}
    .global fault_or_call_stub
fault_or_call_stub:
    push {page_fault}
    jmp {fault_or_call_common}

    // The segments of the code that makes system calls, as `syscall` does not save them.
    .section .data.call_segments, "aw"
    .balign 8
call_cs:
    .quad {user_code}
call_ss:
    .quad {user_data}
    // What the stub of `syscall` calls: while the probe runs, the handler of all traps, which knows of the probe.
call_handler:
    .quad {trap}

    .section .bss.user_rsp, "aw", @nobits
    .balign 8
user_rsp:
    .skip 8
    .text
    "#,
    size = const STUB_SIZE,
    common = sym trap_common,
    call_common = sym call_common,
    fault_or_call_common = sym fault_or_call_common,
    page_fault = const vector::PAGE_FAULT,
    trap = sym crate::trap::trap,
    int_vector = const INT_VECTOR,
    spurious = const vector::SPURIOUS,
    syscall_vector = const SYSCALL_VECTOR,
    user_data = const selector::USER_DATA,
    user_code = const selector::USER_CODE,
    tss = sym super::gdt::TSS,
    kernel_stack = const super::gdt::KERNEL_STACK,
);

unsafe extern "C" {
    static trap_stubs: u8;
    static int_stub: u8;
    static spurious_stub: u8;
    static syscall_stub: u8;
    static fault_or_call_stub: u8;
    static mut call_cs: u64;
    static mut call_ss: u64;
    static mut call_handler: u64;
}

/// The stub of an exception or of the timer.
pub fn stub(number: u8) -> u64 {
    &raw const trap_stubs as u64 + u64::from(number) * STUB_SIZE
}

/// The stub of `int 0x80`.
pub fn int() -> u64 {
    &raw const int_stub as u64
}

/// The stub of the spurious interrupt.
pub fn spurious() -> u64 {
    &raw const spurious_stub as u64
}

/// The stub of `syscall`.
pub fn syscall() -> u64 {
    &raw const syscall_stub as u64
}

/// The stub of #PF on a host where `syscall` arrives as one.
pub fn fault_or_call() -> u64 {
    &raw const fault_or_call_stub as u64
}

/// The probe is done: system calls come from ring 3 or, under the policy direct, from ring 0.
pub fn set_calls(from_ring_0: bool) {
    // SAFETY: one CPU; only the stub of `syscall` reads these, and no program runs yet.
    unsafe {
        call_handler = crate::trap::system_call as *const () as u64;
        if from_ring_0 {
            call_cs = selector::KERNEL_CODE.into();
            call_ss = selector::KERNEL_DATA.into();
        }
    }
}

/// Completes the frame (`TrapFrame` has the picture), handles the trap, returns from it.
macro_rules! common {
    ($call:literal, $handler:path) => {
        naked_asm!(
            "push rax", "push rbx", "push rcx", "push rdx", "push rsi", "push rdi", "push rbp",
            "push r8", "push r9", "push r10", "push r11", "push r12", "push r13", "push r14", "push r15",
            "cld",
            "mov rdi, rsp",
            $call,
            "jmp {trap_return}",
            handler = sym $handler,
            trap_return = sym trap_return,
        )
    };
}

#[unsafe(naked)]
unsafe extern "C" fn trap_common() {
    common!("call {handler}", crate::trap::trap)
}

#[unsafe(naked)]
unsafe extern "C" fn call_common() {
    common!("call [rip + {handler}]", call_handler)
}

#[unsafe(naked)]
unsafe extern "C" fn fault_or_call_common() {
    common!("call {handler}", crate::trap::fault_or_system_call)
}

/// Return from trap: RSP is the address of a `TrapFrame`.
#[unsafe(naked)]
unsafe extern "C" fn trap_return() {
    naked_asm!(
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rbp",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "pop rbx",
        "pop rax",
        "add rsp, 16", // vector and error code
        "iretq",
    )
}

/// A new process starts here: its kernel stack holds only a `TrapFrame`.
#[unsafe(naked)]
pub unsafe extern "C" fn first_return() {
    naked_asm!(
        "mov rdi, rsp",
        "call {started}",
        "jmp {trap_return}",
        started = sym crate::trap::started,
        trap_return = sym trap_return,
    )
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

/// Such a program calls this at exit, its status in RDI.
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

/// Enters user mode and returns at the next trap. Only the probe uses it: a process enters the kernel on its own kernel
/// stack.
///
/// # Safety
/// The address space that is loaded has user code at `rip`; [`come_back`] is called at the next trap.
#[unsafe(naked)]
pub unsafe extern "C" fn enter_user_once(rip: u64, resume: *mut u64, kernel_stack: *mut u64) {
    naked_asm!(
        "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
        "mov [rsi], rsp",
        "mov [rdx], rsp", // the trap's frame goes right below what we just pushed
        "push {user_data}",
        "push 0",
        "push {flags}",
        "push {user_code}",
        "push rdi",
        "iretq",
        user_data = const selector::USER_DATA,
        user_code = const selector::USER_CODE,
        flags = const super::cpu::rflags::FIXED,
    )
}

/// Returns from [`enter_user_once`].
///
/// # Safety
/// `resume` is what [`enter_user_once`] stored, and it has not returned yet.
#[unsafe(naked)]
pub unsafe extern "C" fn come_back(resume: u64) -> ! {
    naked_asm!("mov rsp, rdi", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx", "ret",)
}
