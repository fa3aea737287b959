//! `trapline report`: the page in a real browser, where it must draw, answer, and say what the trace says.
//!
//! The page under test is a copy with one script more, `report.js`, which does what a reader does and leaves what it
//! saw in the page; headless Chromium prints that.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;

use abi::record::{Kind, REGISTERS, SYSCALL_VECTOR};
use base64::prelude::{BASE64_STANDARD, Engine};
use libtest_mimic::Failed;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::select;
use serde_json::Value;
use support::{Need, Suite, TestResult, command, ensure, folder, trapline};
use trace::analysis::protocol::{Actor, Excerpt, Layer, Row, tables};
use trace::analysis::stat::Stat;
use trace::analysis::{ProcessSummary, Summary};
use trace::format::{CHUNK_MAGIC, CHUNK_SIZE, push_record};
use trace::text::duration;
use trace::{Meta, Program, Trace, What, Writer};

mod compare;
#[path = "../support/mod.rs"]
mod support;
mod viewer;

/// The page's virtual time, in milliseconds: the browser skips the waiting.
const BUDGET: &str = "--virtual-time-budget=60000";
const TSC_KHZ: u64 = 1_000_000;
const TIMER_VECTOR: u64 = 0x20;
/// Records that a round of [`rounds`] writes.
const ROUND: u64 = 9;
/// How many rounds [`rounds`] puts into a chunk.
const CHUNK_ROUNDS: u64 = 500;
/// The Python package with the rules of axe.
const AXE: &str = "axe_core_python";
/// A window of a phone, in a frame: the browser's own are wider.
const PHONE: &str = r#"<iframe src="copy.html" width="420" height="800"></iframe><script>
  addEventListener('message', ({ data }) => {
    const result = document.createElement('pre');
    result.id = 'result';
    result.textContent = data;
    document.body.append(result);
  });
</script>"#;
/// A page in a frame that runs no scripts, and what is visible there.
const WITHOUT_SCRIPTS: &str = r#"<iframe sandbox="allow-same-origin" width="1000" height="800"></iframe><script>
  const frame = document.querySelector('iframe');
  frame.addEventListener('load', () => {
    const seen = selector => [...frame.contentDocument.querySelectorAll(selector)].filter(element => element.checkVisibility());
    const texts = { errors: [], controls: seen('a, button, input, summary, [tabindex]').map(element => element.outerHTML), said: seen('p').map(element => element.textContent) };
    const result = document.createElement('pre');
    result.id = 'result';
    result.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(texts))));
    document.body.append(result);
  });
  frame.srcdoc = PAGE;
</script>"#;
const FIXTURE: &str = "../tests/fixtures/check.trap";
/// What `stat --json` says and the page has no number for: names, the run's options, bars, and what it says in words.
const NOT_SHOWN: [&str; 9] = [
    "/meta/",
    "/histogram/",
    "/number",
    "/vector",
    "/end/",
    "/reason",
    "/host/",
    "/guest_events",
    "/kernel/count",
];
/// The name of the second process tries to end the page's script.
const HOSTILE: [u64; 2] = [u64::from_le_bytes(*b"</script"), u64::from_le_bytes(*b"><b>x\0\0\0")];

fn main() {
    let browser = [Need::Tool(support::browser())];
    viewer::add(Suite::default())
        .pure("a_report_replaces_nothing_unless_asked_to", replaces_nothing)
        .needs(&browser, "the_page_says_what_the_trace_says", says_what_the_trace_says)
        .needs(&browser, "the_page_says_what_the_fixture_says", says_what_the_fixture_says)
        .needs(&[Need::Kvm, browser[0]], "the_page_says_what_the_tour_says", says_what_the_tour_says)
        .needs(
            &[Need::Kvm, Need::Tool("gcc"), browser[0]],
            "the_page_says_what_linux_programs_did",
            says_what_linux_programs_did,
        )
        .needs(&browser, "the_page_answers_keyboard_and_pointer", answers)
        .needs(&browser, "a_link_leads_to_a_moment", links)
        .needs(&browser, "a_page_on_a_phone_is_not_cut", fits_a_phone)
        .needs(&browser, "a_switch_prints_on_one_page", prints_on_one_page)
        .needs(&browser, "without_javascript_no_page_has_dead_controls", says_that_it_needs_scripts)
        .needs(&[browser[0], Need::Module(AXE)], "axe_finds_no_fault", is_accessible)
        .needs(&browser, "a_million_events_cost_no_more_to_draw", draws_a_million)
        .needs(&browser, "every_row_of_many_is_reached", reaches_every_row)
        .needs(&browser, "where_records_are_missing_the_page_guesses_nothing", guesses_nothing)
        .needs(&browser, "without_a_rate_the_timeline_is_in_cycles", draws_cycles)
        .needs(&browser, "a_guest_that_lies_does_not_break_the_page", survives_lies)
        .needs(&browser, "a_trace_of_nothing_has_a_page", survives_nothing)
        .needs(&browser, "two_runs_have_one_page", compare::shows_two_runs)
        .needs(&browser, "two_runs_say_that_their_units_differ", compare::says_that_the_units_differ)
        .needs(&[browser[0], Need::Module(AXE)], "axe_finds_no_fault_in_two_runs", compare::is_accessible)
        .run()
}

