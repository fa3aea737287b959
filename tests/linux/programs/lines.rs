//! Standard input, read to its end, and arguments and variables.

use std::io::{BufRead, Read, Write};

fn main() -> Result<(), std::io::Error> {
    let stdin = std::io::stdin();
    let mut line = String::new();
    println!("{}", stdin.lock().read_line(&mut line)?);
    println!("{}", stdin.lock().lines().count());
    println!("{}", stdin.lock().read_to_string(&mut line)?);
    println!("{:?}", std::env::args().skip(1).collect::<Vec<_>>());
    println!("{:?}", std::env::var("HOME"));
    let mut out = std::io::stdout().lock();
    writeln!(out, "written")?;
    out.flush()?;
    Err(std::io::Error::other("main returns an error"))
}
