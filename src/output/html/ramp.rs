//! The page of a ramp: what follows from its steps, the steps side by side, and each by itself.

use super::chart::{COLOURS, Tick, round_ticks, tick_label};
use super::grid::{Column, Grid, Look, Row};
use super::markup::{Figures, Unit, escape, head, table};
use super::run::{self, View};
use super::scale::Scale;
use super::verdict::{badge, badges, result_badge, verdict};
use super::{command, heading};
use crate::report::Report;
use crate::report::ramp::{RampReport, RampStep, Search};
use crate::report::result::{Allowed, RunResult};

/// An axis whose values are further apart than this is logarithmic.
const WIDE: f64 = 30.0;

/// All of it.
pub(super) fn body(ramp: &RampReport, figures: &Figures<'_>, allowed: Allowed) -> String {
    let question =
        ramp.question.as_ref().map(|q| format!("<p class=\"question\">{}</p>", escape(q)));
    let section = |name: &str, body: String| {
        if body.is_empty() {
            String::new()
        } else {
            format!("<section><h2>{name}</h2>\n{body}</section>\n")
        }
    };
    [
        heading(&ramp.name, &run::moment(&ramp.started_at), &progress(ramp, allowed)),
        question.unwrap_or_default(),
        command(&ramp.command),
        section("Findings", findings(ramp)),
        section("Side by side", charts(ramp, figures) + &summary(ramp, figures)),
        section("Search", ramp.search.as_ref().map_or_else(String::new, |s| search(s, figures))),
        section("Each step", each(ramp, figures)),
    ]
    .concat()
}

/// How far it came, and whether its steps can be believed.
fn progress(ramp: &RampReport, allowed: Allowed) -> String {
    let reports = || ramp.steps.iter().filter_map(|step| step.report.as_ref());
    let limited = reports().filter(|r| !r.verdict.generator.is_valid()).count();
    let came = if ramp.complete { "complete" } else { "broke off" };
    let mut all = vec![
        result_badge(&RunResult::of_ramp(ramp, allowed)),
        badge(ramp.is_whole(), &format!("{came}: {}", ramp.progress())),
    ];
    if limited > 0 {
        all.push(badge(false, &format!("{limited} steps LIMITED: do not trust their numbers")));
    }
    format!("<p class=\"badges\">{}</p>", all.join(" "))
}

fn findings(ramp: &RampReport) -> String {
    let item = |finding: &crate::report::ramp::Finding| {
        let (kind, text) = (escape(finding.kind.name()), escape(&finding.text));
        format!("<li class=\"{kind}\"><b>{kind}</b><span>{text}</span></li>\n")
    };
    let items: String = ramp.findings.iter().map(item).collect();
    if items.is_empty() { items } else { format!("<ul class=\"findings\">\n{items}</ul>\n") }
}

/// The axis that the steps are along: their setting, or where they differ in more than one number,
/// their order.
struct Along {
    name: String,
    x: Scale,
    ticks: Vec<Tick>,
    rows: Vec<Row>,
    /// Each value once, so that a line from step to step means something.
    joined: bool,
}

fn along(ramp: &RampReport) -> Along {
    let numbered = ramp.axis.is_some() && ramp.steps.iter().all(|step| step.x.is_some());
    let x_of = |n: usize, step: &RampStep| match step.x {
        Some(x) if numbered => x,
        _ => (n + 1) as f64,
    };
    let mut rows: Vec<_> = (ramp.steps.iter().enumerate())
        .filter(|(_, step)| step.report.is_some())
        .map(|(n, step)| Row {
            x: x_of(n, step),
            name: link(n, step),
            title: step.name.clone(),
            path: format!("/steps/{n}/report"),
        })
        .collect();
    rows.sort_by(|a, b| a.x.total_cmp(&b.x));
    let mut values: Vec<_> = rows.iter().map(|row| row.x).collect();
    values.dedup();
    let (low, high) =
        (values.first().copied().unwrap_or(1.0), values.last().copied().unwrap_or(1.0));
    let x = if low > 0.0 && high / low >= WIDE {
        Scale::Log(low / 1.1, high * 1.1)
    } else {
        Scale::Linear(low - 0.04 * (high - low), high + 0.04 * (high - low))
    };
    let tick = |at: &f64| Tick { at: *at, label: tick_label(*at, Unit::Count) };
    Along {
        name: ramp.axis.clone().filter(|_| numbered).unwrap_or_else(|| "step".to_owned()),
        x,
        // A search comes close to the same value many times.
        ticks: if ramp.search.is_some() {
            round_ticks(Scale::Linear(low, high), Unit::Count)
        } else {
            values.iter().map(tick).collect()
        },
        joined: values.len() == rows.len() && ramp.search.is_none(),
        rows,
    }
}

