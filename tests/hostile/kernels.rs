//! Hostile kernels, assembled here. Whatever a kernel does, the run ends with an expected exit code and without a panic,
//! and every command reads its trace.
//!
//! A kernel starts in the state that PVH defines: 32-bit, without paging, on flat segments.

use std::path::Path;

use abi::ports::{ATTACH, CONSOLE, DOORBELL, EXIT, OUTPUT};
use abi::record::{BUFFER_MAGIC, BUFFER_MAX, BufferHead, Ending, FIRST_HOST_KIND, Kind, WORDS_MAX};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use trace::analysis::Summary;
use trace::{Damage, Trace};

use crate::handmade;
use crate::support::{Output, Suite, TestResult, ensure, folder, trapline};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .kvm("kernels::a_buffer_that_lies_is_refused", a_buffer_that_lies_is_refused)
        .kvm("kernels::records_that_lie_are_read", records_that_lie_are_read)
        .kvm("kernels::a_record_of_no_kind_is_refused", a_record_of_no_kind_is_refused)
        .kvm("kernels::a_halt_for_good_ends_the_run", a_halt_for_good_ends_the_run)
        .kvm("kernels::a_summary_names_ports_without_a_device", a_summary_names_ports_without_a_device)
        .kvm("kernels::a_trace_has_a_limit", a_trace_has_a_limit)
        .kvm("kernels::output_has_a_limit", output_has_a_limit)
        .kvm("kernels::floods_end_with_the_time_out", floods_end_with_the_time_out)
        .kvm("kernels::crashes_of_every_sort_are_reported", crashes_of_every_sort_are_reported)
        .kvm("kernels::odd_accesses_harm_nothing", odd_accesses_harm_nothing)
        .tools(
            &["qemu-system-x86_64"],
            "kernels::a_halt_for_good_ends_the_run_in_qemu",
            a_halt_for_good_ends_the_run_in_qemu,
        )
        .tools(&["qemu-system-x86_64"], "kernels::a_buffer_may_change_while_it_is_read", a_buffer_may_change)
}

/// Writes the code of a kernel.
pub type Write = fn(&mut CodeAssembler) -> Result<(), IcedError>;

/// The address of the kernels' trace buffer, with room for other data after it.
pub const BUFFER: u32 = 0x20_0000;
pub const DATA: u32 = 0x18_0000;
const HANDLER: u32 = DATA + 3 * PAGE;
pub const PAGE: u32 = 4096;
const RECORDS: u32 = BUFFER + BufferHead::SIZE as u32;
/// The local APIC (SDM vol. 3, 12.4.1).
pub const APIC: u32 = 0xFEE0_0000;

/// Exit codes of `trapline run`.
const OK: i32 = 0;
const CRASHED: i32 = 33;
const TIME_OUT: i32 = 36;
pub const HALTED: i32 = 37;
pub const LIMIT: i32 = 38;

/// Runs a kernel, and then every command on its trace. The exit code must be one of `codes`.
pub fn run(
    name: &str,
    write: Write,
    codes: &[i32],
    options: &[&str],
) -> Result<(Output, Trace), libtest_mimic::Failed> {
    let folder = folder();
    let mut code = CodeAssembler::new(32)?;
    write(&mut code)?;
    std::fs::write(folder.path().join("kernel"), handmade::kernel(&code.assemble(handmade::ADDRESS)?))?;
    let arguments = ["run", "hello", "--kernel", "kernel", "--trace", "t.trap"];
    // A kernel that does not end by itself has a time-out among its options; the other kernels need no time-out.
    let output = trapline(folder.path(), &[&arguments[..], options].concat())?;
    let is_calm = codes.contains(&output.code) && !output.stderr.contains("panicked");
    ensure(is_calm, || format!("{name}: {output:#?}"))?;
    is_read_by_all(name, folder.path())?;
    let trace = Trace::open(&folder.path().join("t.trap"))?;
    let _ = trace.damage();
    Ok((output, trace))
}

