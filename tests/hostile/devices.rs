//! Kernels that misuse what KVM or QEMU emulates besides the CPU's instructions: the local APIC and its interrupts, MSRs and
//! hypercalls for guests of KVM, debug registers, task switches, old modes, and the ports and memory of a PC.

use iced_x86::IcedError;
use iced_x86::code_asm::*;

use abi::ports::{CONSOLE, DOORBELL};
use trace::Damage;

use crate::kernels::{APIC, BUFFER, CAPACITY, DATA, HALTED, LIMIT, PAGE, Write};
use crate::kernels::{attach, attach_at, exit, forever, out, record, ring, run, store, tables};
use crate::support::{Suite, TestResult, ensure};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite.kvm("devices::kernels_that_misuse_them_harm_nothing", || misuse(&[])).tools(
        &["qemu-system-x86_64"],
        "devices::kernels_that_misuse_them_harm_nothing_in_qemu",
        || misuse(&["--accel", "qemu"]),
    )
}

/// The interrupt command of the local APIC, to the CPU itself (SDM vol. 3, 12.6.1).
const COMMAND: u32 = APIC + 0x300;
const TO_ITSELF: u32 = 1 << 18;

/// Each kernel ends in any way, or is stopped. The host ends calmly, and the trace can be read.
fn misuse(options: &[&str]) -> TestResult {
    let codes = [0, 1, 32, 33, 34, 36, HALTED, LIMIT];
    for (name, write) in KERNELS {
        let options = [options, &["--timeout", "1s", "--max-output", "1M"]].concat();
        let (_, trace) = run(name, write, &codes, &options)?;
        // What KVM writes into the buffer can count lost records.
        let is_whole = trace.damage().iter().all(|damage| matches!(damage, Damage::LostByGuest { .. }));
        ensure(is_whole, || format!("{name}: {:?}", trace.damage()))?;
    }
    Ok(())
}