fn link(n: usize, step: &RampStep) -> String {
    format!("<a href=\"#step-{n}\">{}</a>", escape(&step.name))
}

fn charts(ramp: &RampReport, figures: &Figures<'_>) -> String {
    let along = along(ramp);
    let reports: Vec<_> = ramp.steps.iter().filter_map(|step| step.report.as_ref()).collect();
    let draw = |(title, note): (String, &str), log: bool, columns: Vec<Column>| {
        let look = Look {
            title,
            note: note.to_owned(),
            x: along.x,
            x_label: along.name.clone(),
            x_ticks: along.ticks.clone(),
            log,
            joined: along.joined,
            until: f64::INFINITY,
        };
        Grid { rows: along.rows.clone(), columns }.figure(figures, &look)
    };
    let against = |what: &str| format!("{what} against {}", along.name);
    let mut latency = Vec::new();
    if reports.iter().any(|report| report.arrival.is_some()) {
        latency.push(Column::drawn("arrival p99", "/arrival/p99", Unit::Time, "arrival"));
        latency.push(Column::drawn("arrival p50", "/arrival/p50", Unit::Time, "arrival dash"));
    }
    let response = |name, path, class| Column::drawn(name, path, Unit::Time, class);
    latency.push(response("response p99", "/latency/response/p99", "response"));
    latency.push(response("response p50", "/latency/response/p50", "response dash"));
    let mut rate =
        vec![Column::drawn("achieved", "/requests/rate_achieved", Unit::Rate, "response")];
    if reports.iter().any(|report| report.run.rate_target.is_some()) {
        rate.insert(0, Column::drawn("asked for", "/run/rate_target", Unit::Rate, "lateness dash"));
    }
    [
        draw((against("Arrival and response"), "Logarithmic."), true, latency),
        draw((against("Achieved rate"), "Requests per second."), false, rate),
        draw((against("CPU"), "Mean over the step; 100 % is one core."), false, cpu(&reports)),
    ]
    .concat()
}

/// Components by their place in the reports, which is the same in all that have the same ones.
fn cpu(reports: &[&Report]) -> Vec<Column> {
    let Some(first) = reports.first() else { return Vec::new() };
    let names = |report: &Report| report.resources.iter().map(|r| r.component.clone()).collect();
    let all: Vec<String> = names(first);
    if reports.iter().any(|report| names(report) != all) {
        return Vec::new();
    }
    let column = |(n, name): (usize, &String)| {
        let path = format!("/resources/{n}/cpu_percent_mean");
        Column::drawn(name, &path, Unit::Percent, COLOURS[n % COLOURS.len()])
    };
    all.iter().enumerate().map(column).collect()
}

