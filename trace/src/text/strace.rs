//! System calls and signals as strace writes them: by default as with `-f -ttt -T -o FILE`, for the tools that read that.
//!
//! A process is its number in the trace, times are CLOCK_REALTIME, a fault is the signal that Linux would have sent. The
//! first line of a process is the `execve` that a shell would have made. Events that strace cannot know (ticks, switches,
//! boot) are left out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use abi::record::{ARGUMENTS, Wait};
use abi::syscall::signals::{SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP, SIGTRAP, SIGTTOU};
use abi::syscall::{Call, Returns, Type};

use self::counts::Counts;
use super::arguments::{Known, Memory, SHOWN_MAX, put_cloned, put_pointer, put_result, put_string};
use crate::analysis::hardware::{signal_name, signal_of_vector};
use crate::file::{Event, Meta, What};

/// strace's own: the order of clone's arguments, of which it shows those after the first two when the call is over.
const CLONE_ORDER: [usize; 6] = [1, 0, 2, 4, 3, 5];
/// strace's own: where results are aligned.
const RESULT_COLUMN: usize = 40;
/// Results from minus this on are errors.
const ERROR_MAX: i64 = 4095;
/// The end of user memory on Linux; it does not show user mode which part of the kernel's half is present.
const USER_END: u64 = 1 << 47;

mod counts;

/// What stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which lines begin with the number of their process.
    pub numbers: Numbers,
    /// Each line has its time: `-ttt`.
    pub times: bool,
    /// Each call has the time that it took: `-T`.
    pub durations: bool,
    /// Instead of lines, a table of how often each call was made and how long it took: `-c`.
    pub counts: bool,
    /// How many variables the environment of the programs has.
    pub variables: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { numbers: Numbers::All, times: true, durations: true, counts: false, variables: 0 }
    }
}

/// Which lines begin with the number of their process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// All, as with `-f -o FILE`.
    All,
    /// Those of the time when there are several processes, as with `-f`.
    Several,
    /// None.
    None,
}

/// A call that has not returned.
#[derive(Debug)]
struct Pending {
    number: u64,
    arguments: [u64; 6],
    start: u64,
    memory: Memory,
    /// Its beginning was written already, as unfinished.
    is_unfinished: bool,
}

/// A signal that was sent, as its siginfo says.
#[derive(Clone, Copy, Debug)]
struct Signal {
    number: u32,
    is_ignored: bool,
    code: i64,
    /// The sender, or the child.
    process: u16,
    /// An address, or the status of the child.
    value: u64,
}

/// A process that is being made: when that began, and its name.
#[derive(Debug)]
struct Making {
    start: u64,
    environment: u64,
}

/// Writes events as strace would.
#[derive(Debug)]
pub struct Strace<W> {
    out: W,
    /// Command lines in the order of processes: a record has only 16 bytes of the name.
    programs: Vec<Vec<String>>,
    is_emulated: bool,
    /// CLOCK_REALTIME at the start of the trace, in nanoseconds.
    epoch: u64,
    calls: BTreeMap<u16, Pending>,
    /// The process whose call has begun without a line of its own, if there is one. All others have theirs: the next
    /// line of another process comes after it.
    without_line: Option<u16>,
    /// The arguments that the last trap frame of a process holds.
    arguments: BTreeMap<u16, [u64; ARGUMENTS.len()]>,
    making: BTreeMap<u16, Making>,
    /// The signals that were sent to a process and have no line yet, the last one last.
    sent: BTreeMap<u16, Vec<Signal>>,
    /// The processes that have not ended.
    alive: BTreeSet<u16>,
    options: Options,
    counts: Counts,
    line: String,
    /// How many open calls were examined to find one to write as unfinished.
    #[cfg(test)]
    looked_at: u64,
}

