//! Limited direct execution: whole runs on a real virtual CPU, and what their traces must show.

#[path = "../support/mod.rs"]
mod support;

fn main() {
    support::Suite::default().run()
}
