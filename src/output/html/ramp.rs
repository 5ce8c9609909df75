//! The page of a ramp: findings, the steps side by side, and each step.

use super::located::{Located, field, number};
use super::markup::{Unit, escape};
use super::ramp_charts::{arrival, charts, is_noise, step_name};
use super::run;
use super::section::{Section, inner_sections};
use super::table::{Cell, head, table};
use super::verdict::{badge, result_badge, step_badges, verdict};
use super::{command, heading, machine_line};
use crate::output::number::Statistic;
use crate::report::Report;
use crate::report::ramp::{RampReport, RampStep, Search, Trial};
use crate::report::result::{Allowed, RunResult};

/// The top of the page.
pub(super) fn top(ramp: &RampReport, allowed: Allowed) -> String {
    let mut lead = run::date_and_time(&ramp.started_at);
    let first = ramp.steps.iter().find_map(|step| step.report.as_ref());
    lead += &first.map(machine_line).unwrap_or_default();
    [heading(&ramp.name, &lead, &progress(ramp, allowed)), question(ramp), command(&ramp.command)]
        .concat()
}

/// The sections of the page. Those without content are empty.
pub(super) fn sections(ramp: &Located<'_, RampReport>) -> Vec<Section> {
    let search = field!(ramp, search).known().map(|search| self::search(&search));
    vec![
        Section::new("Findings", findings(ramp)),
        Section::new("Side by side", charts(ramp) + &summary(ramp)),
        Section::new("Search", search.unwrap_or_default()),
        Section::new("Each step", steps(ramp)),
    ]
}

fn question(ramp: &RampReport) -> String {
    match &ramp.question {
        Some(question) => format!("<p class=\"question\">{}</p>", escape(question)),
        None => String::new(),
    }
}

/// Badges: the result, the number of steps that were run, and the number of limited steps.
fn progress(ramp: &RampReport, allowed: Allowed) -> String {
    let reports = ramp.steps.iter().filter_map(|step| step.report.as_ref());
    let limited = reports.filter(|report| !report.verdict.generator.is_valid()).count();
    let end = if ramp.complete { "complete" } else { "broke off" };
    let mut all = vec![
        result_badge(&RunResult::of_ramp(ramp, allowed)),
        badge(ramp.is_whole(), &format!("{end}: {}", ramp.progress())),
    ];
    if limited > 0 {
        all.push(badge(false, &format!("{limited} steps LIMITED: do not trust their numbers")));
    }
    format!("<p class=\"badges\">{}</p>", all.join(" "))
}

fn findings(ramp: &RampReport) -> String {
    let mut items = String::new();
    for finding in &ramp.findings {
        let (kind, text) = (escape(finding.kind.name()), escape(&finding.text));
        items += &format!("<li class=\"{kind}\"><b>{kind}</b><span>{text}</span></li>\n");
    }
    if items.is_empty() { items } else { format!("<ul class=\"findings\">\n{items}</ul>\n") }
}

/// Column names of the table of all steps.
const SUMMARY: [&str; 11] = [
    "step",
    "rate",
    "arrival p50",
    "p99",
    "p99.9",
    "response p50",
    "p99",
    "p99.9",
    "lost",
    "failed",
    "generator",
];

/// The table of all steps, including those without a report.
fn summary(ramp: &Located<'_, RampReport>) -> String {
    let mut rows = Vec::new();
    for (number, step) in field!(ramp, steps).items().enumerate() {
        let name = step_name(number, &step.name, is_noise(ramp, &step.name));
        rows.push(summary_row(name, &step));
    }
    table("All steps", &head(SUMMARY), rows)
}

fn summary_row(name: String, step: &Located<'_, RampStep>) -> Vec<Cell> {
    let mut row = vec![Cell::from(name)];
    let Some(report) = field!(step, report).known() else {
        let error = step.error.as_deref().unwrap_or("no report");
        row.push(format!("<span class=\"bad\">{}</span>", escape(error)).into());
        row.resize(SUMMARY.len(), Cell::from(String::new()));
        return row;
    };
    let percentiles = [Statistic::P50, Statistic::P99, Statistic::P99_9];
    let response = field!(report, latency.response);
    row.push(number!(report, requests.rate_achieved).cell(Unit::Rate));
    row.extend(percentiles.map(|percentile| arrival(&report, percentile).cell(Unit::Time)));
    row.extend(percentiles.map(|percentile| response.statistic(percentile).cell(Unit::Time)));
    let messages = field!(report, messages).known();
    let lost = messages.map(|messages| number!(messages, lost)).unwrap_or_default();
    row.push(lost.cell(Unit::Count));
    row.push(number!(report, requests.failed).cell(Unit::Count));
    row.push(generator_badge(&report).into());
    row
}

