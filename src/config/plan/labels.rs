//! Labels of a run: `--label KEY=VALUE`.

use std::collections::BTreeMap;

use super::{PlanError, refuse};
use crate::core::printable::is_unprintable;

/// The most labels of a run.
const MOST_LABELS: usize = 32;
/// The longest key, in bytes.
const LONGEST_KEY: usize = 64;
/// The longest value, in characters.
const LONGEST_VALUE: usize = 256;

/// Reads the labels.
pub(super) fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, PlanError> {
    let mut labels = BTreeMap::new();
    for text in texts {
        let Some((key, value)) = text.split_once('=') else {
            return refuse(format!(
                "--label '{text}' has no =; write KEY=VALUE, such as commit=1eb6622"
            ));
        };
        let (key, value) = (key.trim(), value.trim());
        check(key, value)?;
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return refuse(format!("--label {key} is given twice; give each key once"));
        }
    }
    if labels.len() > MOST_LABELS {
        return refuse(format!(
            "--label: {} labels; at most {MOST_LABELS} are allowed",
            labels.len()
        ));
    }
    Ok(labels)
}

fn check(key: &str, value: &str) -> Result<(), PlanError> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(is_word) {
        return refuse(format!(
            "--label '{key}': a key is 1 to {LONGEST_KEY} letters, digits, '_', '.' or '-'"
        ));
    }
    if value.chars().count() > LONGEST_VALUE || value.contains(is_unprintable) {
        return refuse(format!(
            "--label {key}: a value is at most {LONGEST_VALUE} characters, without control characters"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<BTreeMap<String, String>, String> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        labels(&texts).map_err(|error| error.to_string())
    }

    #[test]
    fn a_label_is_a_key_and_a_value() {
        let labels = read(&["commit=1eb6622", "note = a, b = c ", "empty="]).expect("valid");
        let pairs: Vec<_> =
            labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("commit", "1eb6622"), ("empty", ""), ("note", "a, b = c")]);
    }

    #[test]
    fn a_text_that_is_not_a_label_is_refused() {
        let many: Vec<_> = (0..33).map(|n| format!("k{n}=v")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let long = format!("k={}", "x".repeat(257));
        for (texts, part) in [
            (&["commit"][..], "--label 'commit' has no =; write KEY=VALUE"),
            (&["=x"], "--label '': a key is 1 to 64 letters"),
            (&["a b=x"], "--label 'a b': a key"),
            (&["a=x", "a=y"], "--label a is given twice"),
            (&["a=x\u{1b}"], "--label a: a value is at most 256"),
            (&[long.as_str()], "--label k: a value"),
            (&many, "33 labels; at most 32"),
        ] {
            let error = read(texts).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }
}
