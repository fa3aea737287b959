//! Tests of the machine with guests of a few instructions, made by hand.
//!
//! Those that enter a guest need KVM and are ignored by default: `cargo test -- --include-ignored` runs them.

use std::time::Duration;

use abi::record::{Ending, HostCounter, Kind, Stop};
use elf::abi::{ET_EXEC, PT_LOAD, PT_NOTE};
use linux_loader::loader::elf::start_info::hvm_start_info;
use vm_memory::{Bytes, GuestAddress};

use super::boot::{self, BootError, Clocks, Entry, Module, Settings};
use super::bus::{Bus, Device, End, Flow};
use super::layout::{self, KERNEL_LOWEST, LayoutError, MEMORY_MIN_MIB, MIB, Memory};
use super::run::{self, Outcome};
use super::vcpu::Vm;
use super::{host, kick};

const HEADER: usize = 64;
const SEGMENT: usize = 56;
const NOTE: usize = 20;
/// Offset of the loaded segment's header and of the fields that tests change.
const P_OFFSET: usize = HEADER + 8;
const P_PADDR: usize = HEADER + 24;
const P_MEMSZ: usize = HEADER + 40;

/// An ELF file of `code` with a PVH note, loaded and entered at [`KERNEL_LOWEST`].
fn kernel(code: &[u8]) -> Vec<u8> {
    let note = HEADER + 2 * SEGMENT;
    let text = note + NOTE;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(ET_EXEC.to_le_bytes());
    file.extend(elf::abi::EM_X86_64.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend([KERNEL_LOWEST, HEADER as u64, 0].map(u64::to_le_bytes).as_flattened());
    file.extend(0_u32.to_le_bytes());
    file.extend([HEADER as u16, SEGMENT as u16, 2, 0, 0, 0].map(u16::to_le_bytes).as_flattened());
    for (kind, offset, size) in [(PT_LOAD, text, code.len()), (PT_NOTE, note, NOTE)] {
        file.extend([kind, elf::abi::PF_R].map(u32::to_le_bytes).as_flattened());
        let words = [offset as u64, KERNEL_LOWEST, KERNEL_LOWEST, size as u64, size as u64, 1];
        file.extend(words.map(u64::to_le_bytes).as_flattened());
    }
    file.extend([4, 4, 18_u32].map(u32::to_le_bytes).as_flattened());
    file.extend(b"Xen\0");
    file.extend((KERNEL_LOWEST as u32).to_le_bytes());
    file.extend(code);
    file
}

fn load(kernel: &[u8], modules: &[Module]) -> (Memory, Result<Entry, BootError>) {
    let memory = layout::reserve(MEMORY_MIN_MIB).unwrap();
    let entry = boot::load(&memory, kernel, modules);
    (memory, entry)
}

fn changed(at: usize, value: u64) -> Vec<u8> {
    let mut file = kernel(&[0xF4]);
    file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    file
}

#[test]
fn the_start_info_leads_to_everything() {
    let modules =
        [Module { elf: b"first", command_line: "one 1" }, Module { elf: &[7; 5000], command_line: "two" }];
    let (memory, entry) = load(&kernel(&[0xF4]), &modules);
    assert_eq!(entry.unwrap(), Entry { address: KERNEL_LOWEST });
    boot::write_command_line(&memory, "key=value").unwrap();

    let text = |address: u64| {
        let mut bytes = [0; 32];
        memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap()).into_owned()
    };
    let info: hvm_start_info = memory.read_obj(GuestAddress(layout::START_INFO)).unwrap();
    assert_eq!((info.magic, info.version, info.nr_modules), (0x336E_C578, 1, 2));
    assert_eq!(text(info.cmdline_paddr), "key=value");
    let word = |address| memory.read_obj::<u64>(GuestAddress(address)).unwrap();
    let module = |index: u64| [0, 8, 16].map(|at| word(info.modlist_paddr + 32 * index + at));
    let [first, second] = [module(0), module(1)];
    assert_eq!((text(first[0]), first[1], text(first[2])), ("first".into(), 5, "one 1".into()));
    assert_eq!((second[0], second[1], text(second[2])), (first[0] + layout::PAGE, 5000, "two".into()));
    assert_eq!([word(info.memmap_paddr), word(info.memmap_paddr + 8)], [0, layout::LEGACY_HOLE]);
}

