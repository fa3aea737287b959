//! Hostile programs, assembled here, on the built-in kernel.

use abi::syscall::Call;
use iced_x86::code_asm::*;

use crate::handmade::{self, PROGRAM};
use crate::support::{Suite, TestResult, folder, trapline};

/// Adds the test of this file.
pub fn add(suite: Suite) -> Suite {
    suite.kvm("programs::a_fault_handler_starts_like_a_function", a_fault_handler_starts_like_a_function)
}

/// The trap, direction and alignment check flags are set where the program faults, and clear where its handler starts.
fn a_fault_handler_starts_like_a_function() -> TestResult {
    const FLAGS: i32 = 1 << 8 | 1 << 10 | 1 << 18;
    let mut code = CodeAssembler::new(64)?;
    let mut handler = code.create_label();
    code.lea(rdi, ptr(handler))?;
    code.mov(eax, Call::trapline_on_fault as u32)?;
    code.syscall()?;
    code.push(FLAGS)?;
    code.popfq()?;
    // With the trap flag, one of these causes #DB. Otherwise the program continues to `ud2`, which causes #UD.
    code.nop()?;
    code.ud2()?;
    code.set_label(&mut handler)?;
    code.pushfq()?;
    code.pop(rdi)?;
    code.and(edi, FLAGS)?;
    code.setne(dil)?;
    code.movzx(edi, dil)?;
    code.mov(eax, Call::exit_group as u32)?;
    code.syscall()?;
    let folder = folder();
    std::fs::write(folder.path().join("flags"), handmade::program(&code.assemble(PROGRAM)?))?;
    trapline(folder.path(), &["run", "./flags"])?.expect(0).map(drop)
}
