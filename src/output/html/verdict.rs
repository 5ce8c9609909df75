//! The verdict: badges, failures, reasons, notes and conditions.

use super::located::{Located, field, number};
use super::markup::{Unit, escape};
use super::table::{Cell, head, table};
use crate::core::units::format_some;
use crate::output::text::why_valid;
use crate::report::lookup::{found, is_percent, is_time, name_in};
use crate::report::result::{Allowed, RunResult};
use crate::report::{Report, ThresholdResult, Verdict};

/// Badges at the top of a run's page: the result, then the parts of the verdict.
pub(super) fn run_badges(report: &Report, allowed: Allowed) -> String {
    let mut all = vec![result_badge(&RunResult::of_run(report, allowed))];
    all.extend(parts(report));
    row(&all)
}

/// The parts of the verdict on a step of a ramp, each as a badge.
pub(super) fn step_badges(report: &Report) -> String {
    row(&parts(report))
}

fn row(badges: &[String]) -> String {
    format!("<p class=\"badges\">{}</p>", badges.join(" "))
}

/// The parts of the verdict, each as a badge.
fn parts(report: &Report) -> Vec<String> {
    let verdict = &report.verdict;
    let failures = verdict.failures.iter().map(|failure| badge(false, &failure.name()));
    let mut badges: Vec<_> = failures.chain([generator_badge(report)]).collect();
    let all = verdict.thresholds.len();
    let failed = verdict.thresholds.iter().filter(|threshold| !threshold.ok).count();
    if all > 0 && failed == 0 {
        let tone = if verdict.failures.is_empty() { BadgeTone::Good } else { BadgeTone::Neutral };
        badges.push(tone.badge(&format!(
            "{all} of {} passed",
            format_some(all as u64, "condition", "conditions")
        )));
    } else if all > 0 {
        badges.push(badge(
            false,
            &format!("{failed} of {} failed", format_some(all as u64, "condition", "conditions")),
        ));
    }
    if report.run.interrupted {
        badges.push(badge(false, "interrupted"));
    }
    badges
}

/// The verdict on the generator. It is not green if the run proves nothing.
fn generator_badge(report: &Report) -> String {
    if report.verdict.generator.is_valid() {
        let proves = report.verdict.failures.is_empty();
        let tone = if proves { BadgeTone::Good } else { BadgeTone::Neutral };
        tone.badge(&format!("generator valid: {}", why_valid(report)))
    } else {
        badge(false, "generator LIMITED: do not trust these numbers")
    }
}

/// The result of a run or ramp.
pub(super) fn result_badge(result: &RunResult) -> String {
    let text = format!("RESULT {result}");
    if result.falls_short() {
        BadgeTone::Warning.badge(&text)
    } else {
        badge(result.passed(), &text)
    }
}

/// Colour and sign of a badge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadgeTone {
    Good,
    Bad,
    /// Good with a fact that a reader must know.
    Warning,
    /// A fact that is neither.
    Neutral,
}

impl BadgeTone {
    /// A short text with the colour and the sign.
    pub(super) fn badge(self, text: &str) -> String {
        let (class, sign) = match self {
            Self::Good => ("good", "✓"),
            Self::Bad => ("bad", "✗"),
            Self::Warning => ("unclear", "!"),
            Self::Neutral => ("neutral", "·"),
        };
        let text = escape(text);
        format!(
            "<span class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> {text}</span>"
        )
    }
}

/// A badge that says if something is good.
pub(super) fn badge(good: bool, text: &str) -> String {
    let tone = if good { BadgeTone::Good } else { BadgeTone::Bad };
    tone.badge(text)
}

/// Failures, reasons why the generator is limited, notes and conditions; empty if there are none.
pub(super) fn verdict(report: &Located<'_, Report>) -> String {
    let verdict = field!(report, verdict);
    let mut items = String::new();
    for reason in verdict.failures.iter().chain(&verdict.reasons) {
        items += &list_item("bad", &reason.to_string());
    }
    for note in &verdict.notes {
        items += &list_item("note", &note.to_string());
    }
    if !items.is_empty() {
        items = format!("<ul class=\"notes\">\n{items}</ul>\n");
    }
    items + &conditions(&verdict)
}

fn list_item(class: &str, text: &str) -> String {
    format!("<li class=\"{class}\">{}</li>\n", escape(text))
}

fn conditions(verdict: &Located<'_, Verdict>) -> String {
    if verdict.thresholds.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = field!(verdict, thresholds).items().map(|one| condition_row(&one)).collect();
    table("Conditions", &head(["fail if", "it is", ""]), rows)
}

fn condition_row(threshold: &Located<'_, ThresholdResult>) -> Vec<Cell> {
    let name = name_in(&threshold.expr);
    let value = number!(threshold, value);
    let value = match found(threshold).filter(|_| is_percent(name)) {
        Some(percent) => Cell::from(value.show_as(&percent)),
        None if is_time(name) => Cell::from(value.show(Unit::Time)),
        None => value.cell(Unit::Plain),
    };
    let word = if threshold.ok { "passed" } else { "failed" };
    let condition = format!("<code>{}</code>", escape(&threshold.expr));
    vec![condition.into(), value, badge(threshold.ok, word).into()]
}
