//! A run second by second: latencies, rates, waiting requests and messages, and CPU.

use super::chart::COLOURS;
use super::chart_marks::ChartMarks;
use super::grid::{Grid, GridColumn, GridRow, GridStyle, Joined};
use super::heat::heat_map;
use super::located::{Located, ShownNumber, field, number};
use super::markup::Unit;
use super::time_axis::TimeAxis;
use crate::report::{Report, Row};

/// The seconds of a run.
type Seconds<'a> = [Located<'a, Row>];

/// The charts, one below the other, with one axis of time.
pub(super) fn over_time(report: &Located<'_, Report>) -> String {
    let seconds: Vec<_> = field!(report, series).items().collect();
    let waiting = if has_queue(report) {
        "Requests on the wire or in line, and the most messages seen in the queue."
    } else {
        "Requests on the wire or in line."
    };
    let styles = [
        GridStyle {
            log: true,
            ..style(report, "Latency", "Of what was answered and what arrived in each second.")
        },
        GridStyle {
            until: last_whole_second(report),
            ..style(report, "Rates", "Per second, in the seconds that were all sending.")
        },
        style(report, "Waiting", waiting),
        style(report, "CPU", "100 % is one core."),
    ];
    let columns = [
        latencies(report, &seconds),
        rates(report, &seconds),
        self::waiting(report, &seconds),
        cpu(report, &seconds),
    ];
    let axis = time_axis(report);
    let charts = styles.into_iter().zip(columns);
    let charts: String = charts
        .map(|(style, columns)| Grid { rows: rows(&seconds, axis), columns }.figure(&style))
        .collect();
    report.heatmap.as_ref().map(heat_map).unwrap_or_default() + &charts
}

fn time_axis(report: &Report) -> TimeAxis {
    TimeAxis::new(report.series.last().map_or(1.0, |row| row.t_s))
}

fn style(report: &Report, title: &str, note: &str) -> GridStyle {
    let axis = time_axis(report);
    GridStyle {
        title: title.to_owned(),
        note: note.to_owned(),
        row_label: axis.label().to_owned(),
        x: axis.scale(),
        x_label: axis.label().to_owned(),
        x_ticks: axis.ticks(),
        log: false,
        joined: Joined::Rows,
        until: f64::INFINITY,
        rows: "seconds",
        marks: ChartMarks::default(),
    }
}

/// A row for each second, by its end.
fn rows(seconds: &Seconds<'_>, axis: TimeAxis) -> Vec<GridRow> {
    let mut rows = Vec::new();
    for second in seconds {
        let time = axis.text(second.t_s);
        rows.push(GridRow {
            x: second.t_s,
            name: number!(second, t_s).show_as(&time),
            title: if axis.is_in_seconds() { format!("second {time}") } else { time },
            is_noise: false,
        });
    }
    rows
}

/// A number of every second.
fn each(seconds: &Seconds<'_>, number: fn(&Located<'_, Row>) -> ShownNumber) -> Vec<ShownNumber> {
    seconds.iter().map(number).collect()
}

fn latencies(report: &Report, seconds: &Seconds<'_>) -> Vec<GridColumn> {
    let mut columns = Vec::new();
    if report.messages.is_some() {
        let p99 = each(seconds, |row| number!(row, arrival_p99));
        let p50 = each(seconds, |row| number!(row, arrival_p50));
        columns.push(GridColumn::drawn("arrival p99", p99, Unit::Time, "arrival").ranked());
        columns.push(GridColumn::drawn("arrival p50", p50, Unit::Time, "arrival dash"));
    }
    let p99 = each(seconds, |row| number!(row, response_p99));
    let p50 = each(seconds, |row| number!(row, response_p50));
    columns.push(GridColumn::drawn("response p99", p99, Unit::Time, "response").ranked());
    columns.push(GridColumn::drawn("response p50", p50, Unit::Time, "response dash"));
    columns
}

fn rates(report: &Report, seconds: &Seconds<'_>) -> Vec<GridColumn> {
    let sent = each(seconds, |row| number!(row, sent));
    let completed = each(seconds, |row| number!(row, completed));
    let mut columns = vec![
        GridColumn::drawn("sent", sent, Unit::Count, "lateness dash"),
        GridColumn::drawn("answered", completed, Unit::Count, "response"),
    ];
    if report.messages.is_some() {
        let arrived = each(seconds, |row| number!(row, arrived));
        columns.push(GridColumn::drawn("arrived", arrived, Unit::Count, "arrival"));
    }
    let failed = each(seconds, |row| number!(row, failed));
    columns.push(GridColumn::listed("failed", failed, Unit::Count));
    columns
}

/// End of the last whole second of sending. Later counts are of a part of a second, so they are not rates. A run
/// without a whole second is drawn to its end.
fn last_whole_second(report: &Report) -> f64 {
    let end = report.run.duration_s + 1e-3;
    let has_whole = report.series.first().is_some_and(|row| row.t_s <= end);
    if has_whole { end } else { f64::INFINITY }
}

fn has_queue(report: &Report) -> bool {
    report.series.iter().any(|row| row.queue_depth.is_some())
}

fn waiting(report: &Report, seconds: &Seconds<'_>) -> Vec<GridColumn> {
    let in_flight = each(seconds, |row| number!(row, in_flight));
    let mut columns = vec![GridColumn::drawn("in flight", in_flight, Unit::Count, "response")];
    if has_queue(report) {
        let depth = each(seconds, |row| number!(row, queue_depth));
        columns.push(GridColumn::drawn("in the queue", depth, Unit::Count, "arrival"));
    }
    columns
}

fn cpu(report: &Report, seconds: &Seconds<'_>) -> Vec<GridColumn> {
    let mut columns = Vec::new();
    for (used, colour) in report.resources.iter().zip(COLOURS.iter().cycle()) {
        let name = &used.component;
        let cells = seconds.iter().map(|row| field!(row, cpu_percent).number_of(name)).collect();
        columns.push(GridColumn::drawn(name, cells, Unit::Percent, colour));
    }
    columns
}