/// A run of two processes that take turns by the timer and make a call in each.
struct Run {
    writer: Writer,
    tsc: u64,
}

impl Run {
    fn add(&mut self, after: u64, kind: Kind, process: u16, detail: u32, words: &[u64]) {
        self.tsc += after;
        let mut bytes = Vec::new();
        push_record(&mut bytes, self.tsc, kind as u8, process, detail, words);
        let copied = self.writer.guest_records(bytes.len(), 1, |room| {
            room.copy_from_slice(&bytes);
            Ok::<(), Infallible>(())
        });
        assert!(matches!(copied, Ok(Ok(()))));
    }

    fn create(&mut self, process: u16, name: [u64; 2]) {
        let words = [structure(process), 0x1000, 0x2000, name[0], name[1]];
        self.add(1000, Kind::ProcessCreated, process, 0, &words);
    }

    /// The timer interrupts one process, and the kernel switches to the other, which makes a call.
    fn round(&mut self, from: u16, to: u16, tick: u32) {
        let mut loaded = context(to).to_vec();
        loaded.extend([0x1000, 0x2000]);
        let vector = u64::from(SYSCALL_VECTOR);
        self.add(50_000, Kind::TrapEntry, from, TIMER_VECTOR as u32, &entry(from, TIMER_VECTOR));
        self.add(100, Kind::Tick, from, tick, &[]);
        self.add(300, Kind::ContextSaved, from, 0, &context(from));
        self.add(2000, Kind::ContextLoaded, to, u32::from(from), &loaded);
        self.add(200, Kind::TrapReturn, to, 0, &frame(to, TIMER_VECTOR));
        self.add(10_000, Kind::TrapEntry, to, vector as u32, &entry(to, vector));
        self.add(200, Kind::SystemCall, to, 0, &[39]);
        self.add(5000, Kind::SystemCallResult, to, 39, &[u64::from(to)]);
        self.add(800, Kind::TrapReturn, to, 0, &frame(to, vector));
    }
}

fn structure(process: u16) -> u64 {
    0xffff_8000_0000_0000 + 0x1000 * u64::from(process)
}

/// A trap frame: its address, the general registers, and the rest.
fn frame(process: u16, vector: u64) -> Vec<u64> {
    let mut words = vec![0xffff_c000_0000_0000];
    words.extend([7; REGISTERS.len()]);
    words.extend([vector, 0, 0x40_1000 + u64::from(process), 0x23, 0x246, 0x7fff_0000, 0x1b]);
    words
}

/// The entry of a trap that arrived as what it is.
fn entry(process: u16, vector: u64) -> Vec<u64> {
    [frame(process, vector), vec![2, 0, 0]].concat()
}

fn context(process: u16) -> [u64; 9] {
    [structure(process), 0xB, 0, 0, 0, 0, 0, 0xffff_c000_0000_0100, 0xffff_8000_0010_0000]
}

/// A trace of so many rounds.
fn rounds(folder: &Path, rounds: u64, tsc_khz: u64) -> Result<PathBuf, Failed> {
    let path = folder.join("t.trap");
    let program = |name: &str| Program { name: name.into(), ..Program::default() };
    let programs = vec![program("alpha"), program("</script><b>x")];
    let meta = Meta { tsc_khz, programs, ..Meta::default() };
    let mut run = Run { writer: Writer::create(&path, true, &meta)?, tsc: 5_000_000 };
    run.create(1, [u64::from_le_bytes(*b"alpha\0\0\0"), 0]);
    run.create(2, HOSTILE);
    for number in 0..rounds {
        let (from, to) = if number % 2 == 0 { (1, 2) } else { (2, 1) };
        run.round(from, to, number as u32 + 1);
        if number % CHUNK_ROUNDS == 0 {
            run.writer.flush()?;
        }
    }
    run.add(1000, Kind::ProcessExited, 1, 0, &[3]);
    run.add(1000, Kind::ProcessKilled, 2, 14 | 6 << 16, &[0x40_1234, 0xdead_0000]);
    run.writer.finish()?;
    Ok(path)
}

