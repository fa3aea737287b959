//! Everything about Trapline's traces: the file, its events, what they mean, and the forms that they can be shown in.
//! No KVM and no guest is needed to read a trace.
//!
//! ```no_run
//! use trapline_trace::{Trace, What};
//!
//! let trace = Trace::open("t.trap".as_ref())?;
//! for damage in trace.damage() {
//!     eprintln!("warning: {damage}");
//! }
//! let ticks = trace.events().filter(|event| matches!(event.what, What::Tick { .. })).count();
//! println!("{ticks} ticks");
//! # Ok::<(), trapline_trace::OpenError>(())
//! ```
//!
//! The rooms, from the ground up; each uses only what stands above it:
//!
//! - [`mod@file`]: the file's format, its reader, and the events that its records decode to. With the feature `write`, also
//!   its writer. All names are at the root of this crate too.
//! - `analysis` (feature `analysis`, and `expect` for expectations): what events mean: summary, protocol, rules, times, filters.
//! - `text` (feature `analysis`): events and analyses as text for people.
//! - `export` (feature `export`, and `parquet` for one format): events as files for other tools.
//! - `report` (feature `report`): a page for the browser.
//!
//! Without features, this crate has few dependencies. With all of them, it compiles for any system.

#[cfg(feature = "analysis")]
pub mod analysis;
#[cfg(feature = "export")]
pub mod export;
pub mod file;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "analysis")]
pub mod text;

pub use file::*;
