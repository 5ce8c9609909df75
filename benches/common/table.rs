//! Tables in Markdown, as they go into docs/performance.md.

use loadgen::core::units::format_count;

/// Prints a table; the first column is words, the others are numbers.
pub(crate) fn print(header: &[String], rows: &[Vec<String>]) {
    let line = |cells: &[String]| println!("| {} |", cells.join(" | "));
    line(header);
    println!("| --- |{}", " ---: |".repeat(header.len() - 1));
    rows.iter().for_each(|row| line(row));
}

/// A number with `digits` after the point. Whole numbers have their digits in groups of three.
pub(crate) fn number(value: Option<f64>, digits: usize) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if digits == 0 => format_count(value.round() as u64),
        Some(value) => format!("{value:.digits$}"),
    }
}
