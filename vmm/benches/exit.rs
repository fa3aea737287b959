//! What the doorbell costs: a guest of a few instructions that rings again and again, for one record (`--batch 1`) or for
//! as many as it collects by default.
//!
//! `cargo bench --bench exit` runs it in Trapline's own loop, with the doorbell and a trace file, and in the least loop
//! that KVM allows, which does nothing about an exit. Guest and exits are the same, so what Trapline adds is the
//! difference.
//! The two take turns, [`PASSES`] times, and of each the fastest counts: whatever else the machine does can only make it
//! slower. Needs KVM.

mod support;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use abi::boot::BATCH_DEFAULT;
use abi::ports::{ATTACH, DOORBELL, EXIT};
use abi::record::{BUFFER_MAGIC, BufferHead, Ending, Kind};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit};
use support::row;
use trace::{Meta, Trace, Writer, format};
use trapline::devices::{Doorbell, ExitPort};
use trapline::machine::boot::{self, Entry};
use trapline::machine::bus::Bus;
use trapline::machine::layout::{self, KERNEL_LOWEST, MEMORY_MIN_MIB, MIB, Memory, PAGE};
use trapline::machine::vcpu::Vm;
use trapline::machine::{host, run};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

/// How often each loop is run.
const PASSES: u32 = 9;
/// The work of one run.
#[derive(Clone, Copy)]
struct Load {
    /// How often it rings.
    rings: u32,
    /// For how many records.
    records: u32,
    /// How many words each has.
    words: usize,
}

const LOADS: [Load; 2] = [
    Load { rings: 20_000, records: 1, words: 0 },
    // As few rings as the trace takes while its thread sleeps, so that it is not the thread's speed that counts.
    Load { rings: 40, records: BATCH_DEFAULT as u32, words: 8 },
];
/// Where the guest's code is.
const CODE: u64 = KERNEL_LOWEST;
/// Where its trace buffer is.
const BUFFER: u64 = CODE + PAGE;
/// Where the running count of records is in the head of the buffer.
const COUNT_AT: u8 = std::mem::offset_of!(BufferHead, records) as u8;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    support::head("The fastest of some passes each");
    LOADS.into_iter().try_for_each(compare)
}

fn compare(load: Load) -> Result<()> {
    let Load { rings, records, .. } = load;
    let (folder, kvm) = (tempfile::tempdir()?, host::open()?);
    let (mut bare, mut whole, mut copy) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    for pass in 0..PASSES {
        bare = bare.min(bare_loop(&kvm, load)?);
        whole = whole.min(trapline(&kvm, load, &folder.path().join(format!("{pass}.trap")))?);
        copy = copy.min(copies(load)?);
    }
    let micros = |seconds: f64| format!("{:.2} us a ring", 1e6 * seconds / f64::from(rings));
    row(&format!("{rings} rings for {records} records"), "", "");
    row("minimal KVM loop", micros(bare), "");
    row("Trapline, with a trace file", micros(whole), "");
    row("ratio", format!("{:.2}", whole / bare), "");
    row("Trapline's cost of a ring", micros(whole - bare), "");
    row("a copy of the same bytes", micros(copy), "");
    Ok(())
}

/// The bytes of all records that wait at a ring.
fn waiting(load: Load) -> Vec<u8> {
    let mut bytes = Vec::new();
    let words = vec![0; load.words];
    (0..load.records).for_each(|_| format::push_record(&mut bytes, 0, Kind::Tick as u8, 0, 0, &words));
    bytes
}

/// Copies what the guest hands over, as often as it rings, behind each other; the value is in seconds.
fn copies(load: Load) -> Result<f64> {
    let (memory, size) = (guest(load)?, waiting(load).len());
    let mut all = vec![0; size * load.rings as usize];
    let start = Instant::now();
    for bytes in all.chunks_mut(size) {
        memory.read_slice(bytes, GuestAddress(BUFFER + BufferHead::SIZE as u64))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    std::hint::black_box(all);
    Ok(seconds)
}

/// The guest: it attaches the buffer, counts its records and rings, as often as it is to, and exits with 0. The host leaves
/// the buffer as it is, so that the records in it need not be written again.
fn guest(load: Load) -> Result<Memory> {
    let memory = layout::reserve(MEMORY_MIN_MIB)?;
    let records = waiting(load);
    let size = records.len() as u32;
    let sizes = (BufferHead::SIZE as u32) << 16 | u32::from(abi::VERSION);
    let head = [BUFFER_MAGIC, sizes, size, size];
    memory.write_slice(&head.map(u32::to_le_bytes).concat(), GuestAddress(BUFFER))?;
    memory.write_slice(&records, GuestAddress(BUFFER + BufferHead::SIZE as u64))?;

    let number = |opcode: u8, value: u32| [&[opcode][..], &value.to_le_bytes()].concat();
    let (mov_eax, mov_ecx, mov_edx, mov_edi) = (0xB8, 0xB9, 0xBA, 0xBF);
    let out_dx_eax = 0xEF;
    let code = [
        number(mov_edi, BUFFER as u32),
        number(mov_eax, (BUFFER / PAGE) as u32),
        number(mov_edx, ATTACH.into()),
        vec![out_dx_eax],
        number(mov_eax, size),
        number(mov_edx, DOORBELL.into()),
        number(mov_ecx, load.rings),
        // Once more: add dword [edi + COUNT_AT], records; out dx, eax; dec ecx; jnz once more.
        [&[0x81, 0x47, COUNT_AT][..], &load.records.to_le_bytes()].concat(),
        vec![out_dx_eax, 0x49, 0x75, 0xF5],
        number(mov_eax, 0),
        number(mov_edx, EXIT.into()),
        vec![out_dx_eax],
    ];
    memory.write_slice(&code.concat(), GuestAddress(CODE))?;
    Ok(memory)
}

/// Runs the guest as `trapline run` does; the value is in seconds.
fn trapline(kvm: &Kvm, load: Load, path: &Path) -> Result<f64> {
    let memory = guest(load)?;
    let mut vm = Vm::new(kvm, memory.clone())?;
    vm.vcpu.prepare(Entry { address: CODE })?;
    let clock = vm.vcpu.clock(vm.vcpu.tsc_khz()?)?;
    let mut doorbell = Doorbell::new(&memory, Writer::create(path, false, &Meta::default())?, u64::MAX);
    let mut exit = ExitPort;
    let mut bus = Bus::new();
    bus.attach(&mut doorbell)?;
    bus.attach(&mut exit)?;
    let start = Instant::now();
    let ended = run::run(&mut vm, &mut bus, &clock);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(ended.end.ending, Ending::Exited, "{:?}", ended.end.message);
    doorbell.into_trace()?.finish()?;
    assert_eq!(Trace::open(path)?.events().count(), (load.rings * load.records) as usize);
    Ok(seconds)
}

/// Runs the guest and does nothing but to enter it again; the value is in seconds.
fn bare_loop(kvm: &Kvm, load: Load) -> Result<f64> {
    let memory = guest(load)?;
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
            other => return Err(format!("unexpected exit {other:?}").into()),
        }
    }
}
