//! Standard output and standard error, whose readers may stop reading.
//!
//! A signal or the time-out that stops a run also ends a wait. From then on, a write waits at most [`LAST_WAIT_MS`], so that
//! a slow reader cannot extend the time-out. If another process made the descriptor non-blocking (a shared terminal or
//! pipe), a write waits until the descriptor is writable. Nothing is buffered.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::machine::kick;

/// The longest wait of a write after a run was stopped, in milliseconds.
const LAST_WAIT_MS: u8 = 100;
/// How many bytes a writable pipe accepts without blocking (pipe(7): PIPE_BUF).
const WITHOUT_WAIT: usize = libc::PIPE_BUF;

/// Standard output or standard error.
#[derive(Debug)]
pub struct Stream<T>(pub T);

impl<T: AsFd> Stream<T> {
    /// Whether a write would not wait.
    pub fn is_ready(&self) -> bool {
        poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO) == Ok(1)
    }
}

impl<T: AsFd> Write for Stream<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(WITHOUT_WAIT)];
        loop {
            let wait = if kick::reason().is_some() { LAST_WAIT_MS.into() } else { PollTimeout::NONE };
            match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)], wait) {
                // Linux never restarts poll(2) after a signal, so this loop does.
                Err(Errno::EINTR) if kick::reason().is_none() => continue,
                Ok(0) => {
                    let reason =
                        format!("its reader read nothing for {LAST_WAIT_MS} ms after the run was stopped");
                    return Err(io::Error::new(ErrorKind::TimedOut, reason));
                }
                ready => ready?,
            };
            match nix::unistd::write(&self.0, bytes) {
                Err(Errno::EAGAIN) => {}
                done => return Ok(done?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a file is standard output, unless it is a device that discards its data, such as `/dev/null`.
pub fn is_output(path: &Path) -> bool {
    let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    matches!((path.metadata(), stdout), (Ok(file), Ok(stdout)) if !file.file_type().is_char_device()
        && (file.dev(), file.ino()) == (stdout.dev(), stdout.ino()))
}
