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
//! - [`file`]: the file's format, its writer and reader, and the events that its records decode to. The most used names
//!   are also at the root of this crate.
//! - [`analysis`]: what events mean: summary, protocol, rules, times, filters.
//! - [`text`]: events and analyses as text for people.
//! - [`export`]: events as files for other tools.
//! - [`report`]: a page for the browser.

pub mod analysis;
pub mod export;
pub mod file;
pub mod report;
pub mod text;

pub use file::*;
