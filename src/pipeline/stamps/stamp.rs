//! The format of a stamp: `{"id":12000,"time":"1426087754.105100"}`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::message::MsgId;

/// An element of a stamp list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Stamp {
    /// The message.
    pub id: u64,
    /// Seconds since 1970 in the log server's time, with six digits of microseconds.
    pub time: String,
}

/// A stamp of any program: its time is a number, or text that holds one.
#[derive(Deserialize)]
struct Foreign<'a> {
    id: u64,
    #[serde(borrow)]
    time: &'a RawValue,
}

impl Stamp {
    /// Stamp of a message that passed at `server_us`, in microseconds since 1970.
    pub(crate) fn new(id: MsgId, server_us: u64) -> Self {
        let time = format!("{}.{:06}", server_us / 1_000_000, server_us % 1_000_000);
        Self { id: id.get(), time }
    }

    /// Reads an element of a stamp list: the id, and the time in microseconds since 1970. `None` if it is not a
    /// stamp.
    pub(crate) fn read(element: &[u8]) -> Option<(u64, u64)> {
        let stamp: Foreign<'_> = serde_json::from_slice(element).ok()?;
        let time = stamp.time.get();
        let time: Cow<'_, str> = if time.starts_with('"') {
            serde_json::from_str::<String>(time).ok()?.into()
        } else {
            time.into()
        };
        Some((stamp.id, decimal_micros(time.trim())?))
    }
}

/// Digits of a time that is read; more are not a time.
const MOST_DIGITS: usize = 64;

/// Seconds as a decimal number, in microseconds. Read digit by digit: a float would lose some.
fn decimal_micros(text: &str) -> Option<u64> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() + fraction.len() > MOST_DIGITS || exponent.abs() > 20 {
        return None;
    }
    let mut digits = Vec::with_capacity(MOST_DIGITS);
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return None;
        }
        digits.push(u64::from(byte - b'0'));
    }
    // The place of the point behind the microseconds, counted in digits.
    let end = i32::try_from(whole.len()).ok()? + exponent + 6;
    let end = usize::try_from(end).ok()?;
    let mut digits = digits.into_iter().chain(std::iter::repeat(0));
    let mut micros: u64 = 0;
    for digit in digits.by_ref().take(end) {
        micros = micros.checked_mul(10)?.checked_add(digit)?;
    }
    micros.checked_add(u64::from(digits.next()? >= 5))
}

/// Fields, and characters of a name or of a text, that a shape shows.
const MOST_FIELDS: usize = 8;
const MOST_CHARACTERS: usize = 32;

/// The form of an element without its values: keys and types, and of a text where digits (9) and
/// letters (a) are.
pub(crate) fn shape(element: &[u8]) -> String {
    match serde_json::from_slice(element) {
        Ok(value) => shape_of(&value),
        Err(_) => format!("{} bytes that are not JSON", element.len()),
    }
}

fn shape_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(number) if number.is_f64() => "number".to_owned(),
        Value::Number(_) => "integer".to_owned(),
        Value::String(text) => format!("\"{}\"", pattern(text)),
        Value::Array(_) => "list".to_owned(),
        Value::Object(fields) => {
            let mut shown: Vec<_> = (fields.iter().take(MOST_FIELDS))
                .map(|(name, value)| match value {
                    Value::Object(_) => format!("\"{}\":object", printable(name)),
                    _ => format!("\"{}\":{}", printable(name), shape_of(value)),
                })
                .collect();
            if fields.len() > MOST_FIELDS {
                shown.push("…".to_owned());
            }
            format!("{{{}}}", shown.join(","))
        }
    }
}

/// Replaces control characters, which a terminal would take for commands.
fn printable(name: &str) -> String {
    let name = name.chars().take(MOST_CHARACTERS);
    name.map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn pattern(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).map(class_of).collect()
}

