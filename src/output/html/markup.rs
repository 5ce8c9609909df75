//! Text that is safe inside HTML, and numbers with their units.

use serde_json::Value;

use crate::core::printable::{is_unprintable, printable_json};
use crate::core::units::{TimeUnit, format_count, format_memory, three_digits};
use crate::output::number::NOT_AVAILABLE;

/// A space at which a browser does not break the line.
const NO_BREAK: &str = "\u{a0}";

/// Escapes a text for an element or a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' => out.push(c),
            // HTML does not allow control characters, and direction marks would reverse the text.
            c if is_unprintable(c) => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// JSON for a `<script>` element. In JSON a `<` occurs only inside strings; it is written as an escape there, so that no
/// text can end the element or begin a comment.
pub(super) fn script_json(json: &Value) -> String {
    printable_json(json.to_string().replace('<', "\\u003c"))
}

/// Unit of a number. It decides the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Microseconds, written in the unit that suits the value.
    Time,
    /// Microseconds, written in one unit.
    TimeIn(TimeUnit),
    /// Seconds.
    Seconds,
    /// Whole number of items.
    Count,
    /// Items a second.
    Rate,
    /// Percent.
    Percent,
    /// Bytes.
    Bytes,
    /// A number without a unit, written as in the JSON.
    Plain,
}

impl Unit {
    /// One unit for all values of a column.
    pub(super) fn of_column(self, values: impl Iterator<Item = f64>) -> Self {
        if self == Self::Time { Self::TimeIn(TimeUnit::of_column(values)) } else { self }
    }

    /// The number as text, with as many digits as in the text report.
    pub(super) fn write(self, value: f64) -> String {
        match self {
            Self::Time => TimeUnit::of(value).write(value, NO_BREAK),
            Self::TimeIn(unit) => unit.write(value, NO_BREAK),
            Self::Seconds => format!("{value:.2} s"),
            Self::Count => format_count(value.round() as u64),
            Self::Rate => three_digits(value),
            Self::Percent => format!("{value:.1} %"),
            Self::Bytes => spaced(&format_memory(value)),
            Self::Plain => value.to_string(),
        }
    }

    /// The number as text; `n/a` if it was not measured.
    pub(super) fn write_known(self, value: Option<f64>) -> String {
        value.map_or_else(|| NOT_AVAILABLE.to_owned(), |value| self.write(value))
    }
}

/// `13.36MB` → `13.36 MB`.
fn spaced(text: &str) -> String {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    format!("{number}{NO_BREAK}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escape("<b a='\"'>&\u{1b}\0\u{202e}é"),
            "&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}\u{fffd}\u{fffd}é"
        );
        let json = script_json(&serde_json::json!({"a": "</script><!-- \"x\""}));
        assert!(!json.contains('<'), "{json}");
        let back: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(back["a"], "</script><!-- \"x\"");
    }

    #[test]
    fn numbers_are_written_with_their_units() {
        for (unit, value, text) in [
            (Unit::Time, 2_780.0, "2.78\u{a0}ms"),
            (Unit::Count, 240_000.0, "240,000"),
            (Unit::Rate, 23_999.07, "23,999"),
            (Unit::Rate, 12.34, "12.3"),
            (Unit::Rate, 500.0, "500"),
            (Unit::Time, 578.56, "579\u{a0}µs"),
            (Unit::TimeIn(TimeUnit::Millis), 578.56, "0.579\u{a0}ms"),
            (Unit::Percent, 32.7, "32.7 %"),
            (Unit::Bytes, 14_008_975.0, "13.36\u{a0}MiB"),
            (Unit::Plain, 0.5, "0.5"),
        ] {
            assert_eq!(unit.write(value), text);
        }
    }
}
