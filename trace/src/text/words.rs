//! Events as sentences for people: a word for what happened, and its details.
//!
//! This is the one place where each kind of record has text of its own; everything else follows from the table in
//! `abi::record`. Some details depend on earlier events: a call's arguments are in the frame of its trap, and only registers
//! that changed are named.

use std::borrow::Cow;
use std::collections::BTreeMap;

use abi::record::{ARGUMENTS, CONTEXT, NO_MEMORY, REGISTERS};
use abi::syscall::{Call, Type, errno};

use super::arguments::put_plain;
use super::put_hex;
use crate::analysis::hardware::{Fault, PageFault, exit_reason, flags, short_name, signal_name, vector_name};
use crate::analysis::summary::panic_words;
use crate::file::{Boot, Context, Event, Frame, Names, Origin, Trap, What, name_text};

/// Arguments below this are more likely counts than addresses, and above its negative more likely errors.
const SMALL: u64 = 4096;

/// What the events so far say of a process, so that only changes are shown.
#[derive(Debug, Default)]
struct Process {
    /// The call under way: its number, and its arguments where its trap is known.
    call: Option<(u64, Option<[u64; ARGUMENTS.len()]>)>,
    context: Option<Context>,
    frame: Option<Frame>,
    structure: u64,
    cr3: u64,
    kernel_stack_top: u64,
}

/// Turns events into sentences, in their order.
#[derive(Debug, Default)]
pub(super) struct Words {
    processes: BTreeMap<u16, Process>,
    /// For each vector, the last trap that arrived as another one: error code, RIP, CR2.
    arrived: BTreeMap<u8, (u16, u64, u64)>,
}