/// Returns the character that stands for all of the same class.
fn class_of(c: char) -> char {
    match c {
        '0'..='9' => '9',
        _ if c.is_ascii_punctuation() || c == ' ' => c,
        _ if c.is_control() => '?',
        _ => 'a',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_originals() {
        let stamp = Stamp::new(MsgId::new(12_000).expect("small"), 1_426_087_754_105_100);
        let text = serde_json::to_string(&stamp).expect("plain data");
        assert_eq!(text, r#"{"id":12000,"time":"1426087754.105100"}"#);
        assert_eq!(Stamp::read(text.as_bytes()), Some((12_000, 1_426_087_754_105_100)));
        assert_eq!(Stamp::new(MsgId::new(1).expect("small"), 5_000_007).time, "5.000007");
    }

    #[test]
    fn a_time_is_text_or_a_number_with_any_number_of_digits() {
        for (time, micros) in [
            (r#""1795753678.449""#, 1_795_753_678_449_000),
            ("1795753678.449", 1_795_753_678_449_000),
            ("1795753678", 1_795_753_678_000_000),
            (r#""5""#, 5_000_000),
            ("1795753678.1234567", 1_795_753_678_123_457),
            (r#""1795753678.123456789""#, 1_795_753_678_123_457),
            ("1.795753678449001e9", 1_795_753_678_449_001),
            ("1795753678449001e-6", 1_795_753_678_449_001),
            (r#""0.9999995""#, 1_000_000),
        ] {
            let text = format!(r#"{{"extra":[1],"time":{time},"id":9007199254740991}}"#);
            assert_eq!(
                Stamp::read(text.as_bytes()),
                Some((9_007_199_254_740_991, micros)),
                "{time}"
            );
        }
    }

    #[test]
    fn other_elements_are_not_misread() {
        for text in [
            "",
            "x",
            "7",
            r#"{"id":1}"#,
            r#"{"time":"5.000000"}"#,
            r#"{"id":"1","time":"5.000000"}"#,
            r#"{"id":-1,"time":"5.000000"}"#,
            r#"{"id":1.5,"time":"5.000000"}"#,
            r#"{"id":1,"time":""}"#,
            r#"{"id":1,"time":"-5.000000"}"#,
            r#"{"id":1,"time":-5}"#,
            r#"{"id":1,"time":"5.00000x"}"#,
            r#"{"id":1,"time":"1.+00001"}"#,
            r#"{"id":1,"time":"99999999999999999999.000000"}"#,
            r#"{"id":1,"time":"1e999999999"}"#,
            r#"{"id":1,"time":"1e-999999999"}"#,
            r#"{"id":1,"time":null}"#,
            r#"{"id":1,"time":"2026-11-27T05:42:02Z"}"#,
        ] {
            assert_eq!(Stamp::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_shape_shows_no_values() {
        for (text, shown) in [
            (
                r#"{"id":12,"time":"2026-11-27T05:42:02Z"}"#,
                r#"{"id":integer,"time":"9999-99-99a99:99:99a"}"#,
            ),
            (
                r#"{"user":{"name":"x"},"ok":true,"t":1.5}"#,
                r#"{"user":object,"ok":boolean,"t":number}"#,
            ),
            ("[1,2]", "list"),
            ("hello", "5 bytes that are not JSON"),
            ("{\"a\\u001b[31m\":null}", r#"{"a?[31m":null}"#),
        ] {
            let mut seen = shape(text.as_bytes());
            // The order of the fields is the library's.
            if seen.len() == shown.len() && text.starts_with('{') {
                let mut sorted: Vec<_> = seen.bytes().collect();
                let mut expected: Vec<_> = shown.bytes().collect();
                sorted.sort_unstable();
                expected.sort_unstable();
                assert_eq!(sorted, expected);
                seen = shown.to_owned();
            }
            assert_eq!(seen, shown, "{text}");
        }
        let many: Vec<_> = (0..20).map(|n| format!("\"k{n}\":{n}")).collect();
        assert!(shape(format!("{{{}}}", many.join(",")).as_bytes()).ends_with(",…}"));
    }
}
