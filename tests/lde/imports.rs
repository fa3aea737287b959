//! The kernel's modules import each other without a circle, so they can be read from the ground up. Those of `linux` are one
//! module here: closing a file wakes processes that poll it, one of these may get a signal, the signal may end it, and its end
//! closes files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use libtest_mimic::Failed;

use crate::support::{TestResult, ensure};

/// The one import that points upwards: a stub calls the handler of its trap.
const UPWARDS: (&str, &str) = ("arch::entry", "trap");

/// For each module the modules that it imports. `memory` is the file `memory/mod.rs`, `memory::user` is a file below.
type Imports = BTreeMap<String, BTreeSet<String>>;

pub fn are_no_circle() -> TestResult {
    let mut imports = kernel_imports()?;
    ensure(imports.len() > 20, || format!("only {} modules found", imports.len()))?;
    let (from, to) = UPWARDS;
    let named = imports.get_mut(from).is_some_and(|modules| modules.remove(to));
    ensure(named, || format!("{from} does not import {to}"))?;
    let circle = circle(imports);
    ensure(circle.is_empty(), || format!("these modules import each other: {circle:#?}"))
}

pub fn a_circle_is_seen() -> TestResult {
    let circle = circle(kernel_imports()?);
    let (from, to) = UPWARDS;
    ensure(circle.contains_key(from) && circle.contains_key(to), || format!("{circle:#?}"))
}

/// What is left when modules that import nothing, and modules that nothing imports, are taken away.
fn circle(mut imports: Imports) -> Imports {
    loop {
        let before = imports.len();
        let imported: BTreeSet<String> = imports.values().flatten().cloned().collect();
        imports.retain(|module, imports| !imports.is_empty() && imported.contains(module));
        let left: BTreeSet<String> = imports.keys().cloned().collect();
        imports.values_mut().for_each(|imports| imports.retain(|module| left.contains(module)));
        if imports.len() == before {
            return imports;
        }
    }
}

fn kernel_imports() -> Result<Imports, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/kernel/src");
    let mut sources = BTreeMap::new();
    read(&root, "", &mut sources)?;
    let modules: BTreeSet<&String> = sources.keys().collect();
    let imports = sources.iter().map(|(module, source)| {
        // A path ends in a module, or in an item of one: the longest prefix that is a module.
        let of_path = |path: String| {
            let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
            ends.map(|end| path[..end].to_owned()).filter(|prefix| modules.contains(prefix)).last()
        };
        let imported = paths(module, source).into_iter().filter_map(of_path);
        (room(module), imported.map(|other| room(&other)).collect::<BTreeSet<_>>())
    });
    let mut rooms = Imports::new();
    imports.for_each(|(room, others)| rooms.entry(room).or_default().extend(others));
    for (room, others) in &mut rooms {
        others.remove(room);
    }
    Ok(rooms)
}

/// The module that stands for this one: `linux` for each of its own.
fn room(module: &str) -> String {
    let first = module.split("::").next().unwrap_or(module);
    if first == "linux" { first } else { module }.into()
}

/// The text of each module without comments, by the module's path.
fn read(folder: &Path, parent: &str, sources: &mut BTreeMap<String, String>) -> TestResult {
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let module = if parent.is_empty() { name.clone() } else { format!("{parent}::{name}") };
        if file.is_dir() {
            read(&file, &module, sources)?;
        } else {
            let module = if name == "mod" { parent.into() } else { module };
            let text = fs::read_to_string(&file)?;
            let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
            sources.insert(module, code.join(" "));
        }
    }
    Ok(())
}

/// Every path in `source` that starts with `crate::` or `super::`, without that start.
fn paths(module: &str, source: &str) -> Vec<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let parent = if parent.is_empty() { String::new() } else { format!("{parent}::") };
    let starts = [("crate::", ""), ("super::", parent.as_str())];
    let found = starts.iter().flat_map(|(start, prefix)| {
        source.match_indices(start).flat_map(|(at, start)| tree(prefix, &source[at + start.len()..]).0)
    });
    found.collect()
}

/// The paths of a use tree at the start of `text` (`a::{b, c::{d, self}}` is `a::b`, `a::c::d` and `a::c`), and the
/// text behind it.
fn tree<'a>(prefix: &str, text: &'a str) -> (Vec<String>, &'a str) {
    let text = text.trim_start();
    let Some(mut rest) = text.strip_prefix('{') else {
        let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
        let end = text.find(|letter| !is_path(letter)).unwrap_or(text.len());
        let (path, rest) = text.split_at(end);
        return match path.strip_suffix("::") {
            Some(path) if rest.starts_with('{') => tree(&format!("{prefix}{path}::"), rest),
            _ => (vec![format!("{prefix}{}", path.trim_start_matches("self"))], rest),
        };
    };
    let mut paths = Vec::new();
    loop {
        let (found, behind) = tree(prefix, rest);
        paths.extend(found);
        rest = behind.trim_start().trim_start_matches(',').trim_start();
        match rest.strip_prefix('}') {
            Some(behind) => return (paths, behind),
            None if rest.is_empty() => return (paths, rest),
            None => {}
        }
    }
}
