//! `trapline view` as its reader has it: a growing file, a filter, forms for scripts, and a terminal with a pager.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use abi::record::Kind;
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use trace::{Meta, Names, Origin, Trace, What, Writer};

use crate::stat::FIXTURE;
use crate::support::{self, Suite, TestResult, binary, ensure, folder, trapline, wait};

const LIMIT: Duration = Duration::from_secs(30);

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .pure("view::a_growing_file_is_followed_to_its_end", a_growing_file_is_followed_to_its_end)
        .pure(
            "view::a_file_that_is_replaced_is_followed_no_more",
            a_file_that_is_replaced_is_followed_no_more,
        )
        .pure(
            "view::a_file_that_is_cut_while_it_is_read_is_reported",
            a_file_that_is_cut_while_it_is_read_is_reported,
        )
        .pure("view::a_part_is_read_and_not_the_rest", a_part_is_read_and_not_the_rest)
        .pure("view::every_form_has_the_events_of_the_filter", every_form_has_the_events_of_the_filter)
        .pure("view::strace_shows_calls_of_the_filter_whole", strace_shows_calls_of_the_filter_whole)
        .pure("view::around_shows_neighbours", around_shows_neighbours)
        .pure("view::a_wrong_filter_is_pointed_at", a_wrong_filter_is_pointed_at)
        .pure("view::a_terminal_has_colour_and_a_pager", a_terminal_has_colour_and_a_pager)
        .pure("view::colours_are_as_asked_for", colours_are_as_asked_for)
        .pure("view::a_pager_that_is_interrupted_stays", a_pager_that_is_interrupted_stays)
        .pure("view::what_is_no_trace_is_wrong_usage", what_is_no_trace_is_wrong_usage)
        .pure("view::a_terminal_obeys_no_trace", a_terminal_obeys_no_trace)
        .pure(
            "view::a_warning_that_cannot_be_written_costs_nothing",
            a_warning_that_cannot_be_written_costs_nothing,
        )
}

fn strace_shows_calls_of_the_filter_whole() -> TestResult {
    let (folder, strace) = (folder(), ["view", FIXTURE, "--format", "strace"]);
    let all = trapline(folder.path(), &strace)?.expect(0)?.stdout;
    let writes: String = all.split_inclusive('\n').filter(|line| line.contains(" write(1, \"")).collect();
    let picked = |filter| trapline(folder.path(), &[&strace[..], &["--filter", filter]].concat())?.expect(0);
    let output = picked("call=write")?;
    ensure(!writes.is_empty() && output.stdout == writes, || format!("{output:#?}\nnot\n{writes}"))?;
    // By the event that a line begins with, its others come too.
    let polite = picked("process=polite")?.stdout;
    let is_call = |line: &&str| !line.contains(" execve(") && !line.contains(" +++ ");
    let calls: String = polite.split_inclusive('\n').filter(is_call).collect();
    let output = picked("process=polite and kind=system-call")?;
    ensure(calls.contains("exit_group(0)   = ?") && output.stdout == calls, || {
        format!("{output:#?}\nnot\n{calls}")
    })?;
    let output = picked("kind=process-created")?;
    ensure(output.stdout.lines().count() == 8 && output.stdout.matches(" execve(").count() == 8, || {
        format!("{output:#?}")
    })?;
    let output = picked("kind=system-call-result or kind=data")?;
    ensure(output.stdout.is_empty(), || format!("{output:#?}"))?;
    let nothing = picked("process=absent")?;
    ensure(nothing.stdout.is_empty() && nothing.stderr.contains("no event"), || format!("{nothing:#?}"))
}

/// The file comes in pieces that end anywhere, as a reader may find it while it is written.
fn a_growing_file_is_followed_to_its_end() -> TestResult {
    const PIECES: usize = 5;
    let folder = folder();
    let whole = fs::read(FIXTURE)?;
    let expected = trapline(folder.path(), &["view", FIXTURE])?.expect(0)?.stdout;
    let mut pieces = whole.chunks(whole.len().div_ceil(PIECES));
    fs::write(folder.path().join("t.trap"), pieces.next().unwrap_or_default())?;
    let view = ["view", "--follow", "t.trap"];
    let mut follower = Command::new(binary());
    follower.args(view).current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follower = follower.spawn()?;
    let mut growing = OpenOptions::new().append(true).open(folder.path().join("t.trap"))?;
    for piece in pieces {
        sleep(Duration::from_millis(150));
        ensure(follower.try_wait()?.is_none(), || "it ended before the file did".into())?;
        growing.write_all(piece)?;
    }
    let output = follower.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure(output.status.success() && output.stderr.is_empty(), || format!("{output:#?}"))?;
    ensure(text == expected, || format!("followed:\n{text}"))
}

