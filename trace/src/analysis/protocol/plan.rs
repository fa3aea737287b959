//! Finds the parts of a trace that an excerpt shows, in one pass, as positions.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use abi::record::{Policy, Reason, SYSCALL_VECTOR};
use abi::syscall::INT_VECTOR;

use super::steps::Known;
use super::{Elided, Gaps, Missing, Section};
use crate::analysis::count;
use crate::file::{Boot, Event, Trace, What};

const FIGURE_DIRECT: &str = "Figure 6.1, direct execution without limits";
const FIGURE_LDE: &str = "Figure 6.2, limited direct execution";
pub(crate) const FIGURE_TIMER: &str = "Figure 6.3, limited direct execution with the timer interrupt";

/// How many traps of a long life are shown at its start.
const TRAPS_SHOWN: u64 = 2;

/// What to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excerpt {
    /// Boot, the first process to its first system call and back, the first switch by the timer, an end.
    Whole,
    /// Boot, and the first process to the return from its first system call; without a call, to the first return.
    FirstTrap,
    /// The life of a process: its number, its name, or NAME/NUMBER.
    Process(String),
    /// The switch of this number between two processes, from 1.
    Switch(usize),
}

/// The positions of the events that parts begin and end with.
#[derive(Default)]
struct Outline {
    ready: Option<usize>,
    first_armed: Option<usize>,
    policy: Option<Policy>,
    /// The first return from a trap.
    first_return: Option<(u16, usize)>,
    /// The first system call of each process that has trapped.
    first_calls: BTreeMap<u16, FirstCall>,
    /// How many switches there are, the first by the timer, and the one that was asked for.
    switches: usize,
    first_by_timer: Option<Switch>,
    wanted: Option<Switch>,
    life: Life,
    length: usize,
}

#[derive(Clone, Copy)]
struct Switch {
    from: u16,
    to: u16,
    reason: Reason,
    start: usize,
    end: usize,
}

/// Where a process makes its first system call.
#[derive(Default)]
struct FirstCall {
    /// The entry of its first trap, and of its latest one up to the call.
    first_trap: Option<usize>,
    entry: usize,
    /// The traps before the call, and how many of them are ticks.
    traps: u64,
    ticks: u64,
    /// The return from the call, once there is one.
    end: Option<usize>,
}

/// The life of one process.
#[derive(Default)]
struct Life {
    created: Option<usize>,
    freed: Option<usize>,
    traps: u64,
    ticks: u64,
    system_calls: u64,
    /// The counts at the end of the start that is shown.
    at_start: (u64, u64, u64),
    start_end: Option<usize>,
    /// The positions of the latest traps, and the counts before them.
    last_traps: VecDeque<(usize, u64, u64, u64)>,
}

/// The parts of the trace that make the excerpt.
pub(super) fn sections(trace: &Trace, known: &Known, excerpt: &Excerpt) -> Result<Vec<Section>, Missing> {
    let process = match excerpt {
        Excerpt::Process(name) => known.find(name).ok_or_else(|| Missing::Process(name.clone()))?,
        _ => known.first().ok_or(Missing::NoProcess)?,
    };
    let wanted = match excerpt {
        Excerpt::Switch(number) => *number,
        _ => 0,
    };
    let outline = Outline::of(trace, process, wanted);
    let boot = outline.boot();
    match *excerpt {
        Excerpt::Whole if outline.policy == Some(Policy::Direct) => Ok(vec![outline.life(known, process)]),
        Excerpt::Whole => {
            let switch = outline.first_by_timer.map(|switch| switch.section(known));
            let parts = [boot, outline.first_trap(known), switch, outline.end(known, process)];
            Ok(parts.into_iter().flatten().collect())
        }
        Excerpt::FirstTrap => {
            let first = outline.first_trap(known).ok_or(Missing::Trap)?;
            Ok(boot.into_iter().chain([first]).collect())
        }
        Excerpt::Process(_) => Ok(vec![outline.life(known, process)]),
        Excerpt::Switch(wanted) => {
            let missing = Missing::Switch { wanted, present: outline.switches };
            let switch = outline.wanted.ok_or(missing)?;
            Ok(boot.into_iter().chain([switch.section(known)]).collect())
        }
    }
}

