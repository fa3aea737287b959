//! Events as files for other tools, a module for each format. [`FORMATS`] lists them for programs that offer a choice.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used))]

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use crate::file::Trace;

mod arguments;
pub mod ctf;
pub mod fields;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod perfetto;
pub mod tracecmd;

pub(crate) mod layout;
mod linux;
mod survey;

/// A format that traces are exported to.
#[derive(Debug)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, and what opens it.
    pub help: &'static str,
    /// How to write it.
    pub writes: Writes,
}

/// What a format consists of, and the function that writes it. The function returns the first error of the file system.
#[derive(Debug)]
pub enum Writes {
    /// One file.
    File(fn(&Trace, &mut BufWriter<&File>) -> io::Result<()>),
    /// Files with these names in a folder, which exists and is empty.
    Folder(&'static [&'static str], fn(&Trace, &Path) -> io::Result<()>),
}

/// Every format of this build.
pub static FORMATS: &[Format] = &[
    Format {
        name: "ctf",
        help: "Common Trace Format 1.8, a folder: babeltrace2, Trace Compass",
        writes: Writes::Folder(&ctf::FILES, ctf::write),
    },
    Format {
        name: "trace-cmd",
        help: "Linux's trace.dat: trace-cmd report, KernelShark",
        writes: Writes::File(|trace, out| tracecmd::write(trace, out)),
    },
    Format {
        name: "perfetto",
        help: "Tracks on a timeline: ui.perfetto.dev, trace_processor",
        writes: Writes::File(|trace, out| perfetto::write(trace, out)),
    },
    Format {
        name: "jsonl",
        help: "One JSON object per line, for scripts and jq",
        writes: Writes::File(|trace, out| fields::write_json_lines(trace, out)),
    },
    Format {
        name: "csv",
        help: "One row per event, for spreadsheets and data frames",
        writes: Writes::File(|trace, out| fields::write_csv(trace, out)),
    },
    #[cfg(feature = "parquet")]
    Format {
        name: "parquet",
        help: "The rows as typed columns: DuckDB, Polars, Spark",
        writes: Writes::File(|trace, out| parquet::write(trace, out)),
    },
];
