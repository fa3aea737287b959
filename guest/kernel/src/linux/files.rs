//! Files: descriptors, open files, and the calls that read and write them.
//!
//! A descriptor is a number that refers to an open file in a thread group. After `fork` or `dup`, several descriptors
//! refer to one open file and share its position. All files of the tree are read-only.

use abi::bundle::TERMINAL;
use abi::syscall::errno::{
    EACCES, EBADF, EFAULT, EINVAL, EISDIR, EMFILE, ENFILE, ENOENT, ENOSPC, ENOTDIR, ENOTTY, EROFS, ESPIPE,
};
use abi::syscall::values::*;

use super::task::{Group, Task};
use super::tree::{self, Node};
use super::{Outcome, epoll, eventfd, first, input, misc, pipe, poll, task, user, zeroed};
use crate::cell::Local;
use crate::layout::USER_END;
use crate::process::TABLE;
use crate::{console, scheduler};

/// The most descriptors of a thread group.
pub const DESCRIPTORS: usize = 256;
/// The most open files of all groups together.
const OPEN_FILES: usize = 1024;

/// What an open file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The structure is free.
    Free,
    /// A standard stream of the host. The object is its number on the host.
    Stream,
    /// A file of the tree. The object is its index.
    File,
    Directory,
    /// An end of a pipe. The object is the pipe's number.
    PipeRead,
    PipeWrite,
    /// One of two connected sockets. The object is the number of the pipe that it reads.
    Socket,
    Null,
    Zero,
    /// As `Zero`, but a write fails for lack of space.
    Full,
    Random,
    /// The mappings of the process that reads the file, as text.
    Maps,
    /// The program's own file.
    Executable,
    /// A set of files to wait for. The object is its number.
    Epoll,
    /// A counter of `eventfd`, and one that a read decreases by 1.
    Counter,
    Semaphore,
}

/// An open file.
pub struct Open {
    pub kind: Local<Kind>,
    pub object: Local<u32>,
    /// The flags with which it was opened, as `fcntl` returns them.
    pub flags: Local<u64>,
    pub offset: Local<u64>,
    /// The number of descriptors that refer to it.
    users: Local<u32>,
}

impl Open {
    /// Replaces those of its flags that are in `mask`.
    fn set_flags(&self, mask: u64, flags: u64) {
        self.flags.set(self.flags.get() & !mask | flags & mask);
    }

    /// True if a call that would wait fails instead.
    pub fn is_nonblocking(&self) -> bool {
        self.flags.get() & O_NONBLOCK != 0
    }
}

static OPEN: [Open; OPEN_FILES] = [const { zeroed() }; OPEN_FILES];

/// A descriptor: 1 more than the number of its open file, or 0 if it is closed; and whether `execve` closes it.
#[derive(Clone, Copy)]
pub struct Descriptor(u16);

const CLOSE_ON_EXEC: u16 = 1 << 15;

impl Descriptor {
    fn index(self) -> Option<usize> {
        usize::from(self.0 & !CLOSE_ON_EXEC).checked_sub(1)
    }

    fn closing_on_exec(self, closes: bool) -> Self {
        Self(self.0 & !CLOSE_ON_EXEC | if closes { CLOSE_ON_EXEC } else { 0 })
    }
}

/// The descriptors of a thread group, or of several groups that share them after `clone`.
struct Table {
    descriptors: [Local<Descriptor>; DESCRIPTORS],
    /// One more than the highest descriptor that was ever used.
    end: Local<u16>,
    /// The number of groups that use it; 0: it is free.
    users: Local<u16>,
}

static TABLES: [Table; TABLE] = [const { zeroed() }; TABLE];

impl Table {
    /// The descriptors up to the last one that was ever used.
    fn used(&self) -> &[Local<Descriptor>] {
        first(&self.descriptors, self.end.get().into())
    }

