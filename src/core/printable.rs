//! Foreign text as it is shown: the version that a server sends, the strings of a saved report, the error of a peer.
//! Nothing in it may move a terminal's cursor, hide text, or begin a line of its own.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::json;

/// The most characters of one foreign string that are shown.
const LONGEST_SHOWN: usize = 10_000;
/// Fields that are never cut: half a histogram cannot be read, and half a command cannot be run.
const WHOLE_FIELDS: [&str; 3] = ["hdr", "ages_hdr", "command"];

/// Returns true if a character must not reach a terminal or a text file: control characters (C0 with the end of a line, DEL,
/// C1), marks that change the direction of text, and separators of lines.
pub(crate) fn is_unprintable(c: char) -> bool {
    let is_bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_bidi || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A text on one line, with `\u{1b}` in place of each character that [`is_unprintable`].
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The beginning of a text that is longer than `most` characters, with the number of those left out.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            let left_out = text[end..].chars().count();
            Cow::Owned(format!("{}… ({left_out} more characters)", &text[..end]))
        }
    }
}

/// A message on one line of a terminal, cut after 10,000 characters.
pub(crate) fn message(text: &str) -> String {
    printable(&shortened(text, LONGEST_SHOWN)).into_owned()
}

/// Returns true for a character that must not reach a terminal; a line break may.
fn must_be_escaped(c: char) -> bool {
    c != '\n' && is_unprintable(c)
}

/// JSON text in which characters that must not reach a terminal are written as `\u009b`. They are in strings only,
/// so it is read as the same JSON.
pub(crate) fn printable_json(json: String) -> String {
    if !json.contains(must_be_escaped) {
        return json;
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if must_be_escaped(c) {
            out += &format!("\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// A copy of the data with every string printable, and cut where it is too long.
pub(crate) fn with_printable_strings<T: Serialize + DeserializeOwned + Clone>(data: &T) -> T {
    let mut value = json::to_value(data);
    clean(&mut value);
    // A number that JSON does not have is read back as null, and refused where there must be one.
    json::from_value(&value).unwrap_or_else(|| data.clone())
}

fn clean(value: &mut Value) {
    match value {
        Value::String(text) => *text = message(text),
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(fields) => {
            for (name, mut field) in std::mem::take(fields) {
                match &mut field {
                    Value::String(text) if WHOLE_FIELDS.contains(&name.as_str()) => {
                        *text = printable(text).into_owned();
                    }
                    field => clean(field),
                }
                fields.insert(message(&name), field);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_a_terminal_obeys_are_written_as_escapes() {
        for (text, shown) in [
            ("plain → é 漢 👍", "plain → é 漢 👍"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("a\nb\r\tc", "a\\u{a}b\\u{d}\\u{9}c"),
            ("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m"),
            ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
            ("a\u{2028}b\u{feff}", "a\\u{2028}b\\u{feff}"),
            ("", ""),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shortened("éé", 2), "éé");
        assert_eq!(shortened("ééé", 2), "éé… (1 more characters)");
        assert!(message(&"x".repeat(1_000_000)).len() < LONGEST_SHOWN + 100);
    }

    #[test]
    fn json_is_read_as_the_same_json() {
        let value = serde_json::json!({"a\u{9b}": "\u{1b}\u{7f}\u{85}\u{202e}\n", "b": [1]});
        let text = printable_json(serde_json::to_string_pretty(&value).expect("JSON"));
        assert!(!text.contains(|c: char| c != '\n' && is_unprintable(c)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn all_strings_of_data_become_printable_and_commands_stay_whole() {
        let long = "x".repeat(LONGEST_SHOWN + 5);
        let data = serde_json::json!({"\u{1b}": ["\u{1b}", {"c": "\n"}], "n": 1.5, "command": long, "note": long});
        let cleaned = with_printable_strings(&data);
        assert_eq!(cleaned["\\u{1b}"], serde_json::json!(["\\u{1b}", {"c": "\\u{a}"}]));
        assert_eq!((&cleaned["n"], &cleaned["command"]), (&data["n"], &data["command"]));
        assert!(
            cleaned["note"].as_str().is_some_and(|note| note.ends_with("… (5 more characters)"))
        );
    }
}
