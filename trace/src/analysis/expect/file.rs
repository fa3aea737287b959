//! The file of expectations, in TOML. Each `[[expect]]` has one key that names the kind of the expectation.

use serde::Deserialize;
use toml::{Spanned, Value};

use super::end::Wanted as End;
use super::output::Wanted as Output;
use super::stat::is_time;
use super::{Expectation, Expectations, Range, Selection, Want};
use crate::analysis::check;
use crate::analysis::filter::{self, Filter};
use crate::analysis::hardware::signal_number;

/// The error in a file of expectations, and its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct FileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// The word for all rules of `check`.
const ALL: &str = "all";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    expect: Vec<Spanned<Entry>>,
}

type Text = Spanned<String>;

/// An `[[expect]]`, with all possible keys.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    name: Option<String>,
    points: Option<Spanned<f64>>,
    hint: Option<String>,
    order: Option<Spanned<Vec<Text>>>,
    among: Option<Text>,
    within: Option<Text>,
    never: Option<Text>,
    count: Option<Text>,
    end: Option<Text>,
    exit: Option<Spanned<i64>>,
    killed: Option<Text>,
    signal: Option<Text>,
    output: Option<Text>,
    contains: Option<Spanned<Vec<String>>>,
    lacks: Option<Spanned<Vec<String>>>,
    rules: Option<Spanned<Vec<Text>>>,
    stat: Option<Text>,
    is: Option<Spanned<Value>>,
    at_least: Option<Spanned<Value>>,
    at_most: Option<Spanned<Value>>,
}

/// An error message, and the offset of the error in bytes.
type Wrong = (usize, String);

fn wrong<T>(at: usize, message: impl Into<String>) -> Result<T, Wrong> {
    Err((at, message.into()))
}

/// The keys that name the kind of an expectation, each with the keys that may accompany it.
const KINDS: [(&str, &[&str]); 7] = [
    ("order", &["among", "within"]),
    ("never", &[]),
    ("count", &["is", "at-least", "at-most"]),
    ("end", &["exit", "killed", "signal"]),
    ("output", &["is", "contains", "lacks"]),
    ("rules", &[]),
    ("stat", &["is", "at-least", "at-most"]),
];

impl Expectations {
    /// Parses a file. It has at least one expectation.
    pub fn parse(text: &str) -> Result<Expectations, FileError> {
        let line_of =
            |at: usize| text.bytes().take(at).filter(|&byte| byte == b'\n').count().saturating_add(1);
        let at_line = |(at, message): Wrong| FileError { line: line_of(at), message };
        let file: File = toml::from_str(text)
            .map_err(|error| at_line((error.span().map_or(0, |span| span.start), error.message().into())))?;
        if file.expect.is_empty() {
            return Err(at_line((0, "the file has no expectation; each starts with [[expect]]".into())));
        }
        let expectation = |entry: Spanned<Entry>| {
            let at = entry.span().start;
            entry.into_inner().expectation(at, line_of(at)).map_err(at_line)
        };
        Ok(Expectations(file.expect.into_iter().map(expectation).collect::<Result<_, _>>()?))
    }
}

impl Entry {
    fn expectation(self, at: usize, line: usize) -> Result<Expectation, Wrong> {
        let (kind, words) = self.kind(at)?;
        let name = self.name.clone().filter(|name| !name.trim().is_empty()).unwrap_or(words);
        let points = match &self.points {
            None => 1.0,
            Some(points) if points.get_ref().is_finite() && *points.get_ref() >= 0.0 => *points.get_ref(),
            Some(points) => return wrong(points.span().start, "`points` must be 0 or more"),
        };
        let hint = self.hint.clone();
        Ok(Expectation { name, points, hint, line, want: self.want(at, kind)? })
    }