fn is_read_by_all(name: &str, folder: &Path) -> TestResult {
    for (arguments, codes) in [
        (&["view", "t.trap"][..], &[OK][..]),
        // 3: the trace has no record of the guest.
        (&["check", "t.trap"], &[0, 1, 3]),
        (&["stat", "t.trap"], &[OK]),
        // 2: the trace has no process.
        (&["protocol", "t.trap"], &[OK, 1, 2]),
        (&["report", "t.trap"], &[OK]),
    ] {
        let output = trapline(folder, arguments)?;
        let text = [output.stdout.as_str(), &output.stderr].concat();
        let is_plain = !text.contains(|c: char| c.is_control() && c != '\n');
        let is_calm = codes.contains(&output.code) && !output.stderr.contains("panicked");
        ensure(is_calm && is_plain, || format!("{name}: {arguments:?}: {output:#?}"))?;
    }
    Ok(())
}

fn ending(trace: &Trace) -> Option<Ending> {
    Summary::of(trace).ending.map(|(ending, ..)| ending)
}

/// An `out` of a double word.
pub fn out(a: &mut CodeAssembler, port: u16, value: u32) -> Result<(), IcedError> {
    a.mov(edx, u32::from(port))?;
    a.mov(eax, value)?;
    a.out(dx, eax)
}

pub fn exit(a: &mut CodeAssembler) -> Result<(), IcedError> {
    out(a, EXIT, 0)
}

pub fn store(a: &mut CodeAssembler, address: u32, value: u32) -> Result<(), IcedError> {
    a.mov(dword_ptr(address), value)
}

/// Stores a buffer's head and attaches it.
pub fn attach(a: &mut CodeAssembler, capacity: u32) -> Result<(), IcedError> {
    let sizes = u32::from(abi::VERSION) | (BufferHead::SIZE as u32) << 16;
    for (word, value) in [BUFFER_MAGIC, sizes, capacity, 0, 0, 0, 0, 0].into_iter().enumerate() {
        store(a, BUFFER + 4 * word as u32, value)?;
    }
    out(a, ATTACH, BUFFER / PAGE)
}

/// Stores a buffer's head and attaches it as in QEMU, byte by byte. EDX is the doorbell's port afterwards.
fn attach_bytes(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let sizes = u32::from(abi::VERSION) | (BufferHead::SIZE as u32) << 16;
    for (word, value) in [BUFFER_MAGIC, sizes, CAPACITY].into_iter().enumerate() {
        store(a, BUFFER + 4 * word as u32, value)?;
    }
    a.mov(edx, u32::from(DOORBELL))?;
    for byte in (BUFFER / PAGE).to_le_bytes() {
        a.mov(eax, u32::from(byte))?;
        a.out(dx, al)?;
    }
    Ok(())
}

/// Writes the size `bytes` to the doorbell, and the running count `records` to the head.
pub fn ring(a: &mut CodeAssembler, bytes: u32, records: u32) -> Result<(), IcedError> {
    store(a, BUFFER + 12, bytes)?;
    store(a, BUFFER + 16, records)?;
    out(a, DOORBELL, bytes)
}

/// Stores a record at an offset in the buffer: time, kind, process, detail, words.
pub fn record(
    a: &mut CodeAssembler,
    at: u32,
    tsc: u64,
    (kind, process, detail): (u8, u16, u32),
    words: &[u64],
) -> Result<u32, IcedError> {
    let head =
        u64::from(kind) | (words.len() as u64) << 8 | u64::from(process) << 16 | u64::from(detail) << 32;
    let all = [&[tsc, head], words].concat();
    for (index, word) in all.iter().enumerate() {
        let address = RECORDS + at + 8 * index as u32;
        store(a, address, *word as u32)?;
        store(a, address + 4, (*word >> 32) as u32)?;
    }
    Ok(at + 8 * all.len() as u32)
}

pub const CAPACITY: u32 = 64 << 10;

fn a_buffer_that_lies_is_refused() -> TestResult {
    let kernels: [(&str, Write); 9] = [
        ("outside memory", |a| out(a, ATTACH, u32::MAX)),
        ("where no memory is", |a| out(a, ATTACH, 0xD_0000)),
        ("across the end of memory", |a| {
            // The guest has 64 MiB.
            let last = (64 << 20) - PAGE;
            a.mov(esi, BUFFER)?;
            attach_at(a, last, BUFFER_MAX as u32 - 32)
        }),
        ("larger than a buffer may be", |a| attach(a, BUFFER_MAX as u32)),
        ("attached twice", |a| {
            attach(a, CAPACITY)?;
            attach(a, CAPACITY)
        }),
        ("a bell without a buffer", |a| out(a, DOORBELL, 24)),
        ("more than fits", |a| {
            attach(a, CAPACITY)?;
            ring(a, CAPACITY + 8, 1)
        }),
        ("more than fits, with a capacity that was changed after its check", |a| {
            attach(a, CAPACITY)?;
            store(a, BUFFER + 8, u32::MAX - 7)?;
            ring(a, CAPACITY + 8, 1)
        }),
        ("another size than the bell says", |a| {
            attach(a, CAPACITY)?;
            store(a, BUFFER + 12, 24)?;
            out(a, DOORBELL, 48)
        }),
    ];
    for (name, write) in kernels {
        let (_, trace) = run(name, write, &[CRASHED], &[])?;
        ensure(ending(&trace) == Some(Ending::ContractBroken), || format!("{name}: {:?}", ending(&trace)))?;
    }
    Ok(())
}

