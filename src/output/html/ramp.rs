//! The page of a ramp: findings, the steps side by side, and each step.

use super::chart::{COLOURS, Tick, round_ticks, tick_label};
use super::grid::{Grid, GridColumn, GridRow, GridStyle};
use super::located::{Located, ShownNumber, field, number};
use super::markup::{Unit, escape, head, table};
use super::run::{self, section};
use super::scale::Scale;
use super::verdict::{badge, badges, result_badge, verdict};
use super::{command, heading};
use crate::output::number::Statistic;
use crate::report::Report;
use crate::report::ramp::{RampReport, RampStep, Search, Trial};
use crate::report::result::{Allowed, RunResult};

/// The axis of the steps is logarithmic if the largest value is at least this many times the smallest.
const WIDE: f64 = 30.0;

/// The whole page without its frame.
pub(super) fn body(ramp: &Located<'_, RampReport>, allowed: Allowed) -> String {
    let date = run::date_and_time(&ramp.started_at);
    let search = field!(ramp, search).known().map(|search| self::search(&search));
    [
        heading(&ramp.name, &date, &progress(ramp, allowed)),
        question(ramp),
        command(&ramp.command),
        section("Findings", 2, &findings(ramp)),
        section("Side by side", 2, &(charts(ramp) + &summary(ramp))),
        section("Search", 2, &search.unwrap_or_default()),
        section("Each step", 2, &steps(ramp)),
    ]
    .concat()
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

/// A step that has a report.
struct ReportedStep<'a> {
    number: usize,
    x: f64,
    name: &'a str,
    report: Located<'a, Report>,
}

/// The x axis of the charts: the setting that the ramp changes, or the order of the steps if it changes more than one
/// number.
struct StepAxis<'a> {
    name: String,
    x: Scale,
    ticks: Vec<Tick>,
    /// The steps that have a report, by their place on the axis.
    steps: Vec<ReportedStep<'a>>,
    /// True if lines connect the steps: each value occurs once.
    joined: bool,
}

impl<'a> StepAxis<'a> {
    fn new(ramp: &Located<'a, RampReport>) -> Self {
        let is_numbered = ramp.axis.is_some() && ramp.steps.iter().all(|step| step.x.is_some());
        let mut steps = Vec::new();
        for (number, step) in field!(ramp, steps).items().enumerate() {
            let x = step.x.filter(|_| is_numbered).unwrap_or((number + 1) as f64);
            let name = &step.part().name;
            if let Some(report) = field!(step, report).known() {
                steps.push(ReportedStep { number, x, name, report });
            }
        }
        steps.sort_by(|a, b| a.x.total_cmp(&b.x));
        let mut values: Vec<_> = steps.iter().map(|step| step.x).collect();
        values.dedup();
        let low = values.first().copied().unwrap_or(1.0);
        let high = values.last().copied().unwrap_or(1.0);
        let x = if low > 0.0 && high / low >= WIDE {
            Scale::Log(low / 1.1, high * 1.1)
        } else {
            Scale::Linear(low - 0.04 * (high - low), high + 0.04 * (high - low))
        };
        let ticks = if ramp.search.is_some() {
            // The trials of a search are close together.
            round_ticks(Scale::Linear(low, high), Unit::Count)
        } else {
            values.iter().map(|at| Tick { at: *at, label: tick_label(*at, Unit::Count) }).collect()
        };
        Self {
            name: ramp.axis.clone().filter(|_| is_numbered).unwrap_or_else(|| "step".to_owned()),
            x,
            ticks,
            joined: values.len() == steps.len() && ramp.search.is_none(),
            steps,
        }
    }

