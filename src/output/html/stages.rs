//! The stages of sampled messages, as bars below each other.

use std::fmt::Write as _;

use super::chart::{legend, percent, reader, round_ticks, x_axis};
use super::grid::figure;
use super::markup::{Figures, Unit, escape, table};
use super::scale::Scale;
use crate::report::{Distribution, Report, Stage, StampList};

/// Height of a row in pixels.
const ROW: usize = 34;
/// The colours of a bar and of the thin line through it.
const BODY: &str = "arrival";
const WHISKER: &str = "lateness";

/// Where a bar that begins at the p50 ends, in words.
type End = (&'static str, fn(&Distribution) -> Option<f64>);
/// The highest percentile that all stages have is the end of their bars.
const ENDS: [End; 4] = [
    ("p50 to p99", |q| q.p99),
    ("p50 to p95", |q| q.p95),
    ("p50 to p90", |q| q.p90),
    ("p50", |q| q.p50),
];

/// The end of the bars; `None` where no stage has any percentile.
fn end(stages: &[Stage]) -> Option<End> {
    let known = || stages.iter().map(|stage| &stage.distribution).filter(|q| q.p50.is_some());
    known().next()?;
    ENDS.into_iter().find(|(_, end)| known().all(|q| end(q).is_some()))
}

/// The breakdown with its table; nothing where no message was sampled.
pub(super) fn stages(figures: &Figures<'_>, report: &Report) -> String {
    let stages = || report.stages.iter().map(|stage| &stage.distribution);
    let values = || stages().flat_map(|q| [q.min, q.p50, q.p99, q.max]).flatten();
    if values().next().is_none() {
        return String::new();
    }
    let bound = report.run.clock.error_bound_us;
    // A microsecond is drawn as the shortest: less would take the room of what matters.
    let x = Scale::log_over(values().map(|value| drawn(value, bound).max(1.0)));
    let height = ROW * report.stages.len();
    let end = end(&report.stages);
    let bars: String =
        report.stages.iter().enumerate().map(|(n, stage)| bar(n, stage, (x, end), bound)).collect();
    let body = end.map(|(words, _)| (BODY, words));
    let keys = legend(body.into_iter().chain([(WHISKER, "shortest to longest")]));
    let axis = x_axis(x, &round_ticks(x, Unit::Time), "");
    let chart = format!(
        "<div class=\"chart bars\">{keys}<div class=\"plot\"><svg height=\"{height}\" role=\"group\" \
         aria-label=\"Chart: Stages\">\n{axis}{bars}</svg></div></div>\n"
    );
    figure("Stages of a message", &note(report), &chart, &listed(figures, report))
}

fn note(report: &Report) -> String {
    let sample = Unit::Count.write(report.run.sample as f64);
    let of = format!("Of 1 message in {sample}, in Redis's time");
    match report.run.clock.error_bound_us {
        Some(bound) => format!("{of}, to ± {}.", Unit::Time.write(bound)),
        None => format!("{of}."),
    }
}

fn name(stage: &Stage) -> String {
    format!("{} → {}", stage.from, stage.to)
}

fn bar(n: usize, stage: &Stage, (x, end): (Scale, Option<End>), bound: Option<f64>) -> String {
    let q = &stage.distribution;
    let middle = n * ROW + ROW / 2;
    let mut marks = format!(
        "<rect y=\"{}\" width=\"100%\" height=\"{ROW}\"/><text x=\"-8\" y=\"{middle}\" dy=\".34em\" \
         text-anchor=\"end\">{}</text>",
        n * ROW,
        escape(&name(stage))
    );
    let mut span = |class: &str, from: Option<f64>, to: Option<f64>, thick: usize| {
        if let (Some(from), Some(to)) = (from, to) {
            let (from, to) = (x.place(drawn(from, bound)), x.place(drawn(to, bound)));
            let _ = write!(
                marks,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{thick}\" rx=\"2\"/>",
                percent(from),
                middle - thick / 2,
                // Seen even where both ends are one.
                percent((to - from).max(0.004)),
            );
        }
    };
    span(WHISKER, q.min, q.max, 2);
    span(BODY, q.p50, end.and_then(|(_, end)| end(q)), 14);
    let readings = [
        (WHISKER, "min", fine(q.min, bound)),
        (BODY, "p50", fine(q.p50, bound)),
        (BODY, "p90", fine(q.p90, bound)),
        (BODY, "p99", fine(q.p99, bound)),
        (WHISKER, "max", fine(q.max, bound)),
    ];
    reader(n == 0, &name(stage), &readings, &marks)
}

/// What was rounded to nothing is drawn at the bound it was rounded to, as more is not known.
fn drawn(value: f64, bound: Option<f64>) -> f64 {
    if value > 0.0 { value } else { bound.unwrap_or(1.0) }
}

/// A time; where rounding to the clock's bound left nothing of it, only this can be said.
fn fine(value: Option<f64>, bound: Option<f64>) -> String {
    match (value, bound) {
        (Some(0.0), Some(bound)) => format!("< {}", Unit::Time.write(bound)),
        _ => Unit::Time.write_known(value),
    }
}

fn listed(figures: &Figures<'_>, report: &Report) -> String {
    let bound = report.run.clock.error_bound_us;
    let columns = ["p50", "p90", "p99", "max"];
    let mut head = vec!["stage".to_owned(), "messages".to_owned()];
    head.extend(columns.map(str::to_owned));
    let row = |(n, stage): (usize, &Stage)| {
        let cell = |column: &str| {
            let path = format!("/stages/{n}/{column}");
            figures.show_as(&path, &fine(figures.number(&path), bound))
        };
        let count = figures.show(&format!("/stages/{n}/count"), Unit::Count);
        [escape(&name(stage)), count].into_iter().chain(columns.iter().map(|c| cell(c))).collect()
    };
    let rows: Vec<_> = report.stages.iter().enumerate().map(row).collect();
    table("Stages", &head, &rows) + &stamp_lists(figures, report)
}

/// The counts of the Redis lists; nothing in reports of before they were counted.
fn stamp_lists(figures: &Figures<'_>, report: &Report) -> String {
    if report.stamps.is_empty() {
        return String::new();
    }
    let head = ["stamps in Redis", "read", "of this run", "of others", "not readable"];
    let row = |(n, list): (usize, &StampList)| {
        let counts = ["read", "joined", "foreign", "unreadable"]
            .map(|column| figures.show(&format!("/stamps/{n}/{column}"), Unit::Count));
        std::iter::once(escape(&list.list)).chain(counts).collect()
    };
    let rows: Vec<_> = report.stamps.iter().enumerate().map(row).collect();
    table("Stamps in Redis", &head.map(str::to_owned), &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_end_where_the_legend_says() {
        let text = include_str!("../../../tests/data/run.json");
        let mut stages = Report::from_json(text).expect("a saved report").stages;
        let words = |stages: &[Stage]| end(stages).map(|(words, _)| words);
        assert_eq!(words(&stages), Some("p50 to p99"));
        (stages[1].distribution.p99, stages[2].distribution.p99) = (None, None);
        assert_eq!(words(&stages), Some("p50 to p95"));
        (stages[1].distribution.p95, stages[1].distribution.p90) = (None, None);
        assert_eq!(words(&stages), Some("p50"));
        // One that has nothing takes nothing from the others.
        stages[1].distribution.p50 = None;
        assert_eq!(words(&stages), Some("p50 to p95"));
        stages.iter_mut().for_each(|stage| stage.distribution.p50 = None);
        assert_eq!(words(&stages), None);
    }
}