    /// Makes a descriptor refer to an open file.
    fn set(&self, descriptor: usize, index: usize, close_on_exec: bool) {
        let flag = if close_on_exec { CLOSE_ON_EXEC } else { 0 };
        if let Some(entry) = self.descriptors.get(descriptor) {
            entry.set(Descriptor((index as u16 + 1) | flag));
            self.end.set(self.end.get().max(descriptor as u16 + 1));
        }
    }

    /// Closes the descriptors for which `which` returns true.
    fn close_where(&self, which: impl Fn(usize, Descriptor) -> bool) {
        for (number, entry) in self.used().iter().enumerate() {
            let descriptor = entry.get();
            if let Some(index) = descriptor.index()
                && which(number, descriptor)
            {
                entry.set(Descriptor(0));
                drop_user(file(index));
            }
        }
    }
}

fn of(group: &Group) -> &'static Table {
    &TABLES[usize::from(group.files.get())]
}

fn table() -> &'static Table {
    of(task::group())
}

/// Assigns an empty table to a group. There are as many tables as groups, so one is free.
fn new_table(group: &Group) -> &'static Table {
    let index = TABLES.iter().position(|table| table.users.get() == 0).unwrap_or_default();
    group.files.set(index as u8);
    TABLES[index].users.set(1);
    TABLES[index].end.set(0);
    &TABLES[index]
}

/// The entry of a descriptor, which need not be open.
fn entry(descriptor: u64) -> Outcome<&'static Local<Descriptor>> {
    table().descriptors.get(descriptor as u32 as usize).ok_or(EBADF)
}

/// The number of an open file.
pub fn number(open: &Open) -> usize {
    // SAFETY: every open file is an item of the array.
    unsafe { core::ptr::from_ref(open).offset_from_unsigned(OPEN.as_ptr()) }
}

/// The open file with a number.
pub fn file(index: usize) -> &'static Open {
    &OPEN[index % OPEN_FILES]
}

/// Counts one more descriptor that refers to an open file.
fn add_user(index: usize) {
    file(index).users.set(file(index).users.get() + 1);
}

/// The open file of a descriptor.
pub fn open(descriptor: u64) -> Outcome<&'static Open> {
    let entry = entry(descriptor)?;
    Ok(file(entry.get().index().ok_or(EBADF)?))
}

/// The open file of a descriptor, unless it was opened in this mode.
fn open_unless(descriptor: u64, mode: u64) -> Outcome<&'static Open> {
    open(descriptor).and_then(|open| if open.flags.get() & O_ACCMODE == mode { Err(EBADF) } else { Ok(open) })
}

/// Makes the lowest free descriptor, not below `least`, refer to an open file.
fn install(index: usize, least: usize, close_on_exec: bool) -> Outcome<u64> {
    let free = |entry: &Local<Descriptor>| entry.get().index().is_none();
    let offset = table()
        .descriptors
        .get(least..misc::descriptor_limit())
        .ok_or(EINVAL)?
        .iter()
        .position(free)
        .ok_or(EMFILE)?;
    add_user(index);
    table().set(least + offset, index, close_on_exec);
    Ok((least + offset) as u64)
}

/// Creates an open file with a descriptor.
pub fn create(kind: Kind, object: u32, flags: u64) -> Outcome<u64> {
    let index = new_open(kind, object, flags)?;
    install(index, 0, flags & O_CLOEXEC != 0).inspect_err(|_| file(index).kind.set(Kind::Free))
}

fn new_open(kind: Kind, object: u32, flags: u64) -> Outcome<usize> {
    let index = OPEN.iter().position(|open| open.kind.get() == Kind::Free).ok_or(ENFILE)?;
    let open = file(index);
    open.kind.set(kind);
    open.object.set(object);
    open.flags.set(flags & !(O_CLOEXEC | O_CREAT | O_EXCL | O_TRUNC));
    open.offset.set(0);
    open.users.set(0);
    Ok(index)
}

