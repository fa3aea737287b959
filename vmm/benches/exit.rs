//! What the doorbell costs: a guest of a few instructions that rings for one record, again and again (`--batch 1`).
//!
//! `cargo bench --bench exit` runs it in Trapline's own loop, with the doorbell and a trace file, and in the least loop that
//! KVM allows, which does nothing about an exit. Guest and exits are the same, so what Trapline adds is the difference.
//! The two take turns, [`PASSES`] times with [`RINGS`] rings, and of each the fastest counts: whatever else the machine
//! does can only make it slower. Needs KVM.

mod support;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use abi::ports::{ATTACH, DOORBELL, EXIT};
use abi::record::{BUFFER_MAGIC, BufferHead, Ending, HEAD_SIZE, Kind};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit};
use support::row;
use trapline::devices::{Doorbell, ExitPort};
use trapline::machine::boot::{self, Entry};
use trapline::machine::bus::Bus;
use trapline::machine::layout::{self, KERNEL_LOWEST, MEMORY_MIN_MIB, MIB, Memory, PAGE};
use trapline::machine::vcpu::Vm;
use trapline::machine::{host, run};
use trapline::trace::{Meta, Trace, Writer, format};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

/// How often each loop is run.
const PASSES: u32 = 9;
/// Rings of a run.
const RINGS: u32 = 20_000;
/// Where the guest's code is.
const CODE: u64 = KERNEL_LOWEST;
/// Where its trace buffer is.
const BUFFER: u64 = CODE + PAGE;
/// Where the running count of records is in the head of the buffer.
const COUNT_AT: u8 = std::mem::offset_of!(BufferHead, records) as u8;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kvm = host::open()?;
    let (mut bare, mut whole) = (f64::INFINITY, f64::INFINITY);
    for pass in 0..PASSES {
        bare = bare.min(bare_loop(&kvm)?);
        whole = whole.min(trapline(&kvm, &folder.path().join(format!("{pass}.trap")))?);
    }
    support::head(&format!("{RINGS} rings for one record each"));
    row("bare loop on KVM", micros(bare), "");
    row("Trapline, with a trace file", micros(whole), "");
    row("ratio", format!("{:.2}", whole / bare), "");
    row("Trapline's own part of a ring", micros(whole - bare), "");
    Ok(())
}

fn micros(seconds: f64) -> String {
    format!("{:.2} us a ring", 1e6 * seconds / f64::from(RINGS))
}

/// The guest: it attaches the buffer, counts a record and rings, [`RINGS`] times, and exits with 0. The host leaves the
/// buffer as it is, so that the record in it need not be written again.
fn guest() -> Result<Memory> {
    let memory = layout::reserve(MEMORY_MIN_MIB)?;
    let mut record = Vec::new();
    format::push_record(&mut record, 0, Kind::Tick as u8, 0, 0, &[]);
    let sizes = (BufferHead::SIZE as u32) << 16 | u32::from(abi::VERSION);
    let head = [BUFFER_MAGIC, sizes, PAGE as u32 - BufferHead::SIZE as u32, HEAD_SIZE as u32];
    memory.write_slice(&head.map(u32::to_le_bytes).concat(), GuestAddress(BUFFER))?;
    memory.write_slice(&record, GuestAddress(BUFFER + BufferHead::SIZE as u64))?;

    let number = |opcode: u8, value: u32| [&[opcode][..], &value.to_le_bytes()].concat();
    let (mov_eax, mov_ecx, mov_edx, mov_edi) = (0xB8, 0xB9, 0xBA, 0xBF);
    let out_dx_eax = 0xEF;
    let code = [
        number(mov_edi, BUFFER as u32),
        number(mov_eax, (BUFFER / PAGE) as u32),
        number(mov_edx, ATTACH.into()),
        vec![out_dx_eax],
        number(mov_eax, HEAD_SIZE as u32),
        number(mov_edx, DOORBELL.into()),
        number(mov_ecx, RINGS),
        // Once more: inc dword [edi + COUNT_AT]; out dx, eax; dec ecx; jnz once more.
        vec![0xFF, 0x47, COUNT_AT, out_dx_eax, 0x49, 0x75, 0xF9],
        number(mov_eax, 0),
        number(mov_edx, EXIT.into()),
        vec![out_dx_eax],
    ];
    memory.write_slice(&code.concat(), GuestAddress(CODE))?;
    Ok(memory)
}

/// Runs the guest as `trapline run` does; the value is in seconds.
fn trapline(kvm: &Kvm, path: &Path) -> Result<f64> {
    let memory = guest()?;
    let mut vm = Vm::new(kvm, memory.clone())?;
    vm.vcpu.prepare(Entry { address: CODE })?;
    let clock = vm.vcpu.clock(vm.vcpu.tsc_khz()?)?;
    let mut doorbell = Doorbell::new(&memory, Writer::create(path, false, &Meta::default())?);
    let mut exit = ExitPort;
    let mut bus = Bus::new();
    bus.attach(Doorbell::PORTS, &mut doorbell);
    bus.attach(ExitPort::PORTS, &mut exit);
    let start = Instant::now();
    let outcome = run::run(&mut vm, &mut bus, &clock);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(outcome.end.ending, Ending::Exited, "{:?}", outcome.end.message);
    doorbell.into_trace().finish()?;
    assert_eq!(Trace::open(path)?.events().count(), RINGS as usize);
    Ok(seconds)
}

/// Runs the guest and does nothing but to enter it again; the value is in seconds.
fn bare_loop(kvm: &Kvm) -> Result<f64> {
    let memory = guest()?;
    let vm = kvm.create_vm()?;
    vm.set_tss_address(layout::KVM_TSS as usize)?;
    let region = kvm_userspace_memory_region {
        memory_size: MEMORY_MIN_MIB * MIB,
        userspace_addr: memory.get_host_address(GuestAddress(0))? as u64,
        ..Default::default()
    };
    // SAFETY: the region is mapped for as long as `memory` lives, which is dropped after `vm` and its vCPU.
    unsafe { vm.set_user_memory_region(region) }?;
    let mut vcpu = vm.create_vcpu(0)?;
    let mut sregs = vcpu.get_sregs()?;
    boot::system_registers(&mut sregs);
    vcpu.set_sregs(&sregs)?;
    vcpu.set_regs(&boot::registers(Entry { address: CODE }))?;
    let start = Instant::now();
    loop {
        match vcpu.run()? {
            VcpuExit::IoOut(EXIT, _) => return Ok(start.elapsed().as_secs_f64()),
            VcpuExit::IoOut(..) => {}
            other => return Err(format!("the guest came out with {other:?}").into()),
        }
    }
}