impl Outline {
    /// `wanted` is the number of a switch, from 1, or 0.
    fn of(trace: &Trace, process: u16, wanted: usize) -> Outline {
        let mut outline = Outline::default();
        let (mut open, mut gaps) = (OpenSwitch::default(), Gaps::of(trace));
        for (position, event) in trace.events().enumerate() {
            if gaps.is_before(&event) {
                // How the open switch continued is not known.
                open = OpenSwitch::default();
            }
            outline.note(position, &event);
            if event.process == process {
                outline.life.note(position, &event.what);
            }
            if let Some(switch) = open.note(position, &event) {
                outline.switches = outline.switches.saturating_add(1);
                if switch.reason == Reason::Preempted {
                    outline.first_by_timer.get_or_insert(switch);
                }
                if outline.switches == wanted {
                    outline.wanted = Some(switch);
                }
            }
            outline.length = position.saturating_add(1);
        }
        outline
    }

    fn note(&mut self, position: usize, event: &Event) {
        match event.what {
            What::Boot(Boot::Ready { .. }) => self.ready = Some(position),
            What::Boot(Boot::Scheduler { policy, .. }) => self.policy = Some(policy),
            What::TimerArmed { .. } if event.process == 0 && self.first_armed.is_none() => {
                self.first_armed = Some(position);
            }
            What::TrapEntry { .. } | What::Tick { .. } | What::TrapReturn { .. } if event.process != 0 => {
                if let What::TrapReturn { frame } = event.what
                    && frame.trap().is_some()
                {
                    self.first_return.get_or_insert((event.process, position));
                }
                self.first_calls.entry(event.process).or_default().note(position, &event.what);
            }
            _ => {}
        }
    }

    fn boot(&self) -> Option<Section> {
        let end = self.ready.max(self.first_armed)?.saturating_add(1);
        Some(Section {
            title: "Boot: the trap table, and the handlers that the hardware calls".into(),
            figure: FIGURE_LDE,
            ranges: vec![Range { start: 0, end }],
            processes: vec![0],
            elided: None,
        })
    }

    /// The first process that made a system call, from its creation to the return from the call. The interrupts before the
    /// call are left out: whether the timer came first depends on how fast the host was. Without any call, a process to the
    /// return from the first trap.
    fn first_trap(&self, known: &Known) -> Option<Section> {
        let returned = self.first_calls.iter().find_map(|(process, call)| Some((*process, call, call.end?)));
        let section = |process, what, ranges, elided| Section {
            title: format!("{}: from its creation to the return from its first {what}", known.label(process)),
            figure: FIGURE_LDE,
            ranges,
            processes: vec![process],
            elided,
        };
        if let Some((process, call, end)) = returned {
            let end = end.saturating_add(1);
            return Some(match call.gap() {
                None => section(process, "system call", std::iter::once(0..end).collect(), None),
                Some((gap, elided)) => {
                    section(process, "system call", vec![0..gap.start, gap.end..end], Some(elided))
                }
            });
        }
        let (process, end) = self.first_return?;
        Some(section(process, "trap", vec![Range { start: 0, end: end.saturating_add(1) }], None))
    }

    fn end(&self, known: &Known, process: u16) -> Option<Section> {
        let &(start, ..) = self.life.last_traps.back()?;
        let end = self.life.freed?.saturating_add(1);
        Some(Section {
            title: format!("{}: its end", known.label(process)),
            figure: FIGURE_LDE,
            ranges: vec![Range { start, end }],
            processes: vec![process],
            elided: None,
        })
    }

    /// Start and end of a life, with a gap where it is long.
    fn life(&self, known: &Known, process: u16) -> Section {
        let end = self.life.freed.map_or(self.length, |freed| freed.saturating_add(1));
        let start = self.life.created.unwrap_or(0);
        let direct = self.policy == Some(Policy::Direct);
        let mut ranges = vec![Range { start, end }];
        let gap = self.life.gap();
        if let Some((gap, _)) = &gap {
            ranges = vec![Range { start, end: gap.start }, Range { start: gap.end, end }];
        }
        Section {
            title: format!("{}: its life", known.label(process)),
            figure: if direct { FIGURE_DIRECT } else { FIGURE_LDE },
            ranges,
            processes: vec![process],
            elided: gap.map(|(_, elided)| elided),
        }
    }
}

