//! Tasks and thread groups: what Linux knows of a thread, and of a process.
//!
//! A task is a process of the kernel's core, with a slot there; what is beside it stands in [`Task`], by the same slot.
//! A thread group is what programs call a process: its threads share memory, files and signal actions. It stays
//! as a zombie after its last thread, until its parent waits for it.

use abi::record::emit::{Blocked, Woken as WokenRecord};
use abi::record::{Reason, Wait};
use abi::syscall::errno::EINTR;

use super::list::List;
use super::signal::{self, Action, Info};
use super::space::Space;
use super::{Outcome, misc, zeroed};
use crate::arch::cpu;
use crate::cell::Local;
use crate::layout::PAGE;
use crate::memory::{frames, physical};
use crate::process::{self, NEVER, Process, SLOTS, State, TABLE};
use crate::trace::Emit;
use crate::{scheduler, trace};

/// What a task has beside its process structure.
pub struct Task {
    pub id: Local<u16>,
    pub group: Local<u8>,
    /// Signals that wait until they are unblocked.
    pub blocked: Local<u64>,
    pub pending: Local<u64>,
    /// The mask to return to, where a call replaced it while it waits.
    pub saved_mask: Local<Option<u64>>,
    /// The stack for signal handlers: address, flags, size.
    pub signal_stack: Local<[u64; 3]>,
    /// The word that becomes 0, with a futex wake, when the task ends.
    pub clear_tid: Local<u64>,
    /// The head of its list of robust futexes.
    pub robust_list: Local<u64>,
    /// What it waits for, with the object.
    pub waits: Local<Option<(Wait, u64)>>,
    /// Bits by which a futex wake finds it.
    pub bits: Local<u32>,
    /// The parent that waits for this child of `vfork` to let go of its memory.
    pub vfork_parent: Local<u16>,
    /// Look for a signal, or an end, before the next return to user mode.
    pub attention: Local<bool>,
    /// The number of the call that a signal interrupted and that may be made again.
    pub restart: Local<Option<u64>>,
    /// The trace has a record of its end.
    pub was_recorded: Local<bool>,
    /// The address and signature that it registered by `rseq`; address 0: none.
    pub rseq: Local<(u64, u32)>,
}

/// A thread group.
pub struct Group {
    /// The number of its first thread; 0: the structure is free.
    pub id: Local<u16>,
    pub parent: Local<u16>,
    /// The signal that its end sends to its parent.
    pub exit_signal: Local<u32>,
    pub process_group: Local<u16>,
    pub session: Local<u16>,
    /// Threads that have not ended.
    pub threads: Local<u16>,
    /// Every thread is to end, with the status below.
    pub exiting: Local<bool>,
    /// While `execve` ends all other threads: the one that stays.
    pub survivor: Local<u16>,
    /// As `wait` shows it: the exit status << 8, or the signal.
    pub status: Local<u32>,
    /// A signal stopped it.
    pub is_stopped: Local<bool>,
    /// The status of a stop, or of its end, that its parent has not seen; 0: none.
    pub stop_status: Local<u32>,
    pub space: Local<Option<&'static Space>>,
    /// Physical address of the frame with its [`Tables`].
    tables: Local<u64>,
    pub pending: Local<u64>,
    /// TSC of the next SIGALRM, and the cycles between two.
    pub alarm: Local<u64>,
    pub alarm_interval: Local<u64>,
    /// The program's file and the working directory, by their index in the tree.
    pub program: Local<u32>,
    pub directory: Local<u32>,
    pub umask: Local<u32>,
    /// Its nice value, which the scheduler does not use.
    pub nice: Local<i32>,
    /// The resource limits, soft and hard.
    pub limits: [Local<[u64; 2]>; misc::LIMITS],
    /// The index of its table of descriptors.
    pub files: Local<u8>,
    /// The program's name, as `prctl` shows it.
    pub name: Local<[u64; 2]>,
    /// Cycles that threads which ended ran, and those of children that were waited for.
    pub cycles: Local<u64>,
    pub children_cycles: Local<u64>,
}

/// What signals do, and what came with them, in a frame of its own; groups share it after `clone` with CLONE_SIGHAND.
#[repr(C)]
pub struct Tables {
    actions: [Local<Action>; signal::COUNT],
    /// What came with each pending signal.
    infos: [Local<Info>; signal::COUNT],
    /// The signals whose action is not the default, a bit each.
    pub handled: Local<u64>,
}