fn search(search: &Located<'_, Search>) -> String {
    let confirmed = field!(search, confirmed);
    let text = format!(
        "<p>The condition <code>{}</code> {} ({}). Runs there that held: {} of {}.</p>\n",
        escape(&search.condition),
        search_result(search),
        search.axis.key(),
        number!(confirmed, 0).show(Unit::Count),
        number!(confirmed, 1).show(Unit::Count),
    );
    let mut rows = Vec::new();
    for (number, trial) in field!(search, trials).items().enumerate() {
        rows.push(trial_row(number, &trial));
    }
    text + &table("Trials", &head(["trial", search.axis.key(), "", "because"]), rows)
}

/// The rest of a sentence about the condition: the value at which it holds, and the one at which it fails.
fn search_result(search: &Located<'_, Search>) -> String {
    let holds = number!(search, holds).show(Unit::Rate);
    let fails = number!(search, fails).show(Unit::Rate);
    let is_unknown = search.fails.is_some_and(|fails| search.unknown_at(fails).is_some());
    match (search.holds, search.fails) {
        (Some(_), Some(_)) if is_unknown => {
            format!("holds at {holds}; whether it does at {fails} cannot be told")
        }
        (Some(_), Some(_)) => format!("holds at {holds} and fails at {fails}"),
        (Some(_), None) => format!("holds at {holds}, the highest that was tried"),
        (None, Some(_)) if is_unknown => {
            format!("is not known at {fails}, the lowest that was tried")
        }
        (None, Some(_)) => format!("fails at {fails}, the lowest that was tried"),
        (None, None) => "was not decided".to_owned(),
    }
}

fn trial_row(number: usize, trial: &Located<'_, Trial>) -> Vec<Cell> {
    vec![
        format!("<a href=\"#step-{}\">{}</a>", trial.step, number + 1).into(),
        number!(trial, value).cell(Unit::Rate),
        badge(trial.held(), trial.outcome.words()).into(),
        trial.because.as_deref().map(escape).unwrap_or_default().into(),
    ]
}

/// The verdict on a step in a word: its failure, or the state of the generator.
fn generator_badge(report: &Report) -> String {
    let state = report.verdict.generator;
    match report.failure_names().first() {
        Some(failure) => badge(false, failure),
        None => badge(state.is_valid(), state.word()),
    }
}

/// The line above the folded details of a step.
fn step_summary(report: &Located<'_, Report>) -> String {
    let rate = number!(report, requests.rate_achieved).show(Unit::Rate);
    let (name, p99) = match field!(report, arrival).known() {
        Some(times) => ("arrival", times.show(Statistic::P99)),
        None => ("response", field!(report, latency.response).show(Statistic::P99)),
    };
    let badge = generator_badge(report);
    format!("{badge} <small>{rate}/s · {name} p99 {p99}</small>")
}

/// The sections of each step, folded.
fn steps(ramp: &Located<'_, RampReport>) -> String {
    let mut out = String::new();
    for (number, step) in field!(ramp, steps).items().enumerate() {
        out += &folded_step(number, &step);
    }
    out
}

fn folded_step(number: usize, step: &Located<'_, RampStep>) -> String {
    let name = escape(&step.name);
    let mut content = String::new();
    if let Some(error) = &step.error {
        let error = escape(error);
        content += &format!("<ul class=\"notes\"><li class=\"bad\">{error}</li></ul>\n");
    }
    let mut summary = badge(false, "no report");
    if let Some(report) = field!(step, report).known() {
        summary = step_summary(&report);
        content += &step_badges(&report);
        content += &command(&report.run.command);
        content += &run::headline(&report);
        content += &verdict(&report);
        content += &inner_sections(&run::sections(&report));
    }
    format!(
        "<details><summary><b>{name}</b> {summary}</summary><div id=\"step-{number}\">\n{content}</div></details>\n"
    )
}
