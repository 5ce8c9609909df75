//! The steps of a ramp side by side, as charts over the setting that the ramp changes.

use super::chart::{COLOURS, ChartMarks, Limit, Shade, Tick, round_ticks, tick_label};
use super::grid::{Grid, GridColumn, GridRow, GridStyle};
use super::located::{Located, ShownNumber, field, number};
use super::markup::{Unit, escape};
use super::scale::Scale;
use crate::config::plan::Threshold;
use crate::output::number::Statistic;
use crate::report::Report;
use crate::report::lookup::is_time;
use crate::report::ramp::RampReport;

/// The axis of the steps is logarithmic if the largest value is at least this many times the smallest.
const WIDE: f64 = 30.0;

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

    fn style(&self, title: &str, note: &str) -> GridStyle {
        GridStyle {
            title: format!("{title} by {}", self.name),
            note: note.to_owned(),
            x: self.x,
            x_label: match self.name.as_str() {
                "rate" => "rate (requests/s)".to_owned(),
                name => name.to_owned(),
            },
            x_ticks: self.ticks.clone(),
            log: false,
            joined: self.joined,
            until: f64::INFINITY,
            rows: "steps",
            marks: ChartMarks::default(),
        }
    }

    fn rows(&self) -> Vec<GridRow> {
        let mut rows = Vec::new();
        for step in &self.steps {
            let name = link(step.number, step.name);
            rows.push(GridRow { x: step.x, name, title: step.name.to_owned() });
        }
        rows
    }

    fn chart(&self, style: &GridStyle, columns: Vec<GridColumn>) -> String {
        Grid { rows: self.rows(), columns }.figure(style)
    }

    /// The chart of latency by throughput: beyond the knee, latency rises and throughput does not.
    fn latency_by_throughput(&self, limits: &[Limit]) -> String {
        let achieved = |step: &ReportedStep<'_>| step.report.requests.rate_achieved;
        let mut steps: Vec<_> = self.steps.iter().collect();
        steps.sort_by(|a, b| achieved(a).total_cmp(&achieved(b)));
        let (Some(first), Some(last), true) = (steps.first(), steps.last(), steps.len() > 2) else {
            return String::new();
        };
        let room = 0.04 * (achieved(last) - achieved(first));
        let x = Scale::Linear(achieved(first) - room, achieved(last) + room);
        let mut rows = Vec::new();
        for step in &steps {
            let name = link(step.number, step.name);
            rows.push(GridRow { x: achieved(step), name, title: step.name.to_owned() });
        }
        let rate = steps.iter().map(|step| number!(step.report, requests.rate_achieved)).collect();
        let mut columns = vec![GridColumn::listed("answered per second", rate, Unit::Rate)];
        columns.extend(latencies(&steps, &[Statistic::P99]));
        let style = GridStyle {
            title: "Latency by throughput".to_owned(),
            x,
            x_label: "requests answered per second".to_owned(),
            x_ticks: round_ticks(Scale::Linear(achieved(first), achieved(last)), Unit::Rate),
            log: true,
            marks: ChartMarks { limits: limits.to_vec(), shades: Vec::new() },
            ..self.style("", "Where latency rises and throughput does not, the target is full.")
        };
        Grid { rows, columns }.figure(&style)
    }
}

/// A link to a step.
pub(super) fn link(step: usize, name: &str) -> String {
    format!("<a href=\"#step-{step}\">{}</a>", escape(name))
}

/// All charts.
pub(super) fn charts(ramp: &Located<'_, RampReport>) -> String {
    let axis = StepAxis::new(ramp);
    let marks = marks(ramp, &axis);
    let mut note = "Logarithmic.".to_owned();
    if !marks.limits.is_empty() {
        note += " The dashed line is the bound of the condition.";
    }
    let steps: Vec<_> = axis.steps.iter().collect();
    let by_throughput = axis.latency_by_throughput(&marks.limits);
    let latency = GridStyle { log: true, marks, ..axis.style("Latency", &note) };
    let throughput = axis.style("Throughput", "Requests per second.");
    let cpu_style = axis.style("CPU", "Mean over the step; 100 % is one core.");
    [
        axis.chart(&latency, latencies(&steps, &[Statistic::P99, Statistic::P50])),
        axis.chart(&throughput, rates(&axis)),
        by_throughput,
        axis.chart(&cpu_style, cpu(&axis)),
    ]
    .concat()
}

/// The bounds of the condition on latencies, and where it holds and fails.
fn marks(ramp: &RampReport, axis: &StepAxis<'_>) -> ChartMarks {
    let conditions: Vec<String> = match (&ramp.search, axis.steps.first()) {
        (Some(search), _) => search.condition.split(" and ").map(str::to_owned).collect(),
        (None, Some(step)) => {
            step.report.verdict.thresholds.iter().map(|threshold| threshold.expr.clone()).collect()
        }
        (None, None) => Vec::new(),
    };
    let limits = conditions.into_iter().filter_map(|label| {
        let threshold = Threshold::parse("", &label).ok()?;
        let is_drawn = ["arrival.p", "response.p"].iter().any(|n| threshold.name().contains(n));
        let y = threshold.bound();
        (is_drawn && is_time(threshold.name()) && y > 0.0).then_some(Limit { y, label })
    });
    ChartMarks { limits: limits.collect(), shades: shades(ramp, axis) }
}

/// The parts of the axis on which the condition of a search holds, is not decided, and fails.
fn shades(ramp: &RampReport, axis: &StepAxis<'_>) -> Vec<Shade> {
    let Some(search) = &ramp.search else { return Vec::new() };
    let end = axis.steps.last().map_or(1.0, |step| step.x * 2.0);
    let mut shades = Vec::new();
    if let Some(holds) = search.holds {
        shades.push(Shade { from: 0.0, to: holds, class: "holds" });
    }
    if let Some(fails) = search.fails.filter(|fails| search.unknown_at(*fails).is_none()) {
        shades.push(Shade { from: fails, to: end, class: "fails" });
    }
    shades
}

fn latencies(steps: &[&ReportedStep<'_>], statistics: &[Statistic]) -> Vec<GridColumn> {
    let mut columns = Vec::new();
    for statistic in statistics.iter().filter(|_| has_arrivals(steps)) {
        let times = steps.iter().map(|step| arrival(&step.report, *statistic)).collect();
        columns.push(latency_column("arrival", *statistic, times));
    }
    for statistic in statistics {
        let times =
            steps.iter().map(|step| field!(step.report, latency.response).statistic(*statistic));
        columns.push(latency_column("response", *statistic, times.collect()));
    }
    columns
}

fn has_arrivals(steps: &[&ReportedStep<'_>]) -> bool {
    steps.iter().any(|step| step.report.arrival.is_some())
}

/// A column of latencies. Its name is also its colour; medians are dashed.
fn latency_column(name: &str, statistic: Statistic, times: Vec<ShownNumber>) -> GridColumn {
    let class = match statistic {
        Statistic::P50 => format!("{name} dash"),
        _ => name.to_owned(),
    };
    GridColumn::drawn(&format!("{name} {}", statistic.label()), times, Unit::Time, &class)
}

/// A number of the arrival latencies; `n/a` if the run has none.
pub(super) fn arrival(report: &Located<'_, Report>, statistic: Statistic) -> ShownNumber {
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
