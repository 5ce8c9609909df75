//! The stages of sampled messages, as bars below each other.

use std::fmt::Write as _;

use super::chart::{Reading, legend, percent, reader, round_ticks, x_axis};
use super::grid::figure;
use super::located::{Located, ShownNumber, field, number};
use super::markup::{Unit, escape};
use super::scale::Scale;
use super::table::{Cell, table};
use crate::output::number::{NOT_AVAILABLE, Statistic, bound_of_zero};
use crate::report::{Report, Stage, StampList};

/// Height of a row in pixels.
const ROW: usize = 34;
/// CSS classes of a bar and of the thin line through it.
const BODY: &str = "arrival";
const WHISKER: &str = "lateness";
/// Smallest width of a bar, as a part of the drawing: it stays visible if both ends are the same.
const LEAST_WIDTH: f64 = 0.004;

/// The percentiles at which the bars may end, highest first. Bars begin at the p50.
const ENDS: [Statistic; 4] = [Statistic::P99, Statistic::P95, Statistic::P90, Statistic::P50];

/// The highest percentile that is known for all stages that have values; `None` if no stage has any.
fn end_of_bars(stages: &[Stage]) -> Option<Statistic> {
    let known: Vec<_> =
        stages.iter().map(|stage| &stage.distribution).filter(|q| q.p50.is_some()).collect();
    if known.is_empty() {
        return None;
    }
    ENDS.into_iter().find(|end| known.iter().all(|q| end.of(q).is_some()))
}

/// Name of the bars in the legend.
fn span_name(end: Statistic) -> String {
    if end == Statistic::P50 { end.label() } else { format!("p50 to {}", end.label()) }
}

/// The chart with its table; empty if no message was sampled.
pub(super) fn stages(report: &Located<'_, Report>) -> String {
    let quantiles = report.stages.iter().map(|stage| &stage.distribution);
    let values: Vec<f64> = quantiles.flat_map(|q| [q.min, q.p50, q.p99, q.max]).flatten().collect();
    if values.is_empty() {
        return String::new();
    }
    let error_bound_us = report.run.clock.error_bound_us;
    // The axis begins at a microsecond: shorter times would take the room of the longer ones.
    let drawn = values.into_iter().map(|value| drawn_us(value, error_bound_us).max(1.0));
    let stages = report.stages.as_slice();
    let (x, end) = (Scale::log_over(drawn), end_of_bars(stages));
    let chart = StageChart { stages, x, end, error_bound_us };
    let height = ROW * report.stages.len();
    let bars: String =
        report.stages.iter().enumerate().map(|(row, stage)| chart.bar(row, stage)).collect();
    let span = chart.end.map(span_name);
    let body = span.as_ref().map(|name| (BODY, name.as_str()));
    let keys = legend(body.into_iter().chain([(WHISKER, "shortest to longest")]));
    let axis = x_axis(chart.x, &round_ticks(chart.x, Unit::Time), "");
    let drawing = format!(
        "<div class=\"chart bars\">{keys}<div class=\"plot\"><svg height=\"{height}\" role=\"group\" \
         aria-label=\"Chart: Stages\">\n{axis}{bars}</svg></div></div>\n"
    );
    figure("Stages of a message", &note(report), &drawing, &stage_table(report))
}

fn note(report: &Report) -> String {
    let sample = Unit::Count.write(report.run.sample as f64);
    let of = format!("Of 1 message in {sample}, in Redis's time");
    match report.run.clock.error_bound_us {
        Some(bound) => format!("{of}, to ± {}.", Unit::Time.write(bound)),
        None => format!("{of}."),
    }
}

fn stage_name(stage: &Stage) -> String {
    format!("{} → {}", stage.from, stage.to)
}

/// Scale and ends of the bars.
struct StageChart<'a> {
    stages: &'a [Stage],
    x: Scale,
    end: Option<Statistic>,
    error_bound_us: Option<f64>,
}

/// A bar from one time to another.
struct Span {
    class: &'static str,
    from: Option<f64>,
    to: Option<f64>,
    /// In pixels.
    thickness: usize,
}

