//! A comparison for people: both sides' figures, what changed, and how sure that is.

use std::fmt::Write as _;

use crate::analysis::compare::figure::{Figure, Noise, Outcome, TOLERATED_POINTS};
use crate::analysis::compare::{Comparison, Part};
use crate::core::units::format_time;
use crate::output::table::{table, wrapped};

/// The whole text.
pub fn comparison_text(comparison: &Comparison) -> String {
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
    let of = |wanted: Outcome| {
        let mut names = Vec::new();
        for part in &comparison.parts {
            let step = part.step.as_ref().map(|step| format!("{step} ")).unwrap_or_default();
            let found = part.figures.iter().filter(|figure| figure.outcome == Some(wanted));
            names.extend(found.map(|figure| format!("{step}{}", figure.name)));
        }
        names.join(", ")
    };
    let worse = of(Outcome::Worse);
    let mut out = if worse.is_empty() {
        format!("not worse by more than {tolerance}% beyond chance")
    } else {
        format!("WORSE by more than {tolerance}% beyond chance: {worse}")
    };
    let unclear = of(Outcome::Unclear);
    if worse.is_empty() && !unclear.is_empty() {
        out += &format!("; too noisy to exclude it: {unclear}");
    }
    if worse.is_empty() && !comparison.undecided.is_empty() {
        let names = comparison.undecided.join(", ");
        out += &format!("; CANNOT TELL, for want of answers or of whole seconds: {names}");
    }
    if !comparison.failed.is_empty() {
        out += "; a run failed: do not trust this comparison";
    }
    if !comparison.trusted {
        out += "; a generator could not hold its plan: do not trust these numbers";
    }
    out
}

/// A part's figures, a row each; the first row is the head.
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
    let value = |of: f64| value(figure, of);
    // A share changes by points, anything else by a share of itself.
    let (unit, places) = if figure.is_time_or_rate() { ("%", 1) } else { (" points", 3) };
    let change = |change: f64| format!("{change:+.places$}{unit}");
    let interval = |[low, high]: [f64; 2]| format!("{low:+.places$} to {high:+.places$}{unit}");
    let side = |middle: f64, interval: Option<[f64; 2]>| match interval {
        Some([low, high]) => format!("{} ±{}", value(middle), value((high - low) / 2.0)),
        None => value(middle),
    };
    vec![
        format!("  {}", figure.name.trim_start_matches("latency.")),
        side(figure.base, figure.base_interval),
        side(figure.new, figure.new_interval),
        change(figure.change_percent),
        figure.interval_percent.map_or_else(|| "n/a".to_owned(), interval),
        match figure.noise {
            Some(Noise::Runs) => "runs",
            Some(Noise::Seconds) => "seconds",
            Some(Noise::Values) => "values",
            None => "n/a",
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

/// What decides, for documents that have room to say it.
pub(super) fn footnote(comparison: &Comparison) -> String {
    format!(
        "Worse is what lies beyond {}% with its whole interval; of failed and lost beyond \
         {TOLERATED_POINTS} percentage points.",
        comparison.tolerance_percent
    )
}