fn a_file_that_is_replaced_is_followed_no_more() -> TestResult {
    let folder = folder();
    let whole = fs::read(FIXTURE)?;
    fs::write(folder.path().join("t.trap"), &whole[..whole.len() / 2])?;
    let mut follower = Command::new(binary());
    follower.args(["view", "--follow", "t.trap"]).current_dir(folder.path()).stderr(Stdio::piped());
    let mut follower = follower.stdout(Stdio::piped()).spawn()?;
    // It has opened the file once it shows it.
    let mut first = [0];
    follower.stdout.as_mut().ok_or("a pipe")?.read_exact(&mut first)?;
    fs::write(folder.path().join("new"), &whole)?;
    fs::rename(folder.path().join("new"), folder.path().join("t.trap"))?;
    let output = follower.wait_with_output()?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.code() == Some(1) && why.contains("t.trap: another file"), || format!("{output:#?}"))
}

fn a_file_that_is_cut_while_it_is_read_is_reported() -> TestResult {
    let folder = folder();
    let path = folder.path().join("t.trap");
    // More than is decoded at once, or waits in pipes.
    write_noise(&path, 1 << 20)?;
    let mut reader = Command::new(binary());
    reader.args(["view", "t.trap", "--format", "jsonl"]).current_dir(folder.path());
    let mut reader = reader.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // It is in the middle of the file, and waits for the pipe to have room.
    let mut first = [0];
    reader.stdout.as_mut().ok_or("no pipe")?.read_exact(&mut first)?;
    OpenOptions::new().write(true).open(&path)?.set_len(0)?;
    let output = reader.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.code() == Some(1) && said.contains("cut short while Trapline read it"), || {
        format!("{output:#?}")
    })
}

/// Writes a trace of records with noise in them, which needs `bytes` at least.
fn write_noise(path: &Path, bytes: u64) -> TestResult {
    let mut writer = Writer::create(path, false, &Meta { tsc_khz: 1_000_000, ..Meta::default() })?;
    for number in 0..bytes / 16 {
        let noise = [number.wrapping_mul(0x9e37_79b9_7f4a_7c15); 2];
        writer.host_record(number, Kind::HostClock, 0, 0, &noise)?;
    }
    Ok(writer.finish()?)
}

/// The damage is far from the part: who reads all of the file finds it.
fn a_part_is_read_and_not_the_rest() -> TestResult {
    const SIZE: u64 = 8 << 20;
    let folder = folder();
    let path = folder.path().join("t.trap");
    write_noise(&path, SIZE)?;
    let mut bytes = fs::read(&path)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes)?;
    let last = SIZE / 16 - 1;
    let view = |filter: String| {
        trapline(folder.path(), &["view", "t.trap", "--format", "csv", "--filter", &filter])?.expect(0)
    };
    for from in [0, last - 10] {
        let output = view(format!("time={from}ns..{}ns", from + 5))?;
        ensure(output.stdout.lines().count() == 6 && output.stderr.is_empty(), || format!("{output:#?}"))?;
    }
    let output = view("process=1".into())?;
    ensure(output.stderr.contains("are damaged and were skipped"), || format!("{output:#?}"))
}

fn every_form_has_the_events_of_the_filter() -> TestResult {
    let folder = folder();
    let view = |form: &str| {
        let filter = ["--filter", "process=hog and kind=tick"];
        let arguments = [["view", FIXTURE].as_slice(), &filter, &["--format", form]].concat();
        trapline(folder.path(), &arguments)?.expect(0)
    };
    let trace = Trace::open(Path::new(FIXTURE))?;
    let mut names = Names::default();
    let ticks = trace.events().filter(|event| {
        names.learn(event);
        matches!(event.what, What::Tick { .. }) && names.get(event.process) == Some("hog")
    });
    let ticks = ticks.count();
    ensure(ticks > 0, || "the fixture's hog has no tick".into())?;
    let lines = |text: &str, of: &str| text.lines().filter(|line| line.contains(of)).count();
    let [text, rows, objects] = [view("text")?.stdout, view("csv")?.stdout, view("jsonl")?.stdout];
    ensure(lines(&text, " tick ") == ticks, || text)?;
    ensure(rows.lines().count() == ticks + 1, || rows)?;
    ensure(objects.lines().count() == ticks && lines(&objects, "\"tick\"") == ticks, || objects)
}

