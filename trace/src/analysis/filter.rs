//! Filters: a small language that selects events.
//!
//! ```text
//! filter  = all { "or" all }
//! all     = one { "and" one }
//! one     = "not" one | "(" filter ")" | test
//! test    = "process" = NAME | NUMBER | NAME/NUMBER | kernel | host
//!         | "kind"    = a kind, such as trap-entry
//!         | "call"    = a system call's name or number
//!         | "result"  = what a system call returns: a number, or minus an error such as -ENOENT
//!         | "vector"  = a number, or a name such as #PF, timer, syscall
//!         | "time"    = TIME..TIME  (since the start; TIME is a number with ns, us, ms or s)
//!         | "event"   = NUMBER..NUMBER, or one NUMBER  (the guest's events, counted from 0)
//! ```
//!
//! A word is text without blanks, parentheses, `=`, `!` and `"`, or any text between two `"`, in which `\"` stands for `"`
//! and `\\` for `\`. A quoted word is always a value.
//!
//! Parentheses and `not` nest at most 100 deep. `!=` is `not` of the same test. A range does not include its end, and
//! either side may be omitted. Errors point at the character.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use abi::hardware::vector::TIMER;
use abi::record::{Kind, SYSCALL_VECTOR};
use abi::syscall::{Call, INT_VECTOR, errno};
use unicode_width::UnicodeWidthStr;

use super::hardware::exception;
use crate::file::{Event, Names, Origin, Part, What, name_text};

/// How deep parentheses and `not` may nest: the parser and the tests of an event recurse as deep.
const NESTING_MAX: usize = 100;

/// A parsed filter. The default selects every event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Node);

impl Default for Filter {
    fn default() -> Self {
        Filter(Node::All(vec![]))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Process(String),
    Kind(u8),
    Call(u64),
    Result(i64),
    Vector(u8),
    /// Nanoseconds since the start, without the end.
    Time(u64, u64),
    /// Numbers of the guest's events, without the end.
    Event(u64, u64),
}

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    text: String,
    /// Offset in characters.
    at: usize,
    wanted: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cannot parse the filter: {}", self.wanted)?;
        // Line ends and tabs would move the text away from the mark under it.
        let text = self.text.replace(char::is_control, " ");
        let before: String = text.chars().take(self.at).collect();
        write!(f, "  {text}\n  {:>width$}", "^", width = before.width().saturating_add(1))
    }
}

impl Filter {
    /// Parses a filter.
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        let words = words(text).map_err(|at| FilterError {
            text: text.into(),
            at,
            wanted: "expected a second `\"`, which ends the quoted text".into(),
        })?;
        let mut parser = Parser { words, next: 0, nesting: 0, text };
        let node = parser.filter()?;
        match parser.words.get(parser.next) {
            None => Ok(Filter(node)),
            Some(word) => Err(parser.error(word.at, "expected `and`, `or` or the end")),
        }
    }

    /// The filter, limited to events that are at most `distance` guest events away from number `event`.
    pub fn around(self, event: u64, distance: u64) -> Filter {
        let near =
            Node::Event(event.saturating_sub(distance), event.saturating_add(distance).saturating_add(1));
        Filter(Node::All(vec![self.0, near]))
    }

    /// The part of a trace that contains every event which the filter can select.
    pub fn part(&self) -> Part {
        self.0.part()
    }

    /// Whether the filter selects an event.
    pub fn selects(&self, event: &Event, names: &Names) -> bool {
        self.0.holds(event, names)
    }
}

impl Node {
    fn part(&self) -> Part {
        let parts = |nodes: &[Node], joined: fn(Part, Part) -> Part| {
            nodes.iter().map(Node::part).reduce(joined).unwrap_or_default()
        };
        match self {
            Node::All(nodes) => parts(nodes, |one, other| Part {
                events: both(one.events, other.events),
                nanoseconds: both(one.nanoseconds, other.nanoseconds),
            }),
            Node::Any(nodes) => parts(nodes, |one, other| Part {
                events: either(one.events, other.events),
                nanoseconds: either(one.nanoseconds, other.nanoseconds),
            }),
            Node::Time(from, to) => Part { nanoseconds: *from..*to, ..Part::default() },
            Node::Event(from, to) => Part { events: *from..*to, ..Part::default() },
            _ => Part::default(),
        }
    }