/// What `report.js` saw in the page of a trace. `part`: where in the run it clicks for a switch, from 0 to 1.
fn look(folder: &Path, trace: &Path, part: f64) -> Result<Value, Failed> {
    let script = include_str!("report.js").replace("SWITCH", &part.to_string());
    copy_with(folder, trace, &script)?;
    seen_in(folder, "copy.html")
}

/// Makes the page of a trace, and a copy with a script of the test in it.
fn copy_with(folder: &Path, trace: &Path, script: &str) -> TestResult {
    copy_of(folder, &[trace.to_str().ok_or("a path that is text")?], script)
}

/// The same for what `report` makes with these arguments.
fn copy_of(folder: &Path, arguments: &[&str], script: &str) -> TestResult {
    trapline(folder, &[&["report", "-o", "page.html", "--force"], arguments].concat())?.expect(0)?;
    let page = std::fs::read_to_string(folder.join("page.html"))?;
    let copy = page.replacen("</head>", &format!("<script>{script}</script></head>"), 1);
    Ok(std::fs::write(folder.join("copy.html"), copy)?)
}

/// Has the browser do something with a file.
fn browse(folder: &Path, file: &str, what: &str) -> Result<support::Output, Failed> {
    let mut browser = Command::new(support::browser());
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    browser.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    browser.args(["--window-size=1280,1000", BUDGET, "--no-pdf-header-footer", what]);
    browser.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    browser.arg(format!("file://{}", folder.join(file).display()));
    command(&mut browser, folder)?.expect(0)
}