fn around_shows_neighbours() -> TestResult {
    let folder = folder();
    let view = ["view", FIXTURE, "--around", "300", "--format", "jsonl"];
    let objects = trapline(folder.path(), &view)?.expect(0)?.stdout;
    let numbers = objects.lines().map(serde_json::from_str::<serde_json::Value>);
    let numbers: Result<Vec<_>, _> = numbers.map(|object| object.map(|it| it["sequence"].as_u64())).collect();
    let expected: Vec<_> = (280..=320).map(Some).collect();
    ensure(numbers? == expected, || objects.clone())?;
    let text = trapline(folder.path(), &view[..4])?.expect(0)?.stdout;
    let marked: Vec<&str> = text.lines().filter(|line| line.get(13..14) == Some(">")).collect();
    let asked: serde_json::Value = serde_json::from_str(objects.lines().nth(20).unwrap_or_default())?;
    let name = asked["name"].as_str().unwrap_or_default();
    ensure(marked.len() == 1 && !name.is_empty() && marked[0].contains(name), || text.clone())?;
    let total = Trace::open(Path::new(FIXTURE))?.total(Origin::Guest);
    for (event, is_there) in [(total - 1, true), (total, false), (u64::MAX, false)] {
        let output =
            trapline(folder.path(), &["view", FIXTURE, "--around", &event.to_string()])?.expect(0)?;
        let warned = output.stderr.contains(&format!("no event {event}; it has {total} events"));
        ensure(warned != is_there && output.stderr.is_empty() == is_there, || format!("{output:#?}"))?;
    }
    Ok(())
}

fn a_wrong_filter_is_pointed_at() -> TestResult {
    let folder = folder();
    let view = ["view", FIXTURE, "--filter", "process=hog and knd=tick"];
    let output = trapline(folder.path(), &view)?.expect(2)?;
    let pointed = "  process=hog and knd=tick\n                  ^\n";
    ensure(output.stderr.contains(pointed) && output.stderr.contains("vector"), || format!("{output:#?}"))
}

/// `trapline view` of the fixture on a terminal, and the terminal's other side.
fn on_a_terminal(folder: &Path, variables: &[(&str, &str)]) -> Result<(Child, File), libtest_mimic::Failed> {
    on_a_terminal_with(folder, variables, &["view", FIXTURE])
}

/// Starts a command on a terminal of its own.
pub fn on_a_terminal_with(
    folder: &Path,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> Result<(Child, File), libtest_mimic::Failed> {
    let OpenptyResult { master, slave } = openpty(None, None)?;
    let mut view = Command::new(binary());
    view.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(slave);
    ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LESS", "PAGER", "TRAPLINE_PAGER"].iter().for_each(|name| {
        view.env_remove(name);
    });
    view.env("TERM", "xterm");
    Ok((view.envs(variables.iter().copied()).spawn()?, master.into()))
}

/// What a terminal shows until all writers have closed it.
pub fn shown(mut terminal: File) -> Result<String, libtest_mimic::Failed> {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match terminal.read(&mut piece) {
            Ok(0) => break,
            Ok(size) => text.extend_from_slice(&piece[..size]),
            // EIO: the last writer is gone.
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(String::from_utf8(text)?)
}

/// The text without the terminal's colours and carriage returns.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text));
    (first + &rest.collect::<String>()).replace('\r', "")
}

fn a_terminal_has_colour_and_a_pager() -> TestResult {
    let folder = folder();
    let expected = trapline(folder.path(), &["view", FIXTURE])?.expect(0)?.stdout;
    ensure(!expected.contains('\x1b'), || "colours in a file".into())?;

    let (mut view, terminal) = on_a_terminal(folder.path(), &[("PAGER", "cat")])?;
    let text = shown(terminal)?;
    ensure(wait(&mut view, LIMIT)?.success() && text.contains("\x1b["), || text.clone())?;
    ensure(plain(&text) == expected, || text.clone())?;

    for plainly in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let (mut view, terminal) = on_a_terminal(folder.path(), &[("PAGER", ""), plainly])?;
        let text = shown(terminal)?;
        ensure(wait(&mut view, LIMIT)?.success() && text.replace('\r', "") == expected, || text.clone())?;
    }

    let pagers = [("PAGER", "false"), ("TRAPLINE_PAGER", "cat >paged; echo less has $LESS")];
    let (mut view, terminal) = on_a_terminal(folder.path(), &pagers)?;
    let text = shown(terminal)?;
    ensure(wait(&mut view, LIMIT)?.success() && text == "less has FRX\r\n", || text)?;
    let paged = fs::read_to_string(folder.path().join("paged"))?;
    ensure(plain(&paged) == expected && paged != expected, || paged.clone())?;

    // One that is not installed.
    let (mut view, terminal) = on_a_terminal(folder.path(), &[("PAGER", "no-such-pager")])?;
    let text = shown(terminal)?;
    ensure(wait(&mut view, LIMIT)?.success() && plain(&text) == expected, || text.clone())?;

    // One that is left at once, as by `q`.
    let (mut view, terminal) = on_a_terminal(folder.path(), &[("PAGER", "head -1 >paged")])?;
    shown(terminal)?;
    ensure(wait(&mut view, LIMIT)?.success(), || "a pager that is left early is an error".into())
}