impl<W: Write> Strace<W> {
    /// Lines of the processes of one run.
    pub fn new(meta: &Meta, options: Options, out: W) -> Self {
        let command = |program: &crate::file::Program| {
            let path = if program.path.is_empty() { &program.name } else { &program.path };
            std::iter::once(path).chain(&program.arguments).cloned().collect()
        };
        let programs = meta.programs.iter().map(command).collect();
        let (calls, arguments, making) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            out,
            programs,
            is_emulated: meta.is_emulated(),
            epoch: 0,
            calls,
            without_line: None,
            arguments,
            making,
            sent: BTreeMap::new(),
            alive: BTreeSet::new(),
            options,
            counts: Counts::default(),
            line: String::new(),
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// Writes what strace would print for an event, if anything. A line is printed whole, if the event that it begins with is
    /// wanted.
    pub fn event(&mut self, event: &Event, is_wanted: bool) -> io::Result<()> {
        self.write(event, is_wanted)?;
        let is_end = matches!(
            event.what,
            What::ProcessExited { .. } | What::ProcessSignaled { .. } | What::ProcessKilled { .. }
        );
        if is_end {
            self.alive.remove(&event.process);
        }
        Ok(())
    }

    fn write(&mut self, event: &Event, is_wanted: bool) -> io::Result<()> {
        let (process, now) = (event.process, event.nanoseconds);
        match event.what {
            What::HostClock { realtime_ns, .. } if self.epoch == 0 => {
                self.epoch = realtime_ns.saturating_sub(now);
                Ok(())
            }
            What::ProcessCreated { .. } => {
                self.alive.insert(process);
                if is_wanted {
                    self.making.insert(process, Making { start: now, environment: 0 });
                }
                Ok(())
            }
            // A child has its parent's program: strace shows no `execve`.
            What::Cloned { .. } => {
                self.making.remove(&process);
                self.attached(process)
            }
            What::StackBuilt { argc, argv, .. } => {
                if let Some(making) = self.making.get_mut(&process) {
                    making.environment =
                        argv.wrapping_add(u64::from(argc).saturating_add(1).saturating_mul(8));
                }
                Ok(())
            }
            What::KernelStackFilled { .. } => self.executed(process, now),
            What::TrapEntry { frame, .. } => {
                self.arguments.insert(process, frame.arguments());
                Ok(())
            }
            What::SystemCall { .. } if !is_wanted => {
                self.calls.remove(&process);
                Ok(())
            }
            What::SystemCall { number } => {
                let arguments = self.arguments.get(&process).copied().unwrap_or_default();
                self.interrupt_others(process)?;
                let call = Pending {
                    number,
                    arguments,
                    start: now,
                    memory: Memory::default(),
                    is_unfinished: false,
                };
                self.calls.insert(process, call);
                self.without_line = Some(process);
                Ok(())
            }
            What::Data { argument, size, bytes } => {
                if let Some(call) = self.calls.get_mut(&process) {
                    call.memory.add(argument, size, bytes.of(size));
                }
                Ok(())
            }
            What::SystemCallResult { result, .. } => self.result(process, now, result),
            What::ProcessExited { status } => {
                self.ended(process, now)?;
                if is_wanted {
                    self.put_line(process, now, &format!("+++ exited with {status} +++"))
                } else {
                    Ok(())
                }
            }
            What::SignalSent { signal: number, is_ignored, by, code, about: value } => {
                let signal = Signal { number, is_ignored, code, process: by, value };
                self.sent.entry(process).or_default().push(signal);
                Ok(())
            }
            What::Blocked { wait: Wait::Continue, .. } if is_wanted => {
                let Some(signal) = self.take_sent(process, |signal| STOPS.contains(&signal.number)) else {
                    return Ok(());
                };
                self.put_line(process, now, &signal.line())?;
                self.put_line(process, now, &format!("--- stopped by {} ---", signal_name(signal.number)))
            }
            // A signal that is ignored has its line where a handler would run.
            What::TrapReturn { .. } if !self.sent.is_empty() => {
                while let Some(signal) = self.take_sent(process, |signal| signal.is_ignored) {
                    if is_wanted {
                        self.put_line(process, now, &signal.line())?;
                    }
                }
                Ok(())
            }
            What::SignalDelivered { signal: number, .. } => {
                match self.take_sent_to_any(process, number).filter(|_| is_wanted) {
                    Some(signal) => self.put_line(process, now, &signal.line()),
                    None => Ok(()),
                }
            }
            What::ProcessSignaled { signal: number, .. } => {
                self.ended(process, now)?;
                let sent = self.take_sent_to_any(process, number);
                if !is_wanted {
                    return Ok(());
                }
                // No tracer sees the signal that nothing can stop.
                if let Some(signal) = sent.filter(|signal| signal.number != SIGKILL) {
                    self.put_line(process, now, &signal.line())?;
                }
                self.put_line(process, now, &format!("+++ killed by {} +++", signal_name(number)))
            }
            What::ProcessKilled { vector, error_code, rip, cr2 } if is_wanted => {
                let (name, line) = match self.sent.remove(&process).and_then(|sent| sent.last().copied()) {
                    Some(signal) => (signal_name(signal.number), signal.line()),
                    None => fault(vector, error_code, rip, cr2),
                };
                self.put_line(process, now, &line)?;
                self.put_line(process, now, &format!("+++ killed by {name} +++"))
            }
            What::FaultRedirected { vector, error_code, rip, cr2, .. } if is_wanted => {
                let (_, line) = fault(vector, error_code, rip, cr2);
                self.put_line(process, now, &line)
            }
            _ => Ok(()),
        }
    }

    /// The first signal sent to a process that `which` names, and that has no line yet.
    fn take_sent(&mut self, process: u16, which: impl Fn(&Signal) -> bool) -> Option<Signal> {
        let sent = self.sent.get_mut(&process)?;
        let signal = sent.remove(sent.iter().position(which)?);
        if sent.is_empty() {
            self.sent.remove(&process);
        }
        Some(signal)
    }

    /// A signal sent to a process, or to another thread of it that did not take it.
    fn take_sent_to_any(&mut self, process: u16, number: u32) -> Option<Signal> {
        let which = |signal: &Signal| signal.number == number && !signal.is_ignored;
        if let Some(signal) = self.take_sent(process, which) {
            return Some(signal);
        }
        let (&other, _) = self.sent.iter().find(|(_, sent)| sent.iter().any(which))?;
        self.take_sent(other, which)
    }

    /// Passes on what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes the calls that never returned.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.options.counts {
            self.counts.write(&mut self.out)?;
        } else {
            self.interrupt_others(0)?;
        }
        self.out.flush()
    }

    /// Another process made this one.
    fn attached(&mut self, process: u16) -> io::Result<()> {
        if self.options.numbers != Numbers::Several || self.options.counts {
            return Ok(());
        }
        self.interrupt_others(process)?;
        writeln!(self.out, "strace: Process {process} attached")
    }

    fn executed(&mut self, process: u16, now: u64) -> io::Result<()> {
        let Some(Making { start, environment }) = self.making.remove(&process) else { return Ok(()) };
        self.line_start(process, start);
        if self.options.counts {
            self.counts.add("execve".into(), now.saturating_sub(start), false);
            return Ok(());
        }
        let words = self.programs.get(usize::from(process).wrapping_sub(1)).map_or(&[][..], Vec::as_slice);
        let variables = self.options.variables;
        put_execve(&mut self.line, words, environment, variables, self.is_emulated);
        self.put_equals();
        self.line.push('0');
        self.line_end(Some(now.saturating_sub(start)))
    }

    fn result(&mut self, process: u16, now: u64, result: i64) -> io::Result<()> {
        let Some(call) = self.calls.remove(&process) else { return Ok(()) };
        if self.options.counts {
            let is_error = (-ERROR_MAX..0).contains(&result);
            self.counts.add(call.name(), now.saturating_sub(call.start), is_error);
            return Ok(());
        }
        self.call_start(process, now, &call)?;
        call.put_end(&mut self.line, result);
        self.put_equals();
        call.put_result(&mut self.line, result);
        self.line_end(Some(now.saturating_sub(call.start)))
    }

    /// The call by which a process ended does not return.
    fn ended(&mut self, process: u16, now: u64) -> io::Result<()> {
        let Some(call) = self.calls.remove(&process).filter(|_| !self.options.counts) else { return Ok(()) };
        self.call_start(process, now, &call)?;
        self.line.push_str(") ");
        self.put_equals();
        self.line.push('?');
        self.line_end(None)
    }

    /// The line of a call that is over, up to what is known only now.
    fn call_start(&mut self, process: u16, now: u64, call: &Pending) -> io::Result<()> {
        self.interrupt_others(process)?;
        if call.is_unfinished {
            self.line_start(process, now);
            put!(self.line, "<... {} resumed>", call.name());
        } else {
            self.line_start(process, call.start);
            call.put_beginning(&mut self.line);
        }
        Ok(())
    }

    /// A line of its own.
    fn put_line(&mut self, process: u16, now: u64, text: &str) -> io::Result<()> {
        if self.options.counts {
            return Ok(());
        }
        self.interrupt_others(process)?;
        self.line_start(process, now);
        writeln!(self.out, "{}{text}", self.line)
    }

    /// Writes the call of another process that is under way as unfinished, before a line of `process`.
    fn interrupt_others(&mut self, process: u16) -> io::Result<()> {
        let Some(other) = self.without_line.take_if(|other| *other != process) else { return Ok(()) };
        if self.options.counts {
            return Ok(());
        }
        let prefix = self.prefix(other);
        let Self { calls, line, out, epoch, options, .. } = self;
        let open = calls.range_mut(other..=other);
        #[cfg(test)]
        let open = open.inspect(|_| self.looked_at += 1);
        let Some((_, call)) = { open }.next() else { return Ok(()) };
        call.is_unfinished = true;
        line.clear();
        put_prefix(line, &prefix, options.times, epoch.saturating_add(call.start));
        call.put_beginning(line);
        writeln!(out, "{line} <unfinished ...>")
    }

    fn line_start(&mut self, process: u16, nanoseconds: u64) {
        self.line.clear();
        let prefix = self.prefix(process);
        put_prefix(&mut self.line, &prefix, self.options.times, self.epoch.saturating_add(nanoseconds));
    }

    /// The number of the process, as it begins a line.
    fn prefix(&self, process: u16) -> String {
        match self.options.numbers {
            Numbers::All => format!("{process:<5} "),
            Numbers::Several if self.alive.len() > 1 => format!("[pid {process:>5}] "),
            Numbers::Several | Numbers::None => String::new(),
        }
    }

    /// The column of the result.
    fn put_equals(&mut self) {
        let padding = RESULT_COLUMN.saturating_sub(self.line.chars().count());
        put!(self.line, "{:padding$}= ", "");
    }

    /// The time that the call took, if it returned.
    fn line_end(&mut self, took: Option<u64>) -> io::Result<()> {
        if let Some(took) = took.filter(|_| self.options.durations) {
            put!(self.line, " <{}.{:06}>", took / 1_000_000_000, took % 1_000_000_000 / 1000);
        }
        writeln!(self.out, "{}", self.line)
    }
}