#[test]
fn modules_lie_behind_memory_that_the_kernel_has_but_its_file_has_not() {
    let (memory, entry) = load(&changed(P_MEMSZ, 2 * MIB), &[Module { elf: b"m", command_line: "m" }]);
    entry.unwrap();
    let address: u64 = memory.read_obj(GuestAddress(layout::MODULE_LIST)).unwrap();
    assert_eq!(address, KERNEL_LOWEST + 2 * MIB);
}

#[test]
fn a_kernel_that_cannot_boot_is_refused() {
    let refused = |file: &[u8]| load(file, &[]).1.unwrap_err();
    let mut without_note = kernel(&[0xF4]);
    without_note[HEADER + SEGMENT] = 0;
    assert!(matches!(refused(&without_note), BootError::NoPvhNote));
    assert!(matches!(refused(b"no kernel"), BootError::NotElf(_)));
    assert!(matches!(refused(&changed(P_PADDR, 4096)), BootError::TooLow { address: 4096 }));
    assert!(matches!(refused(&changed(P_OFFSET, u64::MAX)), BootError::CutShort { .. }));
    let large = refused(&changed(P_MEMSZ, u64::MAX));
    assert!(matches!(large, BootError::Layout(LayoutError::TooSmall { .. })), "{large}");
    let whole = kernel(&[0xF4]);
    for end in 0..whole.len() {
        refused(&whole[..end]);
    }
}

#[test]
fn command_lines_that_do_not_fit_are_refused() {
    let long = "x".repeat(abi::boot::MODULE_COMMAND_LINE_MAX + 1);
    let modules = [Module { elf: b"m", command_line: &long }];
    assert!(matches!(load(&kernel(&[0xF4]), &modules).1, Err(BootError::CommandLineTooLong(_))));
    let many = vec![Module { elf: b"m", command_line: "m" }; abi::boot::PROCESSES_MAX + 1];
    assert!(matches!(load(&kernel(&[0xF4]), &many).1, Err(BootError::TooManyModules { .. })));
}

#[test]
fn the_command_line_has_each_key_of_the_contract_once() {
    let settings = Settings { policy: "rr".into(), quantum_us: 1000, timer: "periodic".into(), batch: 1 };
    let clocks = Clocks { tsc_khz: 2, apic_khz: 3, epoch_ns: 4 };
    assert_eq!(
        boot::command_line(&settings, &clocks),
        "policy=rr quantum_us=1000 timer=periodic batch=1 tsc_khz=2 apic_khz=3 epoch_ns=4"
    );
}

/// A device that keeps what it is told, answers reads, and ends the run at the exit port.
#[derive(Default)]
struct Witness(Vec<(u16, u8, u32)>);

impl Device for Witness {
    fn read(&mut self, _port: u16, _size: u8) -> Option<u32> {
        Some(0x1234_5678)
    }
    fn write(&mut self, port: u16, size: u8, value: u32) -> Flow {
        self.0.push((port, size, value));
        match port {
            abi::ports::EXIT => {
                Flow::End(End { ending: Ending::Exited, status: value.into(), message: None })
            }
            _ => Flow::Continue,
        }
    }
}

/// Runs `code`, 32-bit and without paging, for at most a second.
fn run(code: &[u8]) -> (Outcome, Witness) {
    let _turn = kick::TURN.lock();
    let (memory, entry) = load(&kernel(code), &[]);
    let mut vm = Vm::new(&host::open().unwrap(), memory).unwrap();
    vm.vcpu.prepare(entry.unwrap()).unwrap();
    let clock = vm.vcpu.clock(vm.vcpu.tsc_khz().unwrap()).unwrap();
    let mut witness = Witness::default();
    let mut bus = Bus::new();
    bus.attach(abi::ports::WINDOW..=abi::ports::WINDOW + abi::ports::WINDOW_SIZE - 1, &mut witness);
    let _watch = kick::Watch::start(Some(Duration::from_secs(1))).unwrap();
    let outcome = run::run(&mut vm, &mut bus, &clock);
    (outcome, witness)
}

