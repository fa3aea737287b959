//! Tasks and thread groups: the state of a thread and of a process that only Linux programs have.
//!
//! A task is a process of the kernel's core, with a slot there. [`Task`] has the rest of its state, under the same slot.
//! A thread group is what programs call a process: its threads share memory, files and signal actions. After its last
//! thread ends, the group stays as a zombie until its parent waits for it.

use abi::record::emit::{Blocked, Woken as WokenRecord};
use abi::record::{Reason, Wait};
use abi::syscall::errno::EINTR;
use abi::syscall::values::{ITIMER_REAL, SS_DISABLE};

use super::frames;
use super::list::List;
use super::signal::{self, Action};
use super::space::Space;
use super::{Outcome, clear, misc, zeroed};
use crate::arch::cpu;
use crate::cell::Local;
use crate::layout::PAGE;
use crate::memory::physical;
use crate::process::{self, NEVER, Process, SLOTS, State, TABLE};
use crate::trace::Emit;
use crate::{scheduler, trace};

/// The state of a task outside its process structure.
pub struct Task {
    pub id: Local<u16>,
    pub group: Local<u8>,
    /// The signal mask: signals that stay pending until they are unblocked.
    pub blocked: Local<u64>,
    pub pending: Local<u64>,
    /// The mask to restore, if a call replaced it for its wait.
    pub saved_mask: Local<Option<u64>>,
    /// The stack for signal handlers: address, flags, size.
    pub signal_stack: Local<[u64; 3]>,
    /// The address of the word that is set to 0, with a futex wake, when the task ends.
    pub clear_tid: Local<u64>,
    /// The head of its list of robust futexes.
    pub robust_list: Local<u64>,
    /// What the task waits for, and on which object.
    pub waits: Local<Option<(Wait, u64)>>,
    /// The bit set by which a futex wake selects it.
    pub bits: Local<u32>,
    /// The parent, if it waits until this child of `vfork` does not use its memory any more.
    pub vfork_parent: Local<u16>,
    /// The task must look for a signal, or its end, before the next return to user mode.
    pub attention: Local<bool>,
    /// The number of the call that a signal interrupted, if the call may be restarted.
    pub restart: Local<Option<u64>>,
    /// 1 more than the number of the open file that its call uses; 0: none.
    pub held: Local<u16>,
    /// Whether the trace has a record of its end.
    pub was_recorded: Local<bool>,
    /// The address and signature that it registered with `rseq`; address 0: no registration.
    pub rseq: Local<(u64, u32)>,
}

/// A thread group.
pub struct Group {
    /// The number of its first thread. 0: the structure is free.
    pub id: Local<u16>,
    pub parent: Local<u16>,
    /// The signal that its end sends to its parent.
    pub exit_signal: Local<u32>,
    pub process_group: Local<u16>,
    pub session: Local<u16>,
    /// The number of threads that have not ended.
    pub threads: Local<u16>,
    /// Every thread must end, with the status below.
    pub exiting: Local<bool>,
    /// While `execve` ends the other threads: the thread that continues.
    pub survivor: Local<u16>,
    /// The status in the form of `wait`: the exit status << 8, or the signal.
    pub status: Local<u32>,
    /// Whether a signal stopped it.
    pub is_stopped: Local<bool>,
    /// The status of a stop or of its end that the parent has not collected; 0: no status.
    pub stop_status: Local<u32>,
    pub space: Local<Option<&'static Space>>,
    /// Physical address of the frame with its [`Tables`].
    tables: Local<u64>,
    pub pending: Local<u64>,
    /// By the number of the clock in `setitimer`: real time, CPU time in user mode, all CPU time.
    pub alarms: [Local<Alarm>; 3],
    /// The program's file and the working directory, by their index in the tree.
    pub program: Local<u32>,
    pub directory: Local<u32>,
    pub umask: Local<u32>,
    /// Its nice value, which the scheduler does not use.
    pub nice: Local<i32>,
    /// The resource limits, soft and hard.
    pub limits: Local<[[u64; 2]; misc::LIMITS]>,
    /// The index of its table of descriptors.
    pub files: Local<u8>,
    /// The program's name, as `prctl` shows it.
    pub name: Local<[u64; 2]>,
    /// CPU cycles of the threads that ended, and of the children that were waited for.
    pub cycles: Local<u64>,
    pub children_cycles: Local<u64>,
}

