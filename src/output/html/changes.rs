//! The change of each figure of a comparison with its interval: as a chart, and as a table.

use std::fmt::Write as _;

use super::chart::{Reading, Tick, legend, percent, reader, round_ticks, x_axis};
use super::grid::figure;
use super::located::{Located, ShownNumber, field, number};
use super::markup::{Unit, escape};
use super::scale::Scale;
use super::table::{Cell, head, table};
use crate::analysis::compare::figure::THROUGHPUT;
use crate::analysis::compare::{Comparison, Figure, Outcome, Part};
use crate::output::comparison::figures::{
    bound, change, change_and_interval, judgement, label, source,
};
use crate::output::number::NOT_AVAILABLE;

/// Most ticks of the axis.
const MOST_TICKS: usize = 4;
/// Height of a row in pixels.
const ROW: usize = 34;
/// Thickness of an interval in pixels.
const THICKNESS: usize = 6;
/// The axis ends at this change in percent, or before. Longer intervals are cut.
const MOST_PERCENT: f64 = 100.0;
/// Smallest width of an interval, as a part of the drawing.
const LEAST_WIDTH: f64 = 0.004;

/// CSS class of a judgement.
fn class(comparison: &Comparison, figure: &Figure) -> &'static str {
    match figure.outcome {
        Some(Outcome::Worse) => "bad",
        Some(Outcome::Better | Outcome::Same) => "good",
        Some(Outcome::Unclear) if figure.is_not_worse(comparison.tolerance_percent) => "good",
        Some(Outcome::Unclear) => "unclear",
        None => "lateness",
    }
}

/// Times and rates with the intervals of their changes; empty if no interval is known.
pub(super) fn change_chart(
    comparison: &Located<'_, Comparison>,
    part: &Located<'_, Part>,
) -> String {
    let is_drawn = |figure: &&Figure| figure.is_time_or_rate() && figure.interval_percent.is_some();
    let figures: Vec<_> = part.figures.iter().filter(is_drawn).collect();
    if figures.is_empty() {
        return String::new();
    }
    let ends = figures.iter().filter_map(|figure| figure.interval_percent).flatten();
    let least = 2.0 * comparison.tolerance_percent;
    let most = ends.fold(least, |most, end| most.max(end.abs())).clamp(1.0, MOST_PERCENT) * 1.05;
    let chart = ChangeChart { comparison: comparison.part(), x: Scale::Linear(-most, most) };
    let mut bars = chart.tolerance_band();
    for (row, figure) in figures.iter().enumerate() {
        bars += &chart.bar(row, figure);
    }
    let keys = legend(
        [
            ("tolerance", "tolerance"),
            ("bad", "worse"),
            ("good", "same or better"),
            ("unclear", "unclear"),
        ]
        .into_iter(),
    );
    let axis = x_axis(chart.x, &chart.ticks(), "");
    let drawing = format!(
        "<div class=\"chart bars\">{keys}<div class=\"plot\"><svg height=\"{}\" role=\"group\" \
         aria-label=\"Chart: Changes\">\n{bars}{axis}</svg></div></div>\n",
        ROW * figures.len()
    );
    let note =
        "The dot is the change, the bar its interval. More is worse, but for the throughput.";
    figure("Changes", note, &drawing, "")
}

struct ChangeChart<'a> {
    comparison: &'a Comparison,
    x: Scale,
}