const _: () = assert!(size_of::<Tables>() <= PAGE as usize);

impl Tables {
    /// What the group does at a signal.
    pub fn action(&self, signal: u32) -> &Local<Action> {
        &self.actions[(signal as usize).wrapping_sub(1) % signal::COUNT]
    }

    /// What came with a signal.
    pub fn info(&self, signal: u32) -> &Local<Info> {
        &self.infos[(signal as usize).wrapping_sub(1) % signal::COUNT]
    }
}

impl Task {
    /// The thread group that it belongs to.
    pub fn group(&self) -> &'static Group {
        &GROUPS[usize::from(self.group.get())]
    }

    /// As a task starts, with a number, in a group.
    pub fn reset(&self, id: u16, group: &Group) {
        TASK_LIST.push(id);
        self.id.set(id);
        self.group.set(group.index() as u8);
        process::get(id).group.set(group.id.get());
        self.blocked.set(0);
        self.pending.set(0);
        self.saved_mask.set(None);
        self.signal_stack.set([0, signal::STACK_DISABLED, 0]);
        self.clear_tid.set(0);
        self.robust_list.set(0);
        self.waits.set(None);
        self.vfork_parent.set(0);
        self.attention.set(false);
        self.restart.set(None);
        self.was_recorded.set(false);
        self.rseq.set((0, 0));
    }
}

impl Group {
    fn index(&self) -> usize {
        (&raw const *self as usize - GROUPS.as_ptr() as usize) / size_of::<Self>()
    }

    /// Its tables. A zombie has none.
    pub fn tables(&self) -> &'static Tables {
        // SAFETY: the frame is the group's until `end`, and all that is in it is cells of numbers.
        unsafe { &*physical::<Tables>(self.tables.get()) }
    }

    /// True if the task that runs is to end.
    pub fn is_ending(&self) -> bool {
        let survivor = self.survivor.get();
        self.exiting.get() || (survivor != 0 && survivor != trace::current())
    }

    /// True once its last thread has ended.
    pub fn is_zombie(&self) -> bool {
        self.id.get() != 0 && self.threads.get() == 0
    }

    /// The threads of the group that have not ended.
    pub fn tasks(&self) -> impl Iterator<Item = (u16, &'static Task)> {
        let index = self.index();
        let all = TASK_LIST.iter().map(|id| (id, of(id)));
        all.filter(move |(_, task)| usize::from(task.group.get()) == index)
    }

    /// Its children, zombies too.
    pub fn children(&self) -> impl Iterator<Item = &'static Group> {
        let parent = self.id.get();
        groups().filter(move |group| group.parent.get() == parent)
    }

    /// After `execve` its tables are its own.
    pub fn own_tables(&self) {
        let shared = self.tables.get();
        if frames::users(shared) > 1
            && let Some(copy) = frames::take_copy(shared)
        {
            self.tables.set(copy);
            frames::release(shared);
        }
    }

    /// Gives back what only a group that runs needs.
    pub fn free_tables(&self) {
        frames::release(self.tables.replace(0));
    }

    /// The structure is free again.
    pub fn forget(&self) {
        GROUP_LIST.remove(self.index() as u16);
        self.id.set(0);
    }
}

static TASKS: [Task; TABLE] = [const { zeroed() }; TABLE];
static GROUPS: [Group; TABLE] = [const { zeroed() }; TABLE];
/// The tasks that have not ended, and those of them that wait, the longest first; by number.
static TASK_LIST: List = List::new();
static WAITING: List = List::new();
/// The groups that there are, by index.
static GROUP_LIST: List = List::new();
/// The index where the search for a free structure starts.
static NEXT_GROUP: Local<u8> = Local::new(1);

/// The task that runs.
pub fn current() -> &'static Task {
    of(trace::current())
}

/// The task of a process.
pub fn of(id: u16) -> &'static Task {
    &TASKS[usize::from(process::slot(id))]
}

/// The process structure of the task that runs.
pub fn process() -> &'static Process {
    scheduler::current()
}

/// The thread group of the task that runs.
pub fn group() -> &'static Group {
    current().group()
}

/// The address space of the task that runs.
pub fn space() -> &'static Space {
    match group().space.get() {
        Some(space) => space,
        None => unreachable!("a task that runs has memory"),
    }
}

/// A task ends: it is on no list any more.
pub fn forget(id: u16) {
    TASK_LIST.remove(id);
}

