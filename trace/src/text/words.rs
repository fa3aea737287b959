//! What an event says to people: a word for what happened and its details, two spaces apart.
//!
//! Some details need what came before: a result its call's arguments, registers what they were.

use std::collections::BTreeMap;
use std::fmt::Write;

use abi::record::REGISTERS;
use abi::syscall::{Call, errno};

use crate::analysis::hardware::{Fault, PageFault, exit_reason, flags, vector_name};
use crate::analysis::summary::panic_words;
use crate::file::{Boot, CONTEXT_REGISTERS, Context, Event, Frame, Names, Origin, What, name_text};

/// Arguments below this are more likely counts than addresses, and above its negative more likely errors.
const SMALL: u64 = 4096;

/// What is remembered of a process, so that only what changed need be said.
#[derive(Debug, Default)]
struct Process {
    call: Option<(u64, [u64; 6])>,
    registers: Option<[u64; REGISTERS.len()]>,
    context: Option<Context>,
    frame: Option<Frame>,
    structure: u64,
    cr3: u64,
    kernel_stack_top: u64,
}

/// Says events, in their order.
#[derive(Debug, Default)]
pub(super) struct Words {
    processes: BTreeMap<u16, Process>,
    /// By vector, how a trap last arrived that did not arrive as itself: error code, RIP, CR2.
    arrived: BTreeMap<u8, (u16, u64, u64)>,
}

/// `write!` to a String, which cannot fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        { let _ = write!($out, $($arguments)*); }
    };
}

impl Words {
    /// Appends the details of an event to `out`; gives the word for what happened.
    pub(super) fn say(&mut self, event: &Event, names: &Names, out: &mut String) -> &'static str {
        if event.origin == Origin::Host {
            return say_host(&event.what, out);
        }
        let process = self.processes.entry(event.process).or_default();
        let said = process.say_call(&event.what, out).or_else(|| process.say_switch(&event.what, names, out));
        match said.or_else(|| self.say_trap(event, out)) {
            Some(verb) => verb,
            None => say_guest(&event.what, out),
        }
    }

    fn say_trap(&mut self, event: &Event, out: &mut String) -> Option<&'static str> {
        let process = self.processes.entry(event.process).or_default();
        Some(match event.what {
            What::TrapEntry { vector, arrived, error_code, frame, cr2, as_arrived } => {
                out.push_str(&vector_name(vector));
                if let Some((rip, cr2)) = as_arrived {
                    put!(out, " (as {})", vector_name(arrived).split(' ').next().unwrap_or_default());
                    let now = (error_code, rip, cr2);
                    if self.arrived.insert(vector, now) != Some(now) {
                        put!(out, "  rip={rip:#x} cr2={cr2:#x} error={error_code:#x}, stands for");
                    }
                } else if let Some(cr2) = cr2 {
                    put!(out, "  cr2={cr2:#x} error={error_code:#x} ({})", PageFault(error_code));
                } else if error_code != 0 {
                    put!(out, "  error={error_code:#x}");
                }
                put_frame(out, &frame, None);
                let before = process.frame.replace(frame);
                put_if_new(out, "frame", frame.address, before.map_or(0, |before| before.address));
                "trap"
            }
            What::TrapReturn { vector, frame, rax } => {
                match vector {
                    Some(vector) => put!(out, "from {}", vector_name(vector)),
                    None => out.push_str("for the first time"),
                }
                put_frame(out, &frame, process.frame.as_ref());
                put!(out, " rax={rax:#x}");
                "return"
            }
            What::KernelStackFilled(frame) => {
                out.push_str("for the first return");
                put_frame(out, &frame, None);
                put!(out, " frame={:#x}", frame.address);
                process.frame = Some(frame);
                "kstack"
            }
            _ => return None,
        })
    }
}

