//! Tables for gnuplot, separated by two empty lines. `index 0` has the columns of the original experiment and a row for each
//! step (a run is one step). The series of each step follow. `NaN` is a number that was not measured. Seconds after the end
//! of sending are comments: a curve through them would fall to zero although the load did not.

use std::fmt::Write as _;

use crate::report::ramp::RampReport;
use crate::report::{Report, Row};

/// Columns of the original experiment first, so that its gnuplot scripts can be used.
const STEPS: [&str; 7] = [
    "concurrency",
    "HTTP latency ms",
    "requests/s",
    "arrival s",
    "HTTP latency p99 ms",
    "arrival p50 s",
    "arrival p99 s",
];
/// Length of a row of the series, in seconds.
const ROW_S: f64 = 1.0;
const SERIES: [&str; 11] = [
    "t s",
    "sent",
    "completed",
    "failed",
    "arrived",
    "in flight",
    "queue depth",
    "response p50 ms",
    "response p99 ms",
    "arrival p50 ms",
    "arrival p99 ms",
];

pub(super) fn run(report: &Report) -> String {
    steps(&[report]) + &series(&report.run.target, report)
}

/// Steps without a report are comments, so that gnuplot does not count them as tables.
pub(super) fn ramp(ramp: &RampReport) -> String {
    let reports: Vec<_> = ramp.steps.iter().filter_map(|step| step.report.as_ref()).collect();
    let mut out = steps(&reports);
    for step in &ramp.steps {
        out += &match (&step.report, &step.error) {
            (Some(report), _) => series(&step.name, report),
            (None, error) => {
                comment(&format!("{}: {}", step.name, error.as_deref().unwrap_or("not run")))
            }
        };
    }
    out
}

fn steps(reports: &[&Report]) -> String {
    let mut out = comment(&STEPS.join("\t"));
    for report in reports {
        let (response, arrival) = (&report.latency.response, report.arrival.as_ref());
        let figures = [
            Some(report.run.connections as f64),
            response.mean.map(to_millis),
            Some(report.requests.completed_per_s),
            arrival.and_then(|q| q.mean).map(to_seconds),
            response.p99.map(to_millis),
            arrival.and_then(|q| q.p50).map(to_seconds),
            arrival.and_then(|q| q.p99).map(to_seconds),
        ];
        out += &line(&figures);
    }
    out
}

fn series(name: &str, report: &Report) -> String {
    let mut out = format!("\n\n{}{}", comment(name), comment(&SERIES.join("\t")));
    for row in &report.series {
        if is_after_the_end(row, report) {
            out += "# ";
        }
        out += &line(&[
            Some(row.t_s),
            Some(row.sent as f64),
            Some(row.completed as f64),
            Some(row.failed as f64),
            Some(row.arrived as f64),
            Some(row.in_flight as f64),
            row.queue_depth.map(|depth| depth as f64),
            row.response_p50.map(to_millis),
            row.response_p99.map(to_millis),
            row.arrival_p50.map(to_millis),
            row.arrival_p99.map(to_millis),
        ]);
    }
    out
}

/// Returns true if the row's second begins after the end of sending.
fn is_after_the_end(row: &Row, report: &Report) -> bool {
    row.sent == 0 && row.t_s - ROW_S >= report.run.duration_s
}

fn comment(text: &str) -> String {
    format!("# {}\n", text.replace(['\n', '\r'], " "))
}

fn line(figures: &[Option<f64>]) -> String {
    let mut out = String::new();
    for (n, figure) in figures.iter().enumerate() {
        out += if n > 0 { "\t" } else { "" };
        match figure {
            Some(figure) => {
                let _ = write!(out, "{figure}");
            }
            None => out += "NaN",
        }
    }
    out + "\n"
}

/// Milliseconds, rounded to nanoseconds: 0.071615, not 0.07161500000000001.
fn to_millis(micros: f64) -> f64 {
    (micros * 1e3).round() / 1e6
}

fn to_seconds(micros: f64) -> f64 {
    (micros * 1e3).round() / 1e9
}
