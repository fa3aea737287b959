//! The pure parts of the guest's kernel, compiled for the host, for the sake of the unit tests in them.

#![allow(dead_code, unused_imports, reason = "only the tests in these files are used")]

#[path = "../../guest/kernel/src/cell.rs"]
mod cell;
#[path = "../../guest/kernel/src/clock.rs"]
mod clock;
#[path = "../../guest/kernel/src/memory/frame_pool.rs"]
mod frame_pool;
#[path = "../../guest/kernel/src/layout.rs"]
mod layout;
#[path = "../../guest/kernel/src/run_queue.rs"]
mod run_queue;