impl Process {
    fn say_call(&mut self, what: &What, out: &mut String) -> Option<&'static str> {
        Some(match *what {
            What::SystemCall { number, arguments } => {
                put_call(out, number, &arguments);
                self.call = Some((number, arguments));
                "call"
            }
            What::SystemCallResult { number, result } => {
                match self.call.take().filter(|(called, _)| *called as u32 == number) {
                    Some((called, arguments)) => put_call(out, called, &arguments),
                    None => put!(out, "{}", call_name(number.into())),
                }
                out.push_str(" = ");
                put_result(out, result);
                "result"
            }
            What::Registers { at_return, values, .. } => {
                let before = self.registers.replace(values);
                out.push_str(if at_return { "to restore " } else { "as trapped " });
                put_changes(out, &REGISTERS, &values, before.as_ref().map(|before| &before[..]), "unchanged");
                "regs"
            }
            _ => return None,
        })
    }

    fn say_switch(&mut self, what: &What, names: &Names, out: &mut String) -> Option<&'static str> {
        Some(match *what {
            What::ProcessCreated { structure, cr3, kernel_stack_top, name } => {
                *self = Process { structure, cr3, kernel_stack_top, ..Process::default() };
                put!(out, "{}  structure={structure:#x} cr3={cr3:#x}", name_text(name));
                put!(out, " kernel-stack={kernel_stack_top:#x}");
                "create"
            }
            What::ContextSaved { reason, context } => {
                put!(out, "{} ", reason.name());
                self.put_context(out, context, "as loaded");
                "save"
            }
            What::ContextLoaded { from, context, cr3, kernel_stack_top } => {
                match u16::try_from(from) {
                    Ok(from) => put!(out, "from {} ", names.label(Origin::Guest, from)),
                    Err(_) => put!(out, "from {from:#x} "),
                }
                self.put_context(out, context, "as saved");
                put_if_new(out, "cr3", cr3, self.cr3);
                put_if_new(out, "kernel-stack", kernel_stack_top, self.kernel_stack_top);
                (self.cr3, self.kernel_stack_top) = (cr3, kernel_stack_top);
                "load"
            }
            _ => return None,
        })
    }

    fn put_context(&mut self, out: &mut String, context: Context, same: &str) {
        let before = self.context.replace(context);
        let before = before.as_ref().map(|before| &before.registers[..]);
        put_changes(out, &CONTEXT_REGISTERS, &context.registers, before, same);
        put_if_new(out, "structure", context.structure, self.structure);
        self.structure = context.structure;
    }
}

/// Everything else of the guest.
fn say_guest(what: &What, out: &mut String) -> &'static str {
    match *what {
        What::Boot(ref step) => say_boot(step, out),
        What::Gate { vector, kind, ist, handler } => {
            put!(out, "{vector:#04x} {}  handler={handler:#x} dpl={}", vector_name(vector), kind >> 5 & 3);
            if ist != 0 {
                put!(out, " ist={ist}");
            }
            "gate"
        }
        What::Tick { ticks } => {
            put!(out, "number {ticks}");
            "tick"
        }
        What::TimerArmed { timer, value, cycles } => {
            put!(out, "{}, value {value}, in {cycles} cycles", timer.name());
            "timer"
        }
        What::Sleep { until_tsc } => {
            put!(out, "until TSC {until_tsc}");
            "sleep"
        }
        What::Wake { wanted_tsc } => {
            put!(out, "wanted at TSC {wanted_tsc}");
            "wake"
        }
        What::Idle => {
            out.push_str("nobody can run");
            "idle"
        }
        What::KernelPanic { reason, rip, error_code, cr2, rsp, rflags } => {
            put!(out, "{}  rip={rip:#x} rsp={rsp:#x} error={error_code:#x}", panic_words(reason, rip));
            put!(out, " cr2={cr2:#x} [{}]", flags(rflags));
            "PANIC"
        }
        ref other => say_process(other, out),
    }
}

/// Bytes as a string where they are text, else as words.
fn put_data(out: &mut String, bytes: &[u8], size: u32) {
    let more = if bytes.len() < size as usize { "..." } else { "" };
    if bytes.iter().all(|byte| byte.is_ascii_graphic() || b" \n\t\r".contains(byte)) {
        put!(out, "\"{}\"{more}", bytes.escape_ascii());
    } else {
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            put!(out, "{:#x} ", u64::from_le_bytes(padded));
        }
        out.push_str(more);
    }
    put!(out, "  {size} bytes");
}

