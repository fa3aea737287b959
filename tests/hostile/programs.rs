//! Hostile programs, assembled here, on the built-in kernel.

use std::process::Command;

use abi::syscall::Call;
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use trace::{Trace, What};

use crate::handmade::{self, PROGRAM};
use crate::support::{Need, Suite, TestResult, command, ensure, folder, trapline};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .kvm("programs::a_fault_handler_starts_like_a_function", a_fault_handler_starts_like_a_function)
        .needs(&[Need::Kvm, Need::Tool("cat")], "programs::output_can_be_escaped", output_can_be_escaped)
        .kvm("programs::a_long_read_lets_others_run", a_long_read_lets_others_run)
        .kvm("programs::calls_on_many_pages_let_others_run", calls_on_many_pages_let_others_run)
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

/// A process reads a megabyte in one call, while its child, an endless loop, is ready.
fn a_long_read_lets_others_run() -> TestResult {
    const SIZE: u32 = 1 << 20;
    let mut code = CodeAssembler::new(64)?;
    let (mut child, mut path) = (code.create_label(), code.create_label());
    call(&mut code, Call::fork)?;
    code.test(eax, eax)?;
    code.je(child)?;
    code.mov(r12d, eax)?;
    code.lea(rdi, ptr(path))?;
    code.xor(esi, esi)?;
    call(&mut code, Call::open)?;
    code.mov(r13d, eax)?;
    // mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    code.xor(edi, edi)?;
    code.mov(esi, SIZE)?;
    code.mov(edx, 3)?;
    code.mov(r10d, 0x22)?;
    code.mov(r8, -1_i64)?;
    code.xor(r9d, r9d)?;
    call(&mut code, Call::mmap)?;
    code.mov(edi, r13d)?;
    code.mov(rsi, rax)?;
    code.mov(edx, SIZE)?;
    call(&mut code, Call::read)?;
    code.mov(edi, r12d)?;
    code.mov(esi, 9)?;
    call(&mut code, Call::kill)?;
    code.xor(edi, edi)?;
    call(&mut code, Call::exit)?;
    code.set_label(&mut child)?;
    code.jmp(child)?;
    code.set_label(&mut path)?;
    code.db(b"/dev/zero\0")?;
    let folder = folder();
    std::fs::write(folder.path().join("reads"), handmade::program(&code.assemble(PROGRAM)?))?;
    trapline(folder.path(), &["run", "./reads", "--trace", "t.trap"])?.expect(32)?;
    let trace = Trace::open(&folder.path().join("t.trap"))?;
    let is_read = |number: u64| number == Call::read as u64;
    let after_call = trace
        .events()
        .skip_while(|event| !matches!(event.what, What::SystemCall { number } if is_read(number)));
    let mut turns = 0;
    for event in after_call {
        match event.what {
            What::ContextLoaded { .. } if event.process == 2 => turns += 1,
            What::SystemCallResult { number, result } if is_read(number.into()) => {
                ensure(result == i64::from(SIZE), || format!("{result} bytes"))?;
                ensure(turns == SIZE / 0x1_0000 - 1, || format!("{turns} turns of the child"))?;
                return trapline(folder.path(), &["check", "t.trap"])?.expect(0).map(drop);
            }
            _ => {}
        }
    }
    Err("the read does not return".into())
}

