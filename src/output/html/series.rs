//! A run second by second: latencies, rates, what waits, and CPU.

use super::chart::{COLOURS, round_ticks};
use super::grid::{Column, Grid, Look, Row};
use super::markup::{Figures, Unit, key};
use super::run::View;
use super::scale::Scale;
use crate::report::Report;

/// What a chart is called, what is said of it, and whether its scale is logarithmic.
type Words = (&'static str, &'static str, bool);

/// The charts, one below the other on one axis of time.
pub(super) fn over_time(View { report, figures }: &View<'_>) -> String {
    let latency = ("Latency", "Of what was answered and what arrived in each second.", true);
    let rates = ("Rates", "Per second, in the seconds that were all sending.", false);
    let waiting = if has_queue(report) {
        "Requests on the wire or in line, and the most messages seen in the queue."
    } else {
        "Requests on the wire or in line."
    };
    let end = f64::INFINITY;
    [
        draw(report, figures, latency, end, latencies(report)),
        draw(report, figures, rates, last_whole_second(report), self::rates(report)),
        draw(report, figures, ("Waiting", waiting, false), end, self::waiting(report)),
        draw(report, figures, ("CPU", "100 % is one core.", false), end, cpu(report)),
    ]
    .concat()
}

fn draw(
    report: &Report,
    figures: &Figures<'_>,
    (title, note, log): Words,
    until: f64,
    columns: Vec<Column>,
) -> String {
    let row = |(n, row): (usize, &crate::report::Row)| Row {
        x: row.t_s,
        name: figures.show(&format!("/series/{n}/t_s"), Unit::Plain),
        title: format!("second to {}", row.t_s),
        path: format!("/series/{n}"),
    };
    let x = Scale::Linear(0.0, report.series.last().map_or(1.0, |row| row.t_s));
    let look = Look {
        title: title.to_owned(),
        note: note.to_owned(),
        x,
        x_label: "seconds".to_owned(),
        x_ticks: round_ticks(x, Unit::Seconds),
        log,
        joined: true,
        until,
    };
    let rows = report.series.iter().enumerate().map(row).collect();
    Grid { rows, columns }.figure(figures, &look)
}

fn latencies(report: &Report) -> Vec<Column> {
    let column = |name, path, class| Column::drawn(name, path, Unit::Time, class);
    let mut columns = vec![
        column("arrival p99", "/arrival_p99", "arrival"),
        column("arrival p50", "/arrival_p50", "arrival dash"),
        column("response p99", "/response_p99", "response"),
        column("response p50", "/response_p50", "response dash"),
    ];
    if report.messages.is_none() {
        columns.drain(..2);
    }
    columns
}

fn rates(report: &Report) -> Vec<Column> {
    let column = |name, path, class| Column::drawn(name, path, Unit::Count, class);
    let mut columns = vec![
        column("sent", "/sent", "lateness dash"),
        column("answered", "/completed", "response"),
        Column::listed("failed", "/failed", Unit::Count),
    ];
    if report.messages.is_some() {
        columns.insert(2, column("arrived", "/arrived", "arrival"));
    }
    columns
}

/// What part of a second was sent in is no rate. Of a run with no whole second all is drawn.
fn last_whole_second(report: &Report) -> f64 {
    let end = report.run.duration_s + 1e-3;
    let has_whole = report.series.first().is_some_and(|row| row.t_s <= end);
    if has_whole { end } else { f64::INFINITY }
}

fn has_queue(report: &Report) -> bool {
    report.series.iter().any(|row| row.queue_depth.is_some())
}

fn waiting(report: &Report) -> Vec<Column> {
    let column = |name, path, class| Column::drawn(name, path, Unit::Count, class);
    let mut columns = vec![column("in flight", "/in_flight", "response")];
    if has_queue(report) {
        columns.push(column("in the queue", "/queue_depth", "arrival"));
    }
    columns
}

fn cpu(report: &Report) -> Vec<Column> {
    let column = |(n, used): (usize, &crate::report::Resource)| {
        let path = format!("/cpu_percent{}", key(&used.component));
        Column::drawn(&used.component, &path, Unit::Percent, COLOURS[n % COLOURS.len()])
    };
    report.resources.iter().enumerate().map(column).collect()
}
