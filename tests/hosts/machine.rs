//! The machine with guests of a few instructions: what the run loop makes of each exit of KVM.

use std::ops::RangeInclusive;
use std::time::Duration;

use abi::record::{Ending, HostCounter, Kind, Stop};
use trapline::machine::bus::{Bus, Device, End, Flow};
use trapline::machine::layout::{self, MEMORY_MIN_MIB};
use trapline::machine::run::{self, Ended};
use trapline::machine::vcpu::Vm;
use trapline::machine::{boot, host, kick};

use crate::handmade;
use crate::support::{Suite, TestResult};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .kvm("the_kernel_starts_with_ebx_at_the_start_info", the_kernel_starts_with_ebx_at_the_start_info)
        .kvm("devices_see_the_size_of_each_access", devices_see_the_size_of_each_access)
        .kvm(
            "memory_that_is_not_there_reads_as_ones_and_is_counted",
            memory_that_is_not_there_reads_as_ones_and_is_counted,
        )
        .kvm("a_triple_fault_is_reported_as_such", a_triple_fault_is_reported_as_such)
        .kvm(
            "a_guest_that_spins_with_interrupts_off_is_stopped",
            a_guest_that_spins_with_interrupts_off_is_stopped,
        )
        .kvm("a_guest_that_halts_for_good_ends_the_run", a_guest_that_halts_for_good_ends_the_run)
}

/// A device that stores what is written to it, answers reads, and ends the run at the exit port.
#[derive(Default)]
struct Witness(Vec<(u16, u8, u32)>);

impl Device for Witness {
    fn ports(&self) -> RangeInclusive<u16> {
        abi::ports::WINDOW..=abi::ports::WINDOW + abi::ports::WINDOW_SIZE - 1
    }
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
fn run(code: &[u8]) -> (Ended, Witness) {
    let memory = layout::reserve(MEMORY_MIN_MIB).unwrap();
    let entry = boot::load(&memory, &handmade::kernel(code), &[]).unwrap();
    let mut vm = Vm::new(&host::open().unwrap(), memory).unwrap();
    vm.vcpu.prepare(entry).unwrap();
    let clock = vm.vcpu.clock(vm.vcpu.tsc_khz().unwrap()).unwrap();
    let mut witness = Witness::default();
    let mut bus = Bus::new();
    bus.attach(&mut witness).unwrap();
    let _watch = kick::Watch::start(Some(Duration::from_secs(1))).unwrap();
    let ended = run::run(&mut vm, &mut bus, &clock);
    (ended, witness)
}

fn count(ended: &Ended, counter: HostCounter) -> Option<u64> {
    let found = ended.records.iter().find(|r| r.kind == Kind::HostCount && r.detail == counter as u32);
    found.map(|record| record.words[0])
}

/// `mov edx, EXIT; mov eax, ebx; out dx, eax`: ends with EBX, which PVH sets to the start info.
const EXIT_WITH_EBX: [u8; 8] = [0xBA, 0x08, 0x05, 0, 0, 0x89, 0xD8, 0xEF];

fn the_kernel_starts_with_ebx_at_the_start_info() -> TestResult {
    let (ended, _) = run(&EXIT_WITH_EBX);
    assert_eq!(ended.end, End { ending: Ending::Exited, status: layout::START_INFO, message: None });
    assert_eq!(ended.registers.rbx, layout::START_INFO, "registers came along without an ioctl");
    Ok(())
}

fn devices_see_the_size_of_each_access() -> TestResult {
    // mov edx, 0x500; mov eax, 0x11223344; out dx, al; out dx, ax; out dx, eax
    let mut code = vec![0xBA, 0x00, 0x05, 0, 0, 0xB8, 0x44, 0x33, 0x22, 0x11, 0xEE, 0x66, 0xEF, 0xEF];
    // in eax, dx; out dx, eax
    code.extend([0xED, 0xEF]);
    // out 0x80, al; out 0x80, al; in al, 0x80: a port without a device
    code.extend([0xE6, 0x80, 0xE6, 0x80, 0xE4, 0x80]);
    code.extend(EXIT_WITH_EBX);
    let (ended, witness) = run(&code);
    let seen = &witness.0[..4];
    assert_eq!(
        seen,
        [(0x500, 1, 0x44), (0x500, 2, 0x3344), (0x500, 4, 0x1122_3344), (0x500, 4, 0x1234_5678)]
    );
    assert_eq!(count(&ended, HostCounter::UnownedWrites), Some(2));
    assert_eq!(count(&ended, HostCounter::UnownedReads), Some(1));
    Ok(())
}

fn memory_that_is_not_there_reads_as_ones_and_is_counted() -> TestResult {
    // mov ebx, [0xD0000000]; then exit with it
    let mut code = vec![0x8B, 0x1D, 0, 0, 0, 0xD0];
    code.extend(EXIT_WITH_EBX);
    let (ended, _) = run(&code);
    assert_eq!(ended.end.status, u64::from(u32::MAX));
    assert_eq!(count(&ended, HostCounter::Mmio), Some(1));
    Ok(())
}

fn a_triple_fault_is_reported_as_such() -> TestResult {
    let (ended, _) = run(&handmade::TRIPLE_FAULT);
    assert_eq!(ended.end.ending, Ending::TripleFault);
    Ok(())
}

fn a_guest_that_spins_with_interrupts_off_is_stopped() -> TestResult {
    // cli; jmp $
    let (ended, _) = run(&[0xFA, 0xEB, 0xFE]);
    assert_eq!((ended.end.ending, ended.stop), (Ending::Stopped, Some(Stop::TimeOut)));
    assert_eq!(ended.registers.rip, handmade::ADDRESS + 1);
    assert_eq!(ended.records[0].kind, Kind::HostStop);
    assert_eq!(count(&ended, HostCounter::Kicks), Some(1));
    Ok(())
}

fn a_guest_that_halts_for_good_ends_the_run() -> TestResult {
    // cli; hlt; jmp back to the hlt
    let (ended, _) = run(&[0xFA, 0xF4, 0xEB, 0xFD]);
    assert_eq!((ended.end.ending, ended.stop), (Ending::Halted, None));
    assert_eq!(count(&ended, HostCounter::Kicks), Some(0));
    Ok(())
}