/// What `report.js` left in a page, or sent to the page around it.
fn seen_in(folder: &Path, file: &str) -> Result<Value, Failed> {
    let output = browse(folder, file, "--dump-dom")?;
    let seen =
        output.stdout.split_once("<pre id=\"result\">").and_then(|(_, tail)| tail.split_once("</pre>"));
    let (seen, _) = seen.ok_or_else(|| format!("the page did not get ready: {}", output.stderr))?;
    let seen: Value = serde_json::from_slice(&BASE64_STANDARD.decode(seen)?)?;
    ensure(seen["errors"] == serde_json::json!([]), || format!("the page fails: {}", seen["errors"]))?;
    Ok(seen)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, expected: T) -> TestResult {
    ensure(seen == expected, || format!("{what}: seen {seen:?}, expected {expected:?}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().map(text).collect()).unwrap_or_default()
}

fn says_what_the_trace_says() -> TestResult {
    let folder = folder();
    let path = rounds(folder.path(), 40, TSC_KHZ)?;
    let seen = look(folder.path(), &path, 0.5)?;
    let summary = Summary::of(&Trace::open(&path)?);
    let totals = [
        ("events", summary.events),
        ("switches", summary.switches),
        ("ticks", summary.ticks),
        ("system calls", summary.calls.values().sum()),
    ];
    for (name, expected) in totals {
        same(name, text(&seen["totals"][name]), &expected.to_string())?;
    }
    same("lanes", texts(&seen["lanes"]), vec!["alpha/1", "</script><b>x/2", "kernel", "host"])?;
    same("markup from a name", seen["intruders"].as_u64(), Some(0))?;
    numbers_are_those_of_stat(folder.path(), &path, &seen)?;
    steps_are_those_of_protocol(&path, &seen, 10)
}

/// A trace of real runs, whose calls sleep and yield, and use both `syscall` and `int 0x80`.
fn says_what_the_fixture_says() -> TestResult {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    agrees(folder().path(), &path)
}

fn says_what_the_tour_says() -> TestResult {
    let folder = folder();
    trapline(folder.path(), &["run", "--trace", "t.trap"])?.expect(0)?;
    agrees(folder.path(), &folder.path().join("t.trap"))
}

/// Processes that fork, wait for each other and share pages until they write.
fn says_what_linux_programs_did() -> TestResult {
    let folder = folder();
    support::run_linux("forks", 32, folder.path(), "t.trap")?;
    // How often its processes preempt each other depends on time.
    agrees_with(folder.path(), &folder.path().join("t.trap"), 3)
}

fn agrees(folder: &Path, path: &Path) -> TestResult {
    agrees_with(folder, path, 10)
}

/// What the page of a trace shows is what the commands print; the trace has more switches between two
/// processes than this.
fn agrees_with(folder: &Path, path: &Path, switches: usize) -> TestResult {
    let seen = look(folder, path, 0.5)?;
    same("labels over labels", seen["crowded"].as_u64(), Some(0))?;
    same("times of nothing", texts(&seen["zeros"]), vec![])?;
    same("tables of the start", texts(&seen["start"]), start_titles(path)?)?;
    numbers_are_those_of_stat(folder, path, &seen)?;
    calls_are_those_of_protocol(path, &seen)?;
    steps_are_those_of_protocol(path, &seen, switches)
}

/// The tables of `trapline protocol` without those of switches.
fn start_titles(path: &Path) -> Result<Vec<&'static str>, Failed> {
    let tables = tables(&Trace::open(path)?, &Excerpt::Whole)?;
    let titles = tables.into_iter().map(|table| table.title).filter(|title| !title.starts_with("The switch"));
    Ok(titles.map(|title| &*title.leak()).collect())
}

/// Every number of the page is the one that `stat --json` has at the place which the page names, and none is left out.
fn numbers_are_those_of_stat(folder: &Path, path: &Path, seen: &Value) -> TestResult {
    let arguments = ["stat", path.to_str().ok_or("a path that is text")?, "--json"];
    let stat: Value = serde_json::from_str(&trapline(folder, &arguments)?.expect(0)?.stdout)?;
    let stat = &stat["traces"][0];
    let mut shown = BTreeSet::new();
    for number in seen["numbers"].as_array().into_iter().flatten() {
        let place = text(&number["of"]);
        let expected = stat.pointer(place).map_or(Some(0), Value::as_u64).ok_or(place)?;
        same(place, number["value"].as_u64(), Some(expected))?;
        let (of, name) = place.rsplit_once('/').unwrap_or_default();
        let is_timed = stat.pointer(&format!("{of}/count")).is_none_or(|count| *count != 0);
        let words = match name.ends_with("_ns") {
            true if is_timed && expected > 0 => duration(expected),
            true => "\u{2013}".into(),
            false => grouped(expected),
        };
        same(place, text(&number["text"]), &words)?;
        shown.insert(place.to_owned());
    }
    let mut all = Vec::new();
    numbers_of("", stat, &mut all);
    let is_of_process = |place: &str| place.starts_with("/processes/") && place.contains("/traps/");
    all.retain(|place| !NOT_SHOWN.iter().any(|part| place.contains(part)) && !is_of_process(place));
    let missing: Vec<_> = all.iter().filter(|place| !shown.contains(*place)).collect();
    ensure(missing.is_empty() && all.len() > 50, || {
        format!("not on the page: {missing:?} of {}", all.len())
    })?;
    for (place, bars) in seen["bars"].as_object().into_iter().flatten() {
        let histogram = stat.pointer(&place.replace("total_ns", "histogram")).and_then(Value::as_object);
        same(place, bars.as_u64(), histogram.map(|bins| bins.len() as u64))?;
    }
    let summary = Summary::of(&Trace::open(path)?);
    let ends: Vec<_> = summary.processes.values().map(ProcessSummary::end_words).collect();
    same("ends", texts(&seen["ends"]), ends.iter().map(String::as_str).collect())
}

/// The places of all numbers in a value; of durations that there were none of, and of the run's options, none.
fn numbers_of(place: &str, value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Number(_) => all.push(place.into()),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| numbers_of(&format!("{place}/{i}"), value, all))
        }
        Value::Object(object) if object.contains_key("histogram") && object["count"] == 0 => {}
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| numbers_of(&format!("{place}/{key}"), value, all))
        }
        _ => {}
    }
}

/// With commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let comma = |(i, digit): (usize, char)| {
        let is_third = i > 0 && (digits.len() - i).is_multiple_of(3);
        is_third.then_some(',').into_iter().chain([digit])
    };
    digits.char_indices().flat_map(comma).collect()
}

/// Every switch between two processes has on the page the steps that `trapline protocol --switch` prints.
fn steps_are_those_of_protocol(path: &Path, seen: &Value, least: usize) -> TestResult {
    let trace = Trace::open(path)?;
    let loads: Vec<_> =
        trace.events().filter(|event| matches!(event.what, What::ContextLoaded { .. })).collect();
    let mut compared = 0;
    while let Ok(tables) = tables(&trace, &Excerpt::Switch(compared + 1)) {
        let rows = &tables.last().ok_or("no table")?.rows;
        let load = rows.iter().find(|row| row.step == "switch-load").ok_or("no load")?;
        let index = loads.iter().position(|event| event.sequence == load.record).ok_or("no such record")?;
        let on_page = seen["switches"][index].as_array().ok_or("the page has no such switch")?;
        let what = format!("switch {}, {} on the page", compared + 1, index + 1);
        same(&what, on_page.len(), rows.len())?;
        for (row, on_page) in rows.iter().zip(on_page) {
            same(&what, on_page, &step(row)?)?;
        }
        compared += 1;
    }
    ensure(compared > least, || format!("{compared} switches compared"))
}

