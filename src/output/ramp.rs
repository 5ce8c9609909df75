//! A ramp's report as text: a row for each step, and the findings as sentences.

use std::fmt::Write as _;

use super::number::time;
use super::table::{narrow_table, wrapped};
use super::text::TextOptions;
use crate::core::units::format_count;
use crate::report::Remark;
use crate::report::Report;
use crate::report::lookup::it_is;
use crate::report::ramp::{RampReport, RampStep};
use crate::report::result::RunResult;

/// Text of a cell without a figure.
const NONE: &str = "-";

/// The report as text.
pub(crate) fn ramp_text(report: &RampReport, options: TextOptions) -> String {
    let kind = if report.planned_steps.is_some() { "Ramp" } else { "Search" };
    let mut out = format!("{kind} {}: {}\n", report.name, report.progress());
    // Writing to a String cannot fail, here and below.
    if let Some(question) = &report.question {
        let _ = writeln!(out, "  {question}");
    }
    if !report.steps.is_empty() {
        out.push('\n');
        out += &narrow_table(&step_rows(report));
    }
    for (kind, reason) in reasons(report) {
        out += &wrapped(&format!("  {kind:<10}"), &reason);
    }
    if !report.findings.is_empty() {
        out += "\nFindings\n";
    }
    for finding in &report.findings {
        out += &wrapped(&format!("  {:<12}", finding.kind.name()), &finding.text);
    }
    if !report.complete {
        out += "\nNot complete: it ended before its last step\n";
    }
    out.push('\n');
    out + &RunResult::of_ramp(report, options.allowed).line()
}

/// Reasons why steps went wrong, each with its label: errors first, then failures and thresholds of each step.
pub(super) fn reasons(report: &RampReport) -> Vec<(&'static str, String)> {
    let mut reasons = Vec::new();
    for step in &report.steps {
        let error = step.error.iter();
        reasons.extend(error.map(|why| ("Error", format!("{}: {why}", step.name))));
    }
    for step in &report.steps {
        let failures = step.failures().iter();
        reasons.extend(failures.map(|why| ("Failed", format!("{}: {why}", step.name))));
        let thresholds = step.report.iter().flat_map(|report| &report.verdict.thresholds);
        // A search tries values that fail on purpose.
        for failed in thresholds.filter(|one| !one.ok && report.search.is_none()) {
            let reason = format!("{}: {} ({})", step.name, failed.expr, it_is(failed));
            reasons.push(("Fail if", reason));
        }
    }
    reasons
}

/// A row for each step, below a row of column names.
pub(super) fn step_rows(report: &RampReport) -> Vec<Vec<String>> {
    let head = [
        "Step",
        "rate",
        "response p50",
        "p99",
        "arrival p50",
        "p99",
        "lost",
        "busiest",
        "CPU",
        "queue",
        "verdict",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (number, step) in report.steps.iter().enumerate() {
        rows.push(step_row(report, number, step));
    }
    without_empty_columns(&rows)
}

/// The rows without the columns in which no step has a figure: a third of them in a ramp without messages.
fn without_empty_columns(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let kept: Vec<_> = (0..rows[0].len()).filter(|column| has_figure(rows, *column)).collect();
    rows.iter().map(|row| kept.iter().map(|column| row[*column].clone()).collect()).collect()
}

fn has_figure(rows: &[Vec<String>], column: usize) -> bool {
    rows.len() == 1 || rows[1..].iter().any(|row| row[column] != NONE)
}

fn step_row(ramp: &RampReport, number: usize, step: &RampStep) -> Vec<String> {
    let mut row = vec![step.name.clone()];
    match &step.report {
        Some(report) => row.extend(figures(report)),
        None => row.resize(10, NONE.to_owned()),
    }
    row.push(verdict(ramp, number, step));
    row
}

fn figures(report: &Report) -> [String; 9] {
    let (response, arrival) = (&report.latency.response, report.arrival.as_ref());
    let busiest =
        (report.resources.iter()).max_by(|a, b| a.cpu_percent_mean.total_cmp(&b.cpu_percent_mean));
    let depth = report.series.iter().filter_map(|row| row.queue_depth).max();
    [
        format!("{}/s", format_count(report.requests.rate_achieved.round() as u64)),
        time(response.p50),
        time(response.p99),
        cell(arrival.map(|arrival| time(arrival.p50))),
        cell(arrival.map(|arrival| time(arrival.p99))),
        cell(report.messages.as_ref().map(|messages| format_count(messages.lost))),
        cell(busiest.map(|used| used.component.clone())),
        cell(busiest.map(|used| format!("{:.0}%", used.cpu_percent_mean))),
        cell(depth.map(format_count)),
    ]
}

fn cell(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| NONE.to_owned())
}

/// Result of a step in a few words.
fn verdict(ramp: &RampReport, number: usize, step: &RampStep) -> String {
    let Some(report) = step.report.as_ref().filter(|_| step.error.is_none()) else {
        return "error".to_owned();
    };
    let trials = ramp.search.iter().flat_map(|search| &search.trials);
    let trial = trials.into_iter().find(|trial| trial.step == number as u64);
    let mut words = Vec::new();
    words.extend(trial.map(|trial| trial.outcome.words().to_owned()));
    if !report.verdict.generator.is_valid() {
        words.push(report.verdict.generator.word().to_owned());
    }
    let failures = step.failures();
    words.extend(failures.iter().map(Remark::name));
    if failures.is_empty() && report.requests.refused() > 0 {
        words.push("refused".to_owned());
    }
    if report.verdict.thresholds.iter().any(|threshold| !threshold.ok) {
        words.push("FAILED".to_owned());
    }
    if words.is_empty() { "ok".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<const N: usize>(rows: [[&str; N]; 3]) -> Vec<Vec<String>> {
        rows.map(|row| row.map(str::to_owned).to_vec()).to_vec()
    }

    #[test]
    fn a_column_without_a_figure_is_left_out() {
        let all = rows([["Step", "lost", "rate"], ["a", "-", "-"], ["b", "-", "1"]]);
        let kept = rows([["Step", "rate"], ["a", "-"], ["b", "1"]]);
        assert_eq!(without_empty_columns(&all), kept);
    }
}