const KERNELS: [(&str, Write); 14] = [
    ("an INIT to the CPU itself", |a| {
        store(a, APIC + 0x310, 0)?;
        store(a, COMMAND, 0x4500)?;
        forever(a, |a| a.nop())
    }),
    ("NMIs without end", |a| {
        tables(a, |a| {
            store(a, COMMAND, TO_ITSELF | 0x400)?;
            a.iretd()
        })?;
        store(a, COMMAND, TO_ITSELF | 0x400)?;
        a.cli()?;
        forever(a, |a| a.hlt())
    }),
    ("interrupts of every vector, triggered by level", |a| {
        tables(a, |a| {
            store(a, APIC + 0xB0, 0)?;
            a.iretd()
        })?;
        store(a, APIC + 0xF0, 0x1FF)?;
        a.sti()?;
        for vector in (0..256).step_by(5) {
            store(a, COMMAND, TO_ITSELF | 1 << 15 | 1 << 14 | vector)?;
        }
        exit(a)
    }),
    ("an APIC that is moved into the buffer, switched on and off", |a| {
        attach(a, CAPACITY)?;
        skipping(a, 2)?;
        for base in [BUFFER | 1 << 11, BUFFER | 3 << 10, 3 << 10, 0, u32::MAX, APIC | 1 << 11, APIC] {
            wrmsr(a, 0x1B, base)?;
            store(a, APIC + 0x380, 1)?;
        }
        a.sti()?;
        a.hlt()
    }),
    ("deadlines that are over", |a| {
        tables(a, |a| {
            store(a, APIC + 0xB0, 0)?;
            wrmsr(a, 0x6E0, 1)?;
            a.iretd()
        })?;
        store(a, APIC + 0xF0, 0x1FF)?;
        store(a, APIC + 0x320, 2 << 17 | 32)?;
        a.sti()?;
        forever(a, |a| wrmsr(a, 0x6E0, 1))
    }),
    ("pages that KVM writes, placed in the buffer", |a| {
        attach(a, CAPACITY)?;
        skipping(a, 2)?;
        for msr in [0x11, 0x12].into_iter().chain(0x4B56_4D00..0x4B56_4D08) {
            for to in [BUFFER, BUFFER + PAGE - 4, 0xD000_0000, u32::MAX - 62] {
                wrmsr(a, msr, to | 1)?;
            }
        }
        let at = record(a, 0, 1, (abi::record::Kind::Tick as u8, 0, 1), &[])?;
        ring(a, at, 1)?;
        exit(a)
    }),
    ("hypercalls", |a| {
        skipping(a, 3)?;
        for number in 0..14 {
            a.mov(eax, number)?;
            for register in [ebx, ecx, edx, esi] {
                a.mov(register, BUFFER + 1)?;
            }
            a.vmcall()?;
        }
        exit(a)
    }),
    ("breakpoints at the doorbell, and single steps", |a| {
        tables(a, |a| a.iretd())?;
        a.mov(eax, cr4)?;
        // Breakpoints of ports (DE); 4 bytes at the port of DR0 (SDM vol. 3, 18.2.4).
        a.or(eax, 8)?;
        a.mov(cr4, eax)?;
        a.mov(eax, u32::from(DOORBELL))?;
        a.mov(dr0, eax)?;
        a.mov(eax, 0xE_0703)?;
        a.mov(dr7, eax)?;
        a.pushfd()?;
        a.or(dword_ptr(esp), 1 << 8)?;
        a.popfd()?;
        forever(a, |a| out(a, CONSOLE, 0x2E))
    }),
    ("a switch to a task without a state", |a| {
        tables(a, |a| a.ud2())?;
        // The fourth descriptor: a free task state segment of 104 bytes (SDM vol. 3, 9.2.2).
        store(a, DATA + 24, (DATA & 0xFFFF) << 16 | 103)?;
        store(a, DATA + 28, 0x8900 | DATA >> 16)?;
        store(a, DATA + 2 * PAGE, 31 | (DATA & 0xFFFF) << 16)?;
        store(a, DATA + 2 * PAGE + 4, DATA >> 16)?;
        a.lgdt(fword_ptr(DATA + 2 * PAGE))?;
        a.mov(eax, 24)?;
        a.ltr(ax)?;
        // jmp 24:0
        a.db(&[0xEA, 0, 0, 0, 0, 24, 0])
    }),
    ("real mode, and interrupts there", |a| {
        a.mov(eax, cr0)?;
        a.and(eax, !1)?;
        a.mov(cr0, eax)?;
        a.int(0x10)?;
        a.sti()?;
        a.db(&[0xEA, 0, 0, 0, 0, 0xFF, 0xFF])
    }),
    ("strings without end to console and doorbell", |a| {
        attach(a, CAPACITY)?;
        for port in [CONSOLE, DOORBELL] {
            a.mov(edx, u32::from(port))?;
            a.mov(esi, BUFFER)?;
            a.mov(ecx, u32::MAX)?;
            a.rep().outsb()?;
        }
        exit(a)
    }),
    ("a buffer over the trap table, and a fault", |a| {
        tables(a, |a| a.ud2())?;
        attach_at(a, DATA + PAGE, CAPACITY)?;
        ring(a, 24, 1)?;
        a.ud2()
    }),
    ("every bit of the control registers", |a| {
        skipping(a, 3)?;
        for bit in 0..32 {
            for register in [cr4, cr0] {
                a.mov(ebx, register)?;
                a.mov(eax, ebx)?;
                a.xor(eax, (1_u32 << bit) as i32)?;
                a.mov(register, eax)?;
                a.mov(register, ebx)?;
            }
        }
        exit(a)
    }),
    ("ports and memory of a PC: resets, power, interrupt controllers, timers, PCI, QEMU's own", |a| {
        for port in [
            0x20, 0x21, 0x40, 0x43, 0x61, 0x70, 0x71, 0x80, 0xA0, 0xCF8, 0xCFC, 0x3F8, 0x510, 0x511, 0x514,
            0x518, 0x600, 0x604, 0xB004, 0x1F0, 0x92, 0x60, 0x64, 0xCF9,
        ] {
            for value in [0, 0x2000, BUFFER.swap_bytes(), 0xFE, u32::MAX] {
                out(a, port, value)?;
                a.out(dx, al)?;
                a.in_(eax, dx)?;
            }
        }
        // The interrupt controller, the high-precision timer, and the devices of QEMU's microvm.
        for address in [0xFEC0_0000_u32, 0xFEC0_0010, 0xFED0_0000, 0xFEB0_0000, 0xFEB0_0070, 0xFFFF_FFF0] {
            store(a, address, u32::MAX)?;
            a.mov(eax, dword_ptr(address))?;
        }
        exit(a)
    }),
];

/// Loads a trap table whose handler skips an instruction of `bytes`.
fn skipping(a: &mut CodeAssembler, bytes: u32) -> Result<(), IcedError> {
    match bytes {
        2 => tables(a, |a| skip(a, 2)),
        _ => tables(a, |a| skip(a, 3)),
    }
}

/// A handler that skips the instruction, also after a fault that has an error code. It does not use `iret`, which some KVM
/// back ends do not emulate here.
fn skip(a: &mut CodeAssembler, bytes: i32) -> Result<(), IcedError> {
    let mut without_code = a.create_label();
    a.mov(eax, dword_ptr(esp))?;
    // An error code is smaller than the address of any code.
    a.cmp(eax, 0x1_0000)?;
    a.jae(without_code)?;
    a.mov(eax, dword_ptr(esp + 4))?;
    a.set_label(&mut without_code)?;
    a.mov(esp, DATA)?;
    a.add(eax, bytes)?;
    a.jmp(eax)
}

fn wrmsr(a: &mut CodeAssembler, msr: u32, low: u32) -> Result<(), IcedError> {
    a.mov(ecx, msr)?;
    a.mov(eax, low)?;
    a.xor(edx, edx)?;
    a.wrmsr()
}
