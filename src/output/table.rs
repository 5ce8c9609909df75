//! Text in columns, and sentences below a label, within the width of a terminal.

use std::ops::Range;

use super::style::{TextStyle, Tone, columns_of, wrap_items};

/// Most blocks that a wide table is cut into; in more, its rows cannot be compared.
const MOST_BLOCKS: usize = 3;

/// Aligns columns within the width of the style: the first to the left, the others to the right, with two spaces between
/// them. What is too wide has one space between columns, then heads of two lines, then blocks of columns below each other,
/// and at last, on a terminal, a list for each row.
pub(super) fn fitted_table(rows: &[Vec<String>], style: TextStyle) -> String {
    if let Some(table) = one_block(rows, style) {
        return table;
    }
    if let Some(blocks) = blocks(rows, style) {
        return blocks;
    }
    // Programs read files and pipes by rows.
    if style.is_terminal() { lists(rows, style) } else { spaced(rows, " ").concat() }
}

/// The table with all columns beside each other; `None` if they do not fit.
pub(super) fn one_block(rows: &[Vec<String>], style: TextStyle) -> Option<String> {
    let folded = with_folded_heads(rows);
    let tries = [(rows, 1, "  "), (rows, 1, " "), (&folded, 2, "  "), (&folded, 2, " ")];
    for (rows, heads, gap) in tries {
        let mut lines = spaced(rows, gap);
        if lines.iter().all(|line| columns_of(line.trim_end()) <= style.width) {
            for head in lines.iter_mut().take(heads) {
                *head = style.paint(Tone::Quiet, head.trim_end_matches('\n')) + "\n";
            }
            return Some(lines.concat());
        }
    }
    None
}

fn spaced(rows: &[Vec<String>], gap: &str) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths = vec![0; columns];
    for (column, cell) in rows.iter().flat_map(|row| row.iter().enumerate()) {
        widths[column] = widths[column].max(columns_of(cell));
    }
    rows.iter().map(|row| spaced_row(row, &widths, gap)).collect()
}

