//! The viewer: one page that shows what `trapline report` shows, of a file that is dropped on it or of its own gallery.
//!
//! The page under test is the committed one, or the one that `TRAPLINE_VIEWER` names. The tests compare what the two pages
//! have and show. So a committed page fails when it no longer has what the report has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use libtest_mimic::Failed;
use serde_json::Value;
use trace::Trace;
use trace::format::{CHUNK_MAGIC, CHUNK_SIZE, HEAD_CRC_AT, HEAD_SIZE, VERSION, head_size_of};

use super::support::{Need, Suite, TestResult, ensure, folder, trapline};
use super::{AXE, FIXTURE, PHONE, TSC_KHZ, axe, copy_with, rounds, same, seen_in, text, texts};

const VIEWER: &str = "../docs/viewer.html";
const GALLERY: &str = "../docs/gallery";
const DIGEST: &str = include_str!("digest.js");

pub fn add(suite: Suite) -> Suite {
    let browser = [Need::Tool(super::support::browser())];
    suite
        .needs(&browser, "the_viewer_shows_what_the_report_shows", shows_what_the_report_shows)
        .needs(&browser, "the_viewer_says_what_is_damaged", says_what_is_damaged)
        .needs(&browser, "the_viewer_says_why_it_cannot_read_a_file", says_why_not)
        .needs(&browser, "the_viewer_shows_each_trace_of_its_gallery", shows_the_gallery)
        .needs(&browser, "the_viewer_on_a_phone_is_not_cut", fits_a_phone)
        .needs(&[browser[0], Need::Module(AXE)], "axe_finds_no_fault_in_the_viewer", is_accessible)
}

pub fn page() -> PathBuf {
    let page = std::env::var_os("TRAPLINE_VIEWER").map(PathBuf::from);
    page.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(VIEWER))
}

/// What a test does in the page of a trace.
fn script() -> String {
    include_str!("report.js").replace("SWITCH", "0.5")
}

/// Copies the viewer with scripts in it: `first`, and `viewer.js`, which drops the file if there is one.
fn copy(folder: &Path, file: Option<&Path>, first: &str) -> TestResult {
    let bytes = file.map(std::fs::read).transpose()?.map(|bytes| BASE64_STANDARD.encode(bytes));
    let name = file.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let test = serde_json::json!({ "script": script(), "name": name, "bytes": bytes });
    let script = include_str!("viewer.js").replace("TEST", &test.to_string().replace('<', "\\u003c"));
    let page = std::fs::read_to_string(page())?;
    let copy = page.replacen("</head>", &format!("<script>{first};{DIGEST}{script}</script></head>"), 1);
    Ok(std::fs::write(folder.join("copy.html"), copy)?)
}

/// What both pages have and show of a trace is the same; returns it.
fn compare(folder: &Path, trace: &Path) -> Result<Value, Failed> {
    copy_with(folder, trace, &(DIGEST.to_owned() + &script()))?;
    let expected = seen_in(folder, "copy.html")?;
    copy(folder, Some(trace), "")?;
    let mut seen = seen_in(folder, "copy.html")?;
    ensure(seen["data"].is_array(), || format!("no data: {seen}"))?;
    // How often the page draws depends on when it is asked.
    let others = expected.as_object().into_iter().flatten().filter(|(what, _)| *what != "rectangles");
    for (what, expected) in others {
        same(&format!("{what} (if the report has changed, run scripts/viewer)"), &seen[what], expected)?;
    }
    Ok(seen["warnings"].take())
}

fn shows_what_the_report_shows() -> TestResult {
    let folder = folder();
    let path = rounds(folder.path(), 40, TSC_KHZ)?;
    same("warnings", texts(&compare(folder.path(), &path)?), vec![])?;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    compare(folder.path(), &fixture).map(drop)
}