/// Attaches a buffer at `page`, with a capacity that may reach beyond memory.
pub fn attach_at(a: &mut CodeAssembler, page: u32, capacity: u32) -> Result<(), IcedError> {
    let sizes = u32::from(abi::VERSION) | (BufferHead::SIZE as u32) << 16;
    for (word, value) in [BUFFER_MAGIC, sizes, capacity].into_iter().enumerate() {
        store(a, page + 4 * word as u32, value)?;
    }
    out(a, ATTACH, page / PAGE)
}

/// The process numbers in the false records.
const LIARS: [u16; 4] = [0, 1, 7, u16::MAX];

/// Every kind that a guest may write, and one kind that does not exist yet.
fn guest_kinds() -> impl Iterator<Item = u8> {
    let known = Kind::ALL.iter().map(|kind| *kind as u8).filter(|kind| *kind < FIRST_HOST_KIND);
    known.chain([FIRST_HOST_KIND - 1])
}

/// Each record has a valid form and an impossible content.
fn records_that_lie_are_read() -> TestResult {
    let write: Write = |a| {
        attach(a, CAPACITY)?;
        let mut at = 0;
        let name = u64::from_le_bytes(*b"\x1b[31m\r\n\x07");
        for process in LIARS {
            for kind in guest_kinds() {
                // The times go backwards, to 0, and to the largest value.
                let tsc = [u64::MAX, 0, 1 << 40, 5][usize::from(kind % 4)];
                at = record(a, at, tsc, (kind, process, u32::MAX), &[name; WORDS_MAX])?;
            }
        }
        ring(a, at, (LIARS.len() * guest_kinds().count()) as u32)?;
        exit(a)
    };
    let (output, trace) = run("lying records", write, &[OK], &[])?;
    let guest = trace.events().filter(|event| event.origin == trace::Origin::Guest).count();
    let wanted = LIARS.len() * guest_kinds().count();
    ensure(guest == wanted, || format!("{guest} of {wanted} records: {:?} {output:#?}", trace.damage()))
}

fn a_record_of_no_kind_is_refused() -> TestResult {
    let write: Write = |a| {
        attach(a, CAPACITY)?;
        let at = record(a, 0, 1, (Kind::Tick as u8, 0, 1), &[])?;
        let at = record(a, at, 2, (0xEE, 0, 1), &[])?;
        let at = record(a, at, 3, (Kind::Tick as u8, 0, 2), &[])?;
        ring(a, at, 3)?;
        exit(a)
    };
    let (output, trace) = run("no kind", write, &[CRASHED], &[])?;
    let says_so = output.stderr.contains("kind is 0xee");
    let kept = trace.events().filter(|event| event.origin == trace::Origin::Guest).count();
    ensure(says_so && kept == 1, || format!("{kept} records kept: {output:#?}"))?;
    let is_said = |damage: &Damage| matches!(damage, Damage::MalformedInGuest { bytes: 32 });
    ensure(trace.damage().iter().any(is_said), || format!("{:?}", trace.damage()))
}

