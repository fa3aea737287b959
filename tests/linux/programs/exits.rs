//! process::exit, which runs no destructor, after output to both streams.

struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        println!("dropped");
    }
}

fn main() {
    let _loud = Loud;
    drop(Loud);
    print!("no end of line");
    eprintln!("to standard error");
    std::process::exit(std::env::args().count() as i32 + 41);
}