fn spaced_row(row: &[String], widths: &[usize], gap: &str) -> String {
    let mut line = String::from("  ");
    for (column, cell) in row.iter().enumerate() {
        let pad = " ".repeat(widths[column] - columns_of(cell));
        match column {
            0 => line += &format!("{cell}{pad}"),
            _ => line += &format!("{gap}{pad}{cell}"),
        }
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

/// The rows with a second line of heads: `response p50` becomes `response` above `p50`.
fn with_folded_heads(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let Some((heads, rows)) = rows.split_first() else { return Vec::new() };
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for (column, head) in heads.iter().enumerate() {
        let parts = head.split_once(' ').filter(|_| column > 0);
        let (upper, lower) = parts.unwrap_or(("", head));
        above.push(upper.to_owned());
        below.push(lower.to_owned());
    }
    [vec![above, below], rows.to_vec()].concat()
}

/// The columns after the first, in groups that stay together: `p99` belongs to the `response p50` before it.
fn column_groups(heads: &[String]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (column, head) in heads.iter().enumerate().skip(1) {
        let mut letters = head.chars();
        let is_percentile =
            letters.next() == Some('p') && letters.next().is_some_and(|c| c.is_ascii_digit());
        match groups.last_mut() {
            Some(group) if is_percentile => group.end = column + 1,
            _ => groups.push(column..column + 1),
        }
    }
    groups
}

/// Blocks of columns below each other, each with the first column; `None` if they are too many or do not fit.
fn blocks(rows: &[Vec<String>], style: TextStyle) -> Option<String> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    for group in column_groups(rows.first()?) {
        if let Some(last) = blocks.last_mut()
            && one_block(&columns(rows, last.start..group.end), style).is_some()
        {
            last.end = group.end;
            continue;
        }
        blocks.push(group);
    }
    if blocks.len() > MOST_BLOCKS {
        return None;
    }
    let blocks = blocks.into_iter().map(|block| one_block(&columns(rows, block), style));
    Some(blocks.collect::<Option<Vec<_>>>()?.join("\n"))
}

/// The first column and a range of the others.
fn columns(rows: &[Vec<String>], range: Range<usize>) -> Vec<Vec<String>> {
    let mut kept = Vec::new();
    for row in rows {
        let cells = row.get(range.start..range.end.min(row.len())).unwrap_or_default();
        kept.push([&row[..1], cells].concat());
    }
    kept
}

/// The rows as lists: the first cell, and below it each other cell after its head.
fn lists(rows: &[Vec<String>], style: TextStyle) -> String {
    let Some((heads, rows)) = rows.split_first() else { return String::new() };
    let mut out = String::new();
    for row in rows {
        let Some((name, cells)) = row.split_first() else { continue };
        // A name is not broken: a part of it must not look like a row of its own.
        out += &format!("  {}\n", name.split_whitespace().collect::<Vec<_>>().join(" "));
        let items = heads.iter().skip(1).zip(cells).map(|(head, cell)| {
            format!("{} {cell}", style.paint(Tone::Quiet, head)).trim().to_owned()
        });
        let items: Vec<_> = items.collect();
        out += &wrap_items("    ", items.iter().map(String::as_str), "  ", style);
    }
    out
}

/// A label and a text, with line breaks between words so that it fits the style.
pub(crate) fn fitted(label: &str, text: &str, style: TextStyle) -> String {
    wrap_items(label, text.split(' '), " ", style)
}

/// A line that begins with spaces, broken between words if it is too long; its other lines are indented by four more.
pub(super) fn fitted_line(line: &str, style: TextStyle) -> String {
    if columns_of(line) <= style.width {
        return format!("{line}\n");
    }
    let text = line.trim_start();
    let indent = line.len() - text.len();
    let first = text.split(' ').next().unwrap_or_default();
    let label = format!("{}{first}", " ".repeat(indent));
    let rest = text[first.len()..].split(' ').filter(|word| !word.is_empty());
    wrap_items(&format!("{label} "), rest, " ", style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::Characters;

    fn table(rows: &[Vec<String>]) -> String {
        spaced(rows, "  ").concat()
    }

    fn wrapped(label: &str, text: &str) -> String {
        fitted(label, text, TextStyle::PLAIN)
    }

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
        assert_eq!(lines[0].chars().count(), 80);
        assert_eq!(lines[1], format!("  {}", words[2]));
        assert_eq!(wrapped("  ", "a b"), "  a b\n");
    }

    fn rows(text: &[&str]) -> Vec<Vec<String>> {
        text.iter().map(|row| row.split('|').map(str::to_owned).collect()).collect()
    }

    fn at(columns: usize) -> TextStyle {
        TextStyle::terminal(columns, false, Characters::Marks)
    }

    #[test]
    fn a_table_that_does_not_fit_has_narrower_gaps() {
        let row = |width: usize| [vec!["x".repeat(width), "1".to_owned(), "22".to_owned()]];
        assert_eq!(fitted_table(&row(71), at(80)), table(&row(71)));
        assert_eq!(table(&row(71)).chars().count(), 81, "with the end of its line");
        assert_eq!(fitted_table(&row(72), at(80)), format!("  {} 1 22\n", "x".repeat(72)));
    }

    #[test]
    fn a_wide_table_has_heads_of_two_lines_then_blocks_then_lists() {
        let steps = rows(&[
            "Step|rate|response p50|p99|arrival p50|p99",
            "a|1,000/s|564us|1.07ms|2.15ms|3.96ms",
        ]);
        assert_eq!(
            fitted_table(&steps, at(50)),
            "                 response          arrival\n  \
             Step     rate       p50     p99      p50     p99\n  \
             a     1,000/s     564us  1.07ms   2.15ms  3.96ms\n"
        );
        assert_eq!(
            fitted_table(&steps, at(40)),
            "  Step     rate  response p50     p99\n  \
             a     1,000/s         564us  1.07ms\n\n  \
             Step  arrival p50     p99\n  \
             a          2.15ms  3.96ms\n"
        );
        let long = rows(&["|p50|p90|p99", "  response  due → answered|1ms|22.5ms|333ms"]);
        assert_eq!(
            fitted_table(&long, at(36)),
            "  response due → answered\n    p50 1ms  p90 22.5ms  p99 333ms\n"
        );
    }

    #[test]
    fn a_painted_cell_is_aligned_by_what_is_seen() {
        let colours = TextStyle::terminal(80, true, Characters::Marks);
        let bad = colours.paint(Tone::Bad, "7");
        let cells = [vec!["a".to_owned(), bad], vec!["b".to_owned(), "22".to_owned()]];
        assert_eq!(table(&cells), "  a   \x1b[1;31m7\x1b[0m\n  b  22\n");
    }

    #[test]
    fn a_long_line_keeps_its_indent() {
        assert_eq!(fitted_line("  a b", at(40)), "  a b\n");
        let line = format!("  240000 requests in {}, 17.17MB read", "x".repeat(20));
        assert_eq!(
            fitted_line(&line, at(40)),
            format!("  240000 requests in\n    {}, 17.17MB read\n", "x".repeat(20))
        );
    }
}
