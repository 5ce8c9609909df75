//! Width, colours and characters of a text: a terminal's, or those of files and pipes.

use std::fmt::Write as _;

/// Widest text; longer lines are hard to read, however wide the terminal is.
const WIDEST: usize = 120;
/// Narrowest text.
const NARROWEST: usize = 30;
/// Width below which a sentence is not indented to the end of its label.
const NARROW: usize = 60;

/// Width, colours and characters of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextStyle {
    /// Columns.
    pub(super) width: usize,
    has_colours: bool,
    characters: Characters,
}

/// Characters of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Characters {
    /// Words alone say what passed and what failed, as programs read them.
    Words,
    /// `✓` and `✗` come before them.
    Marks,
    /// ASCII, for a terminal that shows nothing else.
    Ascii,
}

/// Meaning of a part of a text, from which its colour follows; the worst is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    /// Less important than the rest, such as the heads of columns.
    Quiet,
    /// Title of a section.
    Title,
    /// It passed.
    Good,
    /// It needs attention.
    Warning,
    /// It failed.
    Bad,
}

impl TextStyle {
    /// The style of files and pipes: 80 columns, without colours and marks.
    pub(crate) const PLAIN: Self =
        Self { width: 80, has_colours: false, characters: Characters::Words };

    /// The style of a terminal.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn terminal(columns: usize, has_colours: bool, characters: Characters) -> Self {
        Self { width: columns.clamp(NARROWEST, WIDEST), has_colours, characters }
    }

    /// Columns of the terminal.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn columns(self) -> usize {
        self.width
    }

    /// Bars of a sparkline, from the lowest.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn levels(self) -> &'static [char] {
        match self.characters {
            Characters::Ascii => &['_', '.', '-', '=', '+', '*', '%', '#'],
            Characters::Words | Characters::Marks => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
        }
    }

    /// Returns true if the text is for a terminal.
    pub(super) fn is_terminal(self) -> bool {
        self.characters != Characters::Words
    }

    /// Columns that lines below a label are indented by.
    pub(super) fn indent_below(self, label: usize) -> usize {
        if self.width < NARROW { label.min(4) } else { label }
    }

    /// A part of a text in the colour of its meaning.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.has_colours || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Warning => "33",
            Tone::Title => "1",
            Tone::Quiet => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Words that say whether something passed, with their mark and in their colour.
    pub(crate) fn verdict(self, tone: Tone, words: &str) -> String {
        let mark = match (self.characters, tone) {
            (Characters::Marks, Tone::Good) => "✓ ",
            (Characters::Marks, Tone::Bad) => "✗ ",
            (Characters::Marks, Tone::Warning) => "! ",
            _ => "",
        };
        self.paint(tone, &format!("{mark}{words}"))
    }

    /// The text in the characters of the style. Each is replaced by one other, so that columns stay aligned.
    pub(crate) fn with_characters(self, text: String) -> String {
        if self.characters != Characters::Ascii {
            return text;
        }
        text.chars().map(ascii).collect()
    }
}

fn ascii(character: char) -> char {
    match character {
        '→' => '>',
        '±' => '~',
        '×' => 'x',
        'µ' | 'μ' => 'u',
        '–' | '—' => '-',
        '“' | '”' => '"',
        '‘' | '’' => '\'',
        c if c.is_ascii() => c,
        _ => '?',
    }
}

/// Columns that a text takes on a terminal; colours take none.
pub(super) fn columns_of(text: &str) -> usize {
    let (mut columns, mut is_escape) = (0, false);
    for character in text.chars() {
        match character {
            '\x1b' => is_escape = true,
            'm' if is_escape => is_escape = false,
            _ if !is_escape => columns += 1,
            _ => {}
        }
    }
    columns
}

/// A label and items below each other, with line breaks between items so that they fit the width.
pub(super) fn wrap_items<'a>(
    label: &str,
    items: impl Iterator<Item = &'a str>,
    gap: &str,
    style: TextStyle,
) -> String {
    let indent = style.indent_below(columns_of(label));
    let is_indent = label.trim().is_empty();
    let mut out = if is_indent { " ".repeat(indent) } else { label.to_owned() };
    let (mut column, mut is_first) = (columns_of(&out), true);
    for item in items {
        let columns = columns_of(item);
        if is_first {
            is_first = false;
        } else if column + gap.len() + columns > style.width {
            // Writing to a String cannot fail.
            let _ = write!(out, "\n{:indent$}", "");
            column = indent;
        } else {
            out += gap;
            column += gap.len();
        }
        out += item;
        column += columns;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(columns: usize, characters: Characters) -> TextStyle {
        TextStyle::terminal(columns, true, characters)
    }

    #[test]
    fn colours_and_marks_are_a_terminals() {
        let plain = TextStyle::PLAIN;
        assert_eq!(plain.verdict(Tone::Bad, "FAILED"), "FAILED");
        assert_eq!(plain.paint(Tone::Title, "a"), "a");
        let marks = terminal(80, Characters::Marks);
        assert_eq!(marks.verdict(Tone::Good, "ok"), "\x1b[32m✓ ok\x1b[0m");
        assert_eq!(marks.verdict(Tone::Bad, "FAILED"), "\x1b[1;31m✗ FAILED\x1b[0m");
        assert_eq!(columns_of(&marks.verdict(Tone::Bad, "FAILED")), 8);
        let without = TextStyle::terminal(80, false, Characters::Marks);
        assert_eq!(without.verdict(Tone::Good, "ok"), "✓ ok");
        assert_eq!(terminal(80, Characters::Ascii).verdict(Tone::Good, "ok"), "\x1b[32mok\x1b[0m");
    }

    #[test]
    fn ascii_replaces_each_character_by_one() {
        let text = "due → sent ± 3µs × 2 · é".to_owned();
        let ascii = terminal(80, Characters::Ascii).with_characters(text.clone());
        assert_eq!(ascii, "due > sent ~ 3us x 2 ? ?");
        assert_eq!(ascii.chars().count(), text.chars().count());
        assert_eq!(terminal(80, Characters::Marks).with_characters(text.clone()), text);
    }

    #[test]
    fn a_width_beyond_reason_is_bounded() {
        assert_eq!(terminal(500, Characters::Marks).width, WIDEST);
        assert_eq!(terminal(0, Characters::Marks).width, NARROWEST);
    }

    #[test]
    fn items_are_not_broken() {
        let items = ["p50 1ms", "p90 20ms", "p99 300ms"];
        let text = wrap_items("    ", items.into_iter(), "  ", terminal(30, Characters::Marks));
        assert_eq!(text, "    p50 1ms  p90 20ms\n    p99 300ms\n");
    }
}
