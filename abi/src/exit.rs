//! What the guest writes to the exit port. The host's own exit codes for these are the same numbers.

/// Every process ended by itself with status 0.
pub const ALL_WELL: u32 = 0;
/// A process was killed, or ended with another status than 0.
pub const PROCESS_FAILED: u32 = 32;
/// Every process waits for another one, so none can continue.
pub const DEADLOCK: u32 = 35;
/// The kernel panicked; the last record says why.
pub const KERNEL_PANIC: u32 = 34;
