//! What the benchmarks share: what they ran on, and the table.

use std::fs;
use std::num::NonZeroUsize;

use trapline::machine::host;

/// Prints what a figure depends on, and the head of the table.
pub fn head(of: &str) {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    println!(
        "{}, {cores} cores; Linux {}; KVM back end {}",
        host::cpu_name(),
        kernel.trim(),
        host::back_end()
    );
    println!("{of}\n");
    row("", "figure", "target");
}

/// Prints a line of the table.
pub fn row(name: &str, figure: impl AsRef<str>, target: &str) {
    println!("{name:34} {:>26}   {target}", figure.as_ref());
}
