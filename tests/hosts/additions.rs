//! What it takes to add a kind of record or a system call: two edits each. A copy of the sources gets both, and then a
//! kernel made of it writes the record, and a reader made of it shows record and call in every form.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::gate::TREE;
use crate::support::{self, Need, Suite, TestResult, ensure, folder};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    let needs = [Need::Kvm, Need::Tool("cargo"), Need::Tool("cp")];
    suite.needs(&needs, "a_kind_of_record_and_a_call_are_two_edits_each", two_edits_each)
}

/// An edit: a file, the line that it goes before, and its text.
type Edit = (&'static str, &'static str, &'static str);

/// A kind of record: its entry in the table, and the sentence that people read.
const RECORD: [Edit; 2] = [
    (
        "abi/src/record.rs",
        "    /// The clocks of the host at this record's TSC.",
        "
    /// A process asks for luck.
    Luck = 99, \"luck\" {
        /// How much.
        wanted: u64, number, word[0];
    }
",
    ),
    (
        "trace/src/text/words.rs",
        "            What::HostClock {",
        "
            What::Luck { wanted } => {
                put!(out, \"wants {wanted}\");
                \"luck\"
            }
",
    ),
];

/// A call: its entry in the table, and what the kernel does. This one writes the record too.
const CALL: [Edit; 2] = [
    ("abi/src/syscall/table.rs", "    /// Trapline's own:", "    1023 luck(Size) -> Number;\n"),
    (
        "guest/kernel/src/linux/mod.rs",
        "        getpgrp() =>",
        "
        luck(a) => {
            crate::trace::Emit::emit(abi::record::emit::Luck { wanted: a });
            Ok(a + 1)
        },
",
    ),
];

/// `exit(luck(41))`, as the machine code of a program.
const PROGRAM: &[u8] = b"\xB8\xFF\x03\0\0\xBF\x29\0\0\0\x0F\x05\x89\xC7\xB8\x3C\0\0\0\x0F\x05";

/// Shows the trace that it is given as text, and exports it to every format.
const READER: &str = r#"
use std::{fs::{File, create_dir}, io::BufWriter, path::Path};
use trapline_trace::{Trace, export::{FORMATS, Writes}, report, text::view::{Options, Text}};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let trace = Trace::open("t.trap".as_ref())?;
    let mut text = Text::new(trace.meta(), Options::default(), File::create("text")?);
    trace.events().try_for_each(|event| text.event(&event))?;
    for format in FORMATS {
        match format.writes {
            Writes::File(write) => write(&trace, &mut BufWriter::new(&File::create(format.name)?))?,
            Writes::Folder(_, write) => {
                create_dir(format.name)?;
                write(&trace, Path::new(format.name))?
            }
        }
    }
    Ok(report::write(&trace, "t.trap", File::create("report")?)?)
}
"#;

fn two_edits_each() -> TestResult {
    let folder = folder();
    let place = |name: &str| folder.path().join(name);
    edited_copy(folder.path())?;

    let mut kernel = cargo(folder.path());
    let flags = fs::read_to_string(place("guest/rustflags"))?;
    let flags: Vec<_> = flags.lines().filter(|line| !line.starts_with('#')).collect();
    kernel.args(["build", "--release", "--frozen", "--manifest-path", "guest/Cargo.toml", "-p", "kernel"]);
    kernel.args(["--target", "x86_64-unknown-linux-gnu", "--target-dir", "built"]);
    support::command(kernel.env("RUSTFLAGS", flags.join(" ")), folder.path())?.expect(0)?;

    fs::write(place("luck"), program())?;
    let kernel = "built/x86_64-unknown-linux-gnu/release/kernel";
    let run = ["run", "./luck", "--kernel", kernel, "--trace", "t.trap"];
    support::trapline(folder.path(), &run)?.expect(32)?;

    // A target directory of its own: in a shared one, cargo takes equal packages of two workspaces for the same.
    let mut reader = cargo(folder.path());
    reader.args(["run", "--offline", "-p", "trapline-trace", "--features", "export,report"]);
    reader.args(["--example", "luck", "--target-dir", "built"]);
    support::command(&mut reader, folder.path())?.expect(0)?;

    for (file, words) in [
        ("text", &["luck     wants 41", "luck(41) = 42"][..]),
        ("jsonl", &["\"kind\":\"luck\"", "\"wanted\":41", "\"call\":\"luck\""]),
        ("csv", &["wanted", ",luck,"]),
        ("ctf/metadata", &["name = \"luck\"", "wanted"]),
        ("trace-cmd", &["luck"]),
        ("perfetto", &["luck"]),
        ("report", &["\"99\":\"luck\"", "\"1023\":\"luck\""]),
    ] {
        let bytes = fs::read(place(file))?;
        let text = String::from_utf8_lossy(&bytes);
        for word in words {
            ensure(text.contains(word), || format!("{file} has no {word}"))?;
        }
    }
    Ok(())
}

/// A copy of contract, reader and guest, with the edits.
fn edited_copy(folder: &Path) -> TestResult {
    let tree = Path::new(TREE);
    fs::create_dir(folder.join("guest"))?;
    for name in ["abi", "trace", "examples", "guest/abi", "guest/bench", "guest/kernel", "guest/programs"] {
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(tree.join(name)).arg(folder.join(name));
        support::command(&mut copy, folder)?.expect(0)?;
    }
    for name in ["Cargo.lock", "guest/Cargo.toml", "guest/Cargo.lock", "guest/rustflags"] {
        fs::copy(tree.join(name), folder.join(name))?;
    }
    let workspace = fs::read_to_string(tree.join("Cargo.toml"))?;
    fs::write(folder.join("Cargo.toml"), workspace.replace(", \"vmm\"]", "]"))?;
    fs::create_dir(folder.join("trace/examples"))?;
    fs::write(folder.join("trace/examples/luck.rs"), READER)?;
    for (file, before, text) in RECORD.iter().chain(&CALL) {
        let source = fs::read_to_string(folder.join(file))?;
        let (head, tail) = source.split_once(before).ok_or_else(|| format!("{file} has no line {before}"))?;
        fs::write(folder.join(file), format!("{head}{}{before}{tail}", text.trim_start_matches('\n')))?;
    }
    Ok(())
}

fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder);
    cargo
}

/// The program's file: a header, and one segment that holds the whole file.
fn program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const CODE: u64 = 64 + 56;
    let size = CODE + PROGRAM.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3E\0\x01\0\0\0".to_vec();
    file.extend([BASE + CODE, 64, 0].map(u64::to_le_bytes).as_flattened());
    file.extend(b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x05\0\0\0");
    file.extend([0, BASE, BASE, size, size, 0x1000].map(u64::to_le_bytes).as_flattened());
    file.extend(PROGRAM);
    file
}
