//! Text in columns.

/// Default width of a terminal, in characters.
const TERMINAL: usize = 80;

/// Aligns columns: the first to the left, the others to the right, with two spaces between them.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    spaced(rows, "  ")
}

/// Aligns columns like [`table`], with one space between them if two would not fit a terminal.
pub(super) fn narrow_table(rows: &[Vec<String>]) -> String {
    let wide = table(rows);
    let fits = wide.lines().all(|line| line.chars().count() <= TERMINAL);
    if fits { wide } else { spaced(rows, " ") }
}

fn spaced(rows: &[Vec<String>], gap: &str) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths = vec![0; columns];
    for (column, cell) in rows.iter().flat_map(|row| row.iter().enumerate()) {
        widths[column] = widths[column].max(cell.chars().count());
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            match column {
                0 => line += &format!("{cell}{pad}"),
                _ => line += &format!("{gap}{pad}{cell}"),
            }
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// A label and a text, with line breaks between words so that it fits a terminal.
pub(super) fn wrapped(label: &str, text: &str) -> String {
    let indent = label.chars().count();
    let (mut out, mut column) = (label.to_owned(), indent);
    for (n, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if n > 0 && column + 1 + width > TERMINAL {
            out.push('\n');
            out += &" ".repeat(indent);
            column = indent;
        } else if n > 0 {
            out.push(' ');
            column += 1;
        }
        out += word;
        column += width;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows =
            [vec!["due → sent".to_owned(), "1".to_owned()], vec!["x".to_owned(), "22".to_owned()]];
        assert_eq!(table(&rows), "  due → sent   1\n  x           22\n");
    }

    #[test]
    fn a_long_text_has_line_breaks_between_words() {
        let words = ["x".repeat(40), "y".repeat(37), "z".repeat(90)];
        let text = wrapped("  ", &words.join(" "));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0].chars().count(), TERMINAL);
        assert_eq!(lines[1], format!("  {}", words[2]));
        assert_eq!(wrapped("  ", "a b"), "  a b\n");
    }

    #[test]
    fn a_table_that_does_not_fit_has_narrower_gaps() {
        let row = |width: usize| [vec!["x".repeat(width), "1".to_owned(), "22".to_owned()]];
        assert_eq!(narrow_table(&row(71)), table(&row(71)));
        assert_eq!(table(&row(71)).chars().count(), TERMINAL + 1, "with the end of its line");
        assert_eq!(narrow_table(&row(72)), format!("  {} 1 22\n", "x".repeat(72)));
    }
}