impl Words {
    /// Appends the details of an event to `out`; returns the word for what happened.
    pub(super) fn say(&mut self, event: &Event, names: &Names, out: &mut String) -> &'static str {
        let process = self.processes.entry(event.process).or_default();
        match event.what {
            What::Boot(ref step) => put_boot(step, out),
            What::Gates { first, table } => {
                for (index, gate) in table.from(first).enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    put!(out, "{} {:#x}", short_name(gate.vector), gate.handler);
                    let dpl = gate.kind >> 5 & 3;
                    if dpl != 0 {
                        put!(out, " dpl={dpl}");
                    }
                    if gate.ist != 0 {
                        put!(out, " ist={}", gate.ist);
                    }
                }
                "gates"
            }
            What::ProcessCreated { structure, cr3, kernel_stack_top, program: name } => {
                *process = Process { structure, cr3, kernel_stack_top, ..Process::default() };
                put!(out, "{}  structure={structure:#x} cr3={cr3:#x}", name_text(name));
                put!(out, " kernel-stack={kernel_stack_top:#x}");
                "create"
            }
            What::SegmentLoaded { flags, copied, address, memory, file } => {
                let letter = |bit, letter| if flags & bit != 0 { letter } else { '-' };
                put!(out, "{}{}{} at {address:#x}", letter(4, 'r'), letter(2, 'w'), letter(1, 'x'));
                let how = if copied { "copied" } else { "mapped" };
                put!(out, "  {memory} bytes, {file} from the file, {how}");
                "segment"
            }
            What::StackBuilt { argc, lowest, rsp, argv } => {
                put!(out, "argc={argc} argv={argv:#x} rsp={rsp:#x} lowest={lowest:#x}");
                "stack"
            }
            What::KernelStackFilled { frame } => {
                out.push_str("for the first return");
                process.put_frame(out, frame);
                "kstack"
            }
            What::TrapEntry { .. } => {
                if let Some(trap) = event.trap() {
                    self.put_trap(event.process, trap, out);
                }
                "trap"
            }
            What::SystemCall { number } => {
                let arguments = process.frame.map(|frame| frame.arguments());
                put_call(out, number, arguments);
                process.call = Some((number, arguments));
                "call"
            }
            What::SystemCallResult { number, result } => {
                match process.call.take().filter(|(called, _)| *called as u32 == number) {
                    Some((called, arguments)) => put_call(out, called, arguments),
                    None => out.push_str(&call_name(number.into())),
                }
                out.push_str(" = ");
                put_result(out, result);
                "result"
            }
            What::Tick { ticks } => {
                put!(out, "number {ticks}");
                "tick"
            }
            What::TimerArmed { timer, value, cycles } => {
                put!(out, "{}, value {value}, in {cycles} cycles", timer.name());
                "timer"
            }
            What::ContextSaved { reason, structure, context } => {
                out.push_str(reason.name());
                out.push(' ');
                process.put_context(out, structure, context, "as loaded");
                "save"
            }
            What::ContextLoaded { from, structure, context, cr3, kernel_stack_top } => {
                match u16::try_from(from) {
                    Ok(from) => put!(out, "from {} ", names.label(Origin::Guest, from)),
                    Err(_) => put!(out, "from {from:#x} "),
                }
                process.put_context(out, structure, context, "as saved");
                put_if_new(out, "cr3", cr3, process.cr3);
                put_if_new(out, "kernel-stack", kernel_stack_top, process.kernel_stack_top);
                (process.cr3, process.kernel_stack_top) = (cr3, kernel_stack_top);
                "load"
            }
            What::TrapReturn { frame } => {
                match frame.trap() {
                    Some(vector) => {
                        out.push_str("from ");
                        out.push_str(&vector_name(vector));
                    }
                    None => out.push_str("for the first time"),
                }
                process.put_return(out, frame);
                "return"
            }
            What::Sleep { until_tsc } => {
                put!(out, "until TSC {until_tsc}");
                "sleep"
            }
            What::Wake { wanted_tsc } => {
                put!(out, "wanted at TSC {wanted_tsc}");
                "wake"
            }
            What::ProcessExited { status } => {
                put!(out, "with {status}");
                "exit"
            }
            What::ProcessKilled { vector, error_code, rip, cr2 } => {
                put!(out, "{}  rip={rip:#x}", Fault { vector, error_code, cr2 });
                "KILLED"
            }
            What::ProcessFreed { frames } => {
                put!(out, "{frames} frames");
                "free"
            }
            What::LoadFailed { error, program: name } => {
                put!(out, "{}: {}", name_text(name), error.name());
                "NO LOAD"
            }
            What::Idle {} => {
                out.push_str("no process can run");
                "idle"
            }
            What::KernelPanic { reason, rip, error_code, cr2, rsp, rflags } => {
                put!(out, "{}  rip={rip:#x} rsp={rsp:#x} error={error_code:#x}", panic_words(reason, rip));
                put!(out, " cr2={cr2:#x} [{}]", flags(rflags));
                "PANIC"
            }
            What::Called { frame } => {
                put!(out, "without limits  cpl={} rip={:#x} rsp={:#x}", frame.cpl(), frame.rip, frame.rsp);
                put!(out, " [{}]", flags(frame.rflags));
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
            What::Data { argument, size, ref bytes } => {
                put!(out, "argument {argument} leads to ");
                put_data(out, bytes.of(size), size);
                "data"
            }
            What::PageResolved { how, by_kernel, page, frame } => {
                put!(out, "{page:#x} is {}  frame={frame:#x}", how.name());
                out.push_str(if by_kernel { " (for the kernel)" } else { "" });
                "page"
            }
            What::Blocked { wait, object, until_tsc } => {
                put!(out, "for {} ({object:#x})", wait.name());
                if until_tsc != u64::MAX {
                    put!(out, ", until TSC {until_tsc}");
                }
                "block"
            }
            What::Woken { wait, by, object } => {
                put!(out, "by {}: waited for {} ({object:#x})", names.label(Origin::Guest, by), wait.name());
                "wake"
            }
            What::Cloned { parent, is_thread, flags } => {
                let what = if is_thread { "a thread" } else { "a child" };
                put!(out, "{what} of {}  flags={flags:#x}", names.label(Origin::Guest, parent));
                "clone"
            }
            What::Executed { cr3, program } => {
                put!(out, "{}  cr3={cr3:#x}", name_text(program));
                "exec"
            }
            What::SignalSent { signal, is_ignored, by, code, about } => {
                put!(out, "{} by {}  code={code}", signal_name(signal), names.label(Origin::Guest, by));
                if about != 0 {
                    put!(out, " about={about:#x}");
                }
                out.push_str(if is_ignored { " (ignored)" } else { "" });
                "signal"
            }
            What::SignalDelivered { signal, at, handler, rip, rsp, .. } => {
                put!(out, "{} to its handler {handler:#x}  frame={at:#x}", signal_name(signal));
                put!(out, " with rip={rip:#x} rsp={rsp:#x}");
                "handler"
            }
            What::SignalReturned { at, rip, rsp, .. } => {
                put!(out, "through the frame {at:#x}  rip={rip:#x} rsp={rsp:#x}");
                "handled"
            }
            What::SequenceAborted { rip, abort } => {
                put!(out, "at {rip:#x}  rip={abort:#x}");
                "abort"
            }
            What::ProcessSignaled { signal, code, by } => {
                match code {
                    NO_MEMORY => put!(out, "{}: there is no memory left", signal_name(signal)),
                    _ => put!(out, "{}  code={code} by={by}", signal_name(signal)),
                }
                "KILLED"
            }
            What::Memory { free_at_start, free_at_end } => {
                put!(out, "{free_at_end} frames are free, {free_at_start} were at the start");
                "memory"
            }
            What::Deadlock { processes } => {
                put!(out, "{processes} processes wait for one another");
                "DEADLOCK"
            }
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
            What::HostStop { stop } => {
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
            What::Unknown { kind, detail, count, words } => {
                put!(out, "kind {kind}  detail={detail:#x}");
                words.iter().take(usize::from(count)).for_each(|word| put!(out, " {word:#x}"));
                "?"
            }
        }
    }

    fn put_trap(&mut self, process: u16, trap: Trap, out: &mut String) {
        let Trap { vector, arrived, frame, error_code, cr2, as_arrived } = trap;
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
        self.processes.entry(process).or_default().put_frame(out, frame);
    }
}