/// A guest of QEMU continues while the host reads its buffer. This guest does not wait, and changes kind, count and size
/// all the time.
fn a_buffer_may_change() -> TestResult {
    let write: Write = |a| {
        let tick = (Kind::Tick as u8, 0, 1);
        let at = record(a, 0, 1, tick, &[])?;
        let at = record(a, at, 2, tick, &[])?;
        attach_bytes(a)?;
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        store(a, BUFFER + 12, at)?;
        a.add(dword_ptr(BUFFER + 16), 2)?;
        a.out(dx, al)?;
        a.mov(ecx, 5000)?;
        let mut change = a.create_label();
        a.set_label(&mut change)?;
        a.mov(byte_ptr(RECORDS + 24), cl)?;
        a.mov(dword_ptr(BUFFER + 16), ecx)?;
        a.mov(dword_ptr(BUFFER + 12), ecx)?;
        a.dec(ecx)?;
        a.jne(change)?;
        a.jmp(again)
    };
    for _ in 0..3 {
        run("a buffer that changes", write, &[CRASHED, TIME_OUT], &["--accel", "qemu", "--timeout", "1s"])?;
    }
    Ok(())
}

fn a_halt_for_good_ends_the_run() -> TestResult {
    let write: Write = |a| {
        a.cli()?;
        a.hlt()
    };
    halts_for_good(write, &[])
}

/// The summary says that the guest left no records, and to which ports it wrote in vain.
fn a_summary_names_ports_without_a_device() -> TestResult {
    let write: Write = |a| {
        a.mov(edx, 0x70)?;
        a.out(dx, al)?;
        a.out(dx, al)?;
        a.out(0x80, al)?;
        a.cli()?;
        a.hlt()
    };
    let (output, _) = run("out; cli; hlt", write, &[HALTED], &[])?;
    for part in [
        "  the guest left no records\n",
        "  accesses that no device answered: unowned-port-writes 3\n",
        "Ports without a device (at most the first 8), and the writes to each: 0x70 (2), 0x80 (1).\n",
    ] {
        ensure(output.stderr.contains(part), || format!("{part:?} is missing: {output:#?}"))?;
    }
    Ok(())
}

/// As above, at once and after output. QEMU answers no question while output waits to be read.
fn a_halt_for_good_ends_the_run_in_qemu() -> TestResult {
    let write: Write = |a| {
        a.cli()?;
        a.hlt()
    };
    let after_output: Write = |a| {
        let mut again = a.create_label();
        a.mov(edx, u32::from(CONSOLE))?;
        a.mov(eax, u32::from(b'\n'))?;
        a.mov(ecx, 100_000)?;
        a.set_label(&mut again)?;
        a.out(dx, al)?;
        a.dec(ecx)?;
        a.jne(again)?;
        a.cli()?;
        a.hlt()
    };
    halts_for_good(write, &["--accel", "qemu"])?;
    halts_for_good(after_output, &["--accel", "qemu"])
}

fn halts_for_good(write: Write, options: &[&str]) -> TestResult {
    let (output, trace) = run("cli; hlt", write, &[HALTED], options)?;
    ensure(ending(&trace) == Some(Ending::Halted), || format!("{:?}", ending(&trace)))?;
    ensure(output.stderr.contains("halted for good"), || format!("{output:#?}"))
}

fn a_trace_has_a_limit() -> TestResult {
    let write: Write = |a| {
        attach(a, BUFFER_MAX as u32 - 32)?;
        // The zeroed memory after the first record is read as words of that record.
        let mut at = 0;
        for _ in 0..64 {
            at = record(a, at, 1, (Kind::Tick as u8, 0, 1), &[])?;
        }
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        store(a, BUFFER + 12, at)?;
        a.add(dword_ptr(BUFFER + 16), 64)?;
        out(a, DOORBELL, at)?;
        a.jmp(again)
    };
    let (_, trace) = run("a flood of records", write, &[LIMIT], &["--max-trace", "1M"])?;
    ensure(ending(&trace) == Some(Ending::TraceLimit), || format!("{:?}", ending(&trace)))?;
    ensure(trace.damage().is_empty(), || format!("{:?}", trace.damage()))
}

fn output_has_a_limit() -> TestResult {
    let console: Write = |a| {
        let mut again = a.create_label();
        a.mov(edx, u32::from(CONSOLE))?;
        a.mov(eax, u32::from(b'x'))?;
        a.set_label(&mut again)?;
        a.out(dx, al)?;
        a.jmp(again)
    };
    let stream: Write = |a| {
        for (word, value) in [DATA, 0, 100, 1].into_iter().enumerate() {
            store(a, DATA + PAGE + 4 * word as u32, value)?;
        }
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        out(a, OUTPUT, DATA + PAGE)?;
        a.jmp(again)
    };
    for (name, write) in [("console", console), ("stream", stream)] {
        let (output, trace) = run(name, write, &[LIMIT], &["--max-output", "1000"])?;
        ensure(ending(&trace) == Some(Ending::OutputLimit), || format!("{name}: {:?}", ending(&trace)))?;
        let printed = output.stdout.chars().take_while(|c| ['x', '\0'].contains(c)).count();
        ensure(printed == 1000, || format!("{name}: {printed} bytes: {output:#?}"))?;
    }
    Ok(())
}

