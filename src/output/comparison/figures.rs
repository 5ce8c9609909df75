//! Figures of a comparison: names, values, changes and intervals as text.

use crate::analysis::compare::figure::THROUGHPUT;
use crate::analysis::compare::{Comparison, Figure, Noise, Outcome, Part};
use crate::core::units::{format_count, format_time};
use crate::output::number::NOT_AVAILABLE;

/// A change of more than this many percent is shown as [`LARGE`].
const MOST_PERCENT: f64 = 900.0;
/// A change of less than this many percent is shown as [`SMALL`]. A time cannot change by -100 %.
const LEAST_PERCENT: f64 = -99.0;
const LARGE: &str = ">10x";
const SMALL: &str = "<-99%";

/// Name of a figure for people: `arrival p99` for `arrival.p99`.
pub(in crate::output) fn label(name: &str) -> String {
    match name {
        THROUGHPUT => "throughput".to_owned(),
        "failed_percent" => "failures".to_owned(),
        "lost_percent" => "losses".to_owned(),
        other => {
            let name = other.trim_start_matches("latency.").replacen('.', " ", 1);
            name.replace('_', ".")
        }
    }
}

/// Name of a figure after `before`: `p99` after `arrival p50`.
pub(in crate::output) fn short_label(name: &str, before: Option<&str>) -> String {
    let full = label(name);
    let kind = |label: &str| label.split_once(' ').map(|(kind, _)| kind.to_owned());
    match before.and_then(|before| kind(&label(before))) {
        Some(before) if kind(&full).as_ref() == Some(&before) => {
            full[before.len()..].trim_start().to_owned()
        }
        _ => full,
    }
}

/// Column names.
pub(in crate::output) fn head(comparison: &Comparison) -> Vec<String> {
    let interval = format!("{}% interval", comparison.confidence_percent);
    ["", "base", "new", "change", &interval, ""].map(str::to_owned).to_vec()
}

/// A figure with its values, its change and its judgement.
pub(in crate::output) fn row(comparison: &Comparison, part: &Part, figure: &Figure) -> Vec<String> {
    vec![
        label(&figure.name),
        value(figure, figure.base),
        value(figure, figure.new),
        change(figure),
        figure.interval_percent.map_or_else(|| NOT_AVAILABLE.to_owned(), |it| interval(figure, it)),
        judgement(comparison, part, figure).to_owned(),
    ]
}

/// Judgement of a figure in a word or two; empty if the verdict does not depend on it.
pub(in crate::output) fn judgement(
    comparison: &Comparison,
    part: &Part,
    figure: &Figure,
) -> &'static str {
    match figure.outcome {
        Some(Outcome::Worse) => "WORSE",
        Some(Outcome::Better) => "better",
        Some(Outcome::Same) => "same",
        Some(Outcome::Unclear) if figure.is_not_worse(comparison.tolerance_percent) => {
            "same or better"
        }
        Some(Outcome::Unclear) => "unclear",
        None if comparison.is_undecided(part, &figure.name) => "unclear",
        None => "",
    }
}

/// A value of the figure, with its unit.
pub(in crate::output) fn value(figure: &Figure, value: f64) -> String {
    match figure.name.as_str() {
        THROUGHPUT if value >= 1_000.0 => format!("{}/s", format_count(value.round() as u64)),
        THROUGHPUT => format!("{value:.1}/s"),
        _ if figure.is_time_or_rate() => format_time(value),
        _ => format!("{value:.3}%"),
    }
}

/// The change of a figure with its unit: percent of a time or rate, percentage points of a share.
pub(in crate::output) fn change(figure: &Figure) -> String {
    if figure.is_time_or_rate() {
        percent(figure.change_percent)
    } else {
        format!("{} pt", signed(figure.change_percent, 3))
    }
}

/// The change of a figure and its interval: `+20.0% (+16.4 to +23.8%)`.
pub(in crate::output) fn change_and_interval(figure: &Figure) -> String {
    let interval = figure.interval_percent.map(|it| format!(" ({})", interval(figure, it)));
    format!("{}{}", change(figure), interval.unwrap_or_default())
}

/// The interval of a change. Of a share it is in percentage points, as the change beside it.
fn interval(figure: &Figure, [low, high]: [f64; 2]) -> String {
    if !figure.is_time_or_rate() {
        return format!("{} to {}", signed(low, 3), signed(high, 3));
    }
    match (capped(low), capped(high)) {
        (None, None) => format!("{} to {}%", signed(low, 1), signed(high, 1)),
        (Some(low), Some(high)) if low == high => low.to_owned(),
        _ => format!("{} to {}", percent(low), percent(high)),
    }
}

/// One end of the interval of a change, with its unit.
pub(in crate::output) fn bound(figure: &Figure, end: f64) -> String {
    if figure.is_time_or_rate() { percent(end) } else { signed(end, 3) }
}

/// A change in percent, as a bound if it is large.
fn percent(change: f64) -> String {
    capped(change).map_or_else(|| format!("{}%", signed(change, 1)), str::to_owned)
}

/// The bound that a large change is shown as.
fn capped(change: f64) -> Option<&'static str> {
    if change > MOST_PERCENT {
        Some(LARGE)
    } else if change < LEAST_PERCENT {
        Some(SMALL)
    } else {
        None
    }
}

/// A number with its sign; zero has none.
fn signed(value: f64, places: usize) -> String {
    let text = format!("{value:+.places$}");
    let is_zero = text.chars().all(|c| matches!(c, '+' | '-' | '0' | '.'));
    if is_zero { text[1..].to_owned() } else { text }
}

/// Source of an interval.
pub(in crate::output) fn source(noise: Noise) -> &'static str {
    match noise {
        Noise::Runs => "variation between runs",
        Noise::Seconds => "variation between seconds",
        Noise::Values => "number of values",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, change: f64, interval: [f64; 2]) -> Figure {
        Figure {
            name: name.to_owned(),
            base: 1_000.0,
            new: 1_000.0,
            base_interval: None,
            new_interval: None,
            change_percent: change,
            interval_percent: Some(interval),
            noise: Some(Noise::Seconds),
            outcome: None,
        }
    }

    #[test]
    fn changes_are_capped_where_their_size_has_no_meaning() {
        for (change, interval, text) in [
            (20.03, [16.4, 23.76], "+20.0% (+16.4 to +23.8%)"),
            (-0.01, [-5.0, 4.0], "0.0% (-5.0 to +4.0%)"),
            (300.0, [-92.6, 10_476_328.0], "+300.0% (-92.6% to >10x)"),
            (5_000.0, [1_000.0, 9_000.0], ">10x (>10x)"),
            (-50.0, [-99.99, 3.0], "-50.0% (<-99% to +3.0%)"),
        ] {
            assert_eq!(change_and_interval(&figure("arrival.p99", change, interval)), text);
        }
        let share = figure("failed_percent", 0.0, [-0.0832, 0.0832]);
        assert_eq!(change_and_interval(&share), "0.000 pt (-0.083 to +0.083)");
    }

    #[test]
    fn figures_have_plain_names() {
        let names = ["arrival.p99_9", "latency.response.p50", THROUGHPUT, "lost_percent"];
        let labels = ["arrival p99.9", "response p50", "throughput", "losses"];
        assert_eq!(names.map(label), labels);
        assert_eq!(short_label("arrival.p99", Some("arrival.p50")), "p99");
        assert_eq!(short_label("latency.response.p50", Some("arrival.p50")), "response p50");
        assert_eq!(short_label("lost_percent", Some("failed_percent")), "losses");
    }
}
