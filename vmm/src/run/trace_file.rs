//! Where a trace goes.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use trace::{Meta, WriteError, Writer};

use super::RunError;

/// Where a trace goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceFile {
    /// A new file in a temporary folder, removed with the [`Outcome`](super::Outcome).
    Temporary,
    /// The first free name of `trapline-1.trap`, `trapline-2.trap`, ... in the current folder. A name is taken by
    /// creating the file, so runs at the same time get different names.
    FirstFree,
    /// This file, FIFO or device. A file that exists is refused, or replaced if `replace`.
    At {
        /// The file.
        path: PathBuf,
        /// Replace a file that exists.
        replace: bool,
    },
}

/// A place that was taken.
#[derive(Debug)]
pub(super) enum Place {
    Temporary { path: PathBuf, _folder: TempDir },
    At(PathBuf),
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        match self {
            Place::Temporary { path, .. } | Place::At(path) => path,
        }
    }
}

impl TraceFile {
    /// Creates the file and writes its head.
    pub(super) fn create(&self, meta: &Meta) -> Result<(Place, Writer), RunError> {
        let (place, replace) = match self {
            TraceFile::Temporary => {
                let folder = tempfile::tempdir().map_err(RunError::Temporary)?;
                (Place::Temporary { path: folder.path().join("run.trap"), _folder: folder }, false)
            }
            TraceFile::FirstFree => return first_free(meta),
            TraceFile::At { path, replace } => (Place::At(path.clone()), *replace),
        };
        let writer = Writer::create(place.path(), replace, meta)?;
        Ok((place, writer))
    }
}

fn first_free(meta: &Meta) -> Result<(Place, Writer), RunError> {
    let mut number = 1_u64;
    loop {
        let path = PathBuf::from(format!("trapline-{number}.trap"));
        number += 1;
        // A link that leads nowhere has the name too.
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match Writer::create(&path, false, meta) {
            Err(WriteError::Exists { .. }) => {}
            created => return Ok((Place::At(path), created?)),
        }
    }
}