    fn holds(&self, event: &Event, names: &Names) -> bool {
        match self {
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(event, names)),
            Node::All(nodes) => nodes.iter().all(|node| node.holds(event, names)),
            Node::Not(node) => !node.holds(event, names),
            Node::Process(wanted) => is_called(event, names, wanted),
            Node::Kind(kind) => event.what.kind() == *kind,
            Node::Call(number) => is_call(&event.what, *number),
            Node::Result(wanted) => {
                matches!(event.what, What::SystemCallResult { result, .. } if result == *wanted)
            }
            Node::Vector(vector) => has_vector(&event.what, *vector),
            Node::Time(from, to) => (*from..*to).contains(&event.nanoseconds),
            Node::Event(from, to) => event.origin == Origin::Guest && (*from..*to).contains(&event.sequence),
        }
    }
}

fn both(one: Range<u64>, other: Range<u64>) -> Range<u64> {
    one.start.max(other.start)..one.end.min(other.end)
}

fn either(one: Range<u64>, other: Range<u64>) -> Range<u64> {
    one.start.min(other.start)..one.end.max(other.end)
}

/// Whether `hello`, `1` or `hello/1` names the process of an event, such as `hello/1`. The kernel's number is 0.
pub(super) fn is_called(event: &Event, names: &Names, wanted: &str) -> bool {
    let label = names.label(event.origin, event.process);
    let is_number = || event.origin == Origin::Guest && wanted.parse() == Ok(event.process);
    label == wanted || label.split_once('/').is_some_and(|(name, _)| name == wanted) || is_number()
}

/// The record of a result has only the low half of the call's number.
fn is_call(what: &What, wanted: u64) -> bool {
    match *what {
        What::SystemCall { number, .. } => number == wanted,
        What::SystemCallResult { number, .. } => number == wanted as u32,
        _ => false,
    }
}

fn has_vector(what: &What, wanted: u8) -> bool {
    let vector = match *what {
        What::Gates { first, table } => return table.from(first).any(|gate| gate.vector == wanted),
        What::TrapEntry { frame, .. } | What::TrapReturn { frame } => frame.trap(),
        What::ProcessKilled { vector, .. } | What::FaultRedirected { vector, .. } => Some(vector),
        _ => None,
    };
    vector == Some(wanted)
}

/// A word of the filter and where it starts.
#[derive(Clone, Debug)]
struct Word<'a> {
    text: Cow<'a, str>,
    at: usize,
    is_quoted: bool,
}

impl Word<'_> {
    /// Whether the word is this part of the language.
    fn is(&self, text: &str) -> bool {
        !self.is_quoted && self.text == text
    }
}

/// Words: parentheses, `=`, `!=`, quoted text, and what lies between them and blanks. The error is where text starts that
/// is quoted and has no end.
fn words(text: &str) -> Result<Vec<Word<'_>>, usize> {
    let mut words: Vec<Word<'_>> = Vec::new();
    let (mut rest, mut at) = (text, 0_usize);
    while let Some(first) = rest.chars().next() {
        let (size, quoted) = match first {
            '"' => unquoted(rest).map(|(size, text)| (size, Some(text))).ok_or(at)?,
            _ if first.is_whitespace() => (0, None),
            '(' | ')' | '=' => (1, None),
            '!' if rest.starts_with("!=") => (2, None),
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()=!\"".contains(c));
                (end.filter(|&size| size > 0).unwrap_or(rest.len()), None)
            }
        };
        if size > 0 {
            let is_quoted = quoted.is_some();
            let text = quoted.map_or(Cow::Borrowed(&rest[..size]), Cow::Owned);
            words.push(Word { text, at, is_quoted });
        }
        let (taken, left) = rest.split_at(size.max(first.len_utf8()));
        (rest, at) = (left, at.saturating_add(taken.chars().count()));
    }
    Ok(words)
}

