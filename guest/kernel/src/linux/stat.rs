//! The `stat` calls: the attributes of a file.

use abi::syscall::errno::{EBADF, ENOENT};
use abi::syscall::values::{AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS};

use super::files::{self, Kind, Open};
use super::tree::{self, Node};
use super::{AT_FDCWD, Outcome, user};

/// The original layout of `struct stat`, which x86-64 still uses.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Stat {
    device: u64,
    inode: u64,
    links: u64,
    mode: u32,
    user: u32,
    group: u32,
    padding: u32,
    special_device: u64,
    size: u64,
    block_size: u64,
    blocks: u64,
    /// Times of access, modification and change: seconds and nanoseconds each.
    times: [u64; 6],
    unused: [u64; 3],
}

const _: () = assert!(size_of::<Stat>() == 144);

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Statx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    links: u32,
    user: u32,
    group: u32,
    mode: u16,
    spare: u16,
    inode: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    /// Times of access, birth, change and modification: seconds and nanoseconds each.
    times: [(u64, u64); 4],
    special_device: [u32; 2],
    device: [u32; 2],
    rest: [u64; 14],
}

const _: () = assert!(size_of::<Statx>() == 256);

const BLOCK: u64 = 4096;
const SECTOR: u64 = 512;
/// The device number of the tree, and that of all other files.
const TREE_DEVICE: u64 = 0x801;
const OTHER_DEVICE: u64 = 0xD;
const FIFO: u32 = 0o010_600;
const CHARACTER: u32 = 0o020_666;
const TERMINAL_DEVICE: u64 = 0x8800;

fn of_file(index: u32) -> Stat {
    let file = tree::entry(index);
    Stat {
        device: TREE_DEVICE,
        inode: u64::from(index) + 1,
        links: if tree::is_directory(index) { 2 } else { 1 },
        mode: file.mode,
        size: file.size,
        block_size: BLOCK,
        blocks: file.size.div_ceil(BLOCK) * (BLOCK / SECTOR),
        times: [file.modified, 0, file.modified, 0, file.modified, 0],
        ..Default::default()
    }
}

fn of_kind(kind: Kind, object: u32) -> Stat {
    let (mode, special_device) = match kind {
        Kind::Null => (CHARACTER, 0x103),
        Kind::Zero => (CHARACTER, 0x105),
        Kind::Full => (CHARACTER, 0x107),
        Kind::Random => (CHARACTER, 0x109),
        Kind::Maps => (0o100_444, 0),
        Kind::Socket => (0o140_777, 0),
        Kind::Epoll | Kind::Counter | Kind::Semaphore => (0o600, 0),
        Kind::Stream => match tree::stream(object) {
            0 => (FIFO, 0),
            2 => (CHARACTER, 0x103), // no terminal: as /dev/null
            kind => (u32::from(kind & 0xF) << 12 | 0o600, if kind & 0xF == 2 { TERMINAL_DEVICE } else { 0 }),
        },
        _ => (FIFO, 0),
    };
    Stat {
        device: OTHER_DEVICE,
        // Linux has one inode for all files that are neither in a tree nor a stream.
        inode: if mode == 0o600 { 999 } else { u64::from(object) + 1000 },
        links: 1,
        mode,
        special_device,
        block_size: if kind == Kind::Maps { 1024 } else { BLOCK },
        ..Default::default()
    }
}

fn of_open(open: &Open) -> Stat {
    match open.kind.get() {
        Kind::File | Kind::Directory => of_file(open.object.get()),
        kind => of_kind(kind, open.object.get()),
    }
}

fn of_node(node: Node) -> Outcome<Stat> {
    Ok(match node {
        Node::Given(index) => of_file(index),
        Node::Special(kind) => of_kind(kind, 0),
        Node::Descriptor(number) => of_open(files::open(number).or(Err(ENOENT))?),
    })
}

/// The attributes of the file at `path`, or of the open `directory` if `path` is empty and AT_EMPTY_PATH is set.
fn find(directory: u64, path: u64, flags: u64) -> Outcome<Stat> {
    let text = user::string(path, tree::PATH_MAX as u64)?;
    if text.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return match files::open(directory) {
            Err(EBADF) if directory as i32 == AT_FDCWD as i32 => {
                tree::resolve(directory, b".").and_then(of_node)
            }
            open => open.map(of_open),
        };
    }
    if text == b"/proc/self/exe" && flags & AT_SYMLINK_NOFOLLOW != 0 {
        return Ok(Stat { mode: 0o120_777, links: 1, block_size: 1024, ..Default::default() });
    }
    tree::resolve(directory, text).and_then(of_node)
}

pub fn fstat(descriptor: u64, to: u64) -> Outcome<u64> {
    user::write(to, of_open(files::open(descriptor)?)).map(|()| 0)
}

pub fn stat_at(directory: u64, path: u64, to: u64, flags: u64) -> Outcome<u64> {
    user::write(to, find(directory, path, flags)?).map(|()| 0)
}

pub fn statx(directory: u64, path: u64, flags: u64, to: u64) -> Outcome<u64> {
    let stat = find(directory, path, flags)?;
    let parts = |device: u64| [(device >> 8) as u32, (device & 0xFF) as u32];
    let [access, access_ns, modified, modified_ns, changed, changed_ns] = stat.times;
    let statx = Statx {
        mask: STATX_BASIC_STATS as u32,
        block_size: stat.block_size as u32,
        links: stat.links as u32,
        mode: stat.mode as u16,
        inode: stat.inode,
        size: stat.size,
        blocks: stat.blocks,
        times: [(access, access_ns), (0, 0), (changed, changed_ns), (modified, modified_ns)],
        special_device: parts(stat.special_device),
        device: parts(stat.device),
        ..Default::default()
    };
    user::write(to, statx).map(|()| 0)
}

/// `statfs`: describes a file system in memory.
pub fn statfs(to: u64) -> Outcome<u64> {
    const TMPFS: u64 = 0x0102_1994;
    let mut words = [0_u64; 15];
    (words[0], words[1], words[8], words[9]) = (TMPFS, BLOCK, 255, BLOCK);
    user::write(to, words).map(|()| 0)
}
