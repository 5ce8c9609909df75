//! Whether to believe the numbers, and whether they are good enough.

use super::markup::{Figures, Unit, escape, head, table};
use super::run::View;
use crate::output::text::why_valid;
use crate::report::failures::failure_name;
use crate::report::lookup::{found, is_percent, is_time, name_in};
use crate::report::result::{Allowed, RunResult};
use crate::report::{GeneratorState, Report, ThresholdResult};

/// The result of the whole and the verdict in a word or two, for the top of the page.
pub(super) fn run_badges(report: &Report, allowed: Allowed) -> String {
    let result = result_badge(&RunResult::of_run(report, allowed));
    format!("<p class=\"badges\">{result}</p>{}", badges(report))
}

/// The verdict in a word or two, for a step of a ramp too.
pub(super) fn badges(report: &Report) -> String {
    let verdict = &report.verdict;
    let failures = verdict.failures.iter().map(|failure| badge(false, failure_name(failure)));
    let mut badges: Vec<_> = failures.chain([generator_badge(report)]).collect();
    let (all, failed) = (verdict.thresholds.len(), failed(&verdict.thresholds));
    if all > 0 {
        let text = match failed {
            0 => format!("{all} of {all} conditions passed"),
            _ => format!("{failed} of {all} conditions failed"),
        };
        badges.push(badge(failed == 0, &text));
    }
    if report.run.interrupted {
        badges.push(badge(false, "interrupted"));
    }
    format!("<p class=\"badges\">{}</p>", badges.join(" "))
}

fn failed(thresholds: &[ThresholdResult]) -> usize {
    thresholds.iter().filter(|threshold| !threshold.ok).count()
}

/// Whether the generator held its plan.
fn generator_badge(report: &Report) -> String {
    match report.verdict.generator {
        GeneratorState::Valid => badge(true, &format!("generator valid: {}", why_valid(report))),
        _ => badge(false, "generator LIMITED: do not trust these numbers"),
    }
}

/// The result of the whole.
pub(super) fn result_badge(result: &RunResult) -> String {
    badge(result.passed(), &format!("RESULT {result}"))
}

/// Good or bad, told by more than a colour.
pub(super) fn badge(good: bool, text: &str) -> String {
    let (class, sign) = if good { ("good", "✓") } else { ("bad", "✗") };
    let text = escape(text);
    format!("<span class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> {text}</span>")
}

/// Failures, reasons why the generator is limited, what else a reader must know, and the conditions; nothing where all is plain.
pub(super) fn verdict(view: &View<'_>) -> String {
    let verdict = &view.report.verdict;
    let item =
        |class: &str, text: &String| format!("<li class=\"{class}\">{}</li>\n", escape(text));
    let bad = verdict.failures.iter().chain(&verdict.reasons);
    let reasons = bad.map(|reason| item("bad", reason));
    let notes = verdict.notes.iter().map(|note| item("note", note));
    let mut items: String = reasons.chain(notes).collect();
    if !items.is_empty() {
        items = format!("<ul class=\"notes\">\n{items}</ul>\n");
    }
    items + &conditions(&view.figures, &verdict.thresholds)
}

/// What a condition is about.
fn unit(expr: &str) -> Unit {
    if is_time(name_in(expr)) { Unit::Time } else { Unit::Plain }
}

fn conditions(figures: &Figures<'_>, thresholds: &[ThresholdResult]) -> String {
    if thresholds.is_empty() {
        return String::new();
    }
    let row = |(n, threshold): (usize, &ThresholdResult)| {
        let path = format!("/verdict/thresholds/{n}/value");
        let value = match found(threshold).filter(|_| is_percent(name_in(&threshold.expr))) {
            Some(percent) => figures.show_as(&path, &percent),
            None => figures.show(&path, unit(&threshold.expr)),
        };
        let word = if threshold.ok { "passed" } else { "failed" };
        vec![format!("<code>{}</code>", escape(&threshold.expr)), value, badge(threshold.ok, word)]
    };
    let rows: Vec<_> = thresholds.iter().enumerate().map(row).collect();
    table("Conditions", &head(["fail if", "it is", ""]), &rows)
}
