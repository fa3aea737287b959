//! The trace file: its format, a writer, a reader, and the events that its records decode to.
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
//! [`Trace::events`] are decoded and can be kept; [`Trace::records`] are as they were written, and faster. Both come in
//! the order of time, whether guest or host wrote them, and neither needs more memory for a longer trace. A damaged file opens as far
//! as it is whole: [`Trace::damage`] says what is not, and `recover` makes a whole file of the rest.
//!
//! A file is read as far as it is asked for: opening reads its head and index, [`Trace::events_near`] reads a part of it,
//! and [`Follow`] reads it once as it grows. A file that is cut or changed while it is read ends the iterators, and
//! [`Trace::intact`] returns the error.
//!
//! The format stands in `docs/trace-format.md`, precise enough for another implementation. There is no KVM
//! here: a trace can be read on any machine. What events mean together is the business of the module
//! `analysis`.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used))]

mod clock;
#[cfg_attr(not(feature = "write"), expect(dead_code, reason = "only a writer encodes"))]
mod compact;
mod damage;
mod event;
mod follow;
pub mod format;
#[cfg(feature = "write")]
mod import;
mod index;
#[cfg(feature = "write")]
mod live;
mod meta;
mod names;
#[cfg(feature = "write")]
mod output;
mod reader;
mod records;
#[cfg(feature = "write")]
mod recover;
#[cfg(test)]
pub(crate) mod samples;
mod scan;
mod source;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
mod walk;
#[cfg(feature = "write")]
mod writer;

pub use clock::Clock;
pub use damage::Damage;
pub use event::{Boot, Context, Event, Frame, Trap, What};
pub use follow::{Follow, News};
pub use format::Origin;
#[cfg(feature = "write")]
pub use import::{ImportError, import};
#[cfg(feature = "write")]
pub use live::Watcher;
pub use meta::{Image, Meta, Options, Program};
pub use names::{Names, printable, text as name_text};
#[cfg(feature = "write")]
pub use output::{Name, Target, create_file};
pub use reader::{Events, OpenError, Part, ReadError, Records, Trace};
pub use records::Record;
pub(crate) use records::decode;
#[cfg(feature = "write")]
pub use recover::{Recovered, recover};
pub use source::{ReadAt, open as open_source};
#[cfg(feature = "write")]
pub use writer::{WriteError, Writer};
