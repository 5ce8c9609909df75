//! The shape of a JSON payload: its keys and the types of its values, without the values.

use serde_json::Value;

/// Longer payloads are not looked into.
const LONGEST: usize = 64 * 1024;
/// Keys of an object that are named.
const MOST_KEYS: usize = 12;
/// Characters of a key that are named.
const KEY_CHARS: usize = 40;
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
    /// Its key, after those of the objects that it is in: `payload.id`.
    pub path: String,
    /// It is in the outermost object.
    pub is_outermost: bool,
    /// It is a text; else an integer.
    pub is_text: bool,
    /// It is an integer, or a text of digits.
    pub is_number: bool,
}

impl Candidate {
    /// The key without the objects around it.
    pub(crate) fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }
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
    collect_candidates(&value, &mut Vec::new(), &mut shape.candidates);
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

fn collect_candidates(value: &Value, path: &mut Vec<String>, candidates: &mut Vec<Candidate>) {
    let Value::Object(fields) = value else { return };
    for (key, value) in fields.iter().take(MOST_KEYS) {
        path.push(short(key));
        match value {
            Value::Object(_) if path.len() < DEPTH => collect_candidates(value, path, candidates),
            Value::Number(_) | Value::String(_) => {
                let text = value.as_str();
                let is_digits = text.is_some_and(|text| text.parse::<u64>().is_ok());
                candidates.push(Candidate {
                    path: path.join("."),
                    is_outermost: path.len() == 1,
                    is_text: text.is_some(),
                    is_number: value.is_u64() || is_digits,
                });
            }
            _ => {}
        }
        path.pop();
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
        let expected = [("a.id", false, false), ("a.ref", false, true), ("seq", true, false)];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        assert!(found.iter().any(|field| field.path == "a.who" && field.key() == "who"));
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
