//! The progress of a command that reads a long trace: a bar on the terminal of standard error.
//!
//! There is none if the command prints on a terminal or in a pipe while it reads, because the bar and the text could mix
//! there. A command may read a file more than once; then the bar starts again.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use trace::{OpenError, ReadAt, Trace};

use super::terminal::is_dumb;

/// A shorter command shows no bar.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// How often the bar is drawn in a second, at most.
const DRAWN_A_SECOND: u8 = 5;

static PROGRESS: OnceLock<Progress> = OnceLock::new();

struct Progress {
    bar: ProgressBar,
    started: Instant,
    is_shown: AtomicBool,
    /// The columns of the terminal: a process in the sandbox cannot ask for them.
    width: u16,
    /// The bytes of all files, and those that were read.
    size: AtomicU64,
    read: AtomicU64,
}

/// Lets [`open`] and [`counted`] show progress, if standard error can show it. `makes_file`: the command prints nothing
/// until it has read everything.
pub fn start(makes_file: bool) {
    let stderr = io::stderr();
    if !stderr.is_terminal() || is_dumb() || !(makes_file || is_stdout_a_file()) {
        return;
    }
    // The bar has no colours, and a process in the sandbox cannot find out whether standard output is a terminal.
    console::set_colors_enabled(false);
    let columns = terminal_size::terminal_size_of(&stderr).map(|(terminal_size::Width(width), _)| width);
    let bar = ProgressBar::hidden();
    let style = ProgressStyle::with_template("reading [{bar:30}] {percent:>3} %, {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    // A command starts once in a process.
    let _ = PROGRESS.set(Progress {
        bar,
        started: Instant::now(),
        is_shown: AtomicBool::new(false),
        width: columns.unwrap_or(80),
        size: AtomicU64::new(0),
        read: AtomicU64::new(0),
    });
}

/// Whether standard output is a file or `/dev/null`.
fn is_stdout_a_file() -> bool {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        use std::os::unix::fs::FileTypeExt;
        let about = io::stdout().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
        about.is_ok_and(|about| about.is_file() || about.file_type().is_char_device())
            && !io::stdout().is_terminal()
    }
    #[cfg(not(unix))]
    false
}

/// Opens a trace file; reading it moves the bar.
pub fn open(path: &Path) -> Result<Trace, OpenError> {
    if PROGRESS.get().is_none() {
        return Trace::open(path);
    }
    let source = trace::open_source(path).map_err(|cause| OpenError::Read { path: path.into(), cause })?;
    Trace::from_source(counted(source), path)
}

/// The same bytes; reading them moves the bar.
pub fn counted(source: Arc<dyn ReadAt>) -> Arc<dyn ReadAt> {
    let Some(progress) = PROGRESS.get() else { return source };
    progress.size.fetch_add(source.size().unwrap_or(0), Ordering::Relaxed);
    Arc::new(Counted(source, progress))
}

/// Prints something else on the terminal: the bar is erased before it.
pub fn beside(print: impl FnOnce()) {
    match PROGRESS.get() {
        Some(progress) => progress.bar.suspend(print),
        None => print(),
    }
}

/// Erases the bar, which does not come back.
pub fn finish() {
    if let Some(progress) = PROGRESS.get() {
        progress.bar.finish_and_clear();
    }
}

impl Progress {
    fn add(&'static self, bytes: usize) {
        let read = self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        let size = self.size.load(Ordering::Relaxed).max(1);
        if self.started.elapsed() < SHOWN_AFTER || self.bar.is_finished() {
            return;
        }
        if !self.is_shown.swap(true, Ordering::Relaxed) {
            let terminal = Box::new(Stderr { width: self.width });
            self.bar.set_draw_target(ProgressDrawTarget::term_like_with_hz(terminal, DRAWN_A_SECOND));
        }
        self.bar.set_length(size);
        self.bar.set_position(read % size);
    }
}

#[derive(Debug)]
struct Counted(Arc<dyn ReadAt>, &'static Progress);

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

impl ReadAt for Counted {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.0.read_at(bytes, offset)?;
        self.1.add(count);
        Ok(count)
    }
}

/// The terminal of standard error, with a width that needs no system call.
#[derive(Debug)]
struct Stderr {
    width: u16,
}

impl Stderr {
    fn move_cursor(count: usize, direction: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { write!(io::stderr(), "\x1b[{count}{direction}") }
    }
}

impl TermLike for Stderr {
    fn width(&self) -> u16 {
        self.width
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        Stderr::move_cursor(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        Stderr::move_cursor(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        Stderr::move_cursor(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        Stderr::move_cursor(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        writeln!(io::stderr(), "{s}")
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        write!(io::stderr(), "{s}")
    }

    fn clear_line(&self) -> io::Result<()> {
        write!(io::stderr(), "\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
