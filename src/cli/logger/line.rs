//! One line of the log, as text or as JSON.

use std::time::SystemTime;

use log::Level;
use serde::Serialize;

use super::LogFormat;
use crate::core::printable::message;
use crate::output::{Characters, TextStyle, fitted};

/// A message, with the number of further ones of its kind that it stands for.
#[derive(Debug, Clone)]
pub(super) struct LogLine {
    time: SystemTime,
    level: Level,
    target: &'static str,
    text: String,
    pub(super) suppressed: u64,
}

/// The line as a JSON object.
#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    level: &'a str,
    target: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    suppressed: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl LogLine {
    /// A message of now. Its text may contain bytes from a peer or a file, so it is sanitized.
    pub(super) fn new(level: Level, target: &'static str, text: &str) -> Self {
        Self { time: SystemTime::now(), level, target, text: message(text), suppressed: 0 }
    }

    /// Returns the line with its end. A text is broken between words at the columns of a terminal.
    pub(super) fn render(&self, format: LogFormat, columns: Option<usize>) -> String {
        let more = match self.suppressed {
            0 => String::new(),
            count => format!(" ({count} more like this in the last second)"),
        };
        match (format, columns) {
            (LogFormat::Text, Some(columns)) => {
                let style = TextStyle::terminal(columns, false, Characters::Marks);
                fitted("loadgen: ", &format!("{}{more}", self.text), style)
            }
            (LogFormat::Text, None) => format!("loadgen: {}{more}\n", self.text),
            (LogFormat::Json, _) => {
                let line = JsonLine {
                    time: humantime::format_rfc3339_millis(self.time).to_string(),
                    level: &self.level.as_str().to_lowercase(),
                    target: self.target,
                    message: &self.text,
                    suppressed: self.suppressed,
                };
                // Text and numbers only: this cannot fail.
                serde_json::to_string(&line).unwrap_or_default() + "\n"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_it_stands_for() {
        let mut line = LogLine::new(Level::Warn, "loadgen::pipeline", "lost\n\"Redis\"");
        let text = |line: &LogLine| line.render(LogFormat::Text, None);
        assert_eq!(text(&line), "loadgen: lost\\u{a}\"Redis\"\n");
        line.suppressed = 412;
        let on_terminal = line.render(LogFormat::Text, Some(40));
        assert_eq!(
            on_terminal,
            "loadgen: lost\\u{a}\"Redis\" (412 more like\n    this in the last second)\n"
        );
        assert!(text(&line).ends_with("\"Redis\" (412 more like this in the last second)\n"));
        let json = line.render(LogFormat::Json, Some(40));
        let parsed: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(
            (&parsed["level"], &parsed["suppressed"], &parsed["target"]),
            (&"warn".into(), &412.into(), &"loadgen::pipeline".into())
        );
        assert_eq!(parsed["message"], "lost\\u{a}\"Redis\"");
        assert!(json.ends_with("}\n") && json.matches('\n').count() == 1, "{json}");
        let time = parsed["time"].as_str().expect("a time");
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
    }
}
