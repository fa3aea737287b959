//! Standard output of a run. A signal ends the wait for a reader that does not read. A descriptor that another process made
//! non-blocking (a shared terminal or pipe) is waited for.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Standard output without the library's buffer, which would start a write again after a signal.
#[derive(Debug)]
pub struct Stdout(File);

impl Stdout {
    /// Another descriptor of standard output.
    pub fn new() -> io::Result<Stdout> {
        io::stdout().as_fd().try_clone_to_owned().map(|fd| Stdout(fd.into()))
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
                }
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints text on standard output. That a reader has closed it, as `head` does, is no error.
pub fn say(text: &str) -> io::Result<()> {
    match Stdout::new()?.write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
        }),
    }
}

/// Whether a file is standard output, and not a device that keeps nothing, such as `/dev/null`.
pub fn is_output(path: &Path) -> bool {
    let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    matches!((path.metadata(), stdout), (Ok(file), Ok(stdout)) if !file.file_type().is_char_device()
        && (file.dev(), file.ino()) == (stdout.dev(), stdout.ino()))
}