fn floods_end_with_the_time_out() -> TestResult {
    let kernels: [(&str, Write); 7] = [
        ("bells", |a| {
            attach(a, CAPACITY)?;
            forever(a, |a| out(a, DOORBELL, 0))
        }),
        ("a port without a device", |a| forever(a, |a| out(a, 0x80, 0))),
        ("lines on the console", |a| {
            a.mov(edx, u32::from(CONSOLE))?;
            a.mov(eax, u32::from(b'\n'))?;
            forever(a, |a| a.out(dx, al))
        }),
        ("memory that is not there", |a| forever(a, |a| a.mov(eax, dword_ptr(0xD000_0000_u32)))),
        ("faults", |a| {
            tables(a, |a| {
                a.mov(esp, DATA)?;
                a.ud2()
            })?;
            a.ud2()
        }),
        ("timer interrupts of the shortest period", |a| {
            tables(a, |a| {
                // Ends the interrupt (EOI).
                store(a, APIC + 0xB0, 0)?;
                a.mov(esp, DATA)?;
                a.sti()?;
                forever(a, |a| a.nop())
            })?;
            // Spurious vector and enable; divide by 1; periodic, vector 32; count 1 (SDM vol. 3, 12.5.4).
            for (register, value) in [(0xF0, 0x1FF), (0x3E0, 0xB), (0x320, 1 << 17 | 32), (0x380, 1)] {
                store(a, APIC + register, value)?;
            }
            a.sti()?;
            forever(a, |a| a.nop())
        }),
        ("interrupts off", |a| {
            a.cli()?;
            forever(a, |a| a.nop())
        }),
    ];
    for (name, write) in kernels {
        let (_, trace) = run(name, write, &[TIME_OUT], &["--timeout", "500ms"])?;
        ensure(trace.damage().is_empty(), || format!("{name}: {:?}", trace.damage()))?;
    }
    Ok(())
}

pub fn forever(a: &mut CodeAssembler, body: Write) -> Result<(), IcedError> {
    let mut again = a.create_label();
    a.set_label(&mut again)?;
    body(a)?;
    a.jmp(again)
}

/// Stores code at an address.
fn place(a: &mut CodeAssembler, address: u32, write: Write) -> Result<(), IcedError> {
    let mut code = CodeAssembler::new(32)?;
    write(&mut code)?;
    let mut bytes = code.assemble(address.into())?;
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    for (word, value) in bytes.as_chunks().0.iter().enumerate() {
        store(a, address + 4 * word as u32, u32::from_le_bytes(*value))?;
    }
    Ok(())
}

/// Loads a GDT of flat segments, and an IDT whose 256 gates all lead to `handler`, and a stack.
pub fn tables(a: &mut CodeAssembler, handler: Write) -> Result<(), IcedError> {
    const GDT: u32 = DATA;
    const IDT: u32 = DATA + PAGE;
    const POINTER: u32 = DATA + 2 * PAGE;
    const CODE: u16 = 8;
    a.mov(esp, DATA)?;
    place(a, HANDLER, handler)?;
    // Flat 4 GiB, ring 0: code, then data (SDM vol. 3, 3.4.5).
    for (word, value) in [0, 0, 0xFFFF, 0xCF_9B00, 0xFFFF, 0xCF_9300].into_iter().enumerate() {
        store(a, GDT + 4 * word as u32, value)?;
    }
    store(a, POINTER, 23 | (GDT & 0xFFFF) << 16)?;
    store(a, POINTER + 4, GDT >> 16)?;
    a.lgdt(fword_ptr(POINTER))?;
    // Interrupt gates: the two halves of the offset, with selector and type between them.
    let mut gates = a.create_label();
    a.mov(eax, HANDLER & 0xFFFF | u32::from(CODE) << 16)?;
    a.mov(ebx, HANDLER & 0xFFFF_0000 | 0x8E00)?;
    a.mov(edi, IDT)?;
    a.mov(ecx, 256)?;
    a.set_label(&mut gates)?;
    a.mov(dword_ptr(edi), eax)?;
    a.mov(dword_ptr(edi + 4), ebx)?;
    a.add(edi, 8)?;
    a.dec(ecx)?;
    a.jne(gates)?;
    store(a, POINTER, 2047 | (IDT & 0xFFFF) << 16)?;
    store(a, POINTER + 4, IDT >> 16)?;
    a.lidt(fword_ptr(POINTER))
}

