//! Events as files for other tools, a file each.

pub mod ctf;
pub mod fields;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod perfetto;
pub mod tracecmd;

pub(crate) mod layout;
mod linux;
mod survey;