fn put_prefix(line: &mut String, number: &str, has_time: bool, ns: u64) {
    line.push_str(number);
    if has_time {
        put!(line, "{}.{:06} ", ns / 1_000_000_000, ns % 1_000_000_000 / 1000);
    }
}

impl Pending {
    /// The call of Linux. strace does not know the call of Trapline itself.
    fn call(&self) -> Option<Call> {
        Call::from_number(self.number).filter(|&call| call != Call::trapline_on_fault)
    }

    fn name(&self) -> Cow<'static, str> {
        self.call().map_or_else(|| format!("syscall_{:#x}", self.number).into(), |call| call.name().into())
    }

    /// The arguments that the call takes, in strace's order, with their places.
    fn arguments(&self) -> Vec<(usize, Type)> {
        let Some(call) = self.call() else { return (0..6).map(|index| (index, Type::Hex)).collect() };
        let types = call.signature().arguments;
        let order = if call == Call::clone { CLONE_ORDER } else { [0, 1, 2, 3, 4, 5] };
        let of = |index: usize| Some((index, types.get(index)?.of_call(&self.arguments)?));
        order.into_iter().filter_map(of).collect()
    }

    /// How many of the arguments strace shows when the call begins: those before the first that the call writes.
    fn shown_first(&self, arguments: &[(usize, Type)]) -> usize {
        let is_late =
            |&(_, of): &(usize, Type)| of.output().is_some() && of.input().is_none() || of == Type::Remaining;
        let late = arguments.iter().position(is_late).unwrap_or(arguments.len());
        match self.call() {
            Some(Call::clone) => late.min(2),
            Some(Call::clone3) => late.min(1),
            _ => late,
        }
    }

    /// True if the blank and comma before an argument that is shown late come with that argument.
    fn is_clone(&self) -> bool {
        matches!(self.call(), Some(Call::clone | Call::clone3))
    }

    /// What is known when the call is made.
    fn put_beginning(&self, out: &mut String) {
        put!(out, "{}(", self.name());
        let arguments = self.arguments();
        let first = self.shown_first(&arguments);
        self.put(out, arguments.iter().take(first), None);
        if (1..arguments.len()).contains(&first) && !self.is_clone() {
            out.push_str(", ");
        }
    }

    /// What is known when it is done.
    fn put_end(&self, out: &mut String, result: i64) {
        let arguments = self.arguments();
        let first = self.shown_first(&arguments);
        if self.call() == Some(Call::clone3) {
            put_cloned(out, &self.known(Some(result)));
        }
        if first < arguments.len() && self.is_clone() {
            out.push_str(", ");
        }
        self.put(out, arguments.iter().skip(first), Some(result));
        out.push_str(") ");
    }

    fn put_result(&self, out: &mut String, result: i64) {
        let known = self.known(Some(result));
        let returns = self.call().map_or(Returns::Anything, |call| call.signature().returns);
        put_result(out, returns, &known, result);
    }

    fn known(&self, result: Option<i64>) -> Known<'_> {
        Known { arguments: &self.arguments, memory: &self.memory, result }
    }

    fn put<'a>(
        &self,
        out: &mut String,
        arguments: impl Iterator<Item = &'a (usize, Type)>,
        result: Option<i64>,
    ) {
        let known = self.known(result);
        for (position, &(index, of)) in arguments.enumerate() {
            out.push_str(if position == 0 { "" } else { ", " });
            known.put(out, index, of);
        }
    }
}