/// When a clock sends its next signal, and the time between two signals, in cycles.
#[derive(Clone, Copy)]
pub struct Alarm {
    pub next: u64,
    pub interval: u64,
}

impl Alarm {
    pub const NONE: Self = Self { next: NEVER, interval: 0 };
}

/// The signal actions, in a frame; groups share it after `clone` with CLONE_SIGHAND.
#[repr(C)]
pub struct Tables {
    actions: [Local<Action>; signal::COUNT],
    /// The signals whose action is not the default, one bit each.
    pub handled: Local<u64>,
}

const _: () = assert!(size_of::<Tables>() <= PAGE as usize);

impl Tables {
    /// The action of the group for a signal.
    pub fn action(&self, signal: u32) -> &Local<Action> {
        &self.actions[(signal as usize).wrapping_sub(1) % signal::COUNT]
    }
}

impl Task {
    /// The thread group that it belongs to.
    pub fn group(&self) -> &'static Group {
        &GROUPS[usize::from(self.group.get())]
    }

    /// Sets the initial state of a task with a number, in a group.
    pub fn reset(&self, id: u16, group: &Group) {
        TASK_LIST.push(id);
        clear(self);
        self.id.set(id);
        self.group.set(group.index() as u8);
        process::get(id).group.set(group.id.get());
        self.signal_stack.set([0, SS_DISABLE, 0]);
    }
}

impl Group {
    fn index(&self) -> usize {
        (&raw const *self as usize - GROUPS.as_ptr() as usize) / size_of::<Self>()
    }

    /// The tables. A zombie has no tables.
    pub fn tables(&self) -> &'static Tables {
        // SAFETY: the frame belongs to the group until `free_tables`, and it holds only cells of numbers.
        unsafe { &*physical::<Tables>(self.tables.get()) }
    }

    /// True if the threads of the group must end.
    pub fn is_ending(&self) -> bool {
        let survivor = self.survivor.get();
        self.exiting.get() || (survivor != 0 && survivor != trace::current())
    }

    /// True if a number as in `kill` and `wait4` means this group: 0 stands for the process group of the current task, and
    /// a negative number for the process group of that number. -1 means something else in each call.
    pub fn is_meant(&self, pid: i32) -> bool {
        match pid {
            0 => self.process_group.get() == group().process_group.get(),
            1.. => i32::from(self.id.get()) == pid,
            _ => i64::from(self.process_group.get()) == -i64::from(pid),
        }
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

    /// Its children, including zombies.
    pub fn children(&self) -> impl Iterator<Item = &'static Group> {
        let parent = self.id.get();
        groups().filter(move |group| group.parent.get() == parent)
    }

    /// Replaces shared tables with a copy, for `execve`.
    pub fn own_tables(&self) {
        let shared = self.tables.get();
        if frames::users(shared) > 1
            && let Some(copy) = frames::take_copy(shared)
        {
            self.tables.set(copy);
            frames::release(shared);
        }
    }

    /// Frees the tables, which a zombie does not need.
    pub fn free_tables(&self) {
        frames::release(self.tables.replace(0));
    }

    /// Frees the structure.
    pub fn forget(&self) {
        GROUP_LIST.remove(self.index() as u16);
        self.id.set(0);
    }
}

static TASKS: [Task; TABLE] = [const { zeroed() }; TABLE];
static GROUPS: [Group; TABLE] = [const { zeroed() }; TABLE];
/// The numbers of the tasks that have not ended, and of those that wait, in the order in which they began to wait.
static TASK_LIST: List<u16, TABLE> = zeroed();
static WAITING: List<u16, TABLE> = zeroed();
/// The indices of the groups that exist.
static GROUP_LIST: List<u16, TABLE> = zeroed();
/// The index where the search for a free structure starts.
static NEXT_GROUP: Local<u8> = Local::new(1);

/// The current task, which is the one that runs.
pub fn current() -> &'static Task {
    of(trace::current())
}

/// The task of a process.
pub fn of(id: u16) -> &'static Task {
    &TASKS[usize::from(process::slot(id))]
}

/// The thread group of the current task.
pub fn group() -> &'static Group {
    current().group()
}

/// The address space of the current task.
pub fn space() -> &'static Space {
    match group().space.get() {
        Some(space) => space,
        None => unreachable!("a task that runs has memory"),
    }
}