/// A chunk in the middle is damaged, and the end is cut off.
fn says_what_is_damaged() -> TestResult {
    let folder = folder();
    let path = rounds(folder.path(), 1000, TSC_KHZ)?;
    let mut bytes = std::fs::read(&path)?;
    let chunks = bytes.windows(CHUNK_MAGIC.len()).enumerate().filter(|(_, window)| *window == CHUNK_MAGIC);
    let second = chunks.map(|(at, _)| at).nth(1).ok_or("one chunk only")?;
    bytes[second + CHUNK_SIZE] ^= 0xff;
    bytes.truncate(bytes.len() - 10);
    std::fs::write(&path, bytes)?;
    let warnings = compare(folder.path(), &path)?;
    let damage: Vec<String> = Trace::open(&path)?.damage().iter().map(ToString::to_string).collect();
    same("warnings", texts(&warnings), damage.iter().map(String::as_str).collect())?;
    ensure(damage.len() > 1, || format!("{damage:?}"))
}

/// The sentence is that of the command line.
fn says_why_not() -> TestResult {
    let folder = folder();
    let path = rounds(folder.path(), 1, TSC_KHZ)?;
    let mut other = std::fs::read(&path)?;
    other[8..10].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let end = head_size_of(&other).ok_or("no head")?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&other[..HEAD_CRC_AT]), &other[HEAD_SIZE..end]);
    other[HEAD_CRC_AT..HEAD_SIZE].copy_from_slice(&crc.to_le_bytes());
    let cut = other[..HEAD_SIZE / 2].to_vec();
    for (bytes, part) in [(other, "version"), (cut, "cut short"), (b"text".to_vec(), "is not a trace file")] {
        std::fs::write(&path, bytes)?;
        let printed = trapline(folder.path(), &["report", "t.trap", "-o", "page.html"])?.expect(2)?.stderr;
        copy(folder.path(), Some(&path), "")?;
        let seen = seen_in(folder.path(), "copy.html")?;
        let said = text(&seen["refused"]);
        ensure(said.contains(part) && printed.contains(said), || format!("{said}, but {printed}"))?;
    }
    Ok(())
}

/// The page has each trace of `docs/gallery`, all of which are whole, and a link to each; one link is followed.
fn shows_the_gallery() -> TestResult {
    let folder = folder();
    copy(folder.path(), None, "")?;
    let seen = seen_in(folder.path(), "copy.html")?;
    let mut files = BTreeMap::new();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(GALLERY))? {
        let path = file?.path();
        let name = path.file_stem().ok_or("no name")?.to_string_lossy().into_owned();
        same(&name, Trace::open(&path)?.damage(), &[])?;
        files.insert(name, Value::from(BASE64_STANDARD.encode(std::fs::read(&path)?)));
    }
    same("traces", files.len(), 8)?;
    let is_there = |name: &String| seen["traces"][name] == files[name];
    ensure(files.keys().all(is_there), || "the traces are others: run scripts/viewer".into())?;
    let links: BTreeSet<&str> = texts(&seen["links"]).into_iter().collect();
    let names: Vec<String> = files.keys().map(|name| format!("?{name}")).collect();
    same("links", links, names.iter().map(String::as_str).collect())?;
    let seen = seen_in(folder.path(), "copy.html?divider")?;
    same("the title", text(&seen["title"]), "divider and counter 50")
}

fn fits_a_phone() -> TestResult {
    let folder = folder();
    copy(folder.path(), None, "")?;
    std::fs::write(folder.path().join("phone.html"), PHONE)?;
    same("wider than the window", seen_in(folder.path(), "phone.html")?["cut"].as_i64(), Some(0))
}

fn is_accessible() -> TestResult {
    let folder = folder();
    let axe = axe(folder.path())?;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    for file in [None, Some(&*fixture)] {
        copy(folder.path(), file, &axe)?;
        let seen = seen_in(folder.path(), "copy.html")?;
        ensure(seen["violations"].is_array(), || format!("axe did not run: {seen}"))?;
        same("the viewer", texts(&seen["violations"]), vec![])?;
    }
    Ok(())
}