/// The quoted text at the start of `text`: how many bytes it takes, and what it stands for. `None`: it has no end.
fn unquoted(text: &str) -> Option<(usize, String)> {
    let mut meant = String::new();
    let mut characters = text.char_indices().skip(1);
    loop {
        match characters.next()? {
            (at, '"') => return Some((at.saturating_add(1), meant)),
            (_, '\\') => meant.push(characters.next()?.1),
            (_, character) => meant.push(character),
        }
    }
}

struct Parser<'a> {
    words: Vec<Word<'a>>,
    next: usize,
    /// How many parentheses and `not` are open at the next word.
    nesting: usize,
    text: &'a str,
}

impl<'a> Parser<'a> {
    fn error(&self, at: usize, wanted: impl Into<String>) -> FilterError {
        FilterError { text: self.text.into(), at, wanted: wanted.into() }
    }

    /// Takes the next word. Without one, returns an error that says what was expected.
    fn take(&mut self, wanted: &str) -> Result<Word<'a>, FilterError> {
        let word = self.words.get(self.next).cloned();
        self.next = self.next.saturating_add(1);
        word.ok_or_else(|| self.error(self.text.chars().count(), format!("expected {wanted}")))
    }

    /// Takes the next word if it is this one.
    fn takes(&mut self, text: &str) -> bool {
        let is = self.words.get(self.next).is_some_and(|word| word.is(text));
        self.next = self.next.saturating_add(is.into());
        is
    }

    fn filter(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.all()?];
        while self.takes("or") {
            nodes.push(self.all()?);
        }
        Ok(one_or(nodes, Node::Any))
    }

    fn all(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.one()?];
        while self.takes("and") {
            nodes.push(self.one()?);
        }
        Ok(one_or(nodes, Node::All))
    }

    fn one(&mut self) -> Result<Node, FilterError> {
        if self.takes("not") {
            return Ok(Node::Not(Box::new(self.nested(Parser::one)?)));
        }
        if self.takes("(") {
            let node = self.nested(Parser::filter)?;
            let end = self.take("`)`")?;
            return if end.is(")") { Ok(node) } else { Err(self.error(end.at, "expected `)`")) };
        }
        self.test()
    }

    /// Parses what follows a `(` or `not`.
    fn nested(
        &mut self,
        parse: fn(&mut Parser<'a>) -> Result<Node, FilterError>,
    ) -> Result<Node, FilterError> {
        if self.nesting >= NESTING_MAX {
            let at = self.words.get(self.next.saturating_sub(1)).map_or(0, |word| word.at);
            return Err(self.error(at, format!("parentheses and `not` nest at most {NESTING_MAX} deep")));
        }
        self.nesting = self.nesting.saturating_add(1);
        let node = parse(self)?;
        self.nesting = self.nesting.saturating_sub(1);
        Ok(node)
    }

    fn test(&mut self) -> Result<Node, FilterError> {
        const KEYS: &str = "one of process, kind, call, result, vector, time, event";
        let key = self.take(KEYS)?;
        let make: fn(&str) -> Result<Node, String> = match &*key.text {
            _ if key.is_quoted => return Err(self.error(key.at, format!("expected {KEYS}"))),
            "process" => |value| Ok(process(value)),
            "kind" => kind,
            "call" => call,
            "result" => result,
            "vector" => vector,
            "time" => time,
            "event" => event,
            _ => return Err(self.error(key.at, format!("expected {KEYS}"))),
        };
        let operator = self.take("`=` or `!=`")?;
        let negative = operator.is("!=");
        if !negative && !operator.is("=") {
            return Err(self.error(operator.at, "expected `=` or `!=`"));
        }
        let value = self.take("a value")?;
        if ["(", ")", "=", "!="].iter().any(|text| value.is(text)) {
            return Err(self.error(value.at, "expected a value"));
        }
        let node = make(&value.text).map_err(|wanted| self.error(value.at, wanted))?;
        Ok(if negative { Node::Not(Box::new(node)) } else { node })
    }
}

fn one_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    if nodes.len() == 1 { nodes.remove(0) } else { many(nodes) }
}

