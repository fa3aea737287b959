//! The programs of a run: finds the built-in program or the ELF file that a word of the command line names.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Usage;
use crate::run::Program;

/// The program that `text` names: a name or path, and arguments, separated by blanks.
///
/// A path may have blanks too: the path is the longest prefix of `text` that ends at a blank and is a file.
pub fn choose(text: &OsStr) -> anyhow::Result<Program> {
    let text = text.as_bytes().trim_ascii();
    let blanks = (0..text.len()).filter(|&at| text[at].is_ascii_whitespace());
    let ends: Vec<usize> = blanks.chain([text.len()]).collect();
    let first = OsStr::from_bytes(&text[..ends[0]]);
    if first.is_empty() {
        return Err(Usage("a PROGRAM is empty; name one of `trapline list`".into()).into());
    }
    let is_built_in = first.to_str().and_then(Program::built_in).is_some();
    let file = |end: &&usize| Path::new(OsStr::from_bytes(&text[..**end])).is_file();
    let end = if is_built_in { ends[0] } else { *ends.iter().rev().find(file).unwrap_or(&ends[0]) };
    let (name, arguments) = text.split_at(end);
    let arguments = arguments.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    named(OsStr::from_bytes(name), arguments.map(|word| OsStr::from_bytes(word).to_owned()).collect())
}

/// The program of this name or path, with these arguments.
pub fn named(name: &OsStr, arguments: Vec<OsString>) -> anyhow::Result<Program> {
    let path = Path::new(name);
    let program = match name.to_str().and_then(Program::built_in) {
        Some(program) => program,
        None if !name.as_bytes().contains(&b'/') && !path.exists() => {
            let name = name.display();
            return Err(Usage(format!(
                "there is no program \"{name}\": `trapline list` lists the built-in programs; for your own file, give \
                 its path, such as ./{name}"
            ))
            .into());
        }
        None => Program::from_file(path)?,
    };
    Ok(program.with_arguments(arguments)?)
}

/// The path of the file of this name on PATH. Returns the name itself for a built-in program, for a path, and for a name
/// that is not on PATH.
pub fn on_path(name: &OsStr) -> OsString {
    let is_built_in = name.to_str().and_then(Program::built_in).is_some();
    if is_built_in || name.as_bytes().contains(&b'/') {
        return name.into();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&folders).map(|folder| folder.join(name));
    files.find(|file| file.is_file()).map_or_else(|| name.into(), OsString::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images;

    fn chosen(text: &OsStr) -> (OsString, Vec<OsString>) {
        let program = choose(text).unwrap();
        (program.name, program.arguments)
    }

    #[test]
    fn a_word_is_a_name_and_arguments() {
        assert_eq!(chosen("  hello  1   two ".as_ref()), ("hello".into(), vec!["1".into(), "two".into()]));
    }

    #[test]
    fn a_path_may_have_blanks_and_need_not_be_utf_8() {
        let folder = tempfile::tempdir().unwrap();
        for name in [&b"mine"[..], b"my prog", b"my other prog", b"p\xFFq"] {
            let path = folder.path().join(OsStr::from_bytes(name));
            std::fs::write(&path, images::program("hello").unwrap().elf).unwrap();
            let mut text = path.into_os_string();
            text.push(" 1  two");
            let expected = (OsStr::from_bytes(name).to_owned(), vec!["1".into(), "two".into()]);
            assert_eq!(chosen(&text), expected);
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = |text: &str| format!("{:#}", choose(text.as_ref()).unwrap_err());
        assert!(error("nosuchprogram").contains("nosuchprogram"));
        assert!(error("./nosuchfile 1").contains("./nosuchfile"));
        assert!(error(" ").contains("empty"));
    }
}
