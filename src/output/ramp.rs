//! A ramp's report as text: a row for each step, and the findings as sentences.

use super::number::time;
use super::style::{TextStyle, Tone};
use super::table::{fitted, fitted_line, fitted_table, one_block};
use super::text::{TextOptions, result_line};
use crate::analysis::backlog::backlog;
use crate::analysis::overload::overload_signs;
use crate::core::units::format_count;
use crate::report::Report;
use crate::report::finding::FindingKind;
use crate::report::lookup::it_is;
use crate::report::ramp::{RampReport, RampStep};
use crate::report::result::RunResult;

/// Text of a cell without a figure.
const NONE: &str = "-";
/// Head of the column with lost messages.
const LOST: &str = "lost";

/// The report as text, as files and pipes have it.
pub(crate) fn ramp_text(report: &RampReport, options: TextOptions) -> String {
    styled_ramp_text(report, options, TextStyle::PLAIN)
}

/// The report as text in a style.
pub(crate) fn styled_ramp_text(
    report: &RampReport,
    options: TextOptions,
    style: TextStyle,
) -> String {
    let kind = if report.planned_steps.is_some() { "Ramp" } else { "Search" };
    let title = style.paint(Tone::Title, &format!("{kind} {}:", report.name));
    let title = format!("{title} {}", report.progress());
    // A name is not broken: a part of it must not begin a line.
    let mut out = if style.is_terminal() { fitted_line(&title, style) } else { title + "\n" };
    if let Some(question) = &report.question {
        out += &fitted("  Question  ", question, style);
    }
    if !report.steps.is_empty() {
        out.push('\n');
        out += &step_table(report, style);
    }
    for (kind, reason) in reasons(report) {
        out += &fitted(&style.paint(Tone::Bad, &format!("  {kind:<10}")), &reason, style);
    }
    if !report.findings.is_empty() {
        out += &format!("\n{}\n", style.paint(Tone::Title, "Findings"));
    }
    for finding in &report.findings {
        let label = format!("  {:<12}", finding.kind.name());
        let is_caution = finding.kind == FindingKind::Caution;
        let label = if is_caution { style.paint(Tone::Warning, &label) } else { label };
        out += &fitted(&label, &finding.text, style);
    }
    if !report.complete {
        out += "\n";
        out += &fitted("", "Not complete: it ended before its last step", style);
    }
    out.push('\n');
    out += &result_line(&RunResult::of_ramp(report, options.allowed), style);
    style.with_characters(out)
}

/// The table of the steps. A terminal of 80 columns has place for the usual ones if the column of lost messages is left
/// out where nothing was lost; a line says so.
fn step_table(report: &RampReport, style: TextStyle) -> String {
    let rows = short_step_rows(report, style);
    let lost = rows[0].iter().position(|head| head == LOST);
    if one_block(&rows, style).is_none()
        && let Some(lost) = lost.filter(|column| rows[1..].iter().all(|row| row[*column] == "0"))
    {
        let without = rows.iter().map(|row| [&row[..lost], &row[lost + 1..]].concat());
        if let Some(table) = one_block(&without.collect::<Vec<_>>(), style) {
            return table + &fitted("  Lost      ", "no message at any step", style);
        }
    }
    fitted_table(&rows, style)
}

/// A row for each step as a terminal has it: times of three digits, and the value of the axis in place of the step's name.
fn short_step_rows(report: &RampReport, style: TextStyle) -> Vec<Vec<String>> {
    let axis = report
        .axis
        .as_deref()
        .filter(|axis| report.steps.iter().all(|step| value_on_axis(&step.name, axis).is_some()));
    let heads = [
        axis.unwrap_or("Step"),
        "rate/s",
        "response p50",
        "p99",
        "arrival p50",
        "p99",
        LOST,
        "queue",
        "busiest",
        "verdict",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for (number, step) in report.steps.iter().enumerate() {
        let name = axis.and_then(|axis| value_on_axis(&step.name, axis)).unwrap_or(&step.name);
        let mut row = vec![name.to_owned()];
        match &step.report {
            Some(report) => row.extend(short_figures(report)),
            None => row.resize(heads.len() - 1, NONE.to_owned()),
        }
        let StepVerdict { words, tone } = StepVerdict::new(report, number, step);
        row.push(style.paint(tone, &words.join(", ")));
        rows.push(row);
    }
    without_empty_columns(&rows)
}

/// The value in a step's name, if the name is `AXIS VALUE`.
fn value_on_axis<'a>(name: &'a str, axis: &str) -> Option<&'a str> {
    let value = name.strip_prefix(axis)?.strip_prefix(' ')?;
    (!value.contains([' ', ','])).then_some(value)
}