/// `execve`, with the number of variables as strace's comment has it. That times are emulated is said there too: readers of
/// strace's form skip comments.
fn put_execve(out: &mut String, words: &[String], environment: u64, variables: usize, is_emulated: bool) {
    out.push_str("execve(");
    put_string(out, words.first().map_or(&[], |word| word.as_bytes()), false);
    out.push_str(", [");
    for (index, word) in words.iter().take(SHOWN_MAX).enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        let shown = word.as_bytes().get(..SHOWN_MAX).unwrap_or(word.as_bytes());
        put_string(out, shown, shown.len() < word.len());
    }
    out.push_str(if words.len() > SHOWN_MAX { ", ..." } else { "" });
    let emulated = if is_emulated { "; all times are emulated" } else { "" };
    let ending = if variables == 1 { "" } else { "s" };
    put!(out, "], {environment:#x} /* {variables} var{ending}{emulated} */) ");
}

impl Signal {
    /// The line of the signal.
    fn line(&self) -> String {
        let name = signal_name(self.number);
        let mut rest = match code_name(self.number, self.code) {
            Some(code) => format!("si_code={code}"),
            None => format!("si_code={}", self.code),
        };
        match self.number {
            SIGCHLD if self.code > 0 => {
                put!(rest, ", si_pid={}, si_uid=0, si_status=", self.process);
                match self.code {
                    CLD_EXITED => put!(rest, "{}", self.value),
                    _ => rest.push_str(&signal_name(u32::try_from(self.value).unwrap_or(0))),
                }
                rest.push_str(", si_utime=0, si_stime=0");
            }
            SIGILL | SIGTRAP | SIGBUS | SIGFPE | SIGSEGV if self.code > 0 => {
                rest.push_str(", si_addr=");
                put_pointer(&mut rest, self.value);
            }
            _ if self.code <= 0 => put!(rest, ", si_pid={}, si_uid=0", self.process),
            _ => {}
        }
        format!("--- {name} {{si_signo={name}, {rest}}} ---")
    }
}