/// Opens the standard streams for a program that the host starts.
pub fn open_streams(group: &Group) {
    let table = new_table(group);
    for (stream, flags) in [(0, 0), (1, O_WRONLY), (2, O_WRONLY)] {
        let same = |open: &Open| open.kind.get() == Kind::Stream && open.object.get() == stream;
        // These are the first three files that are opened. So there is room, and they are not searched for elsewhere.
        let found = OPEN.iter().take(3).position(same).or_else(|| new_open(Kind::Stream, stream, flags).ok());
        if let Some(index) = found {
            add_user(index);
            table.set(stream as usize, index, false);
        }
    }
}

/// Passes a parent's descriptors to its child: the child shares the table if `shares`, and gets a copy otherwise.
pub fn pass_descriptors(parent: &Group, child: &Group, shares: bool) {
    let from = of(parent);
    if shares {
        from.users.set(from.users.get() + 1);
        return child.files.set(parent.files.get());
    }
    let to = new_table(child);
    for (number, entry) in from.used().iter().enumerate() {
        if let Some(index) = entry.get().index() {
            add_user(index);
            to.set(number, index, entry.get().0 & CLOSE_ON_EXEC != 0);
        }
    }
}

/// Closes all descriptors of a group that ends, unless another group shares its table.
pub fn close_all(group: &Group) {
    let table = of(group);
    if table.users.get() == 1 {
        table.close_where(|_, _| true);
    }
    table.users.set(table.users.get() - 1);
}

/// Closes the descriptors that are marked close-on-exec, for `execve`. First, a shared table is replaced with a copy.
pub fn close_on_exec() {
    let (group, shared) = (task::group(), table());
    if shared.users.get() > 1 {
        pass_descriptors(group, group, false);
        shared.users.set(shared.users.get() - 1);
    }
    table().close_where(|_, descriptor| descriptor.0 & CLOSE_ON_EXEC != 0);
}

fn drop_user(open: &Open) {
    open.users.set(open.users.get() - 1);
    if open.users.get() == 0 {
        epoll::closed(open);
        if matches!(open.kind.get(), Kind::PipeRead | Kind::PipeWrite | Kind::Socket) {
            pipe::closed(open);
        }
        open.kind.set(Kind::Free);
    }
}

pub fn close(descriptor: u64) -> Outcome<u64> {
    let entry = entry(descriptor)?;
    let index = entry.get().index().ok_or(EBADF)?;
    entry.set(Descriptor(0));
    drop_user(file(index));
    Ok(0)
}

pub fn close_range(first: u64, last: u64, flags: u64) -> Outcome<u64> {
    let (first, last) = (first as u32 as usize, last as u32 as usize);
    if first > last || flags & !CLOSE_RANGE_CLOEXEC != 0 {
        return Err(EINVAL);
    }
    if flags == 0 {
        table().close_where(|number, _| (first..=last).contains(&number));
        return Ok(0);
    }
    for entry in table().descriptors.iter().skip(first).take(last - first + 1) {
        if entry.get().index().is_some() {
            entry.set(Descriptor(entry.get().0 | CLOSE_ON_EXEC));
        }
    }
    Ok(0)
}

/// `fsync`: a file or a directory has no data that must be written.
pub fn sync(descriptor: u64) -> Outcome<u64> {
    let kind = open(descriptor)?.kind.get();
    if matches!(kind, Kind::File | Kind::Directory) { Ok(0) } else { Err(EINVAL) }
}

pub fn dup(descriptor: u64, least: u64, close_on_exec: bool) -> Outcome<u64> {
    open(descriptor)?;
    let index = entry(descriptor)?.get().index().ok_or(EBADF)?;
    install(index, least as u32 as usize, close_on_exec)
}

/// `dup2` if `is_dup2`, otherwise `dup3`.
pub fn dup_to(from: u64, to: u64, flags: u64, is_dup2: bool) -> Outcome<u64> {
    let (from, to) = (from as u32 as usize, to as u32 as usize);
    if flags & !O_CLOEXEC != 0 || (from == to && !is_dup2) {
        return Err(EINVAL);
    }
    let index = table().descriptors.get(from).and_then(|entry| entry.get().index()).ok_or(EBADF)?;
    if to >= misc::descriptor_limit() {
        return Err(EBADF);
    }
    if from != to {
        let _ = close(to as u64);
        add_user(index);
        table().set(to, index, flags != 0);
    }
    Ok(to as u64)
}