/// The system calls of the first process that `trapline protocol --process` shows have the same steps on the page.
fn calls_are_those_of_protocol(path: &Path, seen: &Value) -> TestResult {
    let trace = Trace::open(path)?;
    let calls: Vec<_> =
        trace.events().filter(|event| matches!(event.what, What::SystemCall { .. })).collect();
    let first = calls.first().ok_or("no call")?.process;
    let life = tables(&trace, &Excerpt::Process(first.to_string()))?;
    let life = life.first().ok_or("no table")?;
    let shown: Vec<_> = life.rows.iter().map(step).collect::<Result<_, _>>()?;
    let mut compared = 0;
    let on_page = seen["calls"].as_array().ok_or("the page has no calls")?;
    for (call, on_page) in calls.iter().zip(on_page).filter(|(call, _)| call.process == first) {
        let on_page = on_page.as_array().ok_or("no steps")?;
        let is_shown = life.rows.iter().any(|row| row.step == "handle-call" && row.record == call.sequence);
        if is_shown {
            let is_there = shown.windows(on_page.len()).any(|rows| rows == on_page);
            ensure(is_there, || format!("call {}: {on_page:#?} is not in {shown:#?}", call.sequence))?;
            ensure(on_page.len() > 4, || format!("call {}: {on_page:#?}", call.sequence))?;
            compared += 1;
        }
    }
    ensure(compared > 0, || "no call compared".into())
}

/// A step as `report.js` reads it from the page.
fn step(row: &Row) -> Result<Value, Failed> {
    let column = match row.actor {
        Actor::Os => 1,
        Actor::Hardware => 2,
        Actor::Program => 3,
    };
    let (out, into) = match row.layer {
        None => ("", ""),
        Some(Layer::HardwareFrame) => ("hardware pushed", "hardware popped"),
        Some(Layer::HardwareRegisters) => ("hardware kept", ""),
        Some(Layer::TrapFrame) => ("stub pushed", "stub popped"),
        Some(Layer::Context) => ("switch stored", "switch loaded"),
    };
    // What stands in backticks, the page sets as code.
    let plain = |text: &String| text.replace('`', "");
    let microseconds = grouped(row.nanoseconds / 1000);
    Ok(serde_json::json!({
        "time": format!("{microseconds}.{:03} µs", row.nanoseconds % 1000),
        "column": column,
        "layer": if row.text.starts_with("restore") { into } else { out },
        "text": plain(&row.text),
        "details": row.details.iter().map(plain).collect::<Vec<_>>(),
        "values": serde_json::to_value(row)?["values"],
    }))
}

fn answers() -> TestResult {
    let folder = folder();
    let path = rounds(folder.path(), 20, TSC_KHZ)?;
    let trace = Trace::open(&path)?;
    let end = trace.events().last().map_or(0, |event| event.nanoseconds);
    let fifth = trace.events().filter(|event| matches!(event.what, What::ContextLoaded { .. })).nth(4);
    let fifth = fifth.map_or(0, |event| event.nanoseconds);
    let seen = look(folder.path(), &path, (fifth as f64 - 1000.0) / end as f64)?;

    ensure(seen["colours"].as_u64() > Some(8), || format!("an empty timeline: {} colours", seen["colours"]))?;
    same("a row without the line", text(&seen["beside"]), "Switch 20")?;
    same("clicked", text(&seen["clicked"]["heading"]), "Switch 5")?;
    let described = "Switch 5: alpha/1 \u{2192} </script><b>x/2, preempted (step by step)";
    same("described", &seen["described"], &serde_json::json!({ "said": described, "leads": "#h-switch" }))?;
    same("next", text(&seen["next"]), "Switch 6")?;
    same("beyond", texts(&seen["beyond"]), vec!["Switch 1", "Switch 1", "Switch 2", "Switch 20"])?;
    same("who", text(&seen["clicked"]["who"]), "alpha/1 \u{2192} </script><b>x/2, preempted")?;
    let layers = [
        "hardware pushed",
        "stub pushed",
        "switch stored",
        "switch loaded",
        "stub popped",
        "hardware popped",
    ];
    same("layers", texts(&seen["clicked"]["layers"]), layers.to_vec())?;
    let steps = texts(&seen["clicked"]["steps"]).join("\n");
    for value in ["0x401001", "0x401002", "0xffff800000001000", "0xffff800000002000", "tick 5 of the timer"] {
        ensure(steps.contains(value), || format!("{value} is not in the table of the switch: {steps}"))?;
    }
    for what in ["panned", "back", "repainted"] {
        same(what, seen[what].as_bool(), Some(true))?;
    }
    same("zoom", &seen["zoomed"], &serde_json::json!({ "moved": true, "redrawn": true }))?;
    ensure(seen["papers"][0] != seen["papers"][1], || "light and dark are the same".into())?;
    ensure(text(&seen["said"]).starts_with("</script><b>x/2: "), || format!("said: {}", seen["said"]))?;
    same("elements without a name", seen["unnamed"].as_u64(), Some(0))?;
    same("landmarks of one name", texts(&seen["namesakes"]), vec![])?;
    same("first event", texts(&seen["rows"][0])[1..3].to_vec(), vec!["alpha/1", "process-created"])
}

