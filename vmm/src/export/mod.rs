//! Events in other forms, a file each.

pub mod ctf;
pub mod fields;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod perfetto;
pub mod report;
pub mod strace;
pub mod text;
pub mod tracecmd;

mod layout;
mod linux;
mod survey;
mod words;
