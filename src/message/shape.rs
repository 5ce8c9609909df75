//! The shape of a JSON payload: its keys and the types of its values, without the values.

use serde_json::Value;

use super::id_form::{has_own_form, id_in_text};

/// Longer payloads are not looked into.
const LONGEST: usize = 64 * 1024;
/// Keys of an object that are named.
const MOST_KEYS: usize = 12;
/// Characters of a key that are named.
const KEY_CHARS: usize = 40;
/// Items of a list that are looked into.
const MOST_ITEMS: usize = 3;
/// Digits at the end of a text from which on they are taken for an id: dates have fewer.
const DIGITS_OF_AN_ID: usize = 12;
/// The smallest number with [`DIGITS_OF_AN_ID`] digits.
const SMALLEST_SURE: u64 = 100_000_000_000;
/// Objects and lists within each other that are looked into.
const DEPTH: usize = 4;

/// Description of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Its keys and types, such as `{"payload":{"id":int}}`; else what it is instead.
    pub text: String,
    /// Fields that may hold an id, in the order of the payload.
    pub candidates: Vec<Candidate>,
    /// The payload is a JSON object.
    pub is_object: bool,
}

/// A field of a payload that may hold an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its key, after those of the objects and the indexes of the lists that it is in: `payload.0.id`, with `\.` for a dot in a
    /// key.
    pub path: String,
    /// `path` without the backslashes.
    pub raw: String,
    /// Its own key.
    pub key: String,
    /// It is certain to be an id: a form that loadgen wrote, or a number as long as one.
    pub is_sure: bool,
    /// It is in the outermost object.
    pub is_outermost: bool,
    /// It is a text; else an integer.
    pub is_text: bool,
    /// It is an integer, or a text that can have an id.
    pub is_number: bool,
}

/// The shape of a payload.
pub(crate) fn shape_of(payload: &[u8]) -> Shape {
    let mut shape = Shape { text: String::new(), candidates: Vec::new(), is_object: false };
    if payload.len() > LONGEST {
        shape.text = format!("{} bytes, too long to look into", payload.len());
        return shape;
    }
    let Ok(value) = serde_json::from_slice::<Value>(payload) else {
        let kind = if std::str::from_utf8(payload).is_ok() { "text" } else { "binary data" };
        shape.text = format!("{kind} of {} bytes, not JSON", payload.len());
        return shape;
    };
    shape.is_object = value.is_object();
    shape.text = describe(&value, 0);
    collect_candidates(&value, &mut Path::default(), &mut shape.candidates);
    shape
}

fn describe(value: &Value, depth: usize) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if number.is_f64() => "float".to_owned(),
        Value::Number(_) => "int".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(items) => match items.first() {
            Some(first) if depth < DEPTH => format!("[{}]", describe(first, depth + 1)),
            _ => "[]".to_owned(),
        },
        Value::Object(_) if depth == DEPTH => "{…}".to_owned(),
        Value::Object(fields) => {
            let mut named: Vec<_> = fields
                .iter()
                .take(MOST_KEYS)
                .map(|(key, value): (&String, &Value)| {
                    format!("{}:{}", Value::from(short(key)), describe(value, depth + 1))
                })
                .collect();
            if fields.len() > MOST_KEYS {
                named.push("…".to_owned());
            }
            format!("{{{}}}", named.join(","))
        }
    }
}

/// A key as far as it is named, without characters that a terminal acts on.
fn short(key: &str) -> String {
    key.chars()
        .take(KEY_CHARS)
        .map(|c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// Returns true if a text is a number, ends with a long one, or has a form of the id.
fn may_be_id(text: &str) -> bool {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number && id_in_text(text.as_bytes()).is_some() || is_sure_text(text)
}

/// Returns true if a text has a form that loadgen wrote, or ends with a number as long as an id.
fn is_sure_text(text: &str) -> bool {
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    has_own_form(text.as_bytes())
        || digits >= DIGITS_OF_AN_ID && id_in_text(text.as_bytes()).is_some()
}

/// A place in a payload: the keys and indexes that lead to it.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    /// The path as `--id-from` takes it.
    fn escaped(&self) -> String {
        let escape = |key: &String| key.replace('\\', "\\\\").replace('.', "\\.");
        self.0.iter().map(escape).collect::<Vec<_>>().join(".")
    }
}

/// Returns true if a key can be shown as it is, also in a command line.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && short(key) == key && !key.contains('\'')
}

