//! Tests of the machine with guests of a few instructions, made by hand.
//!
//! None of them enters the guest: what needs KVM is in the whole-program tests (`tests/hosts`).

use abi::boot::{KEYS, Key, Options, PREPARED_MAGIC};
use abi::record::{Policy, Timer};
use linux_loader::loader::elf::start_info::hvm_start_info;
use vm_memory::{Bytes, GuestAddress};

use super::boot::{self, BootError, Clocks, Entry, Module, Settings};
use super::layout::{self, KERNEL_LOWEST, LayoutError, MEMORY_MIN_MIB, MIB, Memory};

#[path = "../../../tests/support/handmade.rs"]
mod handmade;
use handmade::{HEADER, P_MEMSZ, P_OFFSET, P_PADDR, SEGMENT, kernel};

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
        [Module { elf: b"first", command_line: b"one 1" }, Module { elf: &[7; 5000], command_line: b"two" }];
    let (memory, entry) = load(&kernel(&[0xF4]), &modules);
    assert_eq!(entry.unwrap(), Entry { address: KERNEL_LOWEST });
    let options = Options::DEFAULT.with(Key::Batch, 7);
    boot::write_options(&memory, &options).unwrap();

    let text = |address: u64| {
        let mut bytes = [0; 32];
        memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap()).into_owned()
    };
    let info: hvm_start_info = memory.read_obj(GuestAddress(layout::START_INFO)).unwrap();
    assert_eq!((info.magic, info.version, info.nr_modules), (0x336E_C578, 1, 2));
    assert_eq!(text(info.cmdline_paddr), "batch=7");
    let word = |address| memory.read_obj::<u64>(GuestAddress(address)).unwrap();
    let module = |index: u64| [0, 8, 16].map(|at| word(info.modlist_paddr + 32 * index + at));
    let [first, second] = [module(0), module(1)];
    assert_eq!((text(first[0]), first[1], text(first[2])), ("first".into(), 5, "one 1".into()));
    assert_eq!((second[0], second[1], text(second[2])), (first[0] + layout::PAGE, 5000, "two".into()));
    assert_eq!([word(info.memmap_paddr), word(info.memmap_paddr + 8)], [0, layout::LEGACY_HOLE]);
    let prepared: Vec<u64> =
        (0..=KEYS.len() as u64).map(|index| word(layout::START_INFO + 56 + 8 * index)).collect();
    assert_eq!((prepared[0], prepared[1 + Key::Batch as usize]), (PREPARED_MAGIC, 7));
}

#[test]
fn modules_lie_behind_memory_that_the_kernel_has_but_its_file_has_not() {
    let (memory, entry) = load(&changed(P_MEMSZ, 2 * MIB), &[Module { elf: b"m", command_line: b"m" }]);
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
    let large = refused(&changed(P_MEMSZ, 64 * MIB));
    assert!(large.to_string().contains("--memory"), "{large}");
    assert!(matches!(refused(&changed(P_MEMSZ, u64::MAX)), BootError::TooHigh { .. }));
    let whole = kernel(&[0xF4]);
    for end in 0..whole.len() {
        refused(&whole[..end]);
    }
    assert!(matches!(refused(&changed(P_PADDR, 0xFFFF_FFFF_8010_0000)), BootError::Virtual { .. }));
    assert!(matches!(
        refused(&changed(P_PADDR, 0x2000_0000)),
        BootError::Layout(LayoutError::TooSmall { .. })
    ));
    assert!(matches!(refused(&changed(P_PADDR, 0x20_0000)), BootError::BadEntry { entry: KERNEL_LOWEST }));
}

#[test]
fn command_lines_that_do_not_fit_are_refused() {
    let long = "x".repeat(abi::boot::MODULE_COMMAND_LINE_MAX + 1);
    let modules = [Module { elf: b"m", command_line: long.as_bytes() }];
    assert!(matches!(load(&kernel(&[0xF4]), &modules).1, Err(BootError::CommandLineTooLong(_))));
    let many = vec![Module { elf: b"m", command_line: b"m" }; abi::boot::PROCESSES_MAX + 1];
    assert!(matches!(load(&kernel(&[0xF4]), &many).1, Err(BootError::TooManyModules { .. })));
}

#[test]
fn the_command_line_says_the_options() {
    let settings = Settings {
        policy: Policy::Cooperative,
        quantum_us: 1000,
        timer: Timer::OneShot,
        batch: 1,
        stack_mib: 9,
    };
    let clocks = Clocks { tsc_khz: 2, apic_khz: 3, epoch_ns: 4 };
    let options = boot::options(&settings, &clocks, (Key::Zeroed, 1));
    let text = boot::command_line(&options);
    assert_eq!(
        text,
        "policy=cooperative quantum_us=1000 timer=oneshot batch=1 tsc_khz=2 apic_khz=3 epoch_ns=4 zeroed=1 stack_mib=9"
    );
    assert_eq!(Options::parse(text.as_bytes()), Some(options));
}
