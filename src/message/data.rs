//! Rows of data that fill a template's holes: columns by name, and how a value is written where it
//! stands.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::sync::Arc;

/// Escaping of a value for the text around its placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// None.
    Plain,
    /// Percent-encoded: all but letters, digits and `-._~`.
    Percent,
    /// For the inside of a JSON string.
    JsonString,
}

/// The cells of one column, escaped once, in the order of the rows.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct TableColumn {
    text: Vec<u8>,
    /// End of each cell in `text`.
    ends: Vec<usize>,
    longest: usize,
}

impl TableColumn {
    /// The row of this turn: the rows come in order, and after the last the first again.
    pub(super) fn row(&self, turn: u64) -> u64 {
        turn % (self.ends.len() as u64).max(1)
    }

    /// A row's cell.
    pub(super) fn cell(&self, row: u64) -> &[u8] {
        let row = row as usize;
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends.get(row).copied().unwrap_or(start)]
    }

    /// Bytes of the longest cell.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u64).map(|row| self.cell(row))
    }

    fn push(&mut self, cell: &[u8], escape: Escape) {
        let start = self.text.len();
        match escape {
            Escape::Plain => self.text.extend_from_slice(cell),
            Escape::Percent => cell.iter().for_each(|byte| percent(*byte, &mut self.text)),
            Escape::JsonString => json(cell, &mut self.text),
        }
        self.longest = self.longest.max(self.text.len() - start);
        self.ends.push(self.text.len());
    }

    fn escaped(&self, escape: Escape) -> Self {
        let mut column = Self::default();
        self.cells().for_each(|cell| column.push(cell, escape));
        column
    }
}

impl fmt::Debug for TableColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Column({} rows)", self.ends.len())
    }
}

fn percent(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    match byte {
        b'-' | b'.' | b'_' | b'~' => out.push(byte),
        _ if byte.is_ascii_alphanumeric() => out.push(byte),
        _ => out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    }
}

/// The text of a JSON string without its quotes. Cells are UTF-8: other files are refused.
fn json(cell: &[u8], out: &mut Vec<u8>) {
    let quoted = serde_json::to_vec(&String::from_utf8_lossy(cell)).unwrap_or_default();
    out.extend_from_slice(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
}

#[derive(Debug)]
struct NamedColumn {
    name: String,
    plain: Arc<TableColumn>,
    percent: OnceCell<Arc<TableColumn>>,
    json: OnceCell<Arc<TableColumn>>,
}

/// A table: columns with names, rows of text.
#[derive(Debug)]
pub(crate) struct Data {
    columns: Vec<NamedColumn>,
    /// The line of its file that each row begins on, from 1.
    lines: Vec<u64>,
    used: Cell<bool>,
}

impl Data {
    /// A table without rows. Refuses column names that are empty, there twice, or `taken` by
    /// something else that fills holes.
    pub(crate) fn new(names: Vec<String>, taken: &[&str]) -> Result<Self, String> {
        for (n, name) in names.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(format!("column {} has no name", n + 1));
            }
            if taken.contains(&name.as_str()) {
                return Err(format!(
                    "a column may not be called '{name}': {{{{{name}}}}} is loadgen's own"
                ));
            }
            if names[..n].contains(name) {
                return Err(format!("two columns are called '{name}'"));
            }
        }
        if names.is_empty() {
            return Err("it has no columns".to_owned());
        }
        let columns = names
            .into_iter()
            .map(|name| NamedColumn {
                name,
                plain: Arc::default(),
                percent: OnceCell::new(),
                json: OnceCell::new(),
            })
            .collect();
        Ok(Self { columns, lines: Vec::new(), used: Cell::new(false) })
    }

    /// Adds the row that begins on this line, a cell for each column. Before the first
    /// `column` only.
    pub(crate) fn push<'a>(&mut self, line: u64, cells: impl IntoIterator<Item = &'a str>) {
        let mut cells = cells.into_iter();
        for column in &mut self.columns {
            let cell = cells.next().unwrap_or_default();
            Arc::make_mut(&mut column.plain).push(cell.as_bytes(), Escape::Plain);
        }
        self.lines.push(line);
    }

    /// Returns the number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The columns' names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Returns true if a template uses any column.
    pub(crate) fn is_used(&self) -> bool {
        self.used.get()
    }

    /// The column of that name, escaped; one copy for all who ask.
    pub(crate) fn column(&self, name: &str, escape: Escape) -> Option<Arc<TableColumn>> {
        let column = self.columns.iter().find(|column| column.name == name)?;
        self.used.set(true);
        let escaped = || Arc::new(column.plain.escaped(escape));
        Some(Arc::clone(match escape {
            Escape::Plain => &column.plain,
            Escape::Percent => column.percent.get_or_init(escaped),
            Escape::JsonString => column.json.get_or_init(escaped),
        }))
    }

    /// The line of the first row whose cell in that column is not `fit`.
    pub(crate) fn first_unfit(&self, name: &str, fit: impl Fn(&[u8]) -> bool) -> Option<u64> {
        let column = self.columns.iter().find(|column| column.name == name)?;
        let at = column.plain.cells().position(|cell| !fit(cell))?;
        self.lines.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(cells: &[&str]) -> Data {
        let mut data = Data::new(vec!["a".to_owned()], &[]).expect("valid");
        cells.iter().zip(2..).for_each(|(cell, line)| data.push(line, [*cell]));
        data
    }

    #[test]
    fn values_are_written_for_the_place_they_stand_in() {
        let data = data(&["a b/ü?\"\\\n", "", "\"x\""]);
        let cells = |escape| {
            let column = data.column("a", escape).expect("it is there");
            let text = |cell: &[u8]| String::from_utf8(cell.to_vec()).expect("text");
            column.cells().map(text).collect::<Vec<_>>()
        };
        assert!(!data.is_used());
        assert_eq!(cells(Escape::Plain), ["a b/ü?\"\\\n", "", "\"x\""]);
        assert_eq!(cells(Escape::Percent), ["a%20b%2F%C3%BC%3F%22%5C%0A", "", "%22x%22"]);
        assert_eq!(cells(Escape::JsonString), [r#"a b/ü?\"\\\n"#, "", r#"\"x\""#]);
        assert!(data.is_used());
    }

    #[test]
    fn rows_go_round() {
        let column = data(&["x", "yy", "z"]).column("a", Escape::Plain).expect("it is there");
        let turns: Vec<_> = (0..7).map(|turn| column.cell(column.row(turn))).collect();
        assert_eq!(turns, [&b"x"[..], b"yy", b"z", b"x", b"yy", b"z", b"x"]);
        assert_eq!(column.longest(), 2);
    }

    #[test]
    fn names_that_would_mean_two_things_are_refused() {
        let refused = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Data::new(names, &["seq"]).map(|_| ()).expect_err("refused")
        };
        assert!(refused(&["a", "seq"]).contains("'seq': {{seq}} is loadgen's own"));
        assert_eq!(refused(&["a", "b", "a"]), "two columns are called 'a'");
        assert_eq!(refused(&["a", " "]), "column 2 has no name");
        assert_eq!(refused(&[]), "it has no columns");
    }

    #[test]
    fn a_cell_that_does_not_fit_is_found_with_its_line() {
        let data = data(&["x", "y\n"]);
        assert_eq!(data.first_unfit("a", |cell| !cell.contains(&b'\n')), Some(3));
        assert_eq!(data.first_unfit("a", |_| true), None);
    }
}