/// All thread groups, zombies too.
pub fn groups() -> impl Iterator<Item = &'static Group> {
    GROUP_LIST.iter().map(|index| &GROUPS[usize::from(index as u8)])
}

/// The group with a number.
pub fn find_group(id: u16) -> Option<&'static Group> {
    groups().find(|group| group.id.get() == id)
}

fn free_group() -> Option<&'static Group> {
    let last = (SLOTS - 1) as u8;
    for _ in 0..last {
        let index = NEXT_GROUP.get();
        NEXT_GROUP.set(if index == last { 1 } else { index + 1 });
        if GROUPS[usize::from(index)].id.get() == 0 {
            return Some(&GROUPS[usize::from(index)]);
        }
    }
    None
}

/// A free group structure for a process of this number, with the tables of the group `sharer`, or its own. `None`: no
/// memory, or no structure.
pub fn new_group(id: u16, sharer: Option<&Group>) -> Option<&'static Group> {
    let group = free_group()?;
    match sharer {
        Some(sharer) => {
            frames::share(sharer.tables.get());
            group.tables.set(sharer.tables.get());
        }
        None => group.tables.set(frames::take()?),
    }
    GROUP_LIST.push(group.index() as u16);
    group.id.set(id);
    group.threads.set(1);
    group.exiting.set(false);
    group.pending.set(0);
    group.is_stopped.set(false);
    group.stop_status.set(0);
    group.survivor.set(0);
    group.space.set(None);
    group.alarm.set(NEVER);
    group.alarm_interval.set(0);
    group.cycles.set(0);
    group.children_cycles.set(0);
    Some(group)
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something happened: look again.
    Event,
    /// The time is over.
    TimeOut,
}

/// The task that runs waits for `what` at `object`, until the TSC reaches `until`. `EINTR`: there is a signal for it.
pub fn wait(what: Wait, object: u64, until: u64) -> Outcome<Woken> {
    let task = current();
    if signal::is_due(task) {
        return Err(EINTR);
    }
    task.waits.set(Some((what, object)));
    WAITING.push(trace::current());
    while let Some((wait, object)) = task.waits.get() {
        Blocked { wait, object, until_tsc: until }.emit();
        scheduler::wait(until.min(group().alarm.get()), Reason::Blocked);
        // Where no task woke it, a time is over, the call's or the alarm's, or there is another alarm.
        if task.waits.get().is_some() && (cpu::tsc() >= until || signal::is_due(task)) {
            task.waits.set(None);
            WAITING.remove(trace::current());
            return if cpu::tsc() >= until { Ok(Woken::TimeOut) } else { Err(EINTR) };
        }
    }
    // What it waited for counts more than a signal: the caller looks at it first.
    Ok(Woken::Event)
}

/// A task that waits looks for signals and at the time, and may wait on.
pub fn rouse(id: u16) {
    rouse_by(trace::current(), id);
}

/// The same, because of what the process `by` did or, for [`KERNEL`](process::KERNEL), a device.
fn rouse_by(by: u16, id: u16) {
    let Some((wait, object)) = of(id).waits.get() else { return };
    if process::get(id).state.get() == State::Waiting {
        WokenRecord { wait, object, by }.emit_for(id);
        scheduler::wake(id);
    }
}

/// What a task waits for happened.
fn wake(by: u16, id: u16) {
    rouse_by(by, id);
    of(id).waits.set(None);
    WAITING.remove(id);
}

/// Wakes the tasks that wait for `what` at `object`, at most `most`, the longest first, those that `suits`. Returns how
/// many.
pub fn wake_all(what: Wait, object: u64, most: u64, suits: impl Fn(&Task) -> bool) -> u64 {
    wake_all_by(trace::current(), what, object, most, suits)
}

/// The same, because of what `by` did.
pub fn wake_all_by(by: u16, what: Wait, object: u64, most: u64, suits: impl Fn(&Task) -> bool) -> u64 {
    let (mut index, mut woken) = (0, 0);
    while index < WAITING.len() && woken < most {
        let id = WAITING.at(index);
        if of(id).waits.get() == Some((what, object)) && suits(of(id)) {
            wake(by, id);
            woken += 1;
        } else {
            index += 1;
        }
    }
    woken
}

/// The tasks that wait, and for what.
pub fn waiting() -> impl Iterator<Item = (u16, Wait)> {
    WAITING.iter().filter_map(|id| Some((id, of(id).waits.get()?.0)))
}