fn say_boot(step: &Boot, out: &mut String) -> &'static str {
    match *step {
        Boot::Started { start, end, usable } => {
            put!(out, "kernel at {start:#x} to {end:#x}, {} KiB of memory usable", usable >> 10);
        }
        Boot::Segments { gdt, tss } => put!(out, "segments  gdt={gdt:#x} tss={tss:#x}"),
        Boot::TrapTable { address, gates } => put!(out, "trap table with {gates} gates  idt={address:#x}"),
        Boot::SyscallHandler { lstar, star, sfmask } => {
            put!(out, "system call handler  lstar={lstar:#x} star={star:#x} sfmask={sfmask:#x}");
        }
        Boot::Protection { cr0, cr4, efer } => {
            put!(out, "protection  cr0={cr0:#x} cr4={cr4:#x} efer={efer:#x}");
        }
        Boot::Timer { tsc_khz, apic_khz, apic_khz_measured, x2apic } => {
            let mode = if x2apic { "x2APIC" } else { "xAPIC" };
            put!(out, "timer in {mode}, TSC {tsc_khz} kHz,");
            put!(out, " APIC {apic_khz} kHz, measured {apic_khz_measured}");
        }
        Boot::Probed { syscall, int80 } => {
            let name = |vector| u8::try_from(vector).map_or_else(|_| format!("{vector:#x}"), vector_name);
            put!(out, "syscall arrives as {}, int 0x80 as {}", name(syscall), name(int80));
        }
        Boot::Policy { policy, quantum_us, batch } => {
            put!(out, "policy {}, quantum {quantum_us} us, batch {batch}", policy.name());
        }
        Boot::Ready { processes: 1 } => out.push_str("ready, 1 process"),
        Boot::Ready { processes } => put!(out, "ready, {processes} processes"),
    }
    "boot"
}

fn say_process(what: &What, out: &mut String) -> &'static str {
    match *what {
        What::SegmentLoaded { address, memory, file, flags, copied } => {
            let letter = |bit, letter| if flags & bit != 0 { letter } else { '-' };
            put!(out, "{}{}{} at {address:#x}", letter(4, 'r'), letter(2, 'w'), letter(1, 'x'));
            put!(out, "  {memory} bytes, {file} from the file, {}", if copied { "copied" } else { "mapped" });
            "segment"
        }
        What::StackBuilt { argc, lowest, rsp, argv } => {
            put!(out, "argc={argc} argv={argv:#x} rsp={rsp:#x} lowest={lowest:#x}");
            "stack"
        }
        What::ProcessExited { status } => {
            put!(out, "with {status}");
            "exit"
        }
        What::ProcessKilled { vector, error_code, rip, cr2 } => {
            put!(out, "{}  rip={rip:#x}", Fault { vector, error_code, cr2 });
            "KILLED"
        }
        What::Data { argument, size, shown, ref bytes } => {
            put!(out, "argument {argument} leads to ");
            put_data(out, &bytes[..shown.into()], size);
            "data"
        }
        What::Called(frame) => {
            put!(out, "without limits  cpl={} rip={:#x} rsp={:#x}", frame.cpl(), frame.rip, frame.rsp);
            put!(out, " [{}]", flags(frame.rflags.into()));
            "enter"
        }
        What::Returned { status } => {
            put!(out, "from main with {status}");
            "leave"
        }
        What::FaultRedirected { vector, error_code, rip, cr2, handler, rsp } => {
            put!(out, "takes {} at {rip:#x} ", Fault { vector, error_code, cr2 });
            put!(out, " rip={handler:#x} rsp={rsp:#x}");
            "handler"
        }
        What::ProcessFreed { frames } => {
            put!(out, "{frames} frames");
            "free"
        }
        What::LoadFailed { error, name } => {
            put!(out, "{}: {}", name_text(name), error.name());
            "NO LOAD"
        }
        ref other => say_unknown(other, out),
    }
}

