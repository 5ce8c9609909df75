//! A comparison as text: the verdict, the figures of both sides, and the verdict again.

pub(super) mod figures;
mod sentence;

use std::fmt::Write as _;

use super::TextOptions;
use super::style::TextStyle;
use super::table::{fitted, fitted_table};
use crate::analysis::compare::share::TOLERATED_POINTS;
use crate::analysis::compare::{Comparison, Figure, Noise, Part};
pub(super) use figures::{change_and_interval, source, value};
use figures::{head, row};
pub(super) use sentence::VerdictSentence;
use sentence::figure_list;

/// The text for files and pipes.
pub(crate) fn comparison_text(comparison: &Comparison, options: TextOptions) -> String {
    styled_comparison_text(comparison, options, TextStyle::PLAIN)
}

/// The whole text. The verdict is its first and its last line.
pub(crate) fn styled_comparison_text(
    comparison: &Comparison,
    options: TextOptions,
    style: TextStyle,
) -> String {
    let sentence = VerdictSentence { comparison, allowed: options.allowed };
    let verdict = fitted("", &painted(&sentence, style), style);
    let mut out = format!("{verdict}\n");
    out += &fitted("Base  ", &comparison.base.join(", "), style);
    out += &fitted("New   ", &comparison.new.join(", "), style);
    for part in &comparison.parts {
        out.push('\n');
        if let Some(step) = &part.step {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "Step  {step}: {}", comparison.verdict_on(part).word());
        }
        out += &figure_table(comparison, part, options, style);
    }
    out.push('\n');
    for note in &comparison.notes {
        out += &fitted("  Note      ", note, style);
    }
    for failure in &comparison.failed {
        out += &fitted("  Failed    ", failure, style);
    }
    if !comparison.notes.is_empty() || !comparison.failed.is_empty() {
        out.push('\n');
    }
    out + &verdict
}

/// The sentence with its first word, the verdict, in the colour of its meaning.
fn painted(sentence: &VerdictSentence<'_>, style: TextStyle) -> String {
    let text = sentence.to_string();
    let end = text.find(|c: char| !c.is_uppercase()).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    style.verdict(sentence.tone(), word) + rest
}

/// The figures that decide. With `--latency` also the others, and the source of each interval.
fn figure_table(
    comparison: &Comparison,
    part: &Part,
    options: TextOptions,
    style: TextStyle,
) -> String {
    let decides =
        |figure: &&Figure| figure.outcome.is_some() || comparison.is_undecided(part, &figure.name);
    let shown: Vec<_> =
        part.figures.iter().filter(|figure| options.latency || decides(figure)).collect();
    let mut rows = vec![head(comparison)];
    rows.extend(shown.iter().map(|figure| row(comparison, part, figure)));
    let mut out = fitted_table(&rows, style);
    if options.latency {
        for noise in [Noise::Runs, Noise::Seconds, Noise::Values] {
            let of = shown.iter().filter(|figure| figure.noise == Some(noise));
            let names: Vec<_> = of.map(|figure| figure.name.as_str()).collect();
            if !names.is_empty() {
                let text = format!("from the {}: {}", source(noise), figure_list(&names));
                out += &fitted("  Interval  ", &text, style);
            }
        }
    }
    out
}

/// A row for each figure of a part, below a row of column names.
pub(super) fn figure_rows(comparison: &Comparison, part: &Part) -> Vec<Vec<String>> {
    let mut rows = vec![head(comparison)];
    rows[0][0] = part.step.clone().unwrap_or_default();
    rows.extend(part.figures.iter().map(|figure| row(comparison, part, figure)));
    rows
}

/// The rule of the verdict in a sentence.
pub(super) fn rule(comparison: &Comparison) -> String {
    format!(
        "A figure is worse if its whole interval is beyond {}%; failures and losses, beyond \
         {TOLERATED_POINTS} percentage points.",
        comparison.tolerance_percent
    )
}