fn crashes_of_every_sort_are_reported() -> TestResult {
    let kernels: [(&str, Write); 6] = [
        ("a fault without a trap table", |a| {
            a.lidt(fword_ptr(0))?;
            a.ud2()
        }),
        ("a fault whose handler is not there", |a| {
            tables(a, |a| a.ud2())?;
            store(a, DATA + PAGE + 8 * 6 + 4, 0)?;
            store(a, DATA + PAGE + 8 * 8 + 4, 0)?;
            a.ud2()
        }),
        ("a fault without a stack", |a| {
            tables(a, |a| a.ud2())?;
            // Paging on, with only the code mapped.
            paging(a, 1)?;
            a.mov(esp, 0xC000_0000_u32)?;
            a.ud2()
        }),
        ("paging on without page tables", |a| {
            a.lidt(fword_ptr(0))?;
            a.mov(eax, 0xD000_0000_u32)?;
            a.mov(cr3, eax)?;
            a.mov(eax, cr0)?;
            a.or(eax, 0x8000_0000_u32)?;
            a.mov(cr0, eax)
        }),
        ("a jump out of memory", |a| {
            a.lidt(fword_ptr(0))?;
            a.mov(eax, 0xD000_0000_u32)?;
            a.jmp(eax)
        }),
        ("the end of the code", |a| {
            a.lidt(fword_ptr(0))?;
            a.nop()
        }),
    ];
    for (name, write) in kernels {
        let (_, trace) = run(name, write, &[CRASHED, TIME_OUT], &["--timeout", "2s"])?;
        ensure(trace.damage().is_empty(), || format!("{name}: {:?}", trace.damage()))?;
    }
    Ok(())
}

/// Turns on paging with `count` pages of 4 MiB, each mapped to itself (SDM vol. 3, 4.3).
fn paging(a: &mut CodeAssembler, count: u32) -> Result<(), IcedError> {
    const DIRECTORY: u32 = DATA + 4 * PAGE;
    let mut next = a.create_label();
    a.mov(edi, DIRECTORY)?;
    a.mov(eax, 0x83)?;
    a.mov(ecx, count)?;
    a.set_label(&mut next)?;
    a.mov(dword_ptr(edi), eax)?;
    a.add(edi, 4)?;
    a.add(eax, 4 << 20)?;
    a.dec(ecx)?;
    a.jne(next)?;
    a.mov(eax, DIRECTORY)?;
    a.mov(cr3, eax)?;
    a.mov(eax, cr4)?;
    a.or(eax, 0x10)?;
    a.mov(cr4, eax)?;
    a.mov(eax, cr0)?;
    a.or(eax, 0x8000_0000_u32)?;
    a.mov(cr0, eax)
}