/// The page opens on the first turns, and its address holds the view and the selection.
fn links() -> TestResult {
    let folder = folder();
    let path = rounds(folder.path(), 40, TSC_KHZ)?;
    let seen = look(folder.path(), &path, 0.5)?;
    // The first switch is 0.052 ms after the start. The tenth after it has 0.686 ms of rounds before it.
    same("opening", text(&seen["opening"]["range"]), "0.033 ms to 0.760 ms (727 \u{b5}s)")?;
    let [left, width] = [0, 1].map(|i| seen["opening"]["window"][i].as_f64().unwrap_or_default());
    let part = width / seen["opening"]["strip"].as_f64().unwrap_or_default();
    ensure(left > 0.0 && (0.2..0.3).contains(&part), || format!("window: {left}, {part}"))?;
    let legend = texts(&seen["legend"]);
    for word in ["in user mode", "tick", "process created, or ended", "from one process to the next"] {
        ensure(legend.contains(&word), || format!("{word} is not in {legend:?}"))?;
    }
    let user = "alpha/1: in user mode for 50.0 µs, from 1,235.800 µs: trap-return ";
    let linked = ["1.000 ms to 1.500 ms (500 µs)", "Switch 2", "System call 3", user];
    let seen_linked = texts(&seen["linked"]);
    let is_there = seen_linked.iter().zip(linked).filter(|(seen, linked)| seen.starts_with(linked)).count();
    same("linked", (is_there, seen_linked.len()), (4, 4)).map_err(|_| format!("{seen_linked:?}"))?;
    ensure(text(&seen["address"]).starts_with("#from=0&to="), || seen["address"].to_string())?;
    same("returned", text(&seen["returned"]), text(&seen["range"]))
}

/// Nothing is wider than the window, and each table that scrolls says so.
fn fits_a_phone() -> TestResult {
    let folder = folder();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    copy_with(folder.path(), &path, &include_str!("report.js").replace("SWITCH", "0.5"))?;
    std::fs::write(folder.path().join("phone.html"), PHONE)?;
    let cut = &seen_in(folder.path(), "phone.html")?["cut"];
    same("wider than the window", cut["page"].as_i64(), Some(0))?;
    same("hints", &cut["hints"], &cut["wide"])?;
    ensure(cut["hints"].as_u64() > Some(3), || format!("{cut}"))
}

fn prints_on_one_page() -> TestResult {
    let folder = folder();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    let pages = |script: &str| -> Result<usize, Failed> {
        copy_with(folder.path(), &path, script)?;
        let pdf = folder.path().join("page.pdf");
        browse(folder.path(), "copy.html", &format!("--print-to-pdf={}", pdf.display()))?;
        let pdf = std::fs::read(pdf)?;
        Ok(String::from_utf8_lossy(&pdf).matches("/Type /Page\n").count())
    };
    same("pages of a handout", pages("document.documentElement.dataset.print = 'switch'")?, 1)?;
    let all = pages("")?;
    ensure((4..20).contains(&all), || format!("{all} pages in all"))
}

