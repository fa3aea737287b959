//! Child processes: this program again, with its output taken. The calls depend on how the processes are scheduled.

use std::process::{Command, Stdio};

fn main() {
    if let Some(word) = std::env::args().nth(1) {
        println!("child {word} {:?}", std::env::var("COLOR"));
        std::process::exit(7);
    }
    let child = Command::new("/proc/self/exe").arg("one").env("COLOR", "red").stdin(Stdio::null()).output().unwrap();
    println!("{} {:?}", child.status, String::from_utf8_lossy(&child.stdout));
    let status = Command::new("/proc/self/exe").arg("two").status().unwrap();
    println!("{:?} {}", status.code(), status.success());
    println!("{:?}", Command::new("/no/such/program").spawn().map_err(|error| error.kind()).err());
}