/// Every step in a line, also those that have no report.
fn summary(ramp: &RampReport, figures: &Figures<'_>) -> String {
    let names = [
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
    let row = |(n, step): (usize, &RampStep)| {
        let mut row = vec![link(n, step)];
        let Some(report) = &step.report else {
            let error = step.error.as_deref().unwrap_or("no report");
            row.push(format!("<span class=\"bad\">{}</span>", escape(error)));
            row.resize(names.len(), String::new());
            return row;
        };
        let figures = figures.below(&format!("/steps/{n}/report"));
        let time = |path: &str| figures.show(path, Unit::Time);
        row.push(figures.show("/requests/rate_achieved", Unit::Rate));
        row.extend(["/arrival/p50", "/arrival/p99", "/arrival/p99_9"].map(time));
        let response =
            ["/latency/response/p50", "/latency/response/p99", "/latency/response/p99_9"];
        row.extend(response.map(time));
        row.extend(
            ["/messages/lost", "/requests/failed"].map(|path| figures.show(path, Unit::Count)),
        );
        row.push(sign(report));
        row
    };
    let rows: Vec<_> = ramp.steps.iter().enumerate().map(row).collect();
    table("All steps", &head(names), &rows)
}

fn search(search: &Search, figures: &Figures<'_>) -> String {
    let axis = search.axis.key();
    let figures = figures.below("/search");
    let show = |path: &str| figures.show(path, Unit::Rate);
    let holds = match (search.holds, search.fails) {
        (Some(_), Some(fails)) if search.unknown_at(fails).is_some() => {
            format!(
                "holds at {}; whether it does at {} cannot be told",
                show("/holds"),
                show("/fails")
            )
        }
        (Some(_), Some(_)) => {
            format!("holds at {} and fails at {}", show("/holds"), show("/fails"))
        }
        (Some(_), None) => format!("holds at {}, the highest that was tried", show("/holds")),
        (None, Some(fails)) if search.unknown_at(fails).is_some() => {
            format!("is not known at {}, the lowest that was tried", show("/fails"))
        }
        (None, Some(_)) => format!("fails at {}, the lowest that was tried", show("/fails")),
        (None, None) => "was not decided".to_owned(),
    };
    let confirmed = ["/confirmed/0", "/confirmed/1"].map(|path| figures.show(path, Unit::Count));
    let confirmed = confirmed.join(" of ");
    let condition = escape(&search.condition);
    let text = format!(
        "<p>The condition <code>{condition}</code> {holds} ({axis}). Runs there that held: {confirmed}.</p>\n"
    );
    let row = |(n, trial): (usize, &crate::report::ramp::Trial)| {
        let value = figures.show(&format!("/trials/{n}/value"), Unit::Rate);
        let because = trial.because.as_deref().map(escape).unwrap_or_default();
        let word = trial.outcome.words();
        let step = format!("<a href=\"#step-{}\">{}</a>", trial.step, n + 1);
        vec![step, value, badge(trial.held(), word), because]
    };
    let rows: Vec<_> = search.trials.iter().enumerate().map(row).collect();
    text + &table("Trials", &head(["trial", search.axis.key(), "", "because"]), &rows)
}

/// Whether a step's numbers can be believed, and are any.
fn sign(report: &Report) -> String {
    let state = report.verdict.generator;
    match report.failure_names().first() {
        Some(failure) => badge(false, failure),
        None => badge(state.is_valid(), state.word()),
    }
}

/// The line to choose a step by.
fn in_short(View { report, figures }: &View<'_>) -> String {
    let rate = figures.show("/requests/rate_achieved", Unit::Rate);
    let (name, path) = match report.arrival {
        Some(_) => ("arrival", "/arrival/p99"),
        None => ("response", "/latency/response/p99"),
    };
    let p99 = figures.show(path, Unit::Time);
    let sign = sign(report);
    format!("{sign} <small>{rate}/s · {name} p99 {p99}</small>")
}

/// Each step's own page, folded away.
fn each(ramp: &RampReport, figures: &Figures<'_>) -> String {
    let one = |(n, step): (usize, &RampStep)| {
        let name = escape(&step.name);
        let error = step.error.as_deref().map(|error| {
            format!("<ul class=\"notes\"><li class=\"bad\">{}</li></ul>\n", escape(error))
        });
        let view = step
            .report
            .as_ref()
            .map(|report| View { report, figures: figures.below(&format!("/steps/{n}/report")) });
        let sign = view.as_ref().map_or_else(|| badge(false, "no report"), in_short);
        let inside = view.map(|view| {
            [
                badges(view.report),
                command(&view.report.run.command),
                run::headline(&view),
                verdict(&view),
                run::sections(&view, 3),
            ]
            .concat()
        });
        format!(
            "<details><summary><b>{name}</b> {sign}</summary><div id=\"step-{n}\">\n{}{}</div></details>\n",
            error.unwrap_or_default(),
            inside.unwrap_or_default()
        )
    };
    ramp.steps.iter().enumerate().map(one).collect()
}