impl FirstCall {
    fn note(&mut self, position: usize, what: &What) {
        if self.end.is_some() {
            return;
        }
        match what {
            What::TrapEntry { .. } => {
                self.first_trap.get_or_insert(position);
                self.entry = position;
                count(&mut self.traps);
            }
            What::Tick { .. } => count(&mut self.ticks),
            What::TrapReturn { frame } if matches!(frame.trap(), Some(SYSCALL_VECTOR | INT_VECTOR)) => {
                self.end = Some(position);
            }
            _ => {}
        }
    }

    /// The positions of the interrupts before the call, and how many they are.
    fn gap(&self) -> Option<(Range<usize>, Elided)> {
        let traps = self.traps.saturating_sub(1);
        let elided = Elided { before_row: 0, traps, ticks: self.ticks, system_calls: 0 };
        (traps > 0).then_some((self.first_trap?..self.entry, elided))
    }
}

impl Life {
    fn note(&mut self, position: usize, what: &What) {
        match what {
            What::ProcessCreated { .. } => self.created = Some(position),
            What::ProcessFreed { .. } => self.freed = Some(position),
            What::Tick { .. } => count(&mut self.ticks),
            What::SystemCall { .. } => count(&mut self.system_calls),
            What::TrapEntry { .. } => {
                if self.traps == TRAPS_SHOWN {
                    self.start_end = Some(position);
                    self.at_start = (self.traps, self.ticks, self.system_calls);
                }
                self.last_traps.push_back((position, self.traps, self.ticks, self.system_calls));
                if self.last_traps.len() as u64 > TRAPS_SHOWN {
                    self.last_traps.pop_front();
                }
                count(&mut self.traps);
            }
            _ => {}
        }
    }

    /// The positions that are left out, and what is in them.
    fn gap(&self) -> Option<(Range<usize>, Elided)> {
        let start = self.start_end?;
        let &(end, traps, ticks, system_calls) = self.last_traps.front()?;
        if end <= start {
            return None;
        }
        let (traps_before, ticks_before, calls_before) = self.at_start;
        let elided = Elided {
            before_row: 0,
            traps: traps.saturating_sub(traps_before),
            ticks: ticks.saturating_sub(ticks_before),
            system_calls: system_calls.saturating_sub(calls_before),
        };
        Some((Range { start, end }, elided))
    }
}

/// A switch that has begun.
#[derive(Default)]
struct OpenSwitch {
    trap: Option<(u16, usize)>,
    saved: Option<(u16, Reason, usize)>,
    loaded: Option<Switch>,
}

impl OpenSwitch {
    /// The switch that this event ends.
    fn note(&mut self, position: usize, event: &Event) -> Option<Switch> {
        match event.what {
            What::TrapEntry { .. } => {
                // The next trap without a return: the trace does not have the rest of the switch.
                let cut = self.loaded.take();
                *self = OpenSwitch { trap: Some((event.process, position)), ..OpenSwitch::default() };
                cut
            }
            What::ContextSaved { reason, .. } => {
                let start = self.trap.filter(|(process, _)| *process == event.process);
                self.saved = Some((event.process, reason, start.map_or(position, |(_, start)| start)));
                None
            }
            What::ContextLoaded { from, .. } => {
                let (saved, reason, start) = self.saved.take()?;
                let between = u32::from(saved) == from && saved != 0 && event.process != 0;
                self.loaded = between.then_some(Switch {
                    from: saved,
                    to: event.process,
                    reason,
                    start,
                    end: position.saturating_add(1),
                });
                None
            }
            What::TrapReturn { .. } => {
                let switch = self.loaded.take()?;
                Some(Switch { end: position.saturating_add(1), ..switch })
            }
            _ => None,
        }
    }
}

impl Switch {
    fn section(self, known: &Known) -> Section {
        let (from, to) = (known.label(self.from), known.label(self.to));
        Section {
            title: format!("The switch from {from} to {to} ({from} {})", self.reason.name()),
            figure: FIGURE_TIMER,
            ranges: vec![Range { start: self.start, end: self.end }],
            processes: vec![self.from, self.to],
            elided: None,
        }
    }
}