/// The signals that stop a process.
const STOPS: std::ops::RangeInclusive<u32> = SIGSTOP..=SIGTTOU;
const CLD_EXITED: i64 = 1;

/// Linux's names of `si_code` (asm-generic/siginfo.h), from 1 on.
const CODES: [(u32, &[&str]); 6] = [
    (SIGILL, &["ILL_ILLOPC", "ILL_ILLOPN"]),
    (SIGTRAP, &["TRAP_BRKPT", "TRAP_TRACE"]),
    (SIGBUS, &["BUS_ADRALN", "BUS_ADRERR"]),
    (
        SIGFPE,
        &["FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV"],
    ),
    (SIGSEGV, &["SEGV_MAPERR", "SEGV_ACCERR"]),
    (SIGCHLD, &["CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED"]),
];

fn code_name(signal: u32, code: i64) -> Option<&'static str> {
    match code {
        0 => Some("SI_USER"),
        -6 => Some("SI_TKILL"),
        0x80 => Some("SI_KERNEL"),
        _ => {
            let (_, names) = CODES.iter().find(|(of, _)| *of == signal)?;
            names.get(usize::try_from(code).ok()?.checked_sub(1)?).copied()
        }
    }
}

/// The signal that Linux sends for a fault of a process that is no Linux program: its name, and its line.
fn fault(vector: u8, error_code: u16, rip: u64, cr2: u64) -> (String, String) {
    const SI_KERNEL: i64 = 0x80;
    const PROTECTION: u16 = 1;
    let number = signal_of_vector(vector);
    let (code, value) = match vector {
        0 => (1, rip),
        1 | 6 => (2, rip),
        14 if error_code & PROTECTION != 0 && cr2 < USER_END => (2, cr2),
        14 => (1, cr2),
        16 | 19 => (7, rip),
        17 => (1, 0),
        _ => (SI_KERNEL, 0),
    };
    let signal = Signal { number, is_ignored: false, code, process: 0, value };
    (signal_name(number), signal.line())
}

#[cfg(test)]
mod tests;
