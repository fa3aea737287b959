//! Where a trace goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, fallocate, fcntl};
use tempfile::TempDir;
use trace::{Meta, Name, Target, WriteError, Writer, create_file};

use super::{RunError, signals_blocked};
use crate::sandbox::{Entrance, Role, Sandbox};

/// Where a trace goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceFile {
    /// No trace file is made, and Trapline's own kernel keeps no records.
    None,
    /// A new file in a temporary folder, removed with the [`Outcome`](super::Outcome).
    Temporary,
    /// The first free name of `trapline-1.trap`, `trapline-2.trap`, ... in the current folder. A name is taken by
    /// creating the file, so runs at the same time get different names.
    FirstFree,
    /// Standard output of this process, so what the guest prints should go elsewhere.
    StandardOutput,
    /// This file, FIFO or device. A file that exists is refused, or replaced if `replace`.
    At {
        /// The file.
        path: PathBuf,
        /// Replace a file that exists.
        replace: bool,
    },
}

/// The file that a run has reserved for its trace.
#[derive(Debug)]
pub(super) enum Place {
    Temporary { path: PathBuf, _folder: TempDir },
    At(PathBuf),
    StandardOutput,
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        match self {
            Place::Temporary { path, .. } | Place::At(path) => path,
            Place::StandardOutput => Path::new("-"),
        }
    }

    /// Whether it is a file that can be read back.
    pub(super) fn is_readable(&self) -> bool {
        !matches!(self, Place::StandardOutput) && self.path().is_file()
    }
}

impl TraceFile {
    /// Creates the file, if there is to be one, and writes its head.
    ///
    /// The thread that writes it enters the sandbox.
    pub(super) fn create(
        &self,
        meta: &Meta,
        sandbox: Option<&Sandbox>,
    ) -> Result<Option<(Place, Writer)>, RunError> {
        let (place, replace) = match self {
            TraceFile::None => return Ok(None),
            TraceFile::Temporary => {
                let folder = tempfile::tempdir().map_err(RunError::Temporary)?;
                (Place::Temporary { path: folder.path().join("run.trap"), _folder: folder }, false)
            }
            TraceFile::FirstFree => return first_free(meta, sandbox).map(Some),
            TraceFile::StandardOutput => {
                let file = io::stdout().as_fd().try_clone_to_owned().map(File::from);
                let path = Place::StandardOutput.path();
                let file = file.map_err(|cause| WriteError::Create { path: path.into(), cause })?;
                let writer = start(file, Name::taken(path), false, meta, sandbox)?;
                return Ok(Some((Place::StandardOutput, writer)));
            }
            TraceFile::At { path, replace } => (Place::At(path.clone()), *replace),
        };
        let writer = create(place.path(), replace, meta, sandbox)?;
        Ok(Some((place, writer)))
    }
}

fn first_free(meta: &Meta, sandbox: Option<&Sandbox>) -> Result<(Place, Writer), RunError> {
    let mut number = 1_u64;
    loop {
        let path = PathBuf::from(format!("trapline-{number}.trap"));
        number += 1;
        // A symbolic link without a target also occupies the name.
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match create(&path, false, meta, sandbox) {
            Err(RunError::Trace(WriteError::Exists { .. })) => {}
            created => return Ok((Place::At(path), created?)),
        }
    }
}

/// Creates a trace file, or opens an existing device or FIFO.
fn create(path: &Path, replace: bool, meta: &Meta, sandbox: Option<&Sandbox>) -> Result<Writer, RunError> {
    let is_special = fs::metadata(path).is_ok_and(|about| !about.is_file());
    let (file, name) =
        if is_special { (open_special(path)?, Name::taken(path)) } else { create_file(path, replace)? };
    start(file, name, !is_special, meta, sandbox)
}

/// Starts the thread that writes a trace. It receives no signal, because signals must reach the vCPU's thread, and a write
/// beyond a limit on the size of files must return an error (SIGXFSZ).
fn start(
    file: File,
    name: Name,
    is_own: bool,
    meta: &Meta,
    sandbox: Option<&Sandbox>,
) -> Result<Writer, RunError> {
    let entrance = sandbox.map(|sandbox| sandbox.entrance(Role::Writer)).transpose()?;
    let path = name.path().to_owned();
    let target = Box::new(TraceTarget { file, is_own, entrance });
    let failed = |cause| WriteError::Create { path, cause };
    Ok(signals_blocked(|| Writer::new(target, name, meta)).map_err(failed)??)
}

/// The file, FIFO or device that a trace is written to.
#[derive(Debug)]
struct TraceTarget {
    file: File,
    /// Whether it is a file that has only the trace, so that it can be cut, and space can be reserved for its end.
    is_own: bool,
    /// The sandbox of the thread that writes.
    entrance: Option<Entrance>,
}

impl Write for TraceTarget {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Target for TraceTarget {
    fn begin(&mut self) -> io::Result<()> {
        let enter = |entrance: &Entrance| entrance.enter().map_err(io::Error::other);
        self.entrance.as_ref().map_or(Ok(()), enter)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.is_own { self.file.cut(length) } else { Err(ErrorKind::Unsupported.into()) }
    }

    fn reserve(&mut self, length: u64, bytes: u64) -> io::Result<()> {
        if !self.is_own {
            return Ok(());
        }
        let (from, bytes) = (length.cast_signed(), bytes.cast_signed());
        match fallocate(&self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, from, bytes) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Opens a device or FIFO without waiting for a reader; writes to it then wait as usual.
fn open_special(path: &Path) -> Result<File, WriteError> {
    let opened = OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    let file = opened.map_err(|cause| match cause.raw_os_error() {
        Some(libc::ENXIO) => WriteError::NoReader { path: path.into() },
        _ => WriteError::Create { path: path.into(), cause },
    })?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))
        .map_err(|cause| WriteError::Create { path: path.into(), cause: cause.into() })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_without_a_reader_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let error = create(&path, false, &Meta::default(), None).expect_err("no process reads it");
        assert!(matches!(error, RunError::Trace(WriteError::NoReader { .. })), "{error}");
        assert!(path.exists());
    }
}