/// Records have only the beginning of a name.
fn process(value: &str) -> Node {
    let (name, number) = value.split_at(value.find('/').unwrap_or(value.len()));
    let mut stored = [0; 16];
    stored.iter_mut().zip(name.bytes()).for_each(|(to, byte)| *to = byte);
    Node::Process(name_text(stored) + number)
}

fn kind(value: &str) -> Result<Node, String> {
    let known = Kind::ALL.iter().find(|kind| kind.name() == value);
    known.map(|&kind| Node::Kind(kind as u8)).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("unknown kind; the kinds are {}", names.join(", "))
    })
}

fn call(value: &str) -> Result<Node, String> {
    let known = Call::ALL.iter().find(|call| call.name() == value).map(|&call| call as u64);
    known
        .or_else(|| number(value))
        .map(Node::Call)
        .ok_or_else(|| "unknown call; write a number, or a name of Linux on x86-64".into())
}

fn result(value: &str) -> Result<Node, String> {
    let negative = value.strip_prefix('-');
    let size = match negative {
        Some(name) => {
            (1..=errno::MAX).find(|&error| errno::name(error) == Some(name)).or_else(|| signed(name))
        }
        None => signed(value),
    };
    let result = size.map(|size| if negative.is_some() { size.saturating_neg() } else { size });
    result.map(Node::Result).ok_or_else(|| "expected a number, or minus an error, such as -ENOENT".into())
}

/// A number that a result can be, without its sign.
fn signed(text: &str) -> Option<i64> {
    number(text).and_then(|number| number.try_into().ok())
}

fn vector(value: &str) -> Result<Node, String> {
    vector_number(value).map(Node::Vector)
}

/// The number of a vector that is named.
pub(super) fn vector_number(value: &str) -> Result<u8, String> {
    let known = match value {
        "timer" => Some(TIMER),
        "input" => Some(abi::ports::INPUT_VECTOR),
        "syscall" => Some(SYSCALL_VECTOR),
        "int80" => Some(INT_VECTOR),
        _ => (0..TIMER).find(|&vector| exception(vector).is_some_and(|(name, _)| name == value)),
    };
    let numbered = || number(value).and_then(|number| u8::try_from(number).ok());
    known.or_else(numbered).ok_or_else(|| {
        "no such vector; write a number below 256, an exception such as #PF, or timer, input, syscall, int80".into()
    })
}

fn time(value: &str) -> Result<Node, String> {
    let wanted = "expected a range of times since the start, the earlier first, such as 1ms..2ms or 10us..";
    range(value, nanoseconds).map(|(from, to)| Node::Time(from, to)).ok_or_else(|| wanted.into())
}

fn event(value: &str) -> Result<Node, String> {
    let one = number(value).map(|number| (number, number.saturating_add(1)));
    let range = one.or_else(|| range(value, number)).map(|(from, to)| Node::Event(from, to));
    range.ok_or_else(|| {
        "expected the number of an event, or a range, the lower first, such as 100..200".into()
    })
}

/// `FROM..TO`, where either side may be omitted. `None` if this is not a range, or an empty one.
fn range(value: &str, bound: fn(&str) -> Option<u64>) -> Option<(u64, u64)> {
    let (from, to) = value.split_once("..")?;
    let from = if from.is_empty() { Some(0) } else { bound(from) };
    let to = if to.is_empty() { Some(u64::MAX) } else { bound(to) };
    from.zip(to).filter(|(from, to)| from < to)
}

