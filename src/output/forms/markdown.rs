//! GitHub's Markdown, for issues, pull requests and job summaries.

use std::fmt::Write as _;

use crate::analysis::compare::Comparison;
use crate::core::units::format_count;
use crate::output::TextOptions;
use crate::output::comparison::{VerdictSentence, figure_rows, rule};
use crate::output::machine::{labels, machine};
use crate::output::nodes::{node_rows, parts};
use crate::output::number::NOT_AVAILABLE;
use crate::output::ramp::{reasons, step_rows};
use crate::output::requests::request_rows;
use crate::output::text::{
    OF_STAGES, latency_rows, protocol, resource_rows, script_use, servers, stage_rows, statistics,
    why_valid,
};
use crate::report::lookup::found;
use crate::report::ramp::RampReport;
use crate::report::result::RunResult;
use crate::report::{Messages, Report, Requests};

pub(super) fn run(report: &Report, options: TextOptions) -> String {
    let mut out = heading("loadgen", &RunResult::of_run(report, options.allowed));
    out += &format!("`{}`\n\n", code(&report.run.target));
    out += &verdict(report);
    out += &table(&latency_rows(report, &statistics(TextOptions::default())));
    out += &account(report);
    if !report.by_request.is_empty() {
        out += &table(&request_rows(report));
    }
    out += &thresholds(report);
    if !report.stages.is_empty() {
        out += &table(&stage_rows(report, &OF_STAGES));
    }
    if !report.resources.is_empty() {
        out += &table(&resource_rows(report));
    }
    if !report.nodes.is_empty() {
        out += &table(&node_rows(report));
    }
    let mut items: Vec<_> =
        report.verdict.notes.iter().map(|note| line(&note.to_string())).collect();
    items.extend(
        report.script.iter().map(|script| format!("Script: {}", cell(&script_use(script)))),
    );
    items.extend(parts(report).map(|parts| format!("Parts: {parts}")));
    items.extend(protocol(report).map(|protocol| format!("Protocol: {}", cell(&protocol))));
    items.extend(servers(report).map(|servers| format!("Stack: {}", cell(&servers))));
    items.extend(machine(report).map(|machine| format!("Machine: {}", cell(&machine))));
    items.extend(labels(report).map(|labels| format!("Labels: {}", cell(&labels))));
    items.push(format!("loadgen {}, {}", cell(&report.tool.version), cell(&report.run.started_at)));
    out + &list(&items)
}

pub(super) fn ramp(ramp: &RampReport, options: TextOptions) -> String {
    let name = format!("loadgen ramp {}", cell(&ramp.name));
    let mut out = heading(&name, &RunResult::of_ramp(ramp, options.allowed));
    if let Some(question) = &ramp.question {
        let _ = writeln!(out, "{}\n", line(question));
    }
    if !ramp.complete {
        out += "**It broke off: not all steps were run.**\n\n";
    }
    out += &table(&step_rows(ramp));
    let reasons = reasons(ramp);
    if !reasons.is_empty() {
        let mut items = Vec::new();
        for (kind, reason) in reasons {
            items.push(format!("{kind} {}", cell(&reason)));
        }
        out += &(list(&items) + "\n");
    }
    out += &list(&ramp.findings.iter().map(|finding| line(&finding.text)).collect::<Vec<_>>());
    out + &format!("\nRepeat it: `{}`\n", code(&ramp.command))
}

pub(super) fn comparison(comparison: &Comparison, options: TextOptions) -> String {
    let verdict = VerdictSentence { comparison, allowed: options.allowed };
    let sign = sign(verdict.passed());
    let mut out = format!("### {sign} loadgen compare\n\n**{}**\n\n", cell(&verdict.to_string()));
    for part in &comparison.parts {
        out += &table(&figure_rows(comparison, part));
    }
    let (base, new) = (comparison.base.join(", "), comparison.new.join(", "));
    let mut items = vec![format!("Base: {}; new: {}", cell(&base), cell(&new)), rule(comparison)];
    items.extend(comparison.failed.iter().map(|failure| line(failure)));
    items.extend(comparison.notes.iter().map(|note| line(note)));
    out + &list(&items)
}

/// Sign of a result.
fn sign(passed: bool) -> &'static str {
    if passed { "✅" } else { "❌" }
}

/// The first line: name and result.
fn heading(name: &str, result: &RunResult) -> String {
    let sign = if result.falls_short() { "⚠️" } else { sign(result.passed()) };
    format!("### {sign} {name}: RESULT {}\n\n", cell(&result.to_string()))
}