pub fn fcntl(descriptor: u64, command: u64, argument: u64) -> Outcome<u64> {
    const F_UNLCK: u16 = 2;
    let open = open(descriptor)?;
    let entry = entry(descriptor)?;
    match u64::from(command as u32) {
        F_DUPFD => return dup(descriptor, argument, false),
        F_DUPFD_CLOEXEC => return dup(descriptor, argument, true),
        F_GETFD => return Ok((entry.get().0 & CLOSE_ON_EXEC != 0).into()),
        F_SETFD => entry.set(entry.get().closing_on_exec(argument & FD_CLOEXEC != 0)),
        F_GETFL => return Ok(open.flags.get()),
        F_SETFL => open.set_flags(O_APPEND | O_NONBLOCK, argument),
        // No process can change a file, so no lock of another process is in the way.
        F_GETLK => user::write(argument, F_UNLCK)?,
        F_SETLK | F_SETLKW | F_GETOWN => {}
        F_GETPIPE_SZ if matches!(open.kind.get(), Kind::PipeRead | Kind::PipeWrite) => {
            return Ok(pipe::CAPACITY);
        }
        _ => return Err(EINVAL),
    }
    Ok(0)
}

pub fn open_at(directory: u64, path: u64, flags: u64) -> Outcome<u64> {
    let flags = u64::from(flags as u32);
    let writes = flags & O_ACCMODE != 0;
    let node = tree::resolve_user(directory, path);
    let (kind, object) = match node {
        Ok(Node::Special(kind)) => (kind, 0),
        Ok(Node::Descriptor(number)) => return dup(number, 0, flags & O_CLOEXEC != 0).or(Err(ENOENT)),
        Ok(Node::Given(_)) if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL => {
            return Err(abi::syscall::errno::EEXIST);
        }
        Ok(Node::Given(index)) if tree::is_directory(index) => {
            if writes {
                return Err(EISDIR);
            }
            (Kind::Directory, index)
        }
        Ok(Node::Given(_)) if writes => return Err(EROFS),
        Ok(Node::Given(index)) => (Kind::File, index),
        Err(ENOENT) if flags & O_CREAT != 0 => return Err(EROFS),
        Err(error) => return Err(error),
    };
    if flags & O_DIRECTORY != 0 && kind != Kind::Directory {
        return Err(ENOTDIR);
    }
    create(kind, object, flags | O_LARGEFILE)
}

/// The most bytes of one call, as in Linux.
const COUNT_MAX: u64 = 0x7FFF_F000;
/// How many bytes a call transfers, or makes ready, before other processes run.
pub const PART: u64 = 64 << 10;

/// Transfers `count` bytes in parts, and lets other processes run after each. `part` transfers the next part, given how many
/// bytes are done and how many it may transfer. If it transfers fewer, the call ends; if it fails, only the call for the
/// first part does.
fn in_parts(count: u64, mut part: impl FnMut(u64, u64) -> Outcome<u64>) -> Outcome<u64> {
    let mut done = 0;
    loop {
        let size = (count - done).min(PART);
        match part(done, size) {
            Err(error) if done == 0 => return Err(error),
            Err(_) => return Ok(done),
            Ok(now) => {
                done += now;
                if now < size || done == count {
                    return Ok(done);
                }
            }
        }
        scheduler::pause();
    }
}

/// Makes a call that may let other processes run. The open file stays what it is until the call returns, even if another
/// thread closes the last descriptor meanwhile; without this, the call would continue with the file of another process.
pub fn hold(open: &Open, call: impl FnOnce() -> Outcome<u64>) -> Outcome<u64> {
    let task = task::current();
    add_user(number(open));
    task.held.set(number(open) as u16 + 1);
    let outcome = call();
    release_held(task);
    outcome
}