fn short_figures(report: &Report) -> [String; 8] {
    let [rate, _, _, _, _, lost, busiest, percent, queue] = figures(report);
    let (response, arrival) = (&report.latency.response, report.arrival.as_ref());
    let busiest = if busiest == NONE { busiest } else { format!("{busiest} {percent}") };
    [
        rate.trim_end_matches("/s").to_owned(),
        time(response.p50),
        time(response.p99),
        cell(arrival.map(|arrival| time(arrival.p50))),
        cell(arrival.map(|arrival| time(arrival.p99))),
        lost,
        queue,
        busiest,
    ]
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
    row.push(StepVerdict::new(ramp, number, step).words.join(", "));
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

/// Result of a step in a few words, with a mark and in colour if the style has them.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) fn step_verdict(ramp: &RampReport, number: usize, style: TextStyle) -> String {
    let Some(step) = ramp.steps.get(number) else { return String::new() };
    let StepVerdict { words, tone } = StepVerdict::new(ramp, number, step);
    style.verdict(tone, &words.join(", "))
}

/// Result of a step in a few words.
struct StepVerdict {
    words: Vec<String>,
    tone: Tone,
}

impl StepVerdict {
    fn new(ramp: &RampReport, number: usize, step: &RampStep) -> Self {
        let mut verdict = Self { words: Vec::new(), tone: Tone::Good };
        let Some(report) = step.report.as_ref().filter(|_| step.error.is_none()) else {
            verdict.add("error", Tone::Bad);
            return verdict;
        };
        let trials = ramp.search.iter().flat_map(|search| &search.trials);
        if let Some(trial) = trials.into_iter().find(|trial| trial.step == number as u64) {
            let tone = if trial.held() { Tone::Good } else { Tone::Warning };
            verdict.add(trial.outcome.words(), tone);
        }
        if !report.verdict.generator.is_valid() {
            verdict.add(report.verdict.generator.word(), Tone::Bad);
        }
        let failures = step.failures();
        failures.iter().for_each(|failure| verdict.add(&failure.name(), Tone::Bad));
        if failures.is_empty() && report.requests.refused() > 0 {
            verdict.add("refused", Tone::Bad);
        }
        if report.verdict.thresholds.iter().any(|threshold| !threshold.ok) {
            verdict.add("FAILED", Tone::Bad);
        }
        if failures.is_empty() {
            let signs = overload_signs(report);
            signs.iter().for_each(|sign| verdict.add(&sign.word(), Tone::Warning));
        }
        if backlog(ramp, number).is_some() {
            verdict.add("backlog", Tone::Warning);
        }
        if ramp.findings.iter().any(|finding| finding.noisy_step() == Some(&step.name)) {
            verdict.add("noise", Tone::Warning);
        }
        if verdict.words.is_empty() {
            verdict.add("ok", Tone::Good);
        }
        verdict
    }

    fn add(&mut self, words: &str, tone: Tone) {
        self.words.push(words.to_owned());
        self.tone = self.tone.max(tone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::example;
    use crate::output::style::Characters;

    /// A finished ramp of runs that lost as many messages as given.
    fn ramp(lost: &[u64]) -> RampReport {
        let steps = lost.iter().map(|lost| {
            let mut report = example::report(1_000.0);
            report.messages.as_mut().expect("a pipeline").lost = *lost;
            RampStep { report: Some(report), ..RampStep::default() }
        });
        RampReport { complete: true, steps: steps.collect(), ..RampReport::default() }
    }

    #[test]
    fn a_step_that_lost_messages_or_left_them_in_the_queue_is_not_ok() {
        let mut ramp = ramp(&[0, 2_697, 0]);
        let grown = ramp.steps[2].report.as_mut().expect("a report");
        for (second, row) in grown.series.iter_mut().enumerate() {
            row.queue_depth = Some(500 * second as u64);
        }
        let style = TextStyle::terminal(80, false, Characters::Marks);
        let verdicts = [0, 1, 2].map(|number| step_verdict(&ramp, number, style));
        assert_eq!(verdicts, ["✓ ok", "! lost 2,697", "! queue grew"]);
    }

    #[test]
    fn the_result_says_that_messages_were_lost() {
        let style = TextStyle::terminal(80, false, Characters::Marks);
        let mut search = ramp(&[0, 5]);
        search.steps[0].x = Some(1e3);
        search.search = Some(crate::report::ramp::Search {
            holds: Some(1e3),
            ..crate::report::ramp::Search::default()
        });
        for (ramp, expected) in [
            (ramp(&[0, 0]), "RESULT  ✓ passed"),
            (ramp(&[7, 0, 5]), "RESULT  ! passed, but messages were lost in 2 of 3 steps"),
            // A search goes where messages are lost.
            (search, "RESULT  ✓ passed"),
        ] {
            let text = styled_ramp_text(&ramp, TextOptions::default(), style);
            assert_eq!(text.lines().last(), Some(expected));
            let result = RunResult::of_ramp(&ramp, TextOptions::default().allowed);
            assert_eq!(result.outcome().exit_code(), 0);
        }
    }

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
