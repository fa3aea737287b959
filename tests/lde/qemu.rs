//! The kernel does not depend on Trapline's VMM: QEMU boots the same file, and programs print the same there.

use std::path::Path;
use std::process::Command;

use elf::ElfBytes;
use elf::abi::PT_LOAD;
use elf::endian::LittleEndian;
use libtest_mimic::Failed;
use trapline::images::KERNEL;

use crate::support::{self, Output, TestResult, ensure};

/// A program and all that it prints.
const SAYINGS: [(&str, &str); 3] = [
    ("hello", "hello: a program in user mode, and this line took a trap\n"),
    ("counter", "counter: 1 + ... + 20000000 = 200000010000000, right\n"),
    (
        "pages",
        "pages: this text ends with its page, and was all there\npages: 46 checks, 0 unexpected results\n",
    ),
];

const SLEEPER: &str = "sleeper: slept at least as long as it asked for\n";

/// What QEMU's exit device makes of a 0: twice the value, plus 1.
const QEMU_ALL_WELL: i32 = 1;

/// A CPU that needs no KVM.
const EMULATED: [&str; 4] = ["-accel", "tcg", "-cpu", "max"];

/// KVM's own LAPIC as our VMM never shows it: xAPIC only. If a deadline were lost, no process would wake again.
pub fn deadline_in_xapic_mode() -> TestResult {
    let folder = support::folder();
    support::trapline(folder.path(), &["extract", "guest"])?.expect(0)?;
    let cpu = "host,-x2apic,+tsc-deadline,-arch-capabilities";
    let options = ["-accel", "kvm", "-cpu", cpu, "-append", "timer=deadline"];
    let output = boot(folder.path(), "sleeper", &options)?;
    ensure(output.stdout == SLEEPER, || format!("sleeper says {:?}", output.stdout))
}

/// A machine whose memory is not zero, because firmware or an earlier guest used it.
pub fn dirty_memory() -> TestResult {
    let folder = support::folder();
    support::trapline(folder.path(), &["extract", "guest"])?.expect(0)?;
    std::fs::write(folder.path().join("dirt"), vec![0xFF; DIRT])?;
    let dirt = format!("loader,file=dirt,force-raw=on,addr={:#x}", kernel_end()?);
    for (program, saying) in SAYINGS {
        let output = boot(folder.path(), program, &[&EMULATED[..], &["-device", &dirt]].concat())?;
        ensure(output.stdout == saying, || format!("{program} says {:?}", output.stdout))?;
    }
    Ok(())
}

/// Far more than these programs take, and ends below where QEMU puts a program, the end of its 64 MiB.
const DIRT: usize = 32 << 20;

/// The first physical address behind the kernel, where it takes its first frame.
fn kernel_end() -> Result<u64, Failed> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(KERNEL)?;
    let segments = file.segments().ok_or("the kernel has no segments")?;
    let ends = segments.iter().filter(|segment| segment.p_type == PT_LOAD).map(|s| s.p_paddr + s.p_memsz);
    Ok(ends.max().ok_or("the kernel has no segment to load")?.next_multiple_of(4096))
}

pub fn boots_the_same_kernel() -> TestResult {
    let folder = support::folder();
    support::trapline(folder.path(), &["extract", "guest"])?.expect(0)?;
    for (program, saying) in SAYINGS {
        let output = boot(folder.path(), program, &EMULATED)?;
        ensure(output.stdout == saying, || format!("{program} says {:?}", output.stdout))?;
        if support::Need::Kvm.missing().is_none() {
            crate::run::run(&[program], 0)?.says(saying)?;
        }
    }
    Ok(())
}

/// A program in a machine of QEMU's, from the folder `guest` that is in `folder`.
fn boot(folder: &Path, program: &str, options: &[&str]) -> Result<Output, Failed> {
    let machine = "-M microvm -m 64 -nographic -nodefaults -no-reboot \
        -device isa-debugcon,iobase=0xe9,chardev=console -chardev stdio,id=console \
        -device isa-debug-exit,iobase=0x508,iosize=4 -kernel guest/kernel.elf -initrd";
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(machine.split_whitespace()).arg(format!("guest/{program}")).args(options).current_dir(folder);
    support::command(&mut qemu, folder)?.expect(QEMU_ALL_WELL)
}