impl StageChart<'_> {
    fn bar(&self, row: usize, stage: &Stage) -> String {
        let q = &stage.distribution;
        let middle = row * ROW + ROW / 2;
        let name = stage_name(stage);
        let mut marks = format!(
            "<rect y=\"{}\" width=\"100%\" height=\"{ROW}\"/><text x=\"-8\" y=\"{middle}\" dy=\".34em\" \
             text-anchor=\"end\">{}</text>",
            row * ROW,
            escape(&name)
        );
        let to = self.end.and_then(|end| end.of(q));
        let spans = [
            Span { class: WHISKER, from: q.min, to: q.max, thickness: 2 },
            Span { class: BODY, from: q.p50, to, thickness: 14 },
        ];
        for span in spans {
            let (Some(from), Some(to)) = (span.from, span.to) else { continue };
            let from = self.x.place(drawn_us(from, self.error_bound_us));
            let to = self.x.place(drawn_us(to, self.error_bound_us));
            let _ = write!(
                marks,
                "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\"/>",
                span.class,
                percent(from),
                middle - span.thickness / 2,
                percent((to - from).max(LEAST_WIDTH)),
                span.thickness,
            );
        }
        let shown = [
            (WHISKER, Statistic::Min),
            (BODY, Statistic::P50),
            (BODY, Statistic::P90),
            (BODY, Statistic::P99),
            (WHISKER, Statistic::Max),
        ];
        let readings = shown.map(|(class, statistic)| Reading {
            class,
            name: statistic.key(),
            value: self.text(stage, statistic),
        });
        reader(row == 0, &name, &readings, &marks)
    }

    /// A time of a stage in the unit of its column in the table.
    fn text(&self, stage: &Stage, statistic: Statistic) -> String {
        let bound = self.error_bound_us;
        let value = statistic.of(&stage.distribution);
        let unit = Unit::Time.of_column(self.stages.iter().filter_map(|stage| {
            let value = statistic.of(&stage.distribution);
            bound_of_zero(value, bound).or(value)
        }));
        match (bound_of_zero(value, bound), value) {
            (Some(bound), _) => format!("< {}", unit.write(bound)),
            (None, Some(value)) => unit.write(value),
            (None, None) => NOT_AVAILABLE.to_owned(),
        }
    }
}

/// The time at which a value is drawn, in microseconds. A value that was rounded to zero is drawn at the clock's error
/// bound, because only "less than this" is known.
fn drawn_us(value: f64, error_bound_us: Option<f64>) -> f64 {
    if value > 0.0 { value } else { error_bound_us.unwrap_or(1.0) }
}

fn stage_table(report: &Located<'_, Report>) -> String {
    let statistics = [Statistic::P50, Statistic::P90, Statistic::P99, Statistic::Max];
    let mut head = vec!["stage".to_owned(), "messages".to_owned()];
    head.extend(statistics.map(Statistic::label));
    let mut rows = Vec::new();
    for stage in field!(report, stages).items() {
        let times = stage.times();
        let count = number!(times, count).cell(Unit::Count);
        let mut row = vec![Cell::from(escape(&stage_name(&stage))), count];
        for time in statistics.map(|statistic| times.statistic(statistic)) {
            let bound = bound_of_zero(time.value(), report.run.clock.error_bound_us);
            row.push(time.bounded_by(bound).cell(Unit::Time));
        }
        rows.push(row);
    }
    table("Stages", &head, rows) + &stamp_lists(report)
}

/// Counts of the stamp lists in Redis; empty for reports of versions that did not count them.
fn stamp_lists(report: &Located<'_, Report>) -> String {
    if report.stamps.is_empty() {
        return String::new();
    }
    let head = ["stamps in Redis", "read", "of this run", "of others", "not readable"];
    let mut rows = Vec::new();
    for list in field!(report, stamps).items() {
        let mut row = vec![Cell::from(escape(&list.list))];
        row.extend(stamp_counts(&list).map(|count| count.cell(Unit::Count)));
        rows.push(row);
    }
    table("Stamps in Redis", &head.map(str::to_owned), rows)
}

fn stamp_counts(list: &Located<'_, StampList>) -> [ShownNumber; 4] {
    [number!(list, read), number!(list, joined), number!(list, foreign), number!(list, unreadable)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(stages: &[Stage]) -> Option<String> {
        end_of_bars(stages).map(span_name)
    }

    #[test]
    fn bars_end_as_named_in_the_legend() {
        let text = include_str!("../../../tests/data/run.json");
        let mut stages = Report::from_json(text).expect("a saved report").stages;
        assert_eq!(words(&stages).as_deref(), Some("p50 to p99"));
        (stages[1].distribution.p99, stages[2].distribution.p99) = (None, None);
        assert_eq!(words(&stages).as_deref(), Some("p50 to p95"));
        (stages[1].distribution.p95, stages[1].distribution.p90) = (None, None);
        assert_eq!(words(&stages).as_deref(), Some("p50"));
        // A stage without values does not change the bars of the others.
        stages[1].distribution.p50 = None;
        assert_eq!(words(&stages).as_deref(), Some("p50 to p95"));
        stages.iter_mut().for_each(|stage| stage.distribution.p50 = None);
        assert_eq!(words(&stages), None);
    }
}
