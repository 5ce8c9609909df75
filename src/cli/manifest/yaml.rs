//! Scalars of YAML.

use std::fmt::{self, Write as _};

/// A text as a scalar in double quotes: always a string, in YAML 1.1 and 1.2, on one line.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                ' '..='~' => f.write_char(c)?,
                // Letters are readable. Line separators and byte-order marks are not printable in YAML.
                c if c.is_alphanumeric() => f.write_char(c)?,
                c => write!(f, "\\U{:08X}", u32::from(c))?,
            }
        }
        f.write_char('"')
    }
}

/// Doubles each `$`: Kubernetes replaces `$(NAME)`, and compose `$NAME` and `${NAME}`; both read `$$` as `$`.
pub(super) fn without_references(word: &str) -> String {
    word.replace('$', "$$")
}

/// Words as the items of a list, each after a line break, `indent` spaces from the left.
pub(super) fn items(words: &[String], indent: usize) -> String {
    let mut lines = String::new();
    for word in words {
        let _ = write!(lines, "\n{:indent$}- {}", "", Quoted(&without_references(word)));
    }
    lines
}
