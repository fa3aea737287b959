//! Files and directories that are given, and those that are not.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

fn main() -> std::io::Result<()> {
    let text = fs::read_to_string("given/words")?;
    println!("{} {:?}", text.len(), text.lines().max());
    let total: u32 = BufReader::new(File::open("given/numbers")?).lines().map(|line| line.unwrap().parse::<u32>().unwrap()).sum();
    println!("{total}");
    let mut names: Vec<_> = fs::read_dir("given")?.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    println!("{names:?}");
    let mut file = File::open("given/words")?;
    file.seek(SeekFrom::End(-4))?;
    let mut end = String::new();
    file.read_to_string(&mut end)?;
    println!("{end:?} {} {}", file.metadata()?.len(), fs::metadata("given/inner")?.is_dir());
    println!("{:?}", File::open("missing").map_err(|error| error.kind()));
    println!("{}", std::env::current_exe()?.ends_with("given_files"));
    Ok(())
}