/// A process works on many pages in one call, and passes many arguments to a program, while its child, an endless loop, is
/// ready.
fn calls_on_many_pages_let_others_run() -> TestResult {
    const PAGES: u64 = 256;
    // The kernel lets other processes run after so many pages.
    const PART: u64 = 64;
    const SIZE: u64 = PAGES << 12;
    const MEMORY: u64 = 0x1000_0000;
    const MOVED: u64 = 0x2000_0000;
    const ARGUMENTS: u64 = 300;
    const SPINNER: u64 = 2;
    let mut code = CodeAssembler::new(64)?;
    let (mut spin, mut child, mut again) = (code.create_label(), code.create_label(), code.create_label());
    let (mut fill, mut next_page, mut wait) = (code.create_label(), code.create_label(), code.create_label());
    code.cmp(qword_ptr(rsp), 2)?;
    code.jae(again)?;
    code.mov(r14, qword_ptr(rsp + 8))?;
    // PROT_READ | PROT_WRITE; MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_POPULATE
    call_with(&mut code, Call::mmap, &[MEMORY, 2 * SIZE, 3, 0x8032, u64::MAX, 0])?;
    call(&mut code, Call::fork)?;
    code.test(eax, eax)?;
    code.je(spin)?;
    call_with(&mut code, Call::mprotect, &[MEMORY, 2 * SIZE, 1])?;
    call_with(&mut code, Call::mprotect, &[MEMORY, 2 * SIZE, 3])?;
    call(&mut code, Call::fork)?;
    code.test(eax, eax)?;
    code.je(child)?;
    call_with(&mut code, Call::wait4, &[3, 0, 0, 0])?;
    // MREMAP_MAYMOVE | MREMAP_FIXED; MADV_DONTNEED
    call_with(&mut code, Call::mremap, &[MEMORY, 2 * SIZE, 2 * SIZE, 3, MOVED])?;
    call_with(&mut code, Call::madvise, &[MOVED, SIZE, 4])?;
    call_with(&mut code, Call::munmap, &[MOVED + SIZE, SIZE])?;
    code.mov(rdi, MOVED)?;
    code.mov(ecx, ARGUMENTS as u32)?;
    code.set_label(&mut fill)?;
    code.mov(qword_ptr(rdi), r14)?;
    code.add(rdi, 8)?;
    code.dec(ecx)?;
    code.jne(fill)?;
    code.mov(rdi, r14)?;
    code.mov(rsi, MOVED)?;
    code.xor(edx, edx)?;
    call(&mut code, Call::execve)?;
    code.ud2()?;
    code.set_label(&mut again)?;
    call_with(&mut code, Call::kill, &[SPINNER, 9])?;
    code.set_label(&mut child)?;
    call_with(&mut code, Call::exit, &[0])?;
    // It writes to one page after the other, which the calls free meanwhile.
    code.set_label(&mut spin)?;
    code.mov(rbx, MEMORY)?;
    code.set_label(&mut next_page)?;
    code.inc(byte_ptr(rbx))?;
    code.add(rbx, 4096)?;
    code.mov(ecx, 1 << 20)?;
    code.set_label(&mut wait)?;
    code.dec(ecx)?;
    code.jne(wait)?;
    code.cmp(rbx, (MEMORY + 2 * SIZE) as i32)?;
    code.jb(next_page)?;
    code.jmp(wait)?;
    let folder = folder();
    std::fs::write(folder.path().join("works"), handmade::program(&code.assemble(PROGRAM)?))?;
    trapline(folder.path(), &["run", "./works", "--trace", "t.trap"])?.expect(32)?;
    // By process: the turns of the child since the process made its last call.
    let mut turns = [0; 4];
    let mut seen = Vec::new();
    for event in Trace::open(&folder.path().join("t.trap"))?.events() {
        match event.what {
            What::ContextLoaded { .. } if u64::from(event.process) == SPINNER => {
                turns.iter_mut().for_each(|turns| *turns += 1);
            }
            What::SystemCall { .. } => turns[usize::from(event.process)] = 0,
            What::SystemCallResult { number, result } => {
                ensure(result >= 0, || format!("call {number} returns {result}"))?;
                seen.push((u64::from(number), turns[usize::from(event.process)]));
            }
            What::Executed { .. } => seen.push((Call::execve as u64, turns[1])),
            What::ProcessExited { .. } if event.process == 3 => seen.push((Call::exit as u64, turns[3])),
            _ => {}
        }
    }
    let least = [
        (Call::mprotect, 2 * PAGES / PART),
        (Call::fork, 2 * PAGES / PART),
        (Call::exit, 2 * PAGES / PART),
        (Call::mremap, 2 * PAGES / PART),
        (Call::madvise, PAGES / PART),
        (Call::munmap, PAGES / PART),
        // They are counted, and then copied.
        (Call::execve, 2 * (ARGUMENTS / PART)),
    ];
    for (call, least) in least {
        let most = seen.iter().filter(|(number, _)| *number == call as u64).map(|(_, turns)| *turns).max();
        ensure(most.is_some_and(|most| most >= least), || format!("{call:?}: {most:?} turns, not {least}"))?;
    }
    trapline(folder.path(), &["check", "t.trap"])?.expect(0).map(drop)
}

/// A program prints every byte on standard output and standard error.
fn output_can_be_escaped() -> TestResult {
    let bytes: Vec<u8> = (0..=255).collect();
    let mut code = CodeAssembler::new(64)?;
    let mut text = code.create_label();
    for stream in [1, 2] {
        code.mov(edi, stream)?;
        code.lea(rsi, ptr(text))?;
        code.mov(edx, bytes.len() as i32)?;
        call(&mut code, Call::write)?;
    }
    code.xor(edi, edi)?;
    call(&mut code, Call::exit)?;
    code.set_label(&mut text)?;
    code.db(&bytes)?;
    let folder = folder();
    std::fs::write(folder.path().join("bytes"), &bytes)?;
    std::fs::write(folder.path().join("prints"), handmade::program(&code.assemble(PROGRAM)?))?;
    let shown = command(Command::new("cat").arg("-v").arg(folder.path().join("bytes")), folder.path())?
        .expect(0)?
        .stdout;
    for arguments in [&["run", "--escape", "./prints"][..], &["strace", "--escape", "./prints"]] {
        let output = trapline(folder.path(), arguments)?.expect(0)?;
        ensure(output.stdout == shown && output.stderr.contains(&shown), || format!("{output:#?}"))?;
    }
    Ok(())
}

fn call(code: &mut CodeAssembler, call: Call) -> Result<(), IcedError> {
    code.mov(eax, call as u32)?;
    code.syscall()
}

/// Makes a call with these arguments, of which there are at most six.
fn call_with(code: &mut CodeAssembler, number: Call, arguments: &[u64]) -> Result<(), IcedError> {
    for (register, argument) in [rdi, rsi, rdx, r10, r8, r9].into_iter().zip(arguments) {
        code.mov(register, *argument)?;
    }
    call(code, number)
}
