//! The files of the host that the Linux programs of a run can read.
//!
//! All files are read before the guest starts, because a guest must not make the host open a file. The size of each file
//! is known before it is read, and all files together must fit into the guest's memory.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use abi::bundle::{self, DIRECTORY, REGULAR};
use walkdir::WalkDir;

use super::{RunError, input};

/// A file or directory of the host, and where Linux programs find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenFile {
    /// The path on the host. Of a directory, all files and directories below it are given too.
    pub host: PathBuf,
    /// The path in the guest; a relative one starts at the current directory.
    pub guest: PathBuf,
}

/// A file or directory of the guest's tree.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) modified: u64,
    pub(super) content: Vec<u8>,
}

/// The guest's tree of files, by absolute path.
pub(super) type Tree = BTreeMap<Vec<u8>, Entry>;

/// Reads the files and directories; together they take at most `memory_mib`. Symbolic links are followed, because the
/// guest has none. Below a directory, only files and directories are read. A link whose target does not exist, or is a
/// directory above the link, is left out.
pub(super) fn read(given: &[GivenFile], memory_mib: u64) -> Result<Tree, RunError> {
    let directory = current_directory();
    let mut tree = Tree::new();
    let mut room = memory_mib << 20;
    for GivenFile { host, guest } in given {
        let failed = |path: &Path, source: io::Error| RunError::File { path: path.into(), source };
        let guest = absolute(&directory, guest);
        for found in WalkDir::new(host).follow_links(true) {
            let found = match found {
                Ok(found) => found,
                Err(error) if error.depth() > 0 && leads_nowhere(&error) => continue,
                Err(error) => {
                    let path = error.path().unwrap_or(host).to_path_buf();
                    return Err(RunError::File { path, source: error.into() });
                }
            };
            let about = found.metadata().map_err(|error| failed(found.path(), error.into()))?;
            if found.depth() > 0 && !about.is_file() && !about.is_dir() {
                continue;
            }
            let below = found.path().strip_prefix(host).unwrap_or(Path::new(""));
            let path = absolute(&guest, below).into_os_string().as_bytes().to_vec();
            let takes =
                about.len() * u64::from(!about.is_dir()) + (size_of::<bundle::File>() + path.len()) as u64;
            room = room.checked_sub(takes).ok_or(RunError::FilesTooLarge { memory_mib })?;
            let entry = entry(found.path(), &about).map_err(|error| failed(found.path(), error))?;
            tree.insert(path, entry);
        }
    }
    Ok(tree)
}

fn entry(path: &Path, about: &Metadata) -> io::Result<Entry> {
    const PERMISSIONS: u32 = 0o777;
    let (kind, content) =
        if about.is_dir() { (DIRECTORY, Vec::new()) } else { (REGULAR, input::read(path)?) };
    let modified = about.mtime().try_into().unwrap_or_default();
    Ok(Entry { mode: kind | about.mode() & PERMISSIONS, modified, content })
}

/// Whether a followed link has no target, or its target is a directory above it.
fn leads_nowhere(error: &walkdir::Error) -> bool {
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    error.loop_ancestor().is_some() || error.io_error().is_some_and(is_missing)
}

/// The directory where programs start.
pub(super) fn current_directory() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| "/".into())
}

/// The absolute path without `.` and `..`, as the guest's kernel reads it: that kernel has no symbolic links.
fn absolute(directory: &Path, path: &Path) -> PathBuf {
    let mut absolute = PathBuf::from("/");
    for component in directory.join(path).components() {
        match component {
            Component::Normal(name) => absolute.push(name),
            Component::ParentDir => drop(absolute.pop()),
            _ => {}
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn given(host: &Path, guest: &str) -> GivenFile {
        GivenFile { host: host.into(), guest: guest.into() }
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.keys().map(|path| std::str::from_utf8(path).unwrap()).collect()
    }

    #[test]
    fn a_directory_is_a_tree_and_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("host");
        std::fs::create_dir_all(host.join("sub")).unwrap();
        std::fs::write(host.join("sub/text"), "hello").unwrap();
        symlink("sub/text", host.join("link")).unwrap();
        symlink("nothing", host.join("nowhere")).unwrap();
        symlink("../sub", host.join("sub/loop")).unwrap();
        nix::unistd::mkfifo(&host.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let tree = read(&[given(&host, "/data")], 8).unwrap();
        assert_eq!(paths(&tree), ["/data", "/data/link", "/data/sub", "/data/sub/text"]);
        assert_eq!(tree[&b"/data/link"[..]].content, b"hello");
        assert_eq!(tree[&b"/data/link"[..]].mode & abi::bundle::TYPE_MASK, REGULAR);
        assert_eq!(paths(&read(&[given(&host.join("sub"), "/")], 8).unwrap()), ["/", "/text"]);
    }

    #[test]
    fn what_is_named_must_be_a_file_or_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for host in [fifo.as_path(), Path::new("/dev/zero"), Path::new("/no/such/file")] {
            let error = read(&[given(host, "/x")], 8).unwrap_err();
            assert!(matches!(&error, RunError::File { path, .. } if path == host), "{error:?}");
        }
    }

    #[test]
    fn files_that_do_not_fit_are_refused_before_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::File::create(&path).unwrap().set_len(5 << 20).unwrap();
        assert_eq!(paths(&read(&[given(&path, "/a")], 8).unwrap()), ["/a"]);
        let error = read(&[given(&path, "/a"), given(&path, "/b")], 8).unwrap_err();
        assert!(matches!(error, RunError::FilesTooLarge { memory_mib: 8 }), "{error:?}");
    }

    #[test]
    fn a_path_of_the_guest_is_absolute_and_has_no_dots() {
        let of = |path: &str| absolute("/home/me".as_ref(), path.as_ref());
        assert_eq!(of("a/./b"), Path::new("/home/me/a/b"));
        assert_eq!(of("../../../a"), Path::new("/a"));
        assert_eq!(of("/x//y/"), Path::new("/x/y"));
    }
}