/// The call of a task that used an open file has returned, or the task ends in it.
pub fn release_held(task: &Task) {
    if let Some(index) = task.held.replace(0).checked_sub(1) {
        drop_user(file(index.into()));
    }
}

pub fn read(descriptor: u64, buffer: u64, count: u64) -> Outcome<u64> {
    let open = open_unless(descriptor, O_WRONLY)?;
    hold(open, || {
        let read = read_from(open, open.offset.get(), buffer, count)?;
        if open.kind.get() == Kind::File || open.kind.get() == Kind::Maps {
            open.offset.set(open.offset.get() + read);
        }
        Ok(read)
    })
}

pub fn pread(descriptor: u64, buffer: u64, count: u64, offset: u64) -> Outcome<u64> {
    if (offset as i64) < 0 {
        return Err(EINVAL);
    }
    let open = open_unless(descriptor, O_WRONLY)?;
    match open.kind.get() {
        Kind::PipeRead | Kind::Socket | Kind::Stream | Kind::Counter | Kind::Semaphore => Err(ESPIPE),
        _ => read_from(open, offset, buffer, count),
    }
}

fn read_from(open: &Open, offset: u64, buffer: u64, count: u64) -> Outcome<u64> {
    buffer.checked_add(count).filter(|&end| end <= USER_END).ok_or(EFAULT)?;
    let count = count.min(COUNT_MAX);
    match open.kind.get() {
        Kind::File => {
            let content = tree::contents(open.object.get());
            let rest = content.get(offset as usize..).unwrap_or_default();
            in_parts(count, |done, size| {
                let now = first(rest.get(done as usize..).unwrap_or_default(), size as usize);
                user::copy_to(buffer + done, now)?;
                Ok(now.len() as u64)
            })
        }
        Kind::Directory => Err(EISDIR),
        Kind::PipeRead | Kind::Socket => pipe::read(open, buffer, count, 0),
        Kind::Stream => input::read(open, buffer, count),
        Kind::Null => Ok(0),
        Kind::Zero | Kind::Full => in_parts(count, |done, size| {
            user::reach(buffer + done, size, true)?;
            // SAFETY: `reach` made all of it writable.
            unsafe { ((buffer + done) as *mut u8).write_bytes(0, size as usize) };
            Ok(size)
        }),
        Kind::Random => misc::fill_random(buffer, count),
        Kind::Maps => misc::read_maps(offset, buffer, count),
        Kind::Counter | Kind::Semaphore => eventfd::read(open, buffer, count),
        Kind::Epoll => Err(EINVAL),
        Kind::PipeWrite | Kind::Executable | Kind::Free => Err(EBADF),
    }
}

pub fn write(descriptor: u64, buffer: u64, count: u64) -> Outcome<u64> {
    let open = open_unless(descriptor, O_RDONLY)?;
    hold(open, || write_to(open, buffer, count.min(COUNT_MAX)))
}

fn write_to(open: &Open, buffer: u64, count: u64) -> Outcome<u64> {
    match open.kind.get() {
        Kind::Stream => {
            let stream = open.object.get();
            in_parts(count, |done, size| {
                console::print_of_process(stream, user::bytes(buffer + done, size)?);
                Ok(size)
            })
        }
        Kind::PipeWrite | Kind::Socket => pipe::write(open, buffer, count, 0),
        Kind::Counter | Kind::Semaphore => eventfd::write(open, buffer, count),
        Kind::Epoll => Err(EINVAL),
        Kind::Full if count > 0 => Err(ENOSPC),
        Kind::Null | Kind::Zero | Kind::Full | Kind::Random => in_parts(count, |done, size| {
            user::reach(buffer + done, size, false)?;
            Ok(size)
        }),
        _ => Err(EBADF),
    }
}