fn colours_are_as_asked_for() -> TestResult {
    let folder = folder();
    let expected = trapline(folder.path(), &["view", FIXTURE])?.expect(0)?.stdout;
    let always = trapline(folder.path(), &["view", FIXTURE, "--color", "always"])?.expect(0)?.stdout;
    ensure(always != expected && plain(&always) == expected, || always.clone())?;
    let never = ["view", FIXTURE, "--color", "never", "--no-pager"];
    let (mut view, terminal) = on_a_terminal_with(folder.path(), &[], &never)?;
    let text = shown(terminal)?;
    ensure(wait(&mut view, LIMIT)?.success() && text.replace('\r', "") == expected, || text)
}

/// Ctrl-C reaches both. A pager such as `less` takes it as a command, and must keep its text and its terminal.
fn a_pager_that_is_interrupted_stays() -> TestResult {
    let folder = folder();
    let pager = [("PAGER", "touch started; sleep 0.5; cat >paged")];
    let (mut view, terminal) = on_a_terminal(folder.path(), &pager)?;
    while !folder.path().join("started").exists() {
        ensure(view.try_wait()?.is_none(), || "it ended before its pager started".into())?;
        sleep(Duration::from_millis(1));
    }
    sleep(Duration::from_millis(100));
    kill(Pid::from_raw(view.id().cast_signed()), Signal::SIGINT)?;
    shown(terminal)?;
    ensure(wait(&mut view, LIMIT)?.success(), || "it did not wait for its pager".into())?;
    let paged = fs::read_to_string(folder.path().join("paged"))?;
    let expected = trapline(folder.path(), &["view", FIXTURE])?.expect(0)?.stdout;
    ensure(plain(&paged) == expected, || "the pager lacks a part of the text".into())
}

fn what_is_no_trace_is_wrong_usage() -> TestResult {
    let folder = folder();
    fs::write(folder.path().join("text"), "no trace\n")?;
    for file in ["text", "missing", "/dev/null"] {
        for command in [
            ["view", file].as_slice(),
            &["protocol", file],
            &["check", file],
            &["stat", file],
            &["stat", FIXTURE, file],
            &["diff", file, FIXTURE],
            &["diff", FIXTURE, file],
            &["report", file],
            &["export", file, "--format", "csv", "-o", "out"],
            &["recover", file, "-o", "out"],
        ] {
            let output = trapline(folder.path(), command)?.expect(2)?;
            let says = output.stderr.contains(file) && output.stdout.is_empty();
            ensure(says, || format!("{command:?}: {output:#?}"))?;
        }
    }
    Ok(())
}

fn a_warning_that_cannot_be_written_costs_nothing() -> TestResult {
    let folder = folder();
    let mut bytes = fs::read(FIXTURE)?;
    bytes.pop();
    fs::write(folder.path().join("cut.trap"), &bytes)?;
    for command in
        ["view", "protocol", "check", "stat", "diff cut.trap", "report", "export --format csv -o out"]
    {
        let line = format!("\"$0\" {command} cut.trap 2>/dev/full");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(line).arg(binary()).current_dir(folder.path());
        // A cut file breaks a rule.
        support::command(&mut shell, folder.path())?.expect(i32::from(command == "check"))?;
    }
    Ok(())
}

/// The text of the head may be anybody's.
fn a_terminal_obeys_no_trace() -> TestResult {
    const CLEAR: &str = "\x1b[2J\x07\u{9b}2J";
    let folder = folder();
    let mut meta = Trace::open(Path::new(FIXTURE))?.meta().clone();
    let (run, programs) = (&mut meta.options, &mut meta.programs[..2]);
    let [first, second] = programs else { return Err("the fixture has one program".into()) };
    let of_the_run = [&mut run.policy, &mut run.timer, &mut run.kernel_command_line];
    let of_the_host = [&mut meta.trapline_version, &mut meta.host_cpu, &mut meta.kvm_backend];
    let of_programs = [&mut first.name, &mut second.arguments[0]];
    of_the_run.into_iter().chain(of_the_host).chain(of_programs).for_each(|text| text.push_str(CLEAR));
    meta.recovered.push(CLEAR.into());
    Writer::create(&folder.path().join("t.trap"), true, &meta)?.finish()?;
    for command in
        ["view", "protocol", "check", "stat", "view --format strace", "diff t.trap", "recover -o new"]
    {
        let arguments: Vec<&str> = command.split(' ').chain(["t.trap"]).collect();
        let output = trapline(folder.path(), &arguments)?;
        let text = output.stdout.clone() + &output.stderr;
        ensure(!text.is_empty() && !text.contains(|c: char| c.is_control() && c != '\n'), || {
            format!("{output:#?}")
        })?;
    }
    Ok(())
}
