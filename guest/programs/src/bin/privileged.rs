//! Tries every privileged instruction in turn, survives each fault, and reports how the CPU refused the instruction.

#![no_std]
#![no_main]

use core::arch::{naked_asm, x86_64::__cpuid_count};

use user::fault::{self, Code, attempt};
use user::{Args, program, say};

program!(main);

const INVALID_OPCODE: u64 = 6;
const GENERAL_PROTECTION: u64 = 13;
/// RFLAGS.IF: interrupts are on.
const INTERRUPTS_ON: u64 = 1 << 9;
/// RFLAGS.IOPL: which rings may use ports.
const IOPL: u64 = 3 << 12;

/// Tables of the instructions of a group: a name each, and the code that has just it and a return.
macro_rules! instructions {
    ($($name:literal: $($code:literal),+;)+) => {
        [$(($name, {
            #[unsafe(naked)]
            unsafe extern "C" fn code(_: u64) {
                naked_asm!($($code,)+ "ret")
            }
            code as Code
        }),)+]
    };
}

fn main(_: Args) -> i32 {
    let mut allowed = refused_in_user_mode();
    allowed += u64::from(!flags_are_kept());
    table_addresses();
    say!("privileged: ", allowed, " were allowed");
    i32::from(allowed != 0)
}

/// Tries what is never allowed in user mode (SDM volume 3, 5.9, and what a gate or a descriptor refuses); returns how
/// many were allowed.
fn refused_in_user_mode() -> u64 {
    // RSP serves as the address where an instruction takes one: no instruction gets as far as reading it.
    let instructions = instructions! {
        "hlt": "hlt";
        "cli": "cli";
        "sti": "sti";
        "lgdt": "lgdt [rsp]";
        "lidt": "lidt [rsp]";
        "lldt": "xor eax, eax", "lldt ax";
        "ltr": "mov eax, 0x28", "ltr ax";
        "lmsw": "mov eax, 1", "lmsw ax";
        "clts": "clts";
        "mov from cr0": "mov rax, cr0";
        "mov to cr0": "xor eax, eax", "mov cr0, rax";
        "mov from cr2": "mov rax, cr2";
        "mov to cr2": "mov cr2, rax";
        "mov from cr3": "mov rax, cr3";
        "mov to cr3": "xor eax, eax", "mov cr3, rax";
        "mov from cr4": "mov rax, cr4";
        "mov to cr4": "xor eax, eax", "mov cr4, rax";
        "mov from cr8": "mov rax, cr8";
        "mov to cr8": "mov eax, 15", "mov cr8, rax";
        "mov from dr7": "mov rax, dr7";
        "mov to dr0": "xor eax, eax", "mov dr0, rax";
        "invd": "invd";
        "wbinvd": "wbinvd";
        "invlpg": "invlpg [rsp]";
        "rdmsr": "mov ecx, 0xC0000082", "rdmsr";
        "wrmsr": "mov ecx, 0xC0000082", "xor eax, eax", "xor edx, edx", "wrmsr";
        "rdpmc": "xor ecx, ecx", "rdpmc";
        "xsetbv": "xor ecx, ecx", "mov eax, 1", "xor edx, edx", "xsetbv";
        "swapgs": "swapgs";
        "sysret": "lea rcx, [rip + 2f]", "mov r11, 0x202", "sysretq", "2:";
        "in from port 0x500": "mov edx, 0x500", "in eax, dx";
        "out to port 0x508": "mov edx, 0x508", "xor eax, eax", "out dx, eax";
        "int 0x20, the timer's gate": "int 0x20";
        "int 14, the page fault's gate": "int 14";
        "iretq to ring 0":
            "mov rax, rsp", "push 0x10", "push rax", "pushfq", "push 0x08", "lea rcx, [rip + 2f]", "push rcx", "iretq", "2:";
        "far call to ring 0":
            "mov dword ptr [rsp - 16], 0", "mov dword ptr [rsp - 12], 0x08", "call fword ptr [rsp - 16]";
        "far return to ring 0": "lea rax, [rip + 2f]", "push 0x08", "push rax", "retfq", "2:";
        "mov ss, the kernel's data": "mov eax, 0x10", "mov ss, eax";
        "mov ds, the kernel's data": "mov eax, 0x10", "mov ds, eax";
    };
    instructions.into_iter().filter(|&(name, code)| !refused(name, code)).count() as u64
}

fn refused(name: &str, code: Code) -> bool {
    // SAFETY: each is an instruction that ends in a fault, and a return if it does not.
    match unsafe { attempt(code, 0) } {
        Some(fault) if matches!(fault.vector, GENERAL_PROTECTION | INVALID_OPCODE) => {
            say!("privileged: ", name, ": ", fault::name(fault.vector));
            true
        }
        Some(fault) => {
            say!("privileged: ", name, ": ", fault::name(fault.vector), ", which is no refusal");
            false
        }
        None => {
            say!("privileged: ", name, ": ALLOWED");
            false
        }
    }
}

/// `popf` does not trap: in user mode it does not change IF and IOPL (SDM volume 2, POPF).
fn flags_are_kept() -> bool {
    let before = flags(0);
    let after = flags(INTERRUPTS_ON | IOPL);
    let kept = (before ^ after) & (INTERRUPTS_ON | IOPL) == 0 && before & INTERRUPTS_ON != 0;
    say!("privileged: popf of IF and IOPL: ", if kept { "ignored" } else { "ALLOWED" });
    kept
}

/// Inverts the given flags, and returns all flags afterwards.
#[unsafe(naked)]
extern "C" fn flags(turned: u64) -> u64 {
    naked_asm!("pushfq", "xor [rsp], rdi", "popfq", "pushfq", "pop rax", "ret")
}

/// The addresses of the kernel's tables: only a CPU with UMIP keeps them from user mode (SDM volume 3, 2.5).
fn table_addresses() {
    const UMIP: u32 = 1 << 2;
    let instructions = instructions! {
        "sgdt": "sgdt [rsp - 16]";
        "sidt": "sidt [rsp - 16]";
        "sldt": "sldt eax";
        "str": "str eax";
        "smsw": "smsw eax";
    };
    let umip = __cpuid_count(7, 0).ecx & UMIP != 0;
    for (name, code) in instructions {
        // SAFETY: they write below the stack pointer, in the red zone, or RAX.
        match unsafe { attempt(code, 0) } {
            Some(fault) => say!("privileged: ", name, ": ", fault::name(fault.vector)),
            None if umip => say!("privileged: ", name, ": allowed, though CPUID has UMIP"),
            None => say!("privileged: ", name, ": allowed, for the CPU has no UMIP"),
        }
    }
}