fn count(outcome: &Outcome, counter: HostCounter) -> Option<u64> {
    let found = outcome.records.iter().find(|r| r.kind == Kind::HostCount && r.detail == counter as u32);
    found.map(|record| record.words[0])
}

/// `mov edx, EXIT; mov eax, ebx; out dx, eax`: ends with EBX, which PVH sets to the start info.
const EXIT_WITH_EBX: [u8; 8] = [0xBA, 0x08, 0x05, 0, 0, 0x89, 0xD8, 0xEF];

#[test]
#[ignore = "needs KVM"]
fn the_kernel_starts_with_ebx_at_the_start_info() {
    let (outcome, _) = run(&EXIT_WITH_EBX);
    assert_eq!(outcome.end, End { ending: Ending::Exited, status: layout::START_INFO, message: None });
    assert_eq!(outcome.registers.rbx, layout::START_INFO, "registers came along without an ioctl");
}

#[test]
#[ignore = "needs KVM"]
fn devices_see_the_size_of_each_access() {
    // mov edx, 0x500; mov eax, 0x11223344; out dx, al; out dx, ax; out dx, eax
    let mut code = vec![0xBA, 0x00, 0x05, 0, 0, 0xB8, 0x44, 0x33, 0x22, 0x11, 0xEE, 0x66, 0xEF, 0xEF];
    // in eax, dx; out dx, eax
    code.extend([0xED, 0xEF]);
    // out 0x80, al; out 0x80, al; in al, 0x80: nobody's port
    code.extend([0xE6, 0x80, 0xE6, 0x80, 0xE4, 0x80]);
    code.extend(EXIT_WITH_EBX);
    let (outcome, witness) = run(&code);
    let seen = &witness.0[..4];
    assert_eq!(
        seen,
        [(0x500, 1, 0x44), (0x500, 2, 0x3344), (0x500, 4, 0x1122_3344), (0x500, 4, 0x1234_5678)]
    );
    assert_eq!(count(&outcome, HostCounter::UnownedWrites), Some(2));
    assert_eq!(count(&outcome, HostCounter::UnownedReads), Some(1));
}

#[test]
#[ignore = "needs KVM"]
fn memory_that_is_not_there_reads_as_ones_and_is_counted() {
    // mov ebx, [0xD0000000]; then exit with it
    let mut code = vec![0x8B, 0x1D, 0, 0, 0, 0xD0];
    code.extend(EXIT_WITH_EBX);
    let (outcome, _) = run(&code);
    assert_eq!(outcome.end.status, u64::from(u32::MAX));
    assert_eq!(count(&outcome, HostCounter::Mmio), Some(1));
}

#[test]
#[ignore = "needs KVM"]
fn a_triple_fault_is_told_as_such() {
    // lidt [0], an empty table of page 0; ud2
    let (outcome, _) = run(&[0x0F, 0x01, 0x1D, 0, 0, 0, 0, 0x0F, 0x0B]);
    assert_eq!(outcome.end.ending, Ending::TripleFault);
}

#[test]
#[ignore = "needs KVM"]
fn a_guest_that_spins_with_interrupts_off_is_stopped() {
    // cli; jmp $
    let (outcome, _) = run(&[0xFA, 0xEB, 0xFE]);
    assert_eq!((outcome.end.ending, outcome.stop), (Ending::Stopped, Some(Stop::TimeOut)));
    assert_eq!(outcome.registers.rip, KERNEL_LOWEST + 1);
    assert_eq!(outcome.records[0].kind, Kind::HostStop);
    assert_eq!(count(&outcome, HostCounter::Kicks), Some(1));
}

#[test]
#[ignore = "needs KVM"]
fn a_guest_that_halts_for_ever_is_stopped() {
    // cli; hlt; jmp back to the hlt
    let (outcome, _) = run(&[0xFA, 0xF4, 0xEB, 0xFD]);
    assert_eq!((outcome.end.ending, outcome.stop), (Ending::Stopped, Some(Stop::TimeOut)));
}
