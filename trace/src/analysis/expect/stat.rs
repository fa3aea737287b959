//! A number of `stat --json` that must be in a range.

use serde_json::Value;

use super::{Failure, Range, Seen, Watch, Whole};

/// The number at this path.
pub(super) struct Number<'a> {
    pub(super) path: &'a str,
    pub(super) range: &'a Range,
}

impl Watch for Number<'_> {
    fn see(&mut self, _seen: &Seen<'_>) {}

    fn judge(&self, whole: &Whole<'_>) -> Result<(), Failure> {
        let number = number(whole.stat(), self.path).map_err(|why| Failure::new(why, None))?;
        let show = |number| if is_time(self.path) { whole.duration(number) } else { number.to_string() };
        if !self.range.has(number) {
            let wanted = self.range.words(show);
            return Err(Failure::new(format!("the number is {}, expected {wanted}", show(number)), None));
        }
        whole.complete()
    }
}

/// Whether the number at a path is in nanoseconds.
pub(super) fn is_time(path: &str) -> bool {
    path.ends_with("_ns")
}

/// The number at a path such as `system_calls.write.kernel.p99_ns`: names of fields, and names of the elements of lists.
fn number(stat: &Value, path: &str) -> Result<u64, String> {
    let mut value = stat;
    let mut before = "stat --json".to_owned();
    for name in path.split('.') {
        let next = match value {
            Value::Object(fields) => fields.get(name),
            Value::Array(elements) => elements.iter().find(|element| is_named(element, name)),
            _ => None,
        };
        value = next.ok_or_else(|| format!("{before} has no `{name}`; it has {}", names(value)))?;
        before = format!("`{name}`");
    }
    value.as_u64().ok_or_else(|| format!("{before} is not a number; it has {}", names(value)))
}

/// Whether a name selects an element of a list: by the element's name or, for a process, by name and number (`hello/1`).
fn is_named(element: &Value, name: &str) -> bool {
    let Some(own) = element["name"].as_str() else { return false };
    own == name || element["number"].as_u64().is_some_and(|number| format!("{own}/{number}") == name)
}

fn names(value: &Value) -> String {
    let names: Vec<&str> = match value {
        Value::Object(fields) => fields.keys().map(String::as_str).collect(),
        Value::Array(elements) => elements.iter().filter_map(|element| element["name"].as_str()).collect(),
        _ => vec![],
    };
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_fields_and_names() {
        let stat = json!({ "events": 7, "processes": [{ "name": "a", "number": 1, "ticks": 3 }, { "name": "a", "number": 2, "ticks": 4 }] });
        assert_eq!(number(&stat, "events"), Ok(7));
        assert_eq!(number(&stat, "processes.a.ticks"), Ok(3));
        assert_eq!(number(&stat, "processes.a/2.ticks"), Ok(4));
        assert_eq!(number(&stat, "processes.b.ticks"), Err("`processes` has no `b`; it has a, a".into()));
        assert_eq!(
            number(&stat, "ticks"),
            Err("stat --json has no `ticks`; it has events, processes".into())
        );
        assert_eq!(number(&stat, "processes"), Err("`processes` is not a number; it has a, a".into()));
    }
}