/// Each kernel ends with status 0, or in an instruction that a KVM back end does not emulate.
fn odd_accesses_harm_nothing() -> TestResult {
    let kernels: [(&str, Write); 9] = [
        ("strings to and from ports", |a| {
            for port in (ATTACH - 2..ATTACH + 18).chain([CONSOLE, 0x60, 0xFFFF]) {
                for count in [1, 3] {
                    a.mov(edx, u32::from(port))?;
                    a.mov(edi, DATA)?;
                    a.mov(ecx, count)?;
                    a.rep().insb()?;
                    a.mov(esi, DATA)?;
                    a.mov(ecx, count)?;
                    a.rep().outsd()?;
                }
            }
            exit(a)
        }),
        ("every size at every port of the window", |a| {
            for port in (ATTACH - 3..ATTACH + 18).filter(|port| !(EXIT - 3..EXIT + 4).contains(port)) {
                a.mov(edx, u32::from(port))?;
                a.in_(al, dx)?;
                a.in_(ax, dx)?;
                a.in_(eax, dx)?;
                a.out(dx, al)?;
                a.out(dx, ax)?;
            }
            exit(a)
        }),
        ("every size of memory that is not there", |a| {
            for address in [0xD000_0000_u32, 0xD000_0001, 0xD000_0FFD, 0xC000_0000 - 1] {
                a.mov(al, byte_ptr(address))?;
                a.mov(ax, word_ptr(address))?;
                a.mov(eax, dword_ptr(address))?;
                a.mov(byte_ptr(address), al)?;
                a.mov(word_ptr(address), ax)?;
                a.mov(dword_ptr(address), eax)?;
                a.xchg(dword_ptr(address), eax)?;
                a.lock().inc(dword_ptr(address))?;
            }
            a.mov(esi, 0xD000_0000_u32)?;
            a.mov(edi, DATA)?;
            a.mov(ecx, 9000)?;
            a.rep().movsb()?;
            a.mov(esi, DATA)?;
            a.mov(edi, 0xD000_0000_u32)?;
            a.mov(ecx, 9)?;
            a.rep().movsd()?;
            exit(a)
        }),
        ("eight bytes of memory that is not there", |a| {
            a.lock().cmpxchg8b(qword_ptr(0xD000_0000_u32))?;
            a.movq(mm0, qword_ptr(0xD000_0000_u32))?;
            a.movq(qword_ptr(0xD000_0008_u32), mm0)?;
            exit(a)
        }),
        ("page tables that map everything", |a| {
            paging(a, 1024)?;
            let mut next = a.create_label();
            a.xor(ebx, ebx)?;
            a.set_label(&mut next)?;
            a.mov(eax, dword_ptr(ebx))?;
            a.mov(dword_ptr(ebx + 0x3F_FFF0), eax)?;
            a.add(ebx, 4 << 20)?;
            a.jne(next)?;
            exit(a)
        }),
        ("code that changes itself", |a| {
            place(a, HANDLER, |a| {
                a.mov(edx, u32::from(EXIT))?;
                // The operand of the next `mov`: 5 bytes are before this instruction, which has 10 bytes, and the opcode
                // has 1.
                store(a, HANDLER + 5 + 10 + 1, 0)?;
                a.mov(eax, 34)?;
                a.out(dx, eax)
            })?;
            a.mov(eax, HANDLER)?;
            a.jmp(eax)
        }),
        ("all leaves of CPUID and all registers of the APIC", |a| {
            for leaf in (0_u32..0x20).chain(0x4000_0000..0x4000_0004).chain(0x8000_0000..0x8000_0020) {
                a.mov(eax, leaf)?;
                a.mov(ecx, leaf & 3)?;
                a.cpuid()?;
            }
            // All registers but the interrupt command: an INIT to the CPU itself would stop it.
            for register in (0..0x400).step_by(16).filter(|register| *register != 0x300) {
                a.mov(eax, dword_ptr(APIC + register))?;
                a.mov(dword_ptr(APIC + register), eax)?;
            }
            exit(a)
        }),
        ("model-specific registers", |a| {
            // The handler skips the two bytes of `rdmsr` or `wrmsr`. Some KVM back ends do not emulate `iret` here.
            tables(a, |a| {
                a.mov(eax, dword_ptr(esp + 4))?;
                a.mov(esp, DATA)?;
                a.add(eax, 2)?;
                a.jmp(eax)
            })?;
            for first in [
                0_u32,
                0x170,
                0x1D0,
                0x277,
                0x400,
                0x680,
                0x800,
                0x4000_0000,
                0x4B56_4D00,
                0xC000_0080,
                0xC001_0010,
            ] {
                for msr in first..first + 12 {
                    a.mov(ecx, msr)?;
                    a.rdmsr()?;
                    // A value that was read is written back, except to the APIC's base and the TSC, which the run needs.
                    if !(0x800..0x900).contains(&msr) && ![0x10, 0x1B].contains(&msr) {
                        a.wrmsr()?;
                    }
                }
            }
            exit(a)
        }),
        ("a time that is set", |a| {
            a.mov(ecx, 0x10)?;
            a.mov(eax, u32::MAX)?;
            a.mov(edx, u32::MAX)?;
            a.wrmsr()?;
            exit(a)
        }),
    ];
    for (name, write) in kernels {
        let codes = [OK, 1, 32, CRASHED, 34, TIME_OUT];
        let (_, trace) = run(name, write, &codes, &["--timeout", "20s"])?;
        ensure(trace.damage().is_empty(), || format!("{name}: {:?}", trace.damage()))?;
    }
    Ok(())
}