impl Process {
    /// The frame of a trap, and the registers that are not as in the frame before.
    fn put_frame(&mut self, out: &mut String, frame: Frame) {
        put_where(out, frame);
        put_named(out, "rsp", frame.rsp);
        put_flags(out, frame);
        self.put_rest(out, frame);
    }

    /// A frame that is returned to: where it continues, and what else is not as in the frame before.
    fn put_return(&mut self, out: &mut String, frame: Frame) {
        put_where(out, frame);
        if self.frame.is_none_or(|before| before.rsp != frame.rsp) {
            put_named(out, "rsp", frame.rsp);
        }
        if self.frame.is_none_or(|before| before.rflags != frame.rflags) {
            put_flags(out, frame);
        }
        self.put_rest(out, frame);
    }

    fn put_rest(&mut self, out: &mut String, frame: Frame) {
        let before = self.frame.replace(frame);
        put_if_new(out, "frame", frame.address, before.map_or(0, |before| before.address));
        let before = before.as_ref().map(|before| &before.registers[..]);
        put_changes(out, &REGISTERS, &frame.registers, before, "");
    }

    fn put_context(&mut self, out: &mut String, structure: u64, context: Context, same: &str) {
        let before = self.context.replace(context);
        put_changes(out, &CONTEXT, &context, before.as_ref().map(|before| &before[..]), same);
        put_if_new(out, "structure", structure, self.structure);
        self.structure = structure;
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
            padded.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
            put!(out, "{:#x} ", u64::from_le_bytes(padded));
        }
        out.push_str(more);
    }
    put!(out, "  {size} bytes");
}

fn put_boot(step: &Boot, out: &mut String) -> &'static str {
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
        Boot::Scheduler { policy, quantum_us, batch } => {
            put!(out, "policy {}, quantum {quantum_us} us, batch {batch}", policy.name());
        }
        Boot::Ready { processes: 1 } => out.push_str("ready, 1 process"),
        Boot::Ready { processes } => put!(out, "ready, {processes} processes"),
    }
    "boot"
}

/// The mode and the address at which a frame continues.
fn put_where(out: &mut String, frame: Frame) {
    put!(out, "  cpl={}", frame.cpl());
    put_named(out, "rip", frame.rip);
}

fn put_flags(out: &mut String, frame: Frame) {
    out.push_str(" [");
    out.push_str(&flags(frame.rflags));
    out.push(']');
}

fn put_named(out: &mut String, name: &str, value: u64) {
    out.push(' ');
    out.push_str(name);
    out.push('=');
    put_hex(out, value);
}

fn put_if_new(out: &mut String, name: &str, now: u64, before: u64) {
    if now != before {
        put_named(out, name, now);
    }
}

/// A call, its arguments as `?` where its trap is not known.
fn put_call(out: &mut String, number: u64, arguments: Option<[u64; ARGUMENTS.len()]>) {
    let types =
        Call::from_number(number).map_or([Type::Hex; 6].as_slice(), |call| call.signature().arguments);
    out.push_str(&call_name(number));
    out.push('(');
    out.push_str(if arguments.is_none() && !types.is_empty() { "?" } else { "" });
    let arguments = arguments.as_ref();
    let typed = |(of, &value): (&Type, &u64)| Some((of.of_call(arguments?)?, value));
    for (index, (of, value)) in
        types.iter().zip(arguments.into_iter().flatten()).filter_map(typed).enumerate()
    {
        out.push_str(if index == 0 { "" } else { ", " });
        match of {
            Type::Hex | Type::Size | Type::Long | Type::Address | Type::Remaining => put_value(out, value),
            _ if of.input().or(of.output()).is_some() => put_value(out, value),
            _ => put_plain(out, of, value),
        }
    }
    out.push(')');
}

fn call_name(number: u64) -> Cow<'static, str> {
    match Call::from_number(number) {
        Some(call) => call.name().into(),
        None if number < SMALL => format!("syscall_{number}").into(),
        None => format!("syscall_{number:#x}").into(),
    }
}

/// Small numbers of either sign in decimal, all others in hexadecimal.
fn put_value(out: &mut String, value: u64) {
    if value < SMALL || value.wrapping_neg() < SMALL {
        put!(out, "{}", value as i64);
    } else {
        put_hex(out, value);
    }
}

fn put_result(out: &mut String, result: i64) {
    match result.checked_neg().and_then(errno::name) {
        Some(name) => put!(out, "-{name}"),
        None => put_value(out, result as u64),
    }
}

/// The registers that are not as before, or `same` if all are; at first, those that are not 0.
fn put_changes(out: &mut String, names: &[&str], now: &[u64], before: Option<&[u64]>, same: &str) {
    let mut any = false;
    let values_before = before.into_iter().flatten().copied().chain(std::iter::repeat(0));
    for ((name, &value), value_before) in names.iter().zip(now).zip(values_before) {
        if value != value_before {
            any = true;
            put_named(out, name, value);
        }
    }
    match (any, before) {
        (false, Some(_)) if same.is_empty() => {}
        (false, Some(_)) => {
            out.push(' ');
            out.push_str(same);
        }
        (_, None) => out.push_str(" others=0"),
        (true, Some(_)) => {}
    }
}