    /// The key that names the kind, and words for a name. Keys that do not belong to the kind are refused.
    fn kind(&self, at: usize) -> Result<(&'static str, String), Wrong> {
        let given = self.given();
        let is_given = |key: &str| given.iter().any(|(name, ..)| *name == key);
        let mut kinds = KINDS.iter().filter(|(kind, _)| is_given(kind));
        let names = KINDS.map(|(kind, _)| format!("`{kind}`")).join(", ");
        let Some((kind, others)) = kinds.next() else {
            return wrong(at, format!("an [[expect]] needs one of {names}"));
        };
        for (key, at, _) in &given {
            if key == kind || others.contains(key) {
                continue;
            }
            let allowed: Vec<String> = others.iter().map(|other| format!("`{other}`")).collect();
            let allowed = if allowed.is_empty() { "no other key".into() } else { allowed.join(", ") };
            return wrong(*at, format!("`{key}` cannot be used with `{kind}`, which allows {allowed}"));
        }
        let words =
            given.iter().map(|(key, _, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ");
        Ok((kind, words))
    }

    /// All keys that are present, except name, points and hint: each with its place, and its value in words.
    fn given(&self) -> Vec<(&'static str, usize, String)> {
        fn of<T>(
            key: &'static str,
            value: Option<&Spanned<T>>,
            words: impl Fn(&T) -> String,
        ) -> Option<(&'static str, usize, String)> {
            value.map(|value| (key, value.span().start, words(value.get_ref())))
        }
        let texts = |texts: &Vec<Text>| {
            texts.iter().map(|text| text.get_ref().as_str()).collect::<Vec<_>>().join(", then ")
        };
        let strings =
            |texts: &Vec<String>| texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
        [
            of("order", self.order.as_ref(), texts),
            of("among", self.among.as_ref(), String::clone),
            of("within", self.within.as_ref(), String::clone),
            of("never", self.never.as_ref(), String::clone),
            of("count", self.count.as_ref(), String::clone),
            of("end", self.end.as_ref(), String::clone),
            of("exit", self.exit.as_ref(), i64::to_string),
            of("killed", self.killed.as_ref(), String::clone),
            of("signal", self.signal.as_ref(), String::clone),
            of("output", self.output.as_ref(), String::clone),
            of("contains", self.contains.as_ref(), strings),
            of("lacks", self.lacks.as_ref(), strings),
            of("rules", self.rules.as_ref(), |rules| texts(rules).replace(", then ", ", ")),
            of("stat", self.stat.as_ref(), String::clone),
            of("is", self.is.as_ref(), Value::to_string),
            of("at-least", self.at_least.as_ref(), Value::to_string),
            of("at-most", self.at_most.as_ref(), Value::to_string),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn want(self, at: usize, kind: &str) -> Result<Want, Wrong> {
        let Entry { order, among, within, never, count, end, output, rules, stat, .. } = &self;
        match (order, never, count, end, output, rules, stat) {
            (Some(order), ..) => {
                let steps = order.get_ref().iter().map(selection).collect::<Result<Vec<_>, _>>()?;
                if steps.is_empty() {
                    return wrong(order.span().start, "`order` needs at least one filter");
                }
                let among = among.as_ref().map(selection).transpose()?;
                let within = within.as_ref().map(time).transpose()?;
                Ok(Want::Order { steps, among, within })
            }
            (_, Some(never), ..) => Ok(Want::Never(selection(never)?)),
            (_, _, Some(count), ..) => {
                Ok(Want::Count { of: selection(count)?, range: self.range(at, kind, false)? })
            }
            (_, _, _, Some(end), ..) => {
                Ok(Want::End { process: end.get_ref().clone(), end: self.end_wanted(at)? })
            }
            (_, _, _, _, Some(output), ..) => {
                Ok(Want::Output { process: output.get_ref().clone(), text: self.text_wanted(at)? })
            }
            (.., Some(rules), _) => Ok(Want::Rules(named(rules)?)),
            (.., Some(stat)) => {
                let path = stat.get_ref().clone();
                let range = self.range(at, kind, is_time(&path))?;
                Ok(Want::Stat { path, range })
            }
            _ => wrong(at, format!("an [[expect]] with `{kind}` is empty")),
        }
    }

    /// `is`, or `at-least` and `at-most`: numbers, and durations where the number is a time.
    fn range(&self, at: usize, kind: &str, is_time: bool) -> Result<Range, Wrong> {
        let wanted = if is_time {
            "a number of nanoseconds, or a time such as \"10ms\""
        } else {
            "a number that is 0 or more"
        };
        let number = |value: &Spanned<Value>| {
            let number = match value.get_ref() {
                Value::Integer(number) => u64::try_from(*number).ok(),
                Value::String(text) if is_time => filter::nanoseconds(text),
                _ => None,
            };
            number.ok_or_else(|| (value.span().start, format!("expected {wanted}")))
        };
        let [is, least, most] =
            [&self.is, &self.at_least, &self.at_most].map(|value| value.as_ref().map(number).transpose());
        match (is?, least?, most?) {
            (Some(is), None, None) => Ok(Range(is..=is)),
            (None, None, None) => wrong(at, format!("`{kind}` needs `is`, `at-least` or `at-most`")),
            (None, least, most) => {
                let (least, most) = (least.unwrap_or(0), most.unwrap_or(*Range::ANY.0.end()));
                if least > most {
                    wrong(at, "`at-least` is more than `at-most`")
                } else {
                    Ok(Range(least..=most))
                }
            }
            _ => wrong(at, "`is` cannot be used with `at-least` or `at-most`"),
        }
    }

    fn end_wanted(&self, at: usize) -> Result<End, Wrong> {
        match (&self.exit, &self.killed, &self.signal) {
            (Some(status), None, None) => Ok(End::Exited(*status.get_ref())),
            (None, Some(vector), None) => match filter::vector_number(vector.get_ref()) {
                Ok(number) => Ok(End::Killed(number)),
                Err(wanted) => wrong(vector.span().start, wanted),
            },
            (None, None, Some(signal)) => match signal_number(signal.get_ref()) {
                Some(number) => Ok(End::Signaled(number)),
                None => wrong(signal.span().start, "no such signal; write a name such as SIGSEGV"),
            },
            _ => wrong(at, "`end` needs one of `exit`, `killed`, `signal`"),
        }
    }

    fn text_wanted(&self, at: usize) -> Result<Output, Wrong> {
        let texts = |texts: &Spanned<Vec<String>>| {
            let list = texts.get_ref();
            if list.is_empty() || list.iter().any(String::is_empty) {
                return wrong(
                    texts.span().start,
                    "expected at least one string; an empty string is not allowed",
                );
            }
            Ok(list.clone())
        };
        match (&self.is, &self.contains, &self.lacks) {
            (Some(is), None, None) => match is.get_ref() {
                Value::String(text) => Ok(Output::Is(text.clone())),
                _ => wrong(is.span().start, "expected a string"),
            },
            (None, Some(parts), None) => Ok(Output::Contains(texts(parts)?)),
            (None, None, Some(parts)) => Ok(Output::Lacks(texts(parts)?)),
            _ => wrong(at, "`output` needs one of `is`, `contains`, `lacks`"),
        }
    }
}

fn selection(text: &Text) -> Result<Selection, Wrong> {
    match Filter::parse(text.get_ref()) {
        Ok(filter) => Ok(Selection { text: text.get_ref().clone(), filter }),
        Err(error) => wrong(text.span().start, error.to_string()),
    }
}

fn time(text: &Text) -> Result<u64, Wrong> {
    let wanted =
        || (text.span().start, "expected a time such as \"10ms\": a number with ns, us, ms or s".into());
    filter::nanoseconds(text.get_ref()).ok_or_else(wanted)
}

/// The rules with these names; for `all`, an empty list.
fn named(rules: &Spanned<Vec<Text>>) -> Result<Vec<&'static str>, Wrong> {
    if let [one] = rules.get_ref().as_slice()
        && one.get_ref() == ALL
    {
        return Ok(vec![]);
    }
    let known = check::names();
    let find = |rule: &Text| {
        let found = known.iter().find(|name| **name == rule.get_ref()).copied();
        found.ok_or_else(|| {
            (
                rule.span().start,
                format!("no such rule; the rules are {}; \"all\" stands for all of them", known.join(", ")),
            )
        })
    };
    let found: Vec<_> = rules.get_ref().iter().map(find).collect::<Result<_, _>>()?;
    if found.is_empty() {
        wrong(rules.span().start, "`rules` needs at least one rule, or [\"all\"]")
    } else {
        Ok(found)
    }
}
