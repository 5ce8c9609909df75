//! The colour of the result on a terminal.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use crate::report::RESULT_LABEL;

const GREEN: &str = "\x1b[1;32m";
const RED: &str = "\x1b[1;31m";
const RESET: &str = "\x1b[0m";

/// Returns true if stdout is a terminal that is not a dumb one, and `NO_COLOR` is not set.
pub(super) fn is_wanted() -> bool {
    io::stdout().is_terminal() && is_allowed(std::env::var_os("NO_COLOR"), std::env::var_os("TERM"))
}

fn is_allowed(no_color: Option<OsString>, term: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty()) && term.is_none_or(|term| term != "dumb")
}

/// A report's text with its last line, the result, in green or red. Any other text stays as it is.
pub(super) fn colour_result(text: &str) -> String {
    let body = text.trim_end();
    let start = body.rfind('\n').map_or(0, |at| at + 1);
    let Some(result) = body[start..].strip_prefix(RESULT_LABEL) else { return text.to_owned() };
    let colour = if result == "passed" { GREEN } else { RED };
    format!("{}{colour}{}{RESET}\n", &body[..start], &body[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_green_or_red_and_nothing_else_is_coloured() {
        assert_eq!(
            colour_result("a\n\nRESULT  passed\n"),
            "a\n\n\x1b[1;32mRESULT  passed\x1b[0m\n"
        );
        let failed = colour_result("a\nRESULT  FAILED (1 of 1 condition), exit 99\n");
        assert!(failed.starts_with("a\n\x1b[1;31mRESULT  FAILED"), "{failed:?}");
        for other in ["", "a\n", "RESULT  passed\nb\n"] {
            assert_eq!(colour_result(other), other);
        }
    }

    #[test]
    fn a_dumb_terminal_and_no_color_are_respected() {
        let allowed = |no_color: Option<&str>, term: &str| {
            is_allowed(no_color.map(Into::into), Some(term.into()))
        };
        assert!(allowed(None, "xterm") && allowed(Some(""), "xterm"));
        assert!(!allowed(Some("1"), "xterm") && !allowed(None, "dumb"));
    }
}