/// `readv` and `writev`: calls `each` once per buffer, until a call transfers less than was requested.
pub fn vector(
    descriptor: u64,
    array: u64,
    count: u64,
    mut each: impl FnMut(u64, u64, u64, u64) -> Outcome<u64>,
) -> Outcome<u64> {
    const VECTORS_MAX: u64 = 1024;
    open(descriptor)?;
    if count > VECTORS_MAX {
        return Err(EINVAL);
    }
    let (mut done, mut part) = (0, 0);
    for index in 0..count {
        if part > PART {
            scheduler::pause();
            part = 0;
        }
        let [address, size]: [u64; 2] = user::read(array + index * 16)?;
        if size as i64 > 0 {
            match each(descriptor, address, size, done) {
                Ok(now) => {
                    done += now;
                    part += now;
                    if now < size {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        } else if (size as i64) < 0 {
            return Err(EINVAL);
        }
    }
    Ok(done)
}

pub fn lseek(descriptor: u64, offset: u64, from: u64) -> Outcome<u64> {
    let open = open(descriptor)?;
    let start = match (open.kind.get(), from as u32) {
        (Kind::PipeRead | Kind::PipeWrite | Kind::Socket | Kind::Stream, _) => return Err(ESPIPE),
        (Kind::Null | Kind::Zero | Kind::Full | Kind::Random, _) => return Ok(0),
        (Kind::Epoll | Kind::Counter | Kind::Semaphore, _) => return Ok(0),
        (_, 0) => 0,
        (_, 1) => open.offset.get(),
        (Kind::File, 2) => tree::entry(open.object.get()).size,
        _ => return Err(EINVAL),
    };
    let position =
        start.checked_add_signed(offset as i64).filter(|&position| position as i64 >= 0).ok_or(EINVAL)?;
    open.offset.set(position);
    Ok(position)
}

pub fn ioctl(descriptor: u64, command: u64, argument: u64) -> Outcome<u64> {
    /// The settings with which a terminal starts: input flags, output flags, control flags, local flags.
    const TERMIOS: [u32; 4] = [0x4500, 0x5, 0xBF, 0x8A3B];
    const WINDOW: [u16; 4] = [24, 80, 0, 0];
    let (open, entry) = (open(descriptor)?, entry(descriptor)?);
    let is_terminal = open.kind.get() == Kind::Stream && tree::stream(open.object.get()) & TERMINAL != 0;
    match u64::from(command as u32) {
        TCGETS if is_terminal => {
            let [input, output, control, local] = TERMIOS;
            user::write(argument, [input, output, control, local, 0, 0, 0, 0, 0])?;
        }
        TIOCGWINSZ if is_terminal => user::write(argument, WINDOW)?,
        FIONREAD if matches!(open.kind.get(), Kind::PipeRead | Kind::Socket) => {
            user::write(argument, pipe::size(open.object.get()))?;
        }
        FIONBIO => open.set_flags(O_NONBLOCK, if user::read::<u32>(argument)? == 0 { 0 } else { O_NONBLOCK }),
        FIOCLEX | FIONCLEX => entry.set(entry.get().closing_on_exec(command as u32 == FIOCLEX as u32)),
        _ => return Err(ENOTTY),
    }
    Ok(0)
}

/// The events that `poll` returns for a descriptor now, of the events that are requested.
pub fn ready(open: &Open, events: u16) -> u16 {
    let now = match open.kind.get() {
        Kind::PipeRead | Kind::PipeWrite | Kind::Socket => return pipe::ready(open, events),
        Kind::Counter | Kind::Semaphore => return eventfd::ready(open, events),
        Kind::Epoll => return epoll::ready(open, events),
        Kind::Stream if open.object.get() == 0 => return input::ready(events),
        Kind::Stream => poll::OUT,
        _ => poll::IN | poll::OUT,
    };
    now & events
}

/// A number that changes whenever an event of the file occurs, if the kernel counts them.
pub fn changes(open: &Open) -> Option<u64> {
    match open.kind.get() {
        Kind::PipeRead | Kind::PipeWrite | Kind::Socket => Some(pipe::changes(open)),
        Kind::Counter | Kind::Semaphore => Some(open.object.get().into()),
        _ => None,
    }
}

/// True if a process can wait for events of the file with `epoll`: it is not a file that is always ready.
pub fn can_poll(open: &Open) -> bool {
    match open.kind.get() {
        Kind::Stream => tree::can_poll(open.object.get()),
        Kind::PipeRead | Kind::PipeWrite | Kind::Socket => true,
        Kind::Counter | Kind::Semaphore | Kind::Epoll => true,
        _ => false,
    }
}

pub fn getdents(descriptor: u64, buffer: u64, size: u64) -> Outcome<u64> {
    const HEAD: usize = 19;
    const REGULAR: u8 = 8;
    const DIRECTORY: u8 = 4;
    let (open, size) = (open(descriptor)?, size.min(PART));
    if open.kind.get() != Kind::Directory {
        return Err(ENOTDIR);
    }
    let directory = open.object.get();
    let mut done = 0;
    loop {
        // Position 0 is `.`, 1 is `..`; the others are 2 more than the entry's index in the tree.
        let position = open.offset.get();
        let (index, name, next): (u32, &[u8], u64) = match position {
            0 => (directory, b".", 1),
            1 => (directory, b"..", 2),
            _ => match tree::next_in(directory, (position - 2) as u32) {
                Some((index, name)) => (index, name, u64::from(index) + 3),
                None => return Ok(done),
            },
        };
        let entry_size = (HEAD + name.len() + 1).next_multiple_of(8) as u64;
        if done + entry_size > size {
            return if done == 0 { Err(EINVAL) } else { Ok(done) };
        }
        let at = buffer.checked_add(done).ok_or(EFAULT)?;
        let kind = if tree::is_directory(index) { DIRECTORY } else { REGULAR };
        user::write(at, [u64::from(index) + 1, next])?;
        user::write(at + 16, entry_size as u16)?;
        user::write(at + 18, kind)?;
        user::copy_to(at + HEAD as u64, name)?;
        user::write(at + (HEAD + name.len()) as u64, 0_u8)?;
        open.offset.set(next);
        done += entry_size;
    }
}

pub fn access(directory: u64, path: u64, mode: u64) -> Outcome<u64> {
    match tree::resolve_user(directory, path)? {
        Node::Given(_) if mode & W_OK != 0 => Err(EROFS),
        Node::Given(index) if mode & X_OK != 0 && tree::entry(index).mode & 0o111 == 0 => Err(EACCES),
        Node::Special(_) if mode & X_OK != 0 => Err(EACCES),
        Node::Descriptor(number) => open(number).and(Ok(0)).or(Err(ENOENT)),
        _ => Ok(0),
    }
}

pub fn getcwd(buffer: u64, size: u64) -> Outcome<u64> {
    let path = tree::path(task::group().directory.get());
    if size < path.len() as u64 + 1 {
        return Err(abi::syscall::errno::ERANGE);
    }
    user::copy_to(buffer, path)?;
    user::write(buffer + path.len() as u64, 0_u8)?;
    Ok(path.len() as u64 + 1)
}

/// Makes a directory of the tree the working directory.
pub fn chdir(node: Node) -> Outcome<u64> {
    match node {
        Node::Given(index) if tree::is_directory(index) => {
            task::group().directory.set(index);
            Ok(0)
        }
        _ => Err(ENOTDIR),
    }
}

/// Reads a symbolic link: it refers to the program's own file, or to an open file of the tree.
pub fn readlink(directory: u64, path: u64, buffer: u64, size: u64) -> Outcome<u64> {
    if (size as i32) <= 0 {
        return Err(EINVAL);
    }
    let is_program = user::string(path, tree::PATH_MAX as u64)? == b"/proc/self/exe";
    let index = match tree::resolve_user(directory, path)? {
        Node::Given(index) if is_program => index,
        Node::Descriptor(number) => match open(number).or(Err(ENOENT))? {
            open if matches!(open.kind.get(), Kind::File | Kind::Directory) => open.object.get(),
            _ => return Err(EINVAL),
        },
        _ => return Err(EINVAL),
    };
    let now = first(tree::path(index), size as usize);
    user::copy_to(buffer, now)?;
    Ok(now.len() as u64)
}
