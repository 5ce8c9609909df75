//! Text that is safe inside HTML, and figures that say where in the JSON they stand.

use serde_json::Value;

use crate::core::printable::{is_unprintable, printable_json};
use crate::core::units::{format_binary, format_count, format_time};

/// A text as HTML shows it, inside an element or a quoted attribute.
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
            // HTML has no place for them, or they would turn the text around.
            c if is_unprintable(c) => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// JSON that may stand in a `<script>`: a `<` is only ever inside its strings, and written as an
/// escape there, so that no text in it can end the element or begin a comment.
pub(super) fn script_json(json: &Value) -> String {
    printable_json(json.to_string().replace('<', "\\u003c"))
}

/// What a number measures, which says how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Microseconds.
    Time,
    /// Seconds.
    Seconds,
    /// Whole things.
    Count,
    /// Things per second.
    Rate,
    /// Percent.
    Percent,
    /// Bytes.
    Bytes,
    /// As the JSON has it.
    Plain,
}

impl Unit {
    /// The number as text, with the digits of the text report.
    pub(super) fn write(self, value: f64) -> String {
        match self {
            Self::Time => spaced(&format_time(value)),
            Self::Seconds => format!("{value:.2} s"),
            Self::Count => format_count(value.round() as u64),
            Self::Rate if value >= 1_000.0 => format_count(value.round() as u64),
            Self::Rate => format!("{value:.1}"),
            Self::Percent => format!("{value:.1} %"),
            Self::Bytes => spaced(&format!("{}B", format_binary(value))),
            Self::Plain => value.to_string(),
        }
    }

    /// The same, of a number that there may be none of.
    pub(super) fn write_known(self, value: Option<f64>) -> String {
        value.map_or_else(|| "n/a".to_owned(), |value| self.write(value))
    }
}

/// `578.56us` → `578.56 µs`, the space being one that no line is broken at.
fn spaced(text: &str) -> String {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    format!("{number}\u{a0}{}", unit.replace("us", "µs"))
}

/// A part of a report's JSON whose numbers are shown.
#[derive(Debug, Clone)]
pub(super) struct Figures<'a> {
    json: &'a Value,
    base: String,
}

impl<'a> Figures<'a> {
    pub(super) fn new(json: &'a Value) -> Self {
        Self { json, base: String::new() }
    }

    /// The part at a JSON pointer below this one.
    pub(super) fn below(&self, path: &str) -> Self {
        Self { json: self.json, base: format!("{}{path}", self.base) }
    }

    /// The number at a JSON pointer; `None` where there is none.
    pub(super) fn number(&self, path: &str) -> Option<f64> {
        self.json.pointer(&format!("{}{path}", self.base))?.as_f64()
    }

    /// The number at a JSON pointer, as an element that tells the exact value and its place.
    pub(super) fn show(&self, path: &str, unit: Unit) -> String {
        let words = unit.write_known(self.number(path));
        let bound = if self.is_lower_bound(path) { "> " } else { "" };
        self.show_as(path, &format!("{bound}{words}"))
    }

    /// Whether the distribution at this place says that its percentile is only known to be at least so much.
    fn is_lower_bound(&self, path: &str) -> bool {
        let place = format!("{}{path}", self.base);
        let Some((distribution, name)) = place.rsplit_once('/') else { return false };
        let bounds = self.json.pointer(&format!("{distribution}/at_least"));
        bounds.and_then(Value::as_array).is_some_and(|all| all.iter().any(|bound| bound == name))
    }

    /// The same with words of the caller's.
    pub(super) fn show_as(&self, path: &str, words: &str) -> String {
        let place = format!("{}{path}", self.base);
        let value = self.json.pointer(&place).cloned().unwrap_or_default();
        let (place, words) = (escape(&place), escape(words));
        format!("<data value=\"{value}\" data-path=\"{place}\">{words}</data>")
    }
}

/// One part of a JSON pointer.
pub(super) fn key(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A table in a box that scrolls by itself. The first cell of a row names it; cells are HTML.
pub(super) fn table(caption: &str, head: &[String], rows: &[Vec<String>]) -> String {
    let head: String = head.iter().map(|cell| format!("<th scope=\"col\">{cell}</th>")).collect();
    let row = |cells: &Vec<String>| {
        let (name, cells) = cells.split_first().map_or(("", &[][..]), |(n, c)| (n.as_str(), c));
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    let caption = escape(caption);
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: {caption}\"><table>\n\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

/// Names as the head of a table.
pub(super) fn head<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(escape).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
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
    fn a_figure_says_its_value_and_its_place() {
        let json = serde_json::json!({"a": {"b/c": 578.56, "none": null}});
        let figures = Figures::new(&json).below("/a");
        assert_eq!(
            figures.show(&key("b/c"), Unit::Time),
            "<data value=\"578.56\" data-path=\"/a/b~1c\">578.56\u{a0}µs</data>"
        );
        assert_eq!(
            figures.show("/none", Unit::Time),
            "<data value=\"null\" data-path=\"/a/none\">n/a</data>"
        );
    }

    #[test]
    fn numbers_are_written_by_what_they_measure() {
        for (unit, value, text) in [
            (Unit::Time, 2_780.0, "2.78\u{a0}ms"),
            (Unit::Count, 240_000.0, "240,000"),
            (Unit::Rate, 23_999.07, "23,999"),
            (Unit::Rate, 12.34, "12.3"),
            (Unit::Percent, 32.7, "32.7 %"),
            (Unit::Bytes, 14_008_975.0, "13.36\u{a0}MB"),
            (Unit::Plain, 0.5, "0.5"),
        ] {
            assert_eq!(unit.write(value), text);
        }
    }
}