impl ChangeChart<'_> {
    /// The ticks on both sides of zero that have room on a phone.
    fn ticks(&self) -> Vec<Tick> {
        let ticks = round_ticks(self.x, Unit::Percent);
        let zero = ticks.iter().position(|tick| tick.at == 0.0).unwrap_or_default();
        let every = ticks.len().div_ceil(MOST_TICKS);
        let numbered = ticks.into_iter().enumerate();
        numbered
            .filter(|(n, _)| n.abs_diff(zero).is_multiple_of(every))
            .map(|(_, tick)| tick)
            .collect()
    }

    fn tolerance_band(&self) -> String {
        let tolerance = self.comparison.tolerance_percent;
        let (from, to) = (self.x.place(-tolerance), self.x.place(tolerance));
        format!(
            "<rect class=\"tolerance\" x=\"{}\" width=\"{}\" height=\"100%\"/>\n",
            percent(from),
            percent(to - from)
        )
    }

    fn bar(&self, row: usize, figure: &Figure) -> String {
        let name = label(&figure.name);
        let class = class(self.comparison, figure);
        let middle = row * ROW + ROW / 2;
        let [low, high] = figure.interval_percent.unwrap_or_default().map(|end| self.x.place(end));
        let mut marks = format!(
            "<rect y=\"{}\" width=\"100%\" height=\"{ROW}\"/><text x=\"-8\" y=\"{middle}\" dy=\".34em\" \
             text-anchor=\"end\">{}</text>",
            row * ROW,
            escape(&name)
        );
        let _ = write!(
            marks,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{THICKNESS}\" rx=\"3\"/>\
             <circle class=\"{class}\" cx=\"{}\" cy=\"{middle}\" r=\"6\"/>",
            percent(low),
            middle - THICKNESS / 2,
            percent((high - low).max(LEAST_WIDTH)),
            percent(self.x.place(figure.change_percent)),
        );
        let readings = [
            Reading { class: "base", name: "base", value: written(figure, figure.base) },
            Reading { class: "new", name: "new", value: written(figure, figure.new) },
            Reading { class, name: "change", value: change_and_interval(figure) },
        ];
        reader(row == 0, &name, &readings, &marks)
    }
}

/// A value of the figure with its unit.
fn written(figure: &Figure, value: f64) -> String {
    if figure.name == THROUGHPUT {
        format!("{}/s", Unit::Rate.write(value))
    } else if figure.is_time_or_rate() {
        Unit::Time.write(value)
    } else {
        format!("{value:.3} %")
    }
}

/// All figures with their values, the intervals, and the source of each interval.
pub(super) fn change_table(
    comparison: &Located<'_, Comparison>,
    part: &Located<'_, Part>,
) -> String {
    let interval = format!("{} % interval", comparison.confidence_percent);
    let names = ["", "base", "new", "change", &interval, "", "interval from"];
    let mut rows = Vec::new();
    for figure in field!(part, figures).items() {
        rows.push(table_row(comparison, part, &figure));
    }
    table("Figures", &head(names), rows)
}

fn table_row(comparison: &Comparison, part: &Part, figure: &Located<'_, Figure>) -> Vec<Cell> {
    let word = judgement(comparison, part, figure);
    let noise = figure.noise.map_or(NOT_AVAILABLE, source);
    let base = [field!(figure, base_interval).known(), field!(figure, new_interval).known()];
    let [base, new] = base.map(|known| known.map(|ends| [0, 1].map(|n| ends.item(n).number())));
    let ends = field!(figure, interval_percent).known();
    let ends = ends.map(|ends| [0, 1].map(|n| ends.item(n).number()));
    let cells = [
        escape(&label(&figure.name)),
        side(figure, &number!(figure, base), base),
        side(figure, &number!(figure, new), new),
        number!(figure, change_percent).show_as(&change(figure)),
        ends.map_or_else(|| NOT_AVAILABLE.to_owned(), |ends| interval_cell(figure, &ends)),
        format!("<span class=\"{}\">{word}</span>", class(comparison, figure)),
        noise.to_owned(),
    ];
    cells.map(Cell::from).to_vec()
}

/// The value of a side with its interval below.
fn side(figure: &Figure, value: &ShownNumber, interval: Option<[ShownNumber; 2]>) -> String {
    let shown = show(figure, value);
    let Some([low, high]) = interval else { return shown };
    let (low, high) = (show(figure, &low), show(figure, &high));
    format!("{shown}<br><span class=\"interval\">{low} to {high}</span>")
}

fn show(figure: &Figure, number: &ShownNumber) -> String {
    number.show_as(
        &number.value().map_or_else(|| NOT_AVAILABLE.to_owned(), |value| written(figure, value)),
    )
}

/// The interval of a change.
fn interval_cell(figure: &Figure, [low, high]: &[ShownNumber; 2]) -> String {
    let [low, high] =
        [low, high].map(|end| end.show_as(&bound(figure, end.value().unwrap_or_default())));
    format!("{low} to {high}")
}