    /// A number of every step.
    fn each(&self, number: fn(&Located<'_, Report>) -> ShownNumber) -> Vec<ShownNumber> {
        self.steps.iter().map(|step| number(&step.report)).collect()
    }

    fn chart(&self, title: &str, note: &str, log: bool, columns: Vec<GridColumn>) -> String {
        let mut rows = Vec::new();
        for step in &self.steps {
            let name = link(step.number, step.name);
            rows.push(GridRow { x: step.x, name, title: step.name.to_owned() });
        }
        let style = GridStyle {
            title: format!("{title} against {}", self.name),
            note: note.to_owned(),
            x: self.x,
            x_label: self.name.clone(),
            x_ticks: self.ticks.clone(),
            log,
            joined: self.joined,
            until: f64::INFINITY,
        };
        Grid { rows, columns }.figure(&style)
    }
}

fn link(step: usize, name: &str) -> String {
    format!("<a href=\"#step-{step}\">{}</a>", escape(name))
}

fn charts(ramp: &Located<'_, RampReport>) -> String {
    let axis = StepAxis::new(ramp);
    let cpu_note = "Mean over the step; 100 % is one core.";
    axis.chart("Arrival and response", "Logarithmic.", true, latencies(&axis))
        + &axis.chart("Achieved rate", "Requests per second.", false, rates(&axis))
        + &axis.chart("CPU", cpu_note, false, cpu(&axis))
}

fn latencies(axis: &StepAxis<'_>) -> Vec<GridColumn> {
    let mut columns = Vec::new();
    if axis.steps.iter().any(|step| step.report.arrival.is_some()) {
        let p99 = axis.each(|report| arrival(report, Statistic::P99));
        let p50 = axis.each(|report| arrival(report, Statistic::P50));
        columns.push(GridColumn::drawn("arrival p99", p99, Unit::Time, "arrival"));
        columns.push(GridColumn::drawn("arrival p50", p50, Unit::Time, "arrival dash"));
    }
    let p99 = axis.each(|report| field!(report, latency.response).statistic(Statistic::P99));
    let p50 = axis.each(|report| field!(report, latency.response).statistic(Statistic::P50));
    columns.push(GridColumn::drawn("response p99", p99, Unit::Time, "response"));
    columns.push(GridColumn::drawn("response p50", p50, Unit::Time, "response dash"));
    columns
}

/// A number of the arrival latencies; `n/a` if the run has none.
fn arrival(report: &Located<'_, Report>, statistic: Statistic) -> ShownNumber {
    let arrival = field!(report, arrival).known();
    arrival.map(|times| times.statistic(statistic)).unwrap_or_default()
}

fn rates(axis: &StepAxis<'_>) -> Vec<GridColumn> {
    let mut columns = Vec::new();
    if axis.steps.iter().any(|step| step.report.run.rate_target.is_some()) {
        let target = axis.each(|report| number!(report, run.rate_target));
        columns.push(GridColumn::drawn("asked for", target, Unit::Rate, "lateness dash"));
    }
    let achieved = axis.each(|report| number!(report, requests.rate_achieved));
    columns.push(GridColumn::drawn("achieved", achieved, Unit::Rate, "response"));
    columns
}

/// CPU of each component; empty if not all reports have the same components.
fn cpu(axis: &StepAxis<'_>) -> Vec<GridColumn> {
    let Some(first) = axis.steps.first() else { return Vec::new() };
    let names = component_names(&first.report);
    if axis.steps.iter().any(|step| component_names(&step.report) != names) {
        return Vec::new();
    }
    let mut cells = vec![Vec::new(); names.len()];
    for step in &axis.steps {
        for (cells, used) in cells.iter_mut().zip(field!(step.report, resources).items()) {
            cells.push(number!(used, cpu_percent_mean));
        }
    }
    let mut columns = Vec::new();
    for ((name, cells), colour) in names.iter().zip(cells).zip(COLOURS.iter().cycle()) {
        columns.push(GridColumn::drawn(name, cells, Unit::Percent, colour));
    }
    columns
}

fn component_names(report: &Report) -> Vec<String> {
    report.resources.iter().map(|used| used.component.clone()).collect()
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
        rows.push(summary_row(number, &step));
    }
    table("All steps", &head(SUMMARY), &rows)
}

fn summary_row(number: usize, step: &Located<'_, RampStep>) -> Vec<String> {
    let mut row = vec![link(number, &step.name)];
    let Some(report) = field!(step, report).known() else {
        let error = step.error.as_deref().unwrap_or("no report");
        row.push(format!("<span class=\"bad\">{}</span>", escape(error)));
        row.resize(SUMMARY.len(), String::new());
        return row;
    };
    let percentiles = [Statistic::P50, Statistic::P99, Statistic::P99_9];
    let response = field!(report, latency.response);
    row.push(number!(report, requests.rate_achieved).show(Unit::Rate));
    row.extend(percentiles.map(|percentile| arrival(&report, percentile).show(Unit::Time)));
    row.extend(percentiles.map(|percentile| response.show(percentile)));
    let messages = field!(report, messages).known();
    let lost = messages.map(|messages| number!(messages, lost)).unwrap_or_default();
    row.push(lost.show(Unit::Count));
    row.push(number!(report, requests.failed).show(Unit::Count));
    row.push(generator_badge(&report));
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
    text + &table("Trials", &head(["trial", search.axis.key(), "", "because"]), &rows)
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

fn trial_row(number: usize, trial: &Located<'_, Trial>) -> Vec<String> {
    vec![
        format!("<a href=\"#step-{}\">{}</a>", trial.step, number + 1),
        number!(trial, value).show(Unit::Rate),
        badge(trial.held(), trial.outcome.words()),
        trial.because.as_deref().map(escape).unwrap_or_default(),
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
        content += &badges(&report);
        content += &command(&report.run.command);
        content += &run::headline(&report);
        content += &verdict(&report);
        content += &run::sections(&report, 3);
    }
    format!(
        "<details><summary><b>{name}</b> {summary}</summary><div id=\"step-{number}\">\n{content}</div></details>\n"
    )
}
