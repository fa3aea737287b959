//! The tree of files that the host passed. It is read-only, and stays in memory where the bundle lies.

use abi::bundle::{Bundle, DIRECTORY, File, TERMINAL, TYPE_MASK};
use abi::syscall::errno::{ENAMETOOLONG, ENOENT, ENOTDIR};

use super::files::{self, Kind};
use super::{AT_FDCWD, Outcome, first, task, user};
use crate::cell::Local;

static TREE: Local<Option<Bundle<'static>>> = Local::new(None);

/// The longest path, including its zero byte.
pub const PATH_MAX: usize = 4096;
/// What a path refers to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// An entry of the tree, by index.
    Given(u32),
    /// A file that the kernel generates.
    Special(Kind),
    /// A descriptor of the process.
    Descriptor(u64),
}

/// The files that the kernel generates, by path.
const SPECIAL: [(&[u8], Kind); 7] = [
    (b"/dev/null", Kind::Null),
    (b"/dev/zero", Kind::Zero),
    (b"/dev/full", Kind::Full),
    (b"/dev/random", Kind::Random),
    (b"/dev/urandom", Kind::Random),
    (b"/proc/self/maps", Kind::Maps),
    (b"/proc/self/exe", Kind::Executable),
];

/// Sets the tree.
pub fn set(bundle: Bundle<'static>) {
    TREE.set(Some(bundle));
}

fn tree() -> Bundle<'static> {
    match TREE.get() {
        Some(bundle) => bundle,
        None => unreachable!("Linux programs come from a bundle"),
    }
}

/// The entry at an index. Indices come from [`find`] and from programs of the bundle, which were checked.
pub fn entry(index: u32) -> File {
    tree().file(index).unwrap_or_default()
}

/// The content of a file.
pub fn contents(index: u32) -> &'static [u8] {
    tree().contents(&entry(index))
}

/// The path of a file.
pub fn path(index: u32) -> &'static [u8] {
    tree().text(entry(index).path)
}

/// How many entries there are.
pub fn count() -> u32 {
    tree().files()
}

pub fn is_directory(index: u32) -> bool {
    entry(index).mode & TYPE_MASK == DIRECTORY
}

/// The first entry whose path is not below `wanted`.
fn lower_bound(is_below: impl Fn(&[u8]) -> bool) -> u32 {
    let (mut low, mut high) = (0, count());
    while low < high {
        let middle = (low + high) / 2;
        if is_below(path(middle)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The entry with exactly this path.
pub fn find(wanted: &[u8]) -> Option<u32> {
    let index = lower_bound(|path| path < wanted);
    (index < count() && path(index) == wanted).then_some(index)
}

/// The entries directly in a directory, from the entry at `from` on: index and name.
pub fn next_in(directory: u32, from: u32) -> Option<(u32, &'static [u8])> {
    let above = path(directory);
    let above = if above == b"/" { b"" } else { above };
    let in_it =
        |path: &'static [u8]| path.strip_prefix(above)?.strip_prefix(b"/").filter(|name| !name.is_empty());
    let start = lower_bound(|path| path <= above).max(from);
    for index in start..count() {
        match in_it(path(index)) {
            Some(name) if !name.contains(&b'/') => return Some((index, name)),
            Some(_) => {}
            // Names such as `a-b` are sorted between `a` and `a/b`.
            None if path(index).starts_with(above) => {}
            None => break,
        }
    }
    None
}

/// The path during a lookup: absolute, without `.`, `..` and double slashes. It is too large for the kernel's stack.
static WALK: Local<[u8; PATH_MAX]> = Local::new([0; PATH_MAX]);

/// What a path refers to. A relative path starts at the directory that is open as `directory`.
pub fn resolve(directory: u64, path: &[u8]) -> Outcome<Node> {
    if path.is_empty() {
        return Err(ENOENT);
    }
    // SAFETY: no other code uses the buffer before this function returns.
    let walk = unsafe { &mut *WALK.pointer() };
    let mut size = 0;
    let start = if path[0] == b'/' { b"" } else { base(directory)? };
    let names = start.split(|&byte| byte == b'/').chain(path.split(|&byte| byte == b'/'));
    for name in names.filter(|&name| !name.is_empty() && name != b".") {
        if name == b".." {
            size = first(walk, size).iter().rposition(|&byte| byte == b'/').unwrap_or(0);
            continue;
        }
        for &byte in b"/".iter().chain(name) {
            *walk.get_mut(size).ok_or(ENAMETOOLONG)? = byte;
            size += 1;
        }
    }
    let wanted = if size == 0 { b"/" } else { first(walk, size) };
    if let Some((_, kind)) = SPECIAL.iter().find(|(path, _)| *path == wanted) {
        return Ok(if *kind == Kind::Executable {
            Node::Given(task::group().program.get())
        } else {
            Node::Special(*kind)
        });
    }
    if let Some(number) = descriptor(wanted) {
        return Ok(Node::Descriptor(number));
    }
    match find(wanted) {
        Some(index) if path.ends_with(b"/") && !is_directory(index) => Err(ENOTDIR),
        Some(index) => Ok(Node::Given(index)),
        None => Err(reason_for_absence(wanted)),
    }
}

/// The number in `/dev/fd/N`, or the descriptor that a name such as `/dev/stdout` stands for.
fn descriptor(path: &[u8]) -> Option<u64> {
    const NAMES: [&[u8]; 3] = [b"/dev/stdin", b"/dev/stdout", b"/dev/stderr"];
    if let Some(number) = NAMES.iter().position(|name| *name == path) {
        return Some(number as u64);
    }
    let digits = path.strip_prefix(b"/dev/fd/").or(path.strip_prefix(b"/proc/self/fd/"))?;
    let number = |sum: u64, digit: &u8| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'));
    if (1..=3).contains(&digits.len()) { digits.iter().try_fold(0, number) } else { None }
}

/// The path of the directory that is open as `directory`.
fn base(directory: u64) -> Outcome<&'static [u8]> {
    if directory as i32 == AT_FDCWD as i32 {
        return Ok(path(task::group().directory.get()));
    }
    let open = files::open(directory)?;
    if open.kind.get() == Kind::Directory { Ok(path(open.object.get())) } else { Err(ENOTDIR) }
}

/// The error number for a path that does not exist: ENOTDIR if a file is in place of a directory on the path, else
/// ENOENT.
fn reason_for_absence(mut wanted: &[u8]) -> i64 {
    while let Some(slash) = wanted.iter().rposition(|&byte| byte == b'/').filter(|&slash| slash > 0) {
        wanted = first(wanted, slash);
        if let Some(index) = find(wanted) {
            return if is_directory(index) { ENOENT } else { ENOTDIR };
        }
    }
    ENOENT
}

/// What the path at `address` in the memory of the process refers to.
pub fn resolve_user(directory: u64, address: u64) -> Outcome<Node> {
    let path = user::string(address, PATH_MAX as u64)?;
    resolve(directory, path)
}

/// The type of a standard stream of the host: see `abi::bundle`.
pub fn stream(number: u32) -> u8 {
    tree().stream(number)
}

/// True if a process can wait for events of a standard stream: it is neither a file nor a device without events.
pub fn can_poll(number: u32) -> bool {
    const DEVICE: u8 = 2;
    const FILE: u8 = 8;
    let kind = stream(number);
    kind & TERMINAL != 0 || !matches!(kind & 0xF, DEVICE | FILE)
}
