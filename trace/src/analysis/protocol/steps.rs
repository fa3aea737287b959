//! Records into steps: one or more rows for each, and none without it.

use std::collections::{BTreeMap, BTreeSet};

use abi::hardware::rflags::IF;
use abi::hardware::vector::PAGE_FAULT;
use abi::record::{CONTEXT, REGISTERS, Reason, SYSCALL_VECTOR};
use abi::syscall::{Call, INT_VECTOR, errno};

use super::{Actor, Layer, Row, Value};
use crate::analysis::hardware::{Fault, exception, flags, vector_name};
use crate::file::{Boot, Context, Event, Frame, Names, Origin, Trap, What};

/// Type and DPL of a gate: 64-bit interrupt gate, whose use clears IF (SDM vol. 3, 7.12.1.3).
const INTERRUPT_GATE: u8 = 0xE;
/// User addresses end here (canonical addresses of 48 bits, SDM vol. 1, 3.3.7.1).
const USER_END: u64 = 1 << 47;
/// The most rows of a table, and the most lines of one row. An excerpt of a real run has some dozens; a trace may claim to
/// have millions.
const ROWS_MAX: usize = 2000;
const DETAILS_MAX: usize = 256;
/// The most notes of a table.
const NOTES_MAX: usize = 16;

/// What the whole trace says about names and gates.
#[derive(Default)]
pub(super) struct Known {
    names: Names,
    /// The first process that was created, and all of them.
    first: Option<u16>,
    processes: BTreeSet<u16>,
    gates: BTreeMap<u8, (u8, u64)>,
    syscall: Option<(u64, u64)>,
    stacks: BTreeMap<u16, u64>,
    tsc_khz: u64,
}

impl Known {
    pub(super) fn learn(&mut self, event: &Event) {
        self.names.learn(event);
        match event.what {
            What::ProcessCreated { kernel_stack_top, .. } => {
                self.first.get_or_insert(event.process);
                self.processes.insert(event.process);
                self.stacks.insert(event.process, kernel_stack_top);
            }
            What::Gates { first, table } => {
                self.gates.extend(table.from(first).map(|gate| (gate.vector, (gate.kind, gate.handler))));
            }
            What::Boot(Boot::SyscallHandler { lstar, sfmask, .. }) => self.syscall = Some((lstar, sfmask)),
            What::Boot(Boot::Timer { tsc_khz, .. }) => self.tsc_khz = tsc_khz,
            _ => {}
        }
    }

    /// The first process that was created.
    pub(super) fn first(&self) -> Option<u16> {
        self.first
    }

    /// The process with this number, name or NAME/NUMBER.
    pub(super) fn find(&self, wanted: &str) -> Option<u16> {
        let is_meant = |&id: &u16| {
            id.to_string() == wanted || self.names.get(id) == Some(wanted) || self.label(id) == wanted
        };
        self.processes.iter().copied().find(is_meant)
    }

    pub(super) fn label(&self, process: u16) -> String {
        self.names.label(Origin::Guest, process).into_owned()
    }

    /// Where the hardware goes at this vector, and that interrupts are off there.
    fn handler(&self, vector: u8) -> Vec<String> {
        if vector == SYSCALL_VECTOR {
            let Some((lstar, sfmask)) = self.syscall else { return vec![] };
            let off = (sfmask & IF != 0).then(|| "interrupts off: SFMASK clears IF".to_owned());
            return off.into_iter().chain([format!("jump to trap handler: LSTAR = {lstar:#x}")]).collect();
        }
        let Some(&(kind, handler)) = self.gates.get(&vector) else { return vec![] };
        let off = (kind & 0xF == INTERRUPT_GATE).then(|| "interrupts off: an interrupt gate".to_owned());
        off.into_iter().chain([format!("jump to trap handler: gate {vector:#04x} = {handler:#x}")]).collect()
    }
}

/// Rows, as the events of a section come.
pub(super) struct Steps<'a> {
    known: &'a Known,
    rows: Vec<Row>,
    notes: Vec<String>,
    /// A return from trap, or a call of main, that nothing has proved yet.
    left: Option<Event>,
    /// The row of the latest trap's program, and of its hardware.
    trap: Option<(Option<usize>, usize, Frame)>,
    /// Records of gates were seen.
    gates: bool,
}

