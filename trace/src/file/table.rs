//! The table of records in `docs/trace-format.md`, made from the table in `abi::record`. The page must have it as it is made
//! here.

use abi::record::{CONTEXT, FRAME, Field, Place, RECORDS, STEPS, Schema, Style};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/trace-format.md");
const START: &str = "<!-- records: made from abi/src/record.rs -->\n";
const END: &str = "<!-- end of records -->\n";
/// If this variable is set, the test writes the page instead of comparing it.
const BLESS: &str = "TRAPLINE_BLESS";

fn place(place: Place) -> String {
    match place {
        Place::Detail(from, to) if to - from == 1 => format!("detail, bit {from}"),
        Place::Detail(0, 32) => "detail".into(),
        Place::Detail(from, to) => format!("detail, bits {from} to {}", to - 1),
        Place::Word(word) => format!("word {word}"),
        Place::Words(from, to) => format!("words {from} to {}", to - 1),
    }
}

/// A sentence of the table without the links of rustdoc.
fn plain(doc: &str) -> String {
    let words = doc.trim().replace("[`", "`").replace("`]", "`").replace("crate::syscall::", "");
    words.replace("super::", "").replace("Kind::", "").replace('|', "\\|")
}

fn field(field: &Field) -> String {
    let names = match field.style {
        Style::Name(names) => {
            let names: Vec<String> = names.iter().map(|(value, name)| format!("{value} {name}")).collect();
            format!(" {}", names.join(", "))
        }
        _ => String::new(),
    };
    let (name, style) = (field.name, field.style.name());
    format!("| | `{name}` | {} | {style} | {}{names} |\n", place(field.place), plain(field.doc))
}

fn kind(schema: &Schema) -> String {
    let head = format!("| {} | **`{}`** | | | {} |\n", schema.number, schema.name, plain(schema.doc));
    std::iter::once(head).chain(schema.fields.iter().map(field)).collect()
}

fn rows(schemas: &[Schema]) -> String {
    let head = "| number | name | place | style | what |\n| ---: | --- | --- | --- | --- |\n";
    std::iter::once(head.to_owned()).chain(schemas.iter().map(kind)).collect()
}

fn table() -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    format!(
        "{}\nKind 1, `boot`, is a step of the boot. Its detail is the number of the step:\n\n{}\n\
         The words of a trap frame are its address, and then {}.\n\nThose of a context are {}.\n",
        rows(RECORDS),
        rows(STEPS),
        words(&FRAME),
        words(&CONTEXT),
    )
}

#[test]
fn the_page_has_the_table_of_records() {
    let page = std::fs::read_to_string(PAGE).expect("the page of the format");
    let (before, rest) = page.split_once(START).expect("the start of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    let table = format!("\n{}\n", table());
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(PAGE, format!("{before}{START}{table}{END}{after}")).expect("the page can be written");
        return;
    }
    assert!(
        found == table,
        "docs/trace-format.md has another table of records than abi/src/record.rs. Write it by: \
         {BLESS}=1 cargo test -p trapline-trace the_page_has_the_table_of_records"
    );
}
