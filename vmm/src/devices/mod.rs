//! What sits on the port bus: the trace doorbell, the console and the exit port.
//!
//! Devices trust the guest with nothing: whatever it writes, the worst outcome is the end of its own run,
//! with a sentence that says what it did.

mod console;
mod doorbell;
mod exit;

pub use console::Console;
pub use doorbell::Doorbell;
pub use exit::ExitPort;