fn verdict(report: &Report) -> String {
    let mut out = String::new();
    if !report.verdict.failures.is_empty() {
        let failures: Vec<_> =
            report.verdict.failures.iter().map(|why| line(&why.to_string())).collect();
        out += &(list(&failures) + "\n");
    }
    out + &match report.verdict.reasons.as_slice() {
        [] => format!("Generator **valid**: {}.\n\n", why_valid(report)),
        reasons => {
            let reasons =
                reasons.iter().map(|reason| line(&reason.to_string())).collect::<Vec<_>>();
            format!("Generator **LIMITED: do not trust these numbers.**\n\n{}\n", list(&reasons))
        }
    }
}

fn account(report: &Report) -> String {
    let mut out = request_account(&report.requests);
    if let Some(messages) = &report.messages {
        out += &message_account(messages);
    }
    out
}

fn request_account(requests: &Requests) -> String {
    let head = ["", "sent", "dropped", "answered", "failed", "unfinished", "per second"];
    let row = [
        "Requests".to_owned(),
        format_count(requests.sent),
        format_count(requests.dropped),
        format_count(requests.completed),
        format_count(requests.failed),
        format_count(requests.unfinished),
        format!("{:.2}", requests.completed_per_s),
    ];
    table(&[head.map(str::to_owned).to_vec(), row.to_vec()])
}

fn message_account(messages: &Messages) -> String {
    let columns = [
        ("accepted", messages.accepted),
        ("arrived", messages.arrived),
        ("lost", messages.lost),
        ("missed", messages.missed),
        ("unknown", messages.unknown),
        ("duplicated", messages.duplicated),
        ("reordered", messages.reordered),
        ("unexpected", messages.unexpected),
        ("foreign", messages.foreign),
    ];
    let (mut head, mut row) = (vec![String::new()], vec!["Messages".to_owned()]);
    for (name, count) in columns {
        head.push(name.to_owned());
        row.push(format_count(count));
    }
    table(&[head, row])
}

fn thresholds(report: &Report) -> String {
    if report.verdict.thresholds.is_empty() {
        return String::new();
    }
    let mut rows = vec![["Fail if", "it is", "result"].map(str::to_owned).to_vec()];
    rows.extend(report.verdict.thresholds.iter().map(|threshold| {
        let value = found(threshold).unwrap_or_else(|| NOT_AVAILABLE.to_owned());
        let result = if threshold.ok { "ok" } else { FAILED };
        vec![threshold.expr.clone(), value, result.to_owned()]
    }));
    table(&rows)
}

/// Rows below a row of column names: the first column to the left, the others to the right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut out = String::new();
    for (n, row) in rows.iter().enumerate() {
        let mut cells: Vec<_> = row.iter().map(|text| cell(text)).collect();
        cells.resize(columns, String::new());
        out += &table_line(&cells);
        if n == 0 {
            let mut rule = vec!["---".to_owned()];
            rule.resize(columns, "---:".to_owned());
            out += &table_line(&rule);
        }
    }
    out + "\n"
}

fn table_line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("- {item}\n")).collect()
}

/// Cell of a condition that failed. No other cell has emphasis.
const FAILED: &str = "**failed**";

/// Escapes a text for a table cell: one line, without markup, links and images.
fn cell(text: &str) -> String {
    if text == FAILED {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut last = ' ';
    let mut chars = text.trim().chars().peekable();
    while let Some(c) = chars.next() {
        // An underscore between letters is not emphasis: p99_9.
        let is_inside = last.is_alphanumeric() && chars.peek().is_some_and(|c| c.is_alphanumeric());
        match c {
            '_' if is_inside => out.push(c),
            '|' | '`' | '\\' | '[' | ']' | '*' | '_' | '~' => out.extend(['\\', c]),
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        last = c;
    }
    out
}

/// Escapes a text at the beginning of a line or an item, so that it does not become a heading, a list or a rule.
fn line(text: &str) -> String {
    let text = cell(text);
    if text.starts_with(['#', '-', '+', '=', ':']) { format!("\\{text}") } else { text }
}

/// Escapes a text between backticks.
fn code(text: &str) -> String {
    text.replace('`', "'").replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_cell_is_escaped() {
        let rows = [["a", "b"], ["x|y", "<1\n`z`"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            cell("![a](http://h) [b](x) *c* _d_ p99_9"),
            "!\\[a\\](http://h) \\[b\\](x) \\*c\\* \\_d\\_ p99_9"
        );
        assert_eq!((cell("a\\|b"), cell(FAILED)), ("a\\\\\\|b".to_owned(), FAILED.to_owned()));
        assert_eq!((line("# a"), line("-1")), ("\\# a".to_owned(), "\\-1".to_owned()));
        assert_eq!(table(&rows), "| a | b |\n| --- | ---: |\n| x\\|y | &lt;1 \\`z\\` |\n\n");
    }
}
