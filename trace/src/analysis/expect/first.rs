//! A first file of expectations, made from a good run: facts that a run of the same programs is likely to show again.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use abi::syscall::Call;
use toml::Value;

use super::output::{Recorded, is_cut};
use crate::analysis::check::check;
use crate::analysis::hardware::{exception, signal_name};
use crate::analysis::stat::call_name;
use crate::analysis::{End, Summary};
use crate::file::{Event, Names, Origin, Trace, What};

/// The most system calls of a process that are listed in their order.
const CALLS_MAX: usize = 40;

/// What a process did.
#[derive(Default)]
struct Process {
    calls: Vec<u32>,
    recorded: Recorded,
    /// Whether its calls may come in another order next time: it got a signal, shares memory with a thread, or waited.
    varies: bool,
}

/// A file that the trace meets, with comments that explain how to extend it.
pub fn first_file(trace: &Trace) -> String {
    let (mut summary, mut names) = (Summary::default(), Names::default());
    let mut processes = BTreeMap::<u16, Process>::new();
    for event in trace.events() {
        summary.add(&event);
        names.learn(&event);
        processes.entry(event.process).or_default().add(&event);
    }
    let mut file = String::from(
        "# What the trace of a good run must show; docs/expect.md describes the keys. Remove what may differ in another\n\
         # good run, and add names, points and hints.\n",
    );
    if check(trace).passed() {
        file.push_str(&expectation(
            "the kernel follows the protocol",
            &[("rules", Value::from(vec!["all"]))],
        ));
    }
    for (number, of) in &summary.processes {
        let label = names.label(Origin::Guest, *number);
        let end = match of.end {
            End::Running => continue,
            End::Exited(status) => ("exit", Value::from(status)),
            End::Killed(fault, _) => {
                let name = exception(fault.vector).map(|(name, _)| name.to_owned());
                ("killed", Value::from(name.unwrap_or_else(|| fault.vector.to_string())))
            }
            End::Signaled(signal) => ("signal", Value::from(signal_name(signal))),
        };
        file.push_str(&expectation(&format!("{label} {}", of.end), &[("end", (*label).into()), end]));
        if let Some(process) = processes.get(number) {
            process.put(&label, *number, &mut file);
        }
    }
    let _ = write!(
        file,
        "\n# A limit on time: this run took {}. Choose a limit that a slow machine keeps.\n\
         # [[expect]]\n# name = \"it is fast enough\"\n# stat = \"duration_ns\"\n# at-most = \"10s\"\n",
        crate::text::duration(summary.nanoseconds)
    );
    file
}

impl Process {
    fn add(&mut self, event: &Event) {
        self.recorded.add(event);
        match event.what {
            What::SystemCall { number } => self.calls.push(u32::try_from(number).unwrap_or(u32::MAX)),
            What::SignalDelivered { .. } | What::Blocked { .. } | What::Cloned { is_thread: true, .. } => {
                self.varies = true;
            }
            _ => {}
        }
    }

    fn put(&self, label: &str, number: u16, file: &mut String) {
        if !self.varies && (1..=CALLS_MAX).contains(&self.calls.len()) {
            let known = |number: &u32| Call::from_number(u64::from(*number)).is_some();
            let name =
                |number: &u32| if known(number) { call_name(*number).into() } else { number.to_string() };
            let steps: Vec<String> = self.calls.iter().map(|call| format!("call={}", name(call))).collect();
            // A filter has no quotes, so a name with blanks cannot be a word of it.
            let is_word = !label.contains(|c: char| c.is_whitespace() || "()=!".contains(c));
            let process = if is_word { label.into() } else { number.to_string() };
            let among = format!("process={process} and kind=system-call");
            file.push_str(&expectation(
                &format!("the system calls of {label}"),
                &[("order", Value::from(steps)), ("among", among.into())],
            ));
        }
        let text = String::from_utf8_lossy(&self.recorded.text);
        if !text.is_empty() && !is_cut(&text) {
            file.push_str(&expectation(
                &format!("the output of {label}"),
                &[("output", label.into()), ("is", text.as_ref().into())],
            ));
        }
    }
}

fn expectation(name: &str, keys: &[(&str, Value)]) -> String {
    let mut text = format!("\n[[expect]]\nname = {}\n", Value::from(name));
    keys.iter().for_each(|(key, value)| text.push_str(&format!("{key} = {value}\n")));
    text
}
