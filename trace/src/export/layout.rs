//! Each kind of record as columns of fixed size, from the table in `abi::record`.
//!
//! A field that has several words, such as a trap frame, is a column for each. A step of the boot has a layout of its own. A
//! record that this version does not know, or that lacks words, has the layout of [`UNKNOWN`], which shows its numbers.

use std::sync::LazyLock;

use abi::record::{
    CONTEXT, FIRST_RETURN, FRAME, Field, Kind, Panic, Parts, Place, RECORDS, STEPS, SYSCALL_VECTOR, Schema,
    Style, WORDS_MAX, What,
};
use abi::syscall::{Call, INT_VECTOR};

use super::arguments;
use crate::analysis::hardware::{EXIT_REASONS, exit_reason, vector_name};
use crate::file::name_text;

/// The exceptions' vectors, and after them the LAPIC timer's.
const LOW_VECTORS: u8 = 33;
/// Size of a text in bytes: the name of a program.
pub(crate) const TEXT_SIZE: usize = 16;
/// The number of the layout of a record of no known kind. No kind has it.
pub(crate) const UNKNOWN: u16 = 0;
/// The layouts of the steps of the boot have these numbers, the others those of their kinds.
pub(crate) const FIRST_STEP: u16 = 256;

/// Where a column's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Place(Place),
    /// The number of the kind.
    Kind,
    /// How many words there are.
    Count,
    /// This argument of a system call, which [`Arguments::parts`](super::arguments::Arguments::parts) adds.
    Argument(usize),
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) style: Style,
    pub(crate) source: Source,
    /// Where the size of a column of bytes is.
    limit: Option<Place>,
}

/// The columns of a kind of record, or of a step of the boot.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The number of the kind, 256 and the number of the step, or [`UNKNOWN`].
    pub(crate) number: u16,
    /// The name of the kind or the step, as an identifier.
    pub(crate) name: String,
    /// It is a step of the boot.
    pub(crate) step: Option<&'static str>,
    /// The host writes such records.
    pub(crate) is_host: bool,
    pub(crate) columns: Vec<Column>,
    runs: Vec<Run>,
}

/// Columns that are written at once.
#[derive(Clone, Copy, Debug)]
enum Run {
    /// These words, a column for each.
    Words {
        from: usize,
        to: usize,
    },
    Column(Column),
}

/// The value of some bits, for a place that is not a range of words.
fn bits(place: Place, parts: &Parts) -> u64 {
    let word = |index: usize| parts.words.get(index).copied().unwrap_or(0);
    match place {
        Place::Detail(from, to) => {
            u64::from(parts.detail).unbounded_shr(from) & !u64::MAX.unbounded_shl(to.saturating_sub(from))
        }
        Place::Word(index) | Place::Words(index, _) => word(index),
    }
}

impl Column {
    /// Its value, if it is one word or less.
    pub(crate) fn bits(&self, parts: &Parts) -> u64 {
        match self.source {
            Source::Place(place) => bits(place, parts),
            Source::Kind => parts.kind.into(),
            Source::Count => parts.count as u64,
            Source::Argument(index) => {
                parts.words.iter().skip(arguments::FIRST).nth(index).copied().unwrap_or(0)
            }
        }
    }

    /// Its words, as many as the record has.
    pub(crate) fn words<'a>(&self, parts: &'a Parts) -> &'a [u64] {
        let Source::Place(Place::Words(from, to)) = self.source else { return &[] };
        parts.words.get(from..to.min(parts.count)).unwrap_or(&[])
    }

    /// Its bytes, as many as the record has, and no more than there are in memory.
    pub(crate) fn bytes(&self, parts: &Parts) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words(parts).iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(self.limit.map_or(usize::MAX, |limit| bits(limit, parts) as usize));
        bytes
    }

    /// Its text.
    pub(crate) fn text(&self, parts: &Parts) -> String {
        let mut name = [0; TEXT_SIZE];
        name.iter_mut().zip(self.bytes(parts)).for_each(|(to, from)| *to = from);
        name_text(name)
    }

    /// Its size in bytes, in a form where each column has a fixed size.
    pub(crate) fn size(&self) -> usize {
        match self.source {
            Source::Place(Place::Detail(from, to)) => {
                (to.saturating_sub(from).div_ceil(8) as usize).next_power_of_two()
            }
            Source::Place(Place::Word(_)) | Source::Argument(_) => 8,
            // Tools read a text up to its zero, so a word of zeros follows each.
            Source::Place(Place::Words(from, to)) => {
                let words = to.saturating_sub(from).saturating_add((self.style == Style::Text).into());
                words.saturating_mul(8)
            }
            Source::Kind | Source::Count => 1,
        }
    }

    /// Its place, if its value is one word.
    fn word(&self) -> Option<usize> {
        match self.source {
            Source::Place(Place::Word(word)) => Some(word),
            Source::Argument(index) => Some(arguments::FIRST.saturating_add(index)),
            _ => None,
        }
    }

    /// Appends its value, little-endian, in as many bytes as its size.
    fn push(&self, parts: &Parts, out: &mut Vec<u8>) {
        let end = out.len().saturating_add(self.size());
        match self.style {
            Style::Text => out.extend_from_slice(self.text(parts).as_bytes()),
            Style::Bytes | Style::Gates => out.extend_from_slice(&self.bytes(parts)),
            _ => out.extend_from_slice(&self.bits(parts).to_le_bytes()),
        }
        out.resize(end, 0);
    }

    /// The names of its values, if they have names.
    pub(crate) fn names(&self) -> Option<Vec<(u64, String)>> {
        Some(match self.style {
            Style::Name(names) => names.iter().map(|&(value, name)| (value, name.to_owned())).collect(),
            Style::Vector => {
                let vectors = (0..LOW_VECTORS).chain([INT_VECTOR, SYSCALL_VECTOR]);
                let first = (self.size() > 1).then(|| (FIRST_RETURN, "first return".to_owned()));
                vectors.map(|vector| (vector.into(), vector_name(vector))).chain(first).collect()
            }
            Style::Call => Call::ALL.iter().map(|&call| (call as u64, call.name().to_owned())).collect(),
            Style::Exit => (0..EXIT_REASONS)
                .filter_map(|reason| Some((reason.into(), exit_reason(reason)?.to_owned())))
                .collect(),
            Style::Panic => {
                let exceptions = (0..LOW_VECTORS - 1).map(|vector| (vector.into(), vector_name(vector)));
                let reasons = Panic::NAMES.iter().map(|&(reason, name)| (reason, name.to_owned()));
                exceptions.chain(reasons).collect()
            }
            _ => return None,
        })
    }
}

