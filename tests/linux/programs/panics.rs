//! A panic that is caught, one of a thread, and one that ends the process with 101. The messages depend on the number of the thread.

use std::panic;

fn main() {
    let caught = panic::catch_unwind(|| panic!("caught"));
    println!("{}", caught.is_err());
    let joined = std::thread::Builder::new().name("worker".into()).spawn(|| {
        let empty: Vec<i32> = Vec::new();
        empty[std::hint::black_box(3)]
    });
    println!("{}", joined.unwrap().join().is_err());
    let nothing: Option<i32> = std::hint::black_box(None);
    nothing.expect("a value");
}