/// Removes a task that ends from the lists.
pub fn forget(id: u16) {
    TASK_LIST.remove(id);
}

/// All thread groups, including zombies.
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

/// Allocates a group for a process of this number. A child inherits from its parent what `fork` says, and shares the
/// signal actions if `shares_actions`. `None`: there is no memory, or no free structure.
pub fn new_group(id: u16, parent: Option<&Group>, shares_actions: bool) -> Option<&'static Group> {
    let group = free_group()?;
    let tables = match parent {
        Some(parent) if shares_actions => {
            frames::share(parent.tables.get());
            parent.tables.get()
        }
        _ => frames::take()?,
    };
    GROUP_LIST.push(group.index() as u16);
    clear(group);
    if let Some(parent) = parent {
        group.parent.set(parent.id.get());
        group.process_group.set(parent.process_group.get());
        group.session.set(parent.session.get());
        group.program.set(parent.program.get());
        group.directory.set(parent.directory.get());
        group.umask.set(parent.umask.get());
        group.nice.set(parent.nice.get());
        group.limits.set(parent.limits.get());
        group.name.set(parent.name.get());
    }
    group.id.set(id);
    group.tables.set(tables);
    group.threads.set(1);
    group.alarms.iter().for_each(|alarm| alarm.set(Alarm::NONE));
    Some(group)
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something happened: the caller must check its condition again.
    Event,
    /// The time-out passed.
    TimeOut,
}

/// Makes the current task wait for `what` on `object`, until the TSC reaches `until`. `EINTR`: it has a signal to handle.
pub fn wait(what: Wait, object: u64, until: u64) -> Outcome<Woken> {
    let task = current();
    if signal::is_due(task) {
        return Err(EINTR);
    }
    task.waits.set(Some((what, object)));
    WAITING.push(trace::current());
    while let Some((wait, object)) = task.waits.get() {
        Blocked { wait, object, until_tsc: until }.emit();
        scheduler::wait(until.min(group().alarms[ITIMER_REAL as usize].get().next), Reason::Blocked);
        // No task woke it: the time-out or the alarm passed, or the alarm changed.
        if task.waits.get().is_some() && (cpu::tsc() >= until || signal::is_due(task)) {
            task.waits.set(None);
            WAITING.remove(trace::current());
            return if cpu::tsc() >= until { Ok(Woken::TimeOut) } else { Err(EINTR) };
        }
    }
    // The event takes precedence over a signal: the caller checks its condition first.
    Ok(Woken::Event)
}

/// Makes a waiting task runnable, so that it checks for signals and the time. It may then wait again.
pub fn rouse(id: u16) {
    rouse_by(trace::current(), id);
}

/// The same, caused by the process `by` or, for [`KERNEL`](process::KERNEL), by a device.
fn rouse_by(by: u16, id: u16) {
    let Some((wait, object)) = of(id).waits.get() else { return };
    if process::get(id).state.get() == State::Waiting {
        WokenRecord { wait, object, by }.emit_for(id);
        scheduler::wake(id);
    }
}

/// Wakes tasks that wait for `what` on `object` and for which `suits` returns true: at most `most`, the longest waiting
/// first. Returns the number of tasks.
pub fn wake_all(what: Wait, object: u64, most: u64, suits: impl Fn(&Task) -> bool) -> u64 {
    wake_all_by(trace::current(), what, object, most, suits)
}

/// The same, caused by `by`.
pub fn wake_all_by(by: u16, what: Wait, object: u64, most: u64, suits: impl Fn(&Task) -> bool) -> u64 {
    let (mut index, mut woken) = (0, 0);
    while index < WAITING.len() && woken < most {
        let id = WAITING.at(index);
        if of(id).waits.get() == Some((what, object)) && suits(of(id)) {
            rouse_by(by, id);
            of(id).waits.set(None);
            WAITING.remove(id);
            woken += 1;
        } else {
            index += 1;
        }
    }
    woken
}

/// The tasks that wait, and what each of them waits for.
pub fn waiting() -> impl Iterator<Item = (u16, Wait)> {
    WAITING.iter().filter_map(|id| Some((id, of(id).waits.get()?.0)))
}

/// The process of a number, if there is one.
pub fn process_of(id: u16) -> Option<&'static Process> {
    (process::slot(id) != 0).then(|| process::get(id))
}
