//! Properties of the terminal: its width, its colours and its characters.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use crate::output::{Characters, TextStyle};

/// Columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// Style of the text on stdout: that of a terminal, or of files and pipes.
pub(super) fn stdout_style() -> TextStyle {
    style(&io::stdout()).unwrap_or(TextStyle::PLAIN)
}

/// Style of the view on stderr; `None` if it is not a terminal.
pub(super) fn stderr_style() -> Option<TextStyle> {
    style(&io::stderr())
}

fn style(stream: &(impl AsFd + IsTerminal)) -> Option<TextStyle> {
    let has_colours = allows_colours(std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
    let characters = characters(["LC_ALL", "LC_CTYPE", "LANG"].map(std::env::var_os));
    columns(stream).map(|columns| TextStyle::terminal(columns, has_colours, characters))
}

/// Columns of the terminal; `None` if it is not one.
pub(super) fn columns(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok();
    Some(size.map_or(USUAL_COLUMNS, |size| match size.ws_col {
        0 => USUAL_COLUMNS,
        columns => usize::from(columns),
    }))
}

/// Returns true if the terminal can draw a line anew; a dumb one only adds lines.
pub(super) fn is_redrawn() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn allows_colours(no_color: Option<OsString>, term: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty()) && term.is_none_or(|term| term != "dumb")
}

/// Characters that the terminal shows, by the locale: the first variable that is set decides. Without one nothing says that the terminal is limited to ASCII.
fn characters(variables: [Option<OsString>; 3]) -> Characters {
    let locale = variables.into_iter().flatten().find(|value| !value.is_empty());
    let is_utf8 = locale.is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    if is_utf8 { Characters::Marks } else { Characters::Ascii }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_terminal_and_no_color_are_respected() {
        let allowed = |no_color: Option<&str>, term: &str| {
            allows_colours(no_color.map(Into::into), Some(term.into()))
        };
        assert!(allowed(None, "xterm") && allowed(Some(""), "xterm"));
        assert!(!allowed(Some("1"), "xterm") && !allowed(None, "dumb"));
    }

    #[test]
    fn the_locale_decides_the_characters() {
        let of = |all: &str, ctype: &str, lang: &str| {
            characters([all, ctype, lang].map(|value| Some(value.into())))
        };
        assert_eq!(of("", "", "en_GB.UTF-8"), Characters::Marks);
        assert_eq!(of("C.utf8", "", "C"), Characters::Marks);
        assert_eq!(of("", "POSIX", "en_GB.UTF-8"), Characters::Ascii);
        assert_eq!(of("C", "", "en_GB.UTF-8"), Characters::Ascii);
        assert_eq!(of("", "", ""), Characters::Marks, "nothing says otherwise");
    }

    #[test]
    fn a_file_has_no_columns() {
        let file = std::fs::File::open("/dev/null").expect("a device");
        assert_eq!(columns(&file), None);
    }
}
