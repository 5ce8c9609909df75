//! A comparison as text: the figures of both sides, their change, and its interval.

use std::fmt::Write as _;

use crate::analysis::compare::figure::{Figure, Noise, Outcome, TOLERATED_POINTS};
use crate::analysis::compare::{Comparison, Part};
use crate::core::units::format_time;
use crate::output::number::NOT_AVAILABLE;
use crate::output::table::{table, wrapped};

/// The whole text.
pub(crate) fn comparison_text(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "Base  {}", comparison.base.join(", "));
    let _ = writeln!(out, "New   {}", comparison.new.join(", "));
    for part in &comparison.parts {
        out.push('\n');
        out += &table(&figure_rows(comparison, part));
    }
    out.push('\n');
    out.extend(comparison.notes.iter().map(|note| wrapped("  Note      ", note)));
    for failure in &comparison.failed {
        out += &wrapped("  Failed    ", failure);
    }
    out += &wrapped("  Verdict   ", &verdict(comparison));
    out
}

/// The verdict in a sentence.
pub(super) fn verdict(comparison: &Comparison) -> String {
    let tolerance = comparison.tolerance_percent;
    let worse = names(comparison, Outcome::Worse);
    let mut out = if worse.is_empty() {
        format!("not worse by more than {tolerance}% beyond chance")
    } else {
        format!("WORSE by more than {tolerance}% beyond chance: {worse}")
    };
    let unclear = names(comparison, Outcome::Unclear);
    if worse.is_empty() && !unclear.is_empty() {
        out += &format!("; too noisy to exclude it: {unclear}");
    }
    if worse.is_empty() && !comparison.undecided.is_empty() {
        let names = comparison.undecided.join(", ");
        out += &format!("; CANNOT TELL, too few answers or whole seconds: {names}");
    }
    if !comparison.failed.is_empty() {
        out += "; a run failed: do not trust this comparison";
    }
    if !comparison.trusted {
        out += "; a generator could not hold its plan: do not trust these numbers";
    }
    out
}

/// Names of the figures with an outcome, each with its step.
fn names(comparison: &Comparison, outcome: Outcome) -> String {
    let mut names = Vec::new();
    for part in &comparison.parts {
        let step = part.step.as_ref().map(|step| format!("{step} ")).unwrap_or_default();
        let figures = part.figures.iter().filter(|figure| figure.outcome == Some(outcome));
        names.extend(figures.map(|figure| format!("{step}{}", figure.name)));
    }
    names.join(", ")
}

/// A row for each figure of a part, below a row of column names.
pub(super) fn figure_rows(comparison: &Comparison, part: &Part) -> Vec<Vec<String>> {
    let title = part.step.clone().unwrap_or_default();
    let interval = format!("{}% interval", comparison.confidence_percent);
    let head = [title.as_str(), "base", "new", "change", &interval, "noise of", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(part.figures.iter().map(row));
    rows
}

/// A value of the figure, with its unit.
pub(super) fn value(figure: &Figure, value: f64) -> String {
    match figure.name.as_str() {
        "requests.completed_per_s" => format!("{value:.1}/s"),
        name if name.ends_with("_percent") => format!("{value:.3}%"),
        _ => format_time(value),
    }
}

fn row(figure: &Figure) -> Vec<String> {
    vec![
        format!("  {}", figure.name.trim_start_matches("latency.")),
        side(figure, figure.base, figure.base_interval),
        side(figure, figure.new, figure.new_interval),
        change(figure, figure.change_percent),
        figure.interval_percent.map_or_else(
            || NOT_AVAILABLE.to_owned(),
            |[low, high]| format!("{} to {}", signed(figure, low), change(figure, high)),
        ),
        match figure.noise {
            Some(Noise::Runs) => "runs",
            Some(Noise::Seconds) => "seconds",
            Some(Noise::Values) => "values",
            None => NOT_AVAILABLE,
        }
        .to_owned(),
        match figure.outcome {
            Some(Outcome::Worse) => "WORSE",
            Some(Outcome::Better) => "better",
            Some(Outcome::Same) => "same",
            Some(Outcome::Unclear) => "unclear",
            None => "shown only",
        }
        .to_owned(),
    ]
}

/// A side's value, with half of its interval.
fn side(figure: &Figure, middle: f64, interval: Option<[f64; 2]>) -> String {
    let middle = value(figure, middle);
    match interval {
        Some([low, high]) => format!("{middle} ±{}", value(figure, (high - low) / 2.0)),
        None => middle,
    }
}

/// A change with its unit: percent of a time or rate, percentage points of a share.
fn change(figure: &Figure, change: f64) -> String {
    let unit = if figure.is_time_or_rate() { "%" } else { " points" };
    format!("{}{unit}", signed(figure, change))
}

fn signed(figure: &Figure, change: f64) -> String {
    let places = if figure.is_time_or_rate() { 1 } else { 3 };
    format!("{change:+.places$}")
}

/// The rule of the verdict in a sentence.
pub(super) fn footnote(comparison: &Comparison) -> String {
    format!(
        "A figure is worse if its whole interval is beyond {}%; for failed and lost, beyond \
         {TOLERATED_POINTS} percentage points.",
        comparison.tolerance_percent
    )
}