impl Layout {
    /// All layouts, in the order of their numbers.
    pub(crate) fn all() -> &'static [Layout] {
        static ALL: LazyLock<Vec<Layout>> = LazyLock::new(Layout::make_all);
        &ALL
    }

    fn make_all() -> Vec<Layout> {
        let words = Place::Words(0, WORDS_MAX);
        let unknown = [
            ("kind", Style::Number, Source::Kind),
            ("detail", Style::Hex, Source::Place(Place::Detail(0, 32))),
            ("count", Style::Number, Source::Count),
            ("words", Style::Bytes, Source::Place(words)),
        ];
        let unknown = unknown.map(|(name, style, source)| Column { name, style, source, limit: None });
        let unknown = Layout::new(UNKNOWN, "unknown".into(), unknown.into());
        let kinds = RECORDS.iter().map(|schema| Layout {
            is_host: schema.number >= abi::record::FIRST_HOST_KIND.into(),
            ..Layout::new(schema.number as u16, schema.name.replace('-', "_"), columns(schema))
        });
        let steps = STEPS.iter().map(|schema| {
            let number = FIRST_STEP.saturating_add(schema.number as u16);
            let name = format!("{}_{}", Kind::Boot.name(), schema.name.replace('-', "_"));
            Layout { step: Some(schema.name), ..Layout::new(number, name, columns(schema)) }
        });
        std::iter::once(unknown).chain(kinds).chain(steps).collect()
    }

    fn new(number: u16, name: String, columns: Vec<Column>) -> Layout {
        let mut runs = Vec::new();
        for column in &columns {
            match (column.word(), runs.last_mut()) {
                (Some(word), Some(Run::Words { to, .. })) if word == *to => *to = to.saturating_add(1),
                (Some(word), _) => runs.push(Run::Words { from: word, to: word.saturating_add(1) }),
                (None, _) => runs.push(Run::Column(*column)),
            }
        }
        Layout { number, name, step: None, is_host: false, columns, runs }
    }

    /// The layout of a number.
    pub(crate) fn find(layouts: &[Layout], number: u16) -> Option<&Layout> {
        layouts
            .binary_search_by_key(&number, |layout| layout.number)
            .ok()
            .and_then(|place| layouts.get(place))
    }

    /// Appends the columns of a record, each little-endian and in as many bytes as its size.
    pub(crate) fn push(&self, parts: &Parts, out: &mut Vec<u8>) {
        for run in &self.runs {
            match run {
                Run::Words { from, to } => {
                    let words = parts.words.get(*from..*to).unwrap_or_default();
                    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
                }
                Run::Column(column) => column.push(parts, out),
            }
        }
    }

    /// This layout without its columns.
    pub(crate) fn without_columns(&self) -> Layout {
        Layout { columns: Vec::new(), runs: Vec::new(), ..self.clone() }
    }

    /// The number of the layout of a record.
    pub(crate) fn number_of(what: &What) -> u16 {
        match what {
            What::Unknown { .. } => UNKNOWN,
            What::Boot(boot) => FIRST_STEP.saturating_add(boot.step() as u16),
            what => what.kind().into(),
        }
    }
}

/// The fields of a record, with a field for each word of those that have several.
fn columns(schema: &Schema) -> Vec<Column> {
    let limit = schema.fields.iter().find(|field| field.name == "size").map(|field| field.place);
    let columns = schema.fields.iter().flat_map(|field| {
        parts_of(field).into_iter().map(move |(name, style, place)| Column {
            name,
            style,
            source: Source::Place(place),
            limit: limit.filter(|_| style == Style::Bytes),
        })
    });
    let arguments = arguments::NAMES.into_iter().enumerate().map(|(index, name)| Column {
        name,
        style: Style::Hex,
        source: Source::Argument(index),
        limit: None,
    });
    let is_call = schema.name == Kind::SystemCall.name();
    columns.chain(arguments.filter(|_| is_call)).collect()
}

fn parts_of(field: &Field) -> Vec<(&'static str, Style, Place)> {
    let words = |first: usize, names: &[&'static str]| {
        let style = |name| match name {
            "vector" => Style::Vector,
            "rip" => Style::Address,
            "rflags" => Style::Flags,
            _ => Style::Hex,
        };
        let words = names.iter().zip(first..).map(|(name, word)| (*name, style(*name), Place::Word(word)));
        words.collect::<Vec<_>>()
    };
    match (field.style, field.place) {
        (Style::Frame, Place::Words(first, _)) => {
            [vec![(field.name, Style::Address, Place::Word(first))], words(first.saturating_add(1), &FRAME)]
                .concat()
        }
        (Style::Context, Place::Words(first, _)) => words(first, &CONTEXT),
        (style, place) => vec![(field.name, style, place)],
    }
}
