//! What a command makes of a trace, as a file or folder of its own: whole or not there, never in the place of the trace,
//! and in the place of anything else only where it was told to.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::{Builder, NamedTempFile};

use super::Usage;

/// Buffer before a file, in bytes.
const BUFFER: usize = 1 << 18;

/// Where the command line wants something.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// The place.
    path: &'a Path,
    /// What is there may be replaced.
    force: bool,
}

impl<'a> Output<'a> {
    /// A place for a file that is made of `trace`.
    pub fn file(path: &'a Path, trace: &Path, force: bool) -> Result<Self, Usage> {
        Output { path, force }.unless_taken(trace, Metadata::is_file)
    }

    /// A place for a folder of files with these `names`.
    pub fn folder(path: &'a Path, trace: &Path, force: bool, names: &[&str]) -> Result<Self, Usage> {
        let output = Output { path, force }.unless_taken(trace, Metadata::is_dir)?;
        if path.is_dir() && !holds_only(path, names) {
            return Err(output.refused("holds more than an export: choose another name with --output"));
        }
        Ok(output)
    }

    /// Refuses a place that holds something, unless it is of the same sort and may be replaced.
    fn unless_taken(self, trace: &Path, is_same_sort: fn(&Metadata) -> bool) -> Result<Self, Usage> {
        let Ok(there) = self.path.metadata() else { return Ok(self) };
        let is_trace = same_file::is_same_file(trace, self.path).unwrap_or(false);
        match (is_trace, is_same_sort(&there), self.force) {
            (false, true, true) => Ok(self),
            (true, ..) => Err(self.refused("is the trace itself: choose another name with --output")),
            (_, false, _) => {
                Err(self.refused("is there and is something else: choose another name with --output"))
            }
            (_, _, false) => {
                Err(self
                    .refused("exists already: choose another name with --output, or replace it with --force"))
            }
        }
    }

    fn refused(&self, why: &str) -> Usage {
        Usage(format!("{} {why}", self.path.display()))
    }

    /// Has a file written under a name that does not stay, and gives it its own when it is whole.
    pub fn write(&self, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> anyhow::Result<()> {
        let all = || {
            let file = self.place(0o666).tempfile_in(self.parent())?;
            let mut out = BufWriter::with_capacity(BUFFER, file.as_file());
            write(&mut out)?;
            out.flush()?;
            drop(out);
            let named = if self.force { NamedTempFile::persist } else { NamedTempFile::persist_noclobber };
            named(file, self.path).map_err(|error| error.error)?;
            Ok::<(), io::Error>(())
        };
        all().with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// The same for a folder of files.
    pub fn write_folder(&self, write: impl FnOnce(&Path) -> io::Result<()>) -> anyhow::Result<()> {
        let all = || {
            let new = self.place(0o777).tempdir_in(self.parent())?;
            write(new.path())?;
            if self.force && self.path.exists() {
                fs::remove_dir_all(self.path)?;
            }
            fs::rename(new.path(), self.path)?;
            // What it was made as is no longer there to be removed.
            let _ = new.keep();
            Ok::<(), io::Error>(())
        };
        all().with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// A new place beside it, where nothing but a change of name is left to do. The mode is subject to the umask; other
    /// systems than Unix have none.
    fn place(&self, #[cfg_attr(not(unix), allow(unused_variables))] mode: u32) -> Builder<'_, 'static> {
        let mut builder = Builder::new();
        builder.prefix(self.path.file_name().unwrap_or(OsStr::new("export"))).suffix(".partial");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
        builder
    }

    fn parent(&self) -> PathBuf {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).into()
    }
}

/// Whether a folder has no files but these, so that it can be removed.
fn holds_only(folder: &Path, names: &[&str]) -> bool {
    let is_ours = |entry: io::Result<DirEntry>| {
        entry.is_ok_and(|entry| names.iter().any(|name| entry.file_name() == *name))
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.all(is_ours))
}