/// A time such as `1.5ms`.
pub(super) fn nanoseconds(text: &str) -> Option<u64> {
    let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];
    let (digits, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    // Neither a sign nor `inf`.
    let number: f64 =
        digits.starts_with(|first: char| first.is_ascii_digit()).then(|| digits.parse().ok())??;
    number.is_finite().then_some((number * unit).round() as u64)
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
    // The library would accept a sign.
    let is_number = digits.chars().all(|digit| digit.is_digit(radix));
    is_number.then(|| u64::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::file::{Trace, samples};

    /// The numbers of the sample events that a filter selects.
    fn wanted(text: &str) -> Vec<usize> {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        samples::write_file(&path, &samples::every_kind(), 1000);
        let (trace, filter) = (Trace::open(&path).expect("a whole file"), Filter::parse(text).expect(text));
        let mut names = Names::default();
        let selected = |(index, event): (usize, Event)| {
            names.learn(&event);
            filter.selects(&event, &names).then_some(index)
        };
        trace.events().enumerate().filter_map(selected).collect()
    }

    #[test]
    fn around_an_event() {
        let near = Filter::parse("kind=boot").expect("a filter").around(2, 1);
        assert_eq!(near, Filter(Node::All(vec![Node::Kind(1), Node::Event(1, 4)])));
    }

    #[test]
    fn a_long_name_is_that_of_its_records() {
        let long = |number| Filter(Node::Process(format!("sixteen-letters-{number}")));
        assert_eq!(Filter::parse("process=sixteen-letters-and-more"), Ok(long("")));
        assert_eq!(Filter::parse("process=sixteen-letters-and-more/7"), Ok(long("/7")));
    }

    /// The parser recurses: what it would accept without a limit overflows the stack.
    #[test]
    fn nesting_has_a_limit() {
        let nested = |open: &str, close: &str, depth| open.repeat(depth) + "kind=boot" + &close.repeat(depth);
        for (open, close) in [("(", ")"), ("not ", ""), ("not (", ")")] {
            let most = NESTING_MAX / open.split_inclusive(' ').count();
            assert!(Filter::parse(&nested(open, close, most)).is_ok(), "{open}");
            for depth in [most + 1, 16_000] {
                let (at, wanted) = error(&nested(open, close, depth));
                assert_eq!(
                    (at, wanted.contains("at most 100 deep")),
                    (open.len() * most, true),
                    "{open}: {wanted}"
                );
            }
        }
    }

    fn error(text: &str) -> (usize, String) {
        let error = Filter::parse(text).expect_err(text);
        (error.at, error.wanted)
    }

    #[test]
    fn tests_pick_events() {
        let all = wanted("time=..").len();
        assert_eq!(all, samples::every_kind().len());
        assert_eq!(wanted("kind=gates").len(), 2);
        assert_eq!(wanted("call=write"), wanted("call=1"));
        assert_eq!(wanted("call=write").len(), 2);
        // Only a result may be that of so large a number.
        assert_eq!(wanted("call=0x100000001"), wanted("call=write")[1..]);
        assert_eq!(wanted("vector=#PF"), wanted("vector=0xe"));
        assert_eq!(wanted("result=-EFAULT"), wanted("result=-14"));
        assert_eq!(result("-ENOENT"), Ok(Node::Result(-2)));
        assert_eq!(result("0x10"), Ok(Node::Result(16)));
        assert_eq!(wanted("time=2us..4us"), [2, 3]);
        assert_eq!(time("1.001ms..30.801291s"), Ok(Node::Time(1_001_000, 30_801_291_000)));
        assert_eq!(wanted("process=hello"), wanted("process=1"));
        assert_eq!(wanted("process=0"), wanted("process=kernel"));
        assert!(!wanted("process=0").is_empty());
        assert_eq!(wanted("event=2"), [3]);
        assert_eq!(wanted("event=2..4"), [3, 4]);
        assert_eq!(wanted("process!=hello").len() + wanted("process=hello/1").len(), all);
        assert_eq!(wanted("process=host and kind=host-end").len(), 1);
    }

    #[test]
    fn a_quoted_value_is_any_text() {
        let process = |name: &str| Ok(Filter(Node::Process(name.into())));
        assert_eq!(Filter::parse(r#"process="a b""#), process("a b"));
        assert_eq!(Filter::parse(r#"process="(a)=!b" "#), process("(a)=!b"));
        assert_eq!(Filter::parse(r#"process="or""#), process("or"));
        assert_eq!(Filter::parse(r#"process="a \"b\" \\/7""#), process(r#"a "b" \/7"#));
        assert_eq!(
            Filter::parse(r#"process!="a"and(kind="tick")"#),
            Filter::parse("process!=a and kind=tick")
        );
        assert_eq!(wanted(r#"process="hello/1""#), wanted("process=hello"));
    }

    #[test]
    fn only_a_value_can_be_quoted() {
        assert_eq!(error(r#"process=a and process="b"#).0, 22);
        assert!(error(r#"process="a\"#).1.contains("ends the quoted text"));
        assert_eq!(error(r#""process"=a"#).0, 0);
        assert_eq!(error(r#"process "=" a"#).0, 8);
        assert_eq!(error(r#"process=a "or" process=b"#).0, 10);
        assert_eq!(error(r#"("not" kind=tick)"#).0, 1);
        assert_eq!(error(r#"kind="tick tock""#).0, 5);
    }

    #[test]
    fn and_binds_closer_than_or() {
        let both = wanted("kind=gates or kind=tick and process=hello");
        assert_eq!(both, wanted("kind=gates or (kind=tick and process=hello)"));
        assert_ne!(both, wanted("(kind=gates or kind=tick) and process=hello"));
        assert_eq!(wanted("not kind=gates and kind=gates"), Vec::<usize>::new());
        assert_eq!(wanted("not (kind=tick or not kind=gates)"), wanted("kind=gates"));
    }

    #[test]
    fn errors_point_at_the_character() {
        assert_eq!(error("process=hello adn kind=tick"), (14, "expected `and`, `or` or the end".into()));
        assert_eq!(error("kind").0, 4);
        assert_eq!(error("kind>tick").0, 0);
        assert_eq!(error("(kind=tick").0, 10);
        assert_eq!(error("kind=tock").0, 5);
        assert_eq!(error("kind=").0, 5);
        assert_eq!(error("kind==tick").0, 5);
        assert_eq!(error("").0, 0);
        assert_eq!(error("vector=300").0, 7);
        for no_result in ["ENOENT", "-ENOSUCH", "--1", "0xffffffffffffffff"] {
            assert_eq!(error(&format!("result={no_result}")).0, 7, "{no_result}");
        }
        for no_range in
            ["1", "1ms", "1..2ms", "2ms..1ms", "1ms..1ms", "+1ms..", "-1ms..", "infs..", "1e400s.."]
        {
            assert_eq!(error(&format!("time={no_range}")).0, 5, "{no_range}");
        }
        for no_number in ["event=2..1", "event=1..1", "event=+1", "vector=+1", "call=0x+1", "call=0x"] {
            assert_eq!(error(no_number).0, no_number.find('=').unwrap_or_default() + 1, "{no_number}");
        }
        assert_eq!(error("ä=1 or").0, 0);
        let text = Filter::parse("kind=tick ör").expect_err("no filter").to_string();
        assert_eq!(text.lines().last(), Some("            ^"), "{text}");
        let text = Filter::parse("process=日本\nor\tkind").expect_err("no filter").to_string();
        assert!(text.ends_with("\n  process=日本 or kind\n                      ^"), "{text}");
    }

    const PIECES: [&str; 17] = [
        "kind", "=", "!=", "(", ")", "tick", " ", "and", "or", "not", "!", "ö", "time", "1us..", "==", "\"",
        "\\",
    ];

    proptest! {
        #![proptest_config(samples::cases(20_000))]

        #[test]
        fn any_text_is_a_filter_or_an_error(pieces in vec(select(&PIECES), 0..9)) {
            let text = pieces.concat();
            if let Err(error) = Filter::parse(&text) {
                prop_assert!(error.at <= text.chars().count());
            }
        }
    }

    #[test]
    fn a_part_has_all_that_is_wanted() {
        let part = |text: &str| Filter::parse(text).expect("a filter").part();
        let (all, events) = (Part::default(), |events| Part { events, ..Part::default() });
        assert_eq!(part("event=5..9 and kind=tick"), events(5..9));
        assert_eq!(part("event=5..9 or event=20"), events(5..21));
        assert_eq!(part("event=5..9 or kind=tick"), all);
        assert_eq!(part("not event=5..9"), all);
        assert_eq!(Filter::default().part(), all);
        assert_eq!(Filter::default().around(30, 10).part(), events(20..41));
        let both = part("event=5.. and time=1us..2us and time=..1500ns");
        assert_eq!(both, Part { events: 5..u64::MAX, nanoseconds: 1000..1500 });
    }
}