/// Without JavaScript, each page says that it needs it, and shows no control, which would do nothing.
fn says_that_it_needs_scripts() -> TestResult {
    let folder = folder();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    let path = path.to_str().ok_or("a path that is text")?;
    let reports: [&[&str]; 2] = [&[path, "-o", "one.html"], &[path, "--compare", path, "-o", "two.html"]];
    for arguments in reports {
        trapline(folder.path(), &[&["report"], arguments].concat())?.expect(0)?;
    }
    for page in [folder.path().join("one.html"), folder.path().join("two.html"), viewer::page()] {
        let text = Value::from(std::fs::read_to_string(&page)?).to_string().replace('<', "\\u003c");
        std::fs::write(folder.path().join("framed.html"), WITHOUT_SCRIPTS.replace("PAGE", &text))?;
        let seen = seen_in(folder.path(), "framed.html")?;
        let name = page.display();
        same(&format!("controls of {name}"), texts(&seen["controls"]), vec![])?;
        let said = texts(&seen["said"]).join(" ");
        ensure(said.contains("needs JavaScript"), || format!("{name} says: {said}"))?;
    }
    Ok(())
}

/// The rules of axe, as a script.
fn axe(folder: &Path) -> Result<String, Failed> {
    let ask = format!("import {AXE}; print({AXE}.__path__[0])");
    let place = command(Command::new("python3").args(["-c", &ask]), folder)?.expect(0)?.stdout;
    Ok(std::fs::read_to_string(Path::new(place.trim()).join("axe.min.js"))?)
}

fn is_accessible() -> TestResult {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    has_no_faults(&[path.to_str().ok_or("a path that is text")?])
}

/// What axe says of the page that `report` makes with these arguments, also in the window of a phone.
fn has_no_faults(arguments: &[&str]) -> TestResult {
    let folder = folder();
    let script = axe(folder.path())? + ";" + &include_str!("report.js").replace("SWITCH", "0.5");
    copy_of(folder.path(), arguments, &script)?;
    std::fs::write(folder.path().join("phone.html"), PHONE)?;
    for file in ["copy.html", "phone.html"] {
        let seen = seen_in(folder.path(), file)?;
        ensure(seen["violations"].is_array(), || format!("axe did not run: {seen}"))?;
        same(file, texts(&seen["violations"]), vec![])?;
    }
    Ok(())
}

fn draws_a_million() -> TestResult {
    let folder = folder();
    let path = rounds(folder.path(), 1_000_000 / ROUND + 1, TSC_KHZ)?;
    let seen = look(folder.path(), &path, 0.5)?;
    same("events", text(&seen["totals"]["events"]), "1,000,012")?;
    let width = seen["width"].as_u64().unwrap_or_default();
    let most = seen["rectangles"].as_array().and_then(|list| list.iter().filter_map(Value::as_u64).max());
    // What a picture takes depends on its pixels, not on the events: a few classes a lane and pixel.
    ensure(most.is_some_and(|most| most < 20 * width), || format!("{most:?} rectangles for {width} pixels"))?;
    same("rows", seen["rows"].as_array().map(Vec::len), Some(50))
}

/// More rows than the page has room for, among them a name that would turn the direction of what stands behind it.
fn reaches_every_row() -> TestResult {
    let folder = folder();
    let path = folder.path().join("t.trap");
    let meta = Meta { tsc_khz: TSC_KHZ, ..Meta::default() };
    let mut run = Run { writer: Writer::create(&path, true, &meta)?, tsc: 5_000_000 };
    for process in 1..=60 {
        run.create(process, [u64::from_le_bytes(*b"\xe2\x80\xaetxt.x"), 0]);
    }
    run.writer.finish()?;
    let seen = look(folder.path(), &path, 0.5)?;
    let lanes = texts(&seen["lanes"]);
    same("lanes", (lanes.len(), lanes[0]), (62, "?txt.x/1"))?;
    same("last row", &seen["last"], &serde_json::json!({ "chosen": 61, "inView": true, "pointed": true }))
}