fn collect_candidates(value: &Value, path: &mut Path, candidates: &mut Vec<Candidate>) {
    let members: Vec<_> = match value {
        Value::Object(fields) => {
            let plain = fields.iter().take(MOST_KEYS).filter(|(key, _)| is_plain(key));
            plain.map(|(key, value)| (key.clone(), value)).collect()
        }
        Value::Array(items) => {
            let first = items.iter().take(MOST_ITEMS).enumerate();
            first.map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => return,
    };
    for (key, value) in members {
        path.0.push(key.clone());
        match value {
            Value::Object(_) | Value::Array(_) if path.0.len() < DEPTH => {
                collect_candidates(value, path, candidates);
            }
            Value::Number(_) | Value::String(_) => {
                let text = value.as_str();
                let is_long = |number: u64| number >= SMALLEST_SURE;
                candidates.push(Candidate {
                    path: path.escaped(),
                    raw: path.0.join("."),
                    key,
                    is_sure: text.map_or(value.as_u64().is_some_and(is_long), is_sure_text),
                    is_outermost: path.0.len() == 1,
                    is_text: text.is_some(),
                    is_number: value.is_u64() || text.is_some_and(may_be_id),
                });
            }
            _ => {}
        }
        path.0.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_types_are_told_and_values_are_not() {
        let payload = br#"{"payload":{"id":17,"who":"secret"},"ts":"now","ok":true,"x":1.5,"l":[1,2],"n":null}"#;
        let shape = shape_of(payload);
        let expected = r#"{"l":[int],"n":null,"ok":bool,"payload":{"id":int,"who":string},"ts":string,"x":float}"#;
        assert_eq!(shape.text, expected);
        assert!(shape.is_object);
    }

    #[test]
    fn fields_that_may_hold_the_id_are_found_at_any_depth() {
        let payload = br#"{"a":{"id":17,"ref":"18","who":"x"},"seq":3,"x":1.5,"l":[1]}"#;
        let found = shape_of(payload).candidates;
        let numbers: Vec<_> = found.iter().filter(|field| field.is_number).collect();
        let seen = numbers.iter().map(|field| (&*field.path, field.is_outermost, field.is_text));
        let expected = [
            ("a.id", false, false),
            ("a.ref", false, true),
            ("l.0", false, false),
            ("seq", true, false),
        ];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        assert!(found.iter().any(|field| field.path == "a.who" && field.key == "who"));
    }

    #[test]
    fn what_is_not_json_is_named() {
        assert_eq!(shape_of(b"news").text, "text of 4 bytes, not JSON");
        assert_eq!(shape_of(&[0xff, 0]).text, "binary data of 2 bytes, not JSON");
        assert_eq!(shape_of(b"[12,13]").text, "[int]");
        let long = vec![b' '; LONGEST + 1];
        assert_eq!(shape_of(&long).text, "65537 bytes, too long to look into");
    }

    #[test]
    fn a_hostile_payload_gives_a_short_text_that_a_terminal_can_show() {
        let deep = format!("{}1{}", "{\"a\":".repeat(60), "}".repeat(60));
        assert_eq!(shape_of(deep.as_bytes()).text, r#"{"a":{"a":{"a":{"a":{…}}}}}"#);
        let wide: Vec<_> = (0..5_000).map(|n| format!("\"{}{n}\":1", "k".repeat(500))).collect();
        assert!(shape_of(format!("{{{}}}", wide.join(",")).as_bytes()).text.len() < 1_000);
        let text = shape_of(b"{\"\\u001b[31m\\u009b\":1}").text;
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(!shape_of("[".repeat(100_000).as_bytes()).is_object);
    }
}
