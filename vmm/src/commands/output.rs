//! The file or folder that a command writes. It is either complete or absent. It never replaces the trace, and it
//! replaces other files only with `--force`.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use tempfile::{Builder, NamedTempFile};

use super::Usage;

/// Size of the buffer for a file, in bytes.
const BUFFER: usize = 1 << 18;

/// The output that the command line names.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// The path of the output.
    path: &'a Path,
    /// Whether an existing file or folder may be replaced.
    force: bool,
}

impl<'a> Output<'a> {
    /// The output is a file that is made from `trace`.
    pub fn file(path: &'a Path, trace: &Path, force: bool) -> Result<Self, Usage> {
        Output { path, force }.unless_taken(trace, Metadata::is_file)
    }

    /// The output is a folder of files with these `names`.
    pub fn folder(path: &'a Path, trace: &Path, force: bool, names: &[&str]) -> Result<Self, Usage> {
        let output = Output { path, force }.unless_taken(trace, Metadata::is_dir)?;
        if path.is_dir() && !holds_only(path, names) {
            return Err(
                output.refused("contains files that no export wrote: choose another name with --output")
            );
        }
        Ok(output)
    }

    /// Refuses a path that exists, unless it has the same type and may be replaced.
    fn unless_taken(self, trace: &Path, is_same_sort: fn(&Metadata) -> bool) -> Result<Self, Usage> {
        let Ok(there) = self.path.metadata() else { return Ok(self) };
        let is_trace = same_file::is_same_file(trace, self.path).unwrap_or(false);
        match (is_trace, is_same_sort(&there), self.force) {
            (false, true, true) => Ok(self),
            (true, ..) => Err(self.refused("is the trace itself: choose another name with --output")),
            (_, false, _) => Err(self.refused(
                "exists, but its type is not that of the output: choose another name with --output",
            )),
            (_, _, false) => {
                Err(self
                    .refused("already exists: choose another name with --output, or replace it with --force"))
            }
        }
    }

    fn refused(&self, why: &str) -> Usage {
        Usage(format!("{} {why}", self.path.display()))
    }

    /// Calls `write` with a temporary file, and renames that file to the path when it is complete.
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
            // The temporary folder has its new name, so there is nothing left to remove.
            let _ = new.keep();
            Ok::<(), io::Error>(())
        };
        all().with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// A temporary name in the same folder, so that a rename is enough to finish. The mode is subject to the umask; only
    /// Unix has one.
    fn place(&self, #[cfg_attr(not(unix), allow(unused_variables))] mode: u32) -> Builder<'_, 'static> {
        let mut builder = Builder::new();
        builder.prefix(self.path.file_name().unwrap_or(OsStr::new("export"))).suffix(".partial");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
        builder
    }

    fn parent(&self) -> &Path {
        folder_of(self.path)
    }
}

/// The folder that a path is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a folder has no files but these, so that it can be removed.
fn holds_only(folder: &Path, names: &[&str]) -> bool {
    let is_ours = |entry: io::Result<DirEntry>| {
        entry.is_ok_and(|entry| names.iter().any(|name| entry.file_name() == *name))
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.all(is_ours))
}