fn say_host(what: &What, out: &mut String) -> &'static str {
    match *what {
        What::HostClock { monotonic_ns, realtime_ns } => {
            put!(out, "monotonic={monotonic_ns} ns, realtime={realtime_ns} ns");
            "clock"
        }
        What::HostExits { reason, count, guest_ns, host_ns } => {
            match exit_reason(reason) {
                Some(name) => put!(out, "{name}: {count}"),
                None => put!(out, "KVM_EXIT {reason}: {count}"),
            }
            put!(out, "  {guest_ns} ns in the guest, {host_ns} ns in the host");
            "exits"
        }
        What::HostCount { counter, value } => {
            put!(out, "{}: {value}", counter.name());
            "count"
        }
        What::HostStop(stop) => {
            out.push_str(stop.name());
            "stop"
        }
        What::HostEnd { exit_code, ending, status, rip } => {
            put!(out, "{}, status {status}, exit code {exit_code}", ending.name());
            if rip != 0 {
                put!(out, ", rip={rip:#x}");
            }
            "end"
        }
        ref other => say_unknown(other, out),
    }
}

fn say_unknown(what: &What, out: &mut String) -> &'static str {
    if let What::Unknown { kind, detail, count, words } = what {
        put!(out, "kind {kind}  detail={detail:#x}");
        words.iter().take(usize::from(*count)).for_each(|word| put!(out, " {word:#x}"));
    }
    "?"
}

/// A frame; where it was seen before, only what changed beside the address to go on at.
fn put_frame(out: &mut String, frame: &Frame, before: Option<&Frame>) {
    put!(out, "  cpl={} rip={:#x}", frame.cpl(), frame.rip);
    if before.is_none_or(|before| before.rsp != frame.rsp) {
        put!(out, " rsp={:#x}", frame.rsp);
    }
    if before.is_none_or(|before| before.rflags != frame.rflags) {
        put!(out, " [{}]", flags(frame.rflags.into()));
    }
    if let Some(before) = before {
        put_if_new(out, "frame", frame.address, before.address);
    }
}

fn put_if_new(out: &mut String, name: &str, now: u64, before: u64) {
    if now != before {
        put!(out, " {name}={now:#x}");
    }
}

fn put_call(out: &mut String, number: u64, arguments: &[u64; 6]) {
    let count = Call::from_number(number).map_or(arguments.len(), Call::arguments);
    put!(out, "{}(", call_name(number));
    for (index, &argument) in arguments.iter().take(count).enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        put_value(out, argument);
    }
    out.push(')');
}

fn call_name(number: u64) -> String {
    match Call::from_number(number) {
        Some(call) => call.name().into(),
        None if number < SMALL => format!("syscall_{number}"),
        None => format!("syscall_{number:#x}"),
    }
}

/// Small numbers of either sign in decimal, all others in hexadecimal.
fn put_value(out: &mut String, value: u64) {
    if value < SMALL || value.wrapping_neg() < SMALL {
        put!(out, "{}", value as i64);
    } else {
        put!(out, "{value:#x}");
    }
}

fn put_result(out: &mut String, result: i64) {
    match result.checked_neg().and_then(errno::name) {
        Some(name) => put!(out, "-{name}"),
        None => put_value(out, result as u64),
    }
}

/// The registers that are not as before; at first, those that are not 0.
fn put_changes(out: &mut String, names: &[&str], now: &[u64], before: Option<&[u64]>, same: &str) {
    let mut any = false;
    for (index, (name, &value)) in names.iter().zip(now).enumerate() {
        if value != before.map_or(0, |before| before[index]) {
            any = true;
            put!(out, " {name}={value:#x}");
        }
    }
    match (any, before) {
        (false, Some(_)) => put!(out, " {same}"),
        (_, None) => out.push_str(" others=0"),
        (true, Some(_)) => {}
    }
}