/// A chunk in the middle of the file is damaged: no other records have the information of its records.
fn guesses_nothing() -> TestResult {
    let folder = folder();
    let path = rounds(folder.path(), 2 * CHUNK_ROUNDS, TSC_KHZ)?;
    let mut bytes = std::fs::read(&path)?;
    // Of the first round, those up to the next flush, and the rest.
    let chunks = bytes.windows(CHUNK_MAGIC.len()).enumerate().filter(|(_, window)| *window == CHUNK_MAGIC);
    let second = chunks.map(|(at, _)| at).nth(1).ok_or("one chunk only")?;
    bytes[second + CHUNK_SIZE] ^= 0xff;
    std::fs::write(&path, bytes)?;
    let trace = Trace::open(&path)?;
    let events: Vec<_> = trace.events().map(|event| (event.sequence, event.nanoseconds)).collect();
    let gap = events.windows(2).find(|pair| pair[1].0 != pair[0].0 + 1).ok_or("nothing is missing")?;
    let (before, after, end) = (gap[0].1, gap[1].1, events.last().map_or(0, |event| event.1));
    let seen = look(folder.path(), &path, (before + after) as f64 / 2.0 / end as f64)?;
    let unknown = Stat::of(&trace).shares.unknown;
    let (whole, part) = (grouped(before / 1000), before % 1000);
    let described =
        format!("kernel: records are missing for {}, from {whole}.{part:03} µs", duration(unknown));
    same("described", text(&seen["described"]["said"]), described.as_str())
}

/// A trace whose head is lost has no rate of the clock, but its records are still one after the other.
fn draws_cycles() -> TestResult {
    let folder = folder();
    let path = rounds(folder.path(), 20, 0)?;
    let seen = look(folder.path(), &path, 0.5)?;
    ensure(seen["colours"].as_u64() > Some(8), || format!("an empty timeline: {} colours", seen["colours"]))?;
    let range = text(&seen["range"]);
    ensure(range.starts_with("0.00 M cycles to 1.3"), || range.to_owned())?;
    same("duration", text(&seen["totals"]["from first to last"]), "\u{2013}")
}

/// Records of any kind, with any words, of processes that never were.
fn survives_lies() -> TestResult {
    let kinds: Vec<Kind> =
        Kind::ALL.iter().copied().filter(|&kind| (kind as u8) < abi::record::FIRST_HOST_KIND).collect();
    let number = (any::<u64>(), 0..64_u32).prop_map(|(number, bits)| number >> bits);
    let record = (0..10_000_u64, select(kinds), 0..5_u16, number.clone(), vec(number, 0..27));
    support::property(1, &vec(record, 5000), |records| {
        let folder = folder();
        let path = folder.path().join("t.trap");
        let meta = Meta { tsc_khz: TSC_KHZ, ..Meta::default() };
        let mut run = Run { writer: Writer::create(&path, true, &meta)?, tsc: 5_000_000 };
        for (cycles, kind, process, detail, words) in &records {
            run.add(*cycles, *kind, *process, *detail as u32, words);
        }
        run.writer.finish()?;
        look(folder.path(), &path, 0.5).map(drop)
    })
}

/// Tables without rows are left out, and times without the rate of the clock.
fn survives_nothing() -> TestResult {
    let folder = folder();
    let path = folder.path().join("t.trap");
    let mut run = Run { writer: Writer::create(&path, true, &Meta::default())?, tsc: 5_000_000 };
    run.add(1000, Kind::Idle, 0, 0, &[]);
    run.writer.finish()?;
    let seen = look(folder.path(), &path, 0.5)?;
    same("events", text(&seen["totals"]["events"]), "1")?;
    same("duration", text(&seen["totals"]["from first to last"]), "\u{2013}")
}

fn replaces_nothing() -> TestResult {
    let folder = folder();
    let path = rounds(folder.path(), 1, TSC_KHZ)?;
    let trace = std::fs::read(&path)?;
    std::fs::write(folder.path().join("kept.html"), "kept")?;
    let refused = trapline(folder.path(), &["report", "t.trap", "-o", "kept.html"])?.expect(2)?;
    ensure(refused.stderr.contains("--force"), || refused.stderr.clone())?;
    same("the file", std::fs::read_to_string(folder.path().join("kept.html"))?, "kept".into())?;
    trapline(folder.path(), &["report", "t.trap", "-o", "t.trap", "--force"])?.expect(2)?;
    same("the trace", std::fs::read(&path)?, trace)?;
    trapline(folder.path(), &["report", "t.trap", "-o", "kept.html", "--force"])?.expect(0)?;
    let page = std::fs::read_to_string(folder.path().join("kept.html"))?;
    ensure(page.starts_with("<!DOCTYPE html>"), || "no page".into())?;
    // One that cannot be written leaves what is there. No file may be larger than 8 KiB.
    let line = format!("ulimit -f 16; exec {:?} report t.trap -o kept.html --force", support::binary());
    let failed = command(Command::new("sh").args(["-c", &line]).current_dir(folder.path()), folder.path())?;
    ensure(failed.expect(1)?.stderr.contains("cannot write kept.html"), || "no word of it".into())?;
    same("the page", std::fs::read_to_string(folder.path().join("kept.html"))?, page)
}
