//! The steps of a ramp side by side, as charts over the setting that the ramp changes.

use super::chart::{COLOURS, Tick, round_ticks, tick_label};
use super::chart_marks::{ChartMarks, Knee, Limit, Shade};
use super::grid::{Grid, GridColumn, GridRow, GridStyle, Joined};
use super::located::{Located, ShownNumber, field, number};
use super::markup::{Unit, escape};
use super::scale::Scale;
use crate::config::plan::Threshold;
use crate::output::number::Statistic;
use crate::report::Report;
use crate::report::lookup::is_time;
use crate::report::ramp::{RampReport, Search};

/// The axis of the steps is logarithmic if the largest value is at least this many times the smallest.
const WIDE: f64 = 30.0;

/// A step that has a report.
struct ReportedStep<'a> {
    number: usize,
    x: f64,
    name: &'a str,
    report: Located<'a, Report>,
    /// True if a finding says that its numbers are chance.
    is_noise: bool,
}

impl ReportedStep<'_> {
    /// The row of the step at a place of the x axis.
    fn row(&self, x: f64) -> GridRow {
        let mut title = self.name.to_owned();
        if self.is_noise {
            title += " (noise)";
        }
        let name = step_name(self.number, self.name, self.is_noise);
        GridRow { x, name, title, is_noise: self.is_noise }
    }

    /// Requests answered per second.
    fn achieved(&self) -> f64 {
        self.report.requests.rate_achieved
    }
}

/// The x axis of the charts: the setting that the ramp changes, or the order of the steps if it changes more than one
/// number.
struct StepAxis<'a> {
    name: String,
    x: Scale,
    ticks: Vec<Tick>,
    /// The steps that have a report, by their place on the axis.
    steps: Vec<ReportedStep<'a>>,
    joined: Joined,
}

impl<'a> StepAxis<'a> {
    fn new(ramp: &Located<'a, RampReport>) -> Self {
        let is_numbered = ramp.axis.is_some() && ramp.steps.iter().all(|step| step.x.is_some());
        let mut steps = Vec::new();
        for (number, step) in field!(ramp, steps).items().enumerate() {
            let x = step.x.filter(|_| is_numbered).unwrap_or((number + 1) as f64);
            let name = &step.part().name;
            if let Some(report) = field!(step, report).known() {
                let is_noise = is_noise(ramp, name);
                steps.push(ReportedStep { number, x, name, report, is_noise });
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
            joined: if ramp.search.is_some() {
                Joined::Places
            } else if values.len() == steps.len() {
                Joined::Rows
            } else {
                // Several curves: a line would connect steps that have nothing to do with each other.
                Joined::Nothing
            },
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
            row_label: "step".to_owned(),
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

    fn chart(&self, style: &GridStyle, columns: Vec<GridColumn>) -> String {
        let rows = self.steps.iter().map(|step| step.row(step.x)).collect();
        Grid { rows, columns }.figure(style)
    }

    /// The chart of latency by throughput: beyond the knee, latency rises and throughput does not.
    fn latency_by_throughput(&self, limits: &[Limit], search: Option<&Search>) -> String {
        let steps: Vec<_> = self.steps.iter().collect();
        if steps.len() < 3 {
            return String::new();
        }
        let achieved = steps.iter().map(|step| self.throughput_of(step));
        let ends = [achieved.clone().fold(f64::INFINITY, f64::min), achieved.fold(0.0, f64::max)];
        let room = 0.04 * (ends[1] - ends[0]);
        let rate = steps.iter().map(|step| number!(step.report, requests.rate_achieved)).collect();
        let mut columns = vec![GridColumn::listed("answered per second", rate, Unit::Rate)];
        columns.extend(latencies(&steps, &[Statistic::P99]));
        let marks = search.map(|search| self.marks_by_throughput(search)).unwrap_or_default();
        let style = GridStyle {
            title: "Latency by throughput".to_owned(),
            x: Scale::Linear(ends[0] - room, ends[1] + room),
            x_label: "requests answered per second".to_owned(),
            x_ticks: round_ticks(Scale::Linear(ends[0], ends[1]), Unit::Rate),
            log: true,
            marks: ChartMarks { limits: limits.to_vec(), ..marks },
            ..self.style("", "Where latency rises and throughput does not, the target is full.")
        };
        let rows = steps.iter().map(|step| step.row(self.throughput_of(step))).collect();
        Grid { rows, columns }.figure(&style)
    }

    /// Place of a step on the axis of throughput.
    fn throughput_of(&self, step: &ReportedStep<'_>) -> f64 {
        match self.joined {
            // Other steps at this value are on other curves.
            Joined::Nothing => step.achieved(),
            Joined::Rows | Joined::Places => self.throughput_at(step.x),
        }
    }

    /// Mean throughput of the steps at a value of the axis: the trials of a search are one point.
    fn throughput_at(&self, x: f64) -> f64 {
        let steps: Vec<_> = self.steps.iter().filter(|step| step.x == x).collect();
        steps.iter().map(|step| step.achieved()).sum::<f64>() / steps.len().max(1) as f64
    }

    /// The knee of a search: the throughput at the highest value that holds.
    fn marks_by_throughput(&self, search: &Search) -> ChartMarks {
        let Some(holds) = search.holds else { return ChartMarks::default() };
        let knee = self.throughput_at(holds);
        let mut shades = vec![Shade { from: 0.0, to: knee, class: "holds" }];
        let fails = search.fails.filter(|fails| search.unknown_at(*fails).is_none());
        if let Some(fails) = fails {
            let from = self.throughput_at(fails);
            let end = self.steps.iter().map(ReportedStep::achieved).fold(knee, f64::max) * 2.0;
            // At a full target the throughput is the same on both sides of the knee.
            shades.push(Shade { from: from.clamp(knee, end), to: end, class: "fails" });
        }
        let label = format!("knee: {}", search.axis.value_text(holds));
        let knee = fails.map(|_| Knee { x: knee, label });
        ChartMarks { shades, knee, limits: Vec::new() }
    }
}

/// Returns true if a finding says that the numbers of a step are chance.
pub(super) fn is_noise(ramp: &RampReport, step: &String) -> bool {
    ramp.findings.iter().any(|finding| finding.noisy_step() == Some(step))
}

/// A link to a step, marked if its numbers are chance.
pub(super) fn step_name(step: usize, name: &str, is_noise: bool) -> String {
    let mark = if is_noise { " <span class=\"badge unclear\">noise</span>" } else { "" };
    format!("<a href=\"#step-{step}\">{}</a>{mark}", escape(name))
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
    let by_throughput = axis.latency_by_throughput(&marks.limits, ramp.search.as_ref());
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
    ChartMarks { limits: limits.collect(), shades: shades(ramp, axis), knee: None }
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
