//! The kernel is no friend of one machine monitor: QEMU boots the same file, and programs say the same there.

use std::process::Command;

use crate::support::{self, TestResult, ensure};

/// A program and all that it says.
const SAYINGS: [(&str, &str); 3] = [
    ("hello", "hello: a program in user mode, and this line took a trap\n"),
    ("counter", "counter: 1 + ... + 20000000 = 200000010000000, right\n"),
    ("pages", "pages: this text ends with its page, and was all there\npages: 46 checks, 0 surprises\n"),
];

/// What QEMU's exit device makes of a 0: twice the value, plus 1.
const QEMU_ALL_WELL: i32 = 1;

pub fn boots_the_same_kernel() -> TestResult {
    let folder = support::folder();
    support::trapline(folder.path(), &["extract", "guest"])?.expect(0)?;
    for (program, saying) in SAYINGS {
        let machine = "-M microvm -accel tcg -cpu max -m 64 -nographic -nodefaults -no-reboot \
            -device isa-debugcon,iobase=0xe9,chardev=console -chardev stdio,id=console \
            -device isa-debug-exit,iobase=0x508,iosize=4 -kernel guest/kernel.elf -initrd";
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(machine.split_whitespace()).arg(format!("guest/{program}")).current_dir(folder.path());
        let output = support::command(&mut qemu, folder.path())?.expect(QEMU_ALL_WELL)?;
        ensure(output.stdout == saying, || format!("{program} says {:?}", output.stdout))?;
        if support::Need::Kvm.missing().is_none() {
            crate::run::run(&[program], 0)?.says(saying)?;
        }
    }
    Ok(())
}