impl<'a> Steps<'a> {
    pub(super) fn new(known: &'a Known) -> Steps<'a> {
        Steps { known, rows: vec![], notes: vec![], left: None, trap: None, gates: false }
    }

    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn finish(self) -> (Vec<Row>, Vec<String>) {
        (self.rows, self.notes)
    }

    /// The part is over; `next` is what the trace has behind it.
    pub(super) fn close(&mut self, next: Option<&Event>) {
        if let Some(next) = next {
            self.prove(next);
        }
        (self.left, self.trap) = (None, None);
    }

    /// Records are missing here: what comes next proves nothing of what was before.
    pub(super) fn lose(&mut self) {
        self.close(None);
        self.note("Records are missing: steps that they would have proved are not shown.".into());
    }

    /// The next event.
    pub(super) fn take(&mut self, event: &Event) {
        if self.rows.len() >= ROWS_MAX {
            return self.note(format!("There are more steps than the {ROWS_MAX} that are shown."));
        }
        self.prove(event);
        match event.what {
            What::Boot(step) => self.boot(event, step),
            What::Gates { .. } => self.gates = true,
            What::TimerArmed { timer, value, cycles } => self.timer(event, timer.name(), value, cycles),
            What::TrapEntry { .. } => self.trap_entry(event),
            What::ContextSaved { .. } | What::ContextLoaded { .. } => self.switch(event),
            What::TrapReturn { .. } => self.trap_return(event),
            What::HostStop { stop } => self.note(format!("The host stopped the machine: {}.", stop.name())),
            What::HostEnd { exit_code, .. } => self.note(format!("Exit code of the run: {exit_code}.")),
            _ => self.process(event),
        }
    }

    fn row(&mut self, event: &Event, actor: Actor, step: &'static str, text: impl Into<String>) -> &mut Row {
        self.rows.push(Row {
            actor,
            step,
            process: event.process,
            nanoseconds: event.nanoseconds,
            record: event.sequence,
            layer: None,
            text: text.into(),
            details: vec![],
            values: vec![],
        });
        self.rows.last_mut().expect("it was just pushed")
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn boot(&mut self, event: &Event, step: Boot) {
        match step {
            Boot::TrapTable { address, gates } => {
                let row = self.row(event, Actor::Os, "trap-table", "initialize trap table");
                row.details = vec![format!("{gates} gates, installed by `lidt`")];
                row.values = values(&[("IDT", address)]);
                self.remember_gates(event);
            }
            Boot::SyscallHandler { lstar, star, sfmask } => {
                let row = self.row(
                    event,
                    Actor::Hardware,
                    "remember-syscall",
                    "remember address of system call handler",
                );
                row.details =
                    if sfmask & IF == 0 { vec![] } else { vec!["SFMASK: clears IF on the way in".into()] };
                row.values = values(&[("LSTAR", lstar), ("STAR", star), ("SFMASK", sfmask)]);
            }
            Boot::Protection { cr0, cr4, efer } => {
                let row = self.row(event, Actor::Os, "protection", "turn protection on");
                row.values = values(&[("CR0", cr0), ("CR4", cr4), ("EFER", efer)]);
            }
            Boot::Probed { syscall, int80 } => {
                for (vector, arrives) in [(SYSCALL_VECTOR, syscall), (INT_VECTOR, int80)] {
                    if u64::from(vector) != arrives {
                        self.note_arrival(vector, arrives as u8);
                    }
                }
            }
            _ => {}
        }
    }

    /// The gates whose records lie before the trap table's.
    fn remember_gates(&mut self, event: &Event) {
        let shown =
            self.known.gates.iter().filter(|(vector, _)| **vector >= 32 || matches!(**vector, 0 | 13 | 14));
        let lines: Vec<_> =
            shown.map(|(&vector, &(_, at))| format!("{}: {at:#x}", short_name(vector))).collect();
        if self.gates {
            let row = self.row(event, Actor::Hardware, "remember-gates", "remember addresses of handlers");
            row.details = lines;
        }
    }

    fn note_arrival(&mut self, vector: u8, arrived: u8) {
        self.note(format!(
            "On this host `{}` reaches the kernel as {}. The kernel found this out at boot and corrects it.",
            vector_name(vector),
            short_name(arrived),
        ));
    }

    fn timer(&mut self, event: &Event, mode: &str, value: u64, cycles: u64) {
        self.row(event, Actor::Os, "start-timer", "start interrupt timer").details =
            vec![format!("{mode}, value {value}")];
        let text = match self.known.tsc_khz {
            0 => format!("start timer: interrupt CPU in {cycles} cycles"),
            khz => format!("start timer: interrupt CPU in {:.3} ms", cycles as f64 / khz as f64),
        };
        self.row(event, Actor::Hardware, "timer-started", text);
    }

    fn trap_entry(&mut self, event: &Event) {
        let Some(Trap { vector, arrived, error_code, frame, cr2, as_arrived }) = event.trap() else { return };
        let who = self.known.label(event.process);
        let program =
            self.trapping_program(event, vector, &frame, Fault { vector, error_code, cr2: cr2.unwrap_or(0) });
        let hardware = self.rows.len();
        let text = match (vector, exception(vector)) {
            (SYSCALL_VECTOR, _) if arrived == vector => {
                "`syscall`: keep PC and flags in RCX and R11".to_owned()
            }
            (SYSCALL_VECTOR | INT_VECTOR, _) => format!("trap: save regs({who}) to k-stack({who})"),
            (_, Some((mnemonic, _))) => format!("{mnemonic}: save regs({who}) to k-stack({who})"),
            _ => format!("timer interrupt: save regs({who}) to k-stack({who})"),
        };
        let mut details = vec![match frame.cpl() {
            0 => "already in kernel mode: CPL 0".to_owned(),
            cpl => format!("move to kernel mode: CPL {cpl} → 0"),
        }];
        details.extend(self.known.handler(arrived));
        let row = self.row(event, Actor::Hardware, "trap", text);
        row.layer = Some(Layer::HardwareFrame);
        row.details = details;
        match as_arrived {
            _ if vector == SYSCALL_VECTOR && arrived == vector => {
                row.layer = Some(Layer::HardwareRegisters);
                row.details.insert(0, "no frame, no stack switch".into());
            }
            // RFLAGS is the one word that the kernel rewrites without a copy on record.
            Some((rip, _)) => {
                row.values = values(&[
                    ("frame", frame.address),
                    ("RIP", rip),
                    ("CS", frame.cs),
                    ("RSP", frame.rsp),
                    ("SS", frame.ss),
                    ("error", error_code.into()),
                ])
            }
            None => row.values = frame_values(&frame, has_error_code(vector).then_some(error_code)),
        }
        if let Some(address) = cr2 {
            row.details.push(format!("CR2 = {address:#x}"));
        }
        self.stub(event, vector, arrived, &frame);
        self.trap = Some((program, hardware, frame));
        self.registers(event, false, &frame);
    }

    /// What the stub does about a `syscall`, and the kernel about a trap that arrived as another.
    fn stub(&mut self, event: &Event, vector: u8, arrived: u8, frame: &Frame) {
        let who = self.known.label(event.process);
        let (step, text) = match (vector, arrived) {
            (SYSCALL_VECTOR, SYSCALL_VECTOR) => {
                ("build-frame", format!("switch to k-stack({who}), build the frame"))
            }
            (vector, arrived) if vector != arrived => {
                self.note_arrival(vector, arrived);
                ("take-for", format!("handle it as `{}`: correct PC and flags", vector_name(vector)))
            }
            _ => return,
        };
        let row = self.row(event, Actor::Os, step, text);
        row.layer = Some(Layer::TrapFrame);
        row.values = frame_values(frame, None);
    }

    /// The row of the program that trapped.
    fn trapping_program(&mut self, event: &Event, vector: u8, frame: &Frame, fault: Fault) -> Option<usize> {
        let who = self.known.label(event.process);
        let is_running = self.rows.last().is_some_and(|row| row.actor == Actor::Program);
        let (step, text) = match vector {
            SYSCALL_VECTOR | INT_VECTOR => ("call", format!("{who} calls system: trap into OS")),
            0..32 if frame.rip < USER_END => ("fault", format!("{who} faults: {fault}")),
            32.. if !is_running && frame.rip < USER_END => ("run", format!("{who} runs…")),
            _ => return None,
        };
        let after = if step == "call" { "PC after the trap" } else { "PC" };
        self.row(event, Actor::Program, step, text).details = place(after, frame);
        self.rows.len().checked_sub(1)
    }

    fn registers(&mut self, event: &Event, at_return: bool, frame: &Frame) {
        let registers = &frame.registers;
        let named = |name| {
            REGISTERS.iter().zip(registers).find(|(known, _)| **known == name).map_or(0, |(_, &value)| value)
        };
        if let Some((_, hardware, _)) = self.trap
            && !at_return
            && let Some(row) = self.rows.get_mut(hardware)
            && row.text.starts_with("`syscall`")
            && named("rcx") == frame.rip
        {
            row.values = values(&[("RCX", named("rcx")), ("R11", named("r11"))]);
        }
        let who = self.known.label(event.process);
        let (step, text) = if at_return {
            ("restore-registers", format!("restore general registers of {who}"))
        } else {
            ("save-registers", format!("save general registers of {who} beside the frame"))
        };
        let row = self.row(event, Actor::Os, step, text);
        row.layer = Some(Layer::TrapFrame);
        (row.values, row.details) =
            not_zero(REGISTERS.iter().rev().copied().zip(registers.iter().rev().copied()));
    }

    fn switch(&mut self, event: &Event) {
        let who = self.known.label(event.process);
        match event.what {
            What::ContextSaved { reason, structure, context } => {
                let why = match reason {
                    Reason::Preempted => "its turn is over",
                    Reason::Yielded => "it yields",
                    Reason::Slept => "it sleeps",
                    Reason::Blocked => "it waits",
                    Reason::Ended => "it has ended",
                    Reason::Idle => "a process is ready",
                };
                let text = format!("call switch(): save regs({who}) to proc({who})");
                let row = self.row(event, Actor::Os, "switch-save", text);
                row.layer = Some(Layer::Context);
                context_values(row, structure, &context);
                row.details.insert(0, format!("why: {why}"));
            }
            What::ContextLoaded { structure, context, cr3, kernel_stack_top, .. } => {
                let text = format!("restore regs({who}) from proc({who})");
                let row = self.row(event, Actor::Os, "switch-load", text);
                row.layer = Some(Layer::Context);
                context_values(row, structure, &context);
                let row = self.row(
                    event,
                    Actor::Os,
                    "switch-stack",
                    format!("switch to k-stack({who}) and its page tables"),
                );
                row.values = values(&[("TSS.RSP0", kernel_stack_top), ("CR3", cr3)]);
            }
            _ => {}
        }
    }

    fn trap_return(&mut self, event: &Event) {
        let What::TrapReturn { frame } = event.what else { return };
        self.registers(event, true, &frame);
        let who = self.known.label(event.process);
        let from = match frame.trap() {
            Some(vector) => format!("by `iretq`, from {}", vector_name(vector)),
            None => "by `iretq`, for the first time".to_owned(),
        };
        self.row(event, Actor::Os, "return-from-trap", format!("return-from-trap (into {who})")).details =
            vec![from];
        (self.left, self.trap) = (Some(*event), None);
    }

    /// The kernel recorded the return before `iretq`; the next event shows whether it succeeded.
    fn prove(&mut self, next: &Event) {
        let Some(left) = self.left else { return };
        let arrived = match next.what {
            What::TrapEntry { frame, .. } => next.process == left.process && frame.rip < USER_END,
            What::Returned { .. } => next.process == left.process,
            What::HostEnd { rip, .. } => rip != 0 && rip < USER_END,
            What::HostStop { .. } => return,
            _ => false,
        };
        self.left = None;
        if arrived {
            self.arrived(&left);
        }
    }

    fn arrived(&mut self, left: &Event) {
        let who = self.known.label(left.process);
        let (frame, first) = match left.what {
            What::TrapReturn { frame } => {
                let row = self.row(
                    left,
                    Actor::Hardware,
                    "restore",
                    format!("restore regs({who}) from k-stack({who})"),
                );
                row.layer = Some(Layer::HardwareFrame);
                row.values = frame_values(&frame, None);
                row.details = match frame.cpl() {
                    0 => vec!["stay in kernel mode: CPL 0".into()],
                    cpl => vec![format!("move to user mode: CPL 0 → {cpl}")],
                };
                let to = if frame.trap().is_none() { "main" } else { "PC" };
                row.details.push(format!("jump to {to}: {:#x}", frame.rip));
                (frame, frame.trap().is_none())
            }
            What::Called { frame } => (frame, true),
            _ => return,
        };
        let text = if first { format!("{who} runs main()…") } else { format!("{who} goes on…") };
        self.row(left, Actor::Program, "run", text).details = place("PC", &frame);
    }

    fn process(&mut self, event: &Event) {
        let who = self.known.label(event.process);
        match event.what {
            What::ProcessCreated { structure, cr3, kernel_stack_top, .. } => {
                let row =
                    self.row(event, Actor::Os, "create", format!("create entry for process list: {who}"));
                row.values = vec![
                    Value { name: "proc", value: structure },
                    Value { name: "CR3", value: cr3 },
                    Value { name: "k-stack", value: kernel_stack_top },
                ];
            }
            What::SegmentLoaded { address, memory, flags, copied, .. } => {
                self.segment(event, address, memory, flags, copied)
            }
            What::StackBuilt { argc, lowest, rsp, argv } => {
                let row = self.row(event, Actor::Os, "user-stack", "set up user stack with argv");
                row.details = vec![format!("argc = {argc}")];
                row.values = values(&[("argv", argv), ("RSP", rsp), ("lowest", lowest)]);
            }
            What::KernelStackFilled { frame } => {
                let row = self.row(
                    event,
                    Actor::Os,
                    "kernel-stack",
                    format!("fill k-stack({who}) with regs and PC"),
                );
                row.values = frame_values(&frame, None);
            }
            What::Called { frame } => {
                let row = self.row(event, Actor::Os, "call-main", "call main(): no limits");
                row.values = values(&[
                    ("RIP", frame.rip),
                    ("RSP", frame.rsp),
                    ("CS", frame.cs),
                    ("RFLAGS", frame.rflags),
                ]);
                self.left = Some(*event);
            }
            What::Returned { status } => {
                self.row(event, Actor::Program, "return", format!("{who} returns from main with {status}"));
            }
            _ => self.call_or_end(event, &who),
        }
    }

    /// All segments of a program are one step of the book's.
    fn segment(&mut self, event: &Event, address: u64, memory: u64, flags: u8, copied: bool) {
        let letter = |bit, letter| if flags & bit != 0 { letter } else { '-' };
        let rights: String = [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')].into_iter().collect();
        let how = if copied { "copied" } else { "mapped" };
        let line = format!("{rights} {address:#x}, {memory} bytes, {how}");
        match self.rows.last_mut().filter(|row| row.step == "load" && row.process == event.process) {
            Some(row) if row.details.len() >= DETAILS_MAX => {}
            Some(row) => row.details.push(line),
            None => {
                let text = "allocate memory for program, load program into memory";
                self.row(event, Actor::Os, "load", text).details = vec![line];
            }
        }
    }

    fn call_or_end(&mut self, event: &Event, who: &str) {
        match event.what {
            What::SystemCall { number } => {
                if let Some((Some(program), _, frame)) = self.trap
                    && let Some(row) = self.rows.get_mut(program)
                {
                    let call = call_text(number, &frame.arguments());
                    row.text = format!("{who} calls {call}: trap into OS");
                }
                self.row(event, Actor::Os, "handle-call", "handle trap: check the system call number")
                    .details = vec![format!(
                    "number {number}: {}",
                    Call::from_number(number).map_or("no call", Call::name)
                )];
            }
            What::SystemCallResult { result, .. } => {
                let value = match result.checked_neg().and_then(errno::name) {
                    Some(name) => format!("-{name}"),
                    None => result.to_string(),
                };
                self.row(event, Actor::Os, "do-call", "do work of system call").details =
                    vec![format!("result {value}, into the frame's RAX")];
            }
            What::Tick { ticks } => {
                self.row(event, Actor::Os, "handle-tick", "handle the trap").details =
                    vec![format!("tick {ticks} of the timer")];
            }
            What::Sleep { .. } => drop(self.row(event, Actor::Os, "sleep", format!("{who} waits"))),
            What::Wake { .. } | What::Woken { .. } => {
                self.row(event, Actor::Os, "wake", format!("{who} is ready again"));
            }
            What::ProcessExited { status } => {
                self.row(event, Actor::Os, "exit", format!("{who} has ended, with status {status}"));
            }
            What::ProcessKilled { vector, error_code, cr2, .. } => {
                let fault = Fault { vector, error_code, cr2 };
                self.row(event, Actor::Os, "kill", format!("end {who}")).details = vec![fault.to_string()];
            }
            What::FaultRedirected { handler, rsp, .. } => {
                let row = self.row(
                    event,
                    Actor::Os,
                    "fault-handler",
                    format!("hand the fault to {who}'s own handler"),
                );
                row.values = values(&[("RIP", handler), ("RSP", rsp)]);
            }
            What::ProcessFreed { frames } => {
                let row =
                    self.row(event, Actor::Os, "free", "free memory of process, remove from process list");
                row.details = vec![format!("{who}: {frames} page frames")];
            }
            What::KernelPanic { rip, .. } => {
                self.row(event, Actor::Os, "panic", "kernel panic").values = values(&[("RIP", rip)]);
            }
            _ => {}
        }
    }
}

fn short_name(vector: u8) -> String {
    match (vector, exception(vector)) {
        (_, Some((mnemonic, _))) => mnemonic.into(),
        (0xFF, _) => "spurious (0xff)".into(),
        (32..INT_VECTOR, _) => format!("timer ({vector:#x})"),
        _ => vector_name(vector),
    }
}

/// Where a program is, and with which privilege.
fn place(what: &str, frame: &Frame) -> Vec<String> {
    vec![format!("{what} {:#x}", frame.rip), format!("CPL {}", frame.cpl())]
}

/// The exceptions that push an error code (SDM vol. 3, table 7-1).
fn has_error_code(vector: u8) -> bool {
    matches!(vector, 8 | 10..=13 | PAGE_FAULT | 17 | 21)
}

fn values(pairs: &[(&'static str, u64)]) -> Vec<Value> {
    pairs.iter().map(|&(name, value)| Value { name, value }).collect()
}

/// In the order of addresses, as it lies in memory.
fn frame_values(frame: &Frame, error_code: Option<u16>) -> Vec<Value> {
    let mut all = values(&[
        ("frame", frame.address),
        ("RIP", frame.rip),
        ("CS", frame.cs),
        ("RFLAGS", frame.rflags),
        ("RSP", frame.rsp),
        ("SS", frame.ss),
    ]);
    all.extend(error_code.map(|code| Value { name: "error", value: code.into() }));
    all
}

fn context_values(row: &mut Row, structure: u64, context: &Context) {
    row.values = values(&[("proc", structure)]);
    let (registers, details) = not_zero(CONTEXT.into_iter().zip(*context));
    row.values.extend(registers);
    row.details = details;
}

/// The registers that are not 0, and a line about the others.
fn not_zero(all: impl Iterator<Item = (&'static str, u64)>) -> (Vec<Value>, Vec<String>) {
    let (set, zero): (Vec<_>, Vec<_>) = all.partition(|&(_, value)| value != 0);
    let rest = match (set.len(), zero.len()) {
        (_, 0) => vec![],
        (0, _) => vec!["all 0".to_owned()],
        (_, 1) => vec!["the other is 0".to_owned()],
        (_, zero) => vec![format!("the other {zero} are 0")],
    };
    (values(&set), rest)
}

fn call_text(number: u64, arguments: &[u64; 6]) -> String {
    let Some(call) = Call::from_number(number) else { return format!("number {number}") };
    let small = |value: u64| if value < 4096 { value.to_string() } else { format!("{value:#x}") };
    let arguments: Vec<_> = arguments.iter().take(call.arguments()).map(|&value| small(value)).collect();
    format!("{}({})", call.name(), arguments.join(", "))
}

/// RFLAGS in words, for a value of that name.
pub(crate) fn flags_of(value: &Value) -> Option<String> {
    matches!(value.name, "RFLAGS" | "R11").then(|| flags(value.value))
}
