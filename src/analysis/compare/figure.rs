//! A figure of both sides: its values, its change, and their confidence intervals.

use serde::{Deserialize, Serialize};

use super::confidence::{self, Margin, mean};
use super::share::{TOLERATED_POINTS, failed, lost, share};
use super::{CompareError, Run};
use crate::core::distribution::Latencies;
use crate::core::units::round;
use crate::report::{Distribution, Report, Row};

/// Name of the only figure of which less is worse.
pub(crate) const THROUGHPUT: &str = "requests.completed_per_s";

/// Judgement of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Worse by more than the tolerance, at the confidence of the intervals.
    Worse,
    /// Better by more than the tolerance.
    Better,
    /// Within the tolerance.
    Same,
    /// None of these is certain: the noise is too large for the tolerance.
    Unclear,
}

/// The noise that an interval is computed from: of the known ones the one with the widest interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Noise {
    /// The variation from run to run.
    Runs,
    /// The variation from second to second.
    Seconds,
    /// The number of values, which count as independent. For a 99th percentile without values for each second they
    /// count in groups, and the noise of the seconds' medians is added.
    Values,
}

/// A figure of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Figure {
    /// Its dotted name in the report; `failed_percent` and `lost_percent` are shares of the planned requests and of the
    /// accepted messages.
    pub name: String,
    /// Value of the baseline in the report's unit: of several runs the geometric mean, of a share that of all runs together.
    pub base: f64,
    /// Value of the new side.
    pub new: f64,
    /// Confidence interval of the baseline's value; `null` if the noise is not known.
    pub base_interval: Option<[f64; 2]>,
    /// Confidence interval of the new side's value.
    pub new_interval: Option<[f64; 2]>,
    /// Change: new / base − 1 in percent; for a share new − base in percentage points.
    pub change_percent: f64,
    /// Confidence interval of the change; `null` if the noise is not known.
    pub interval_percent: Option<[f64; 2]>,
    /// The noise that the intervals are computed from.
    pub noise: Option<Noise>,
    /// Judgement; `null` if the verdict does not depend on this figure.
    pub outcome: Option<Outcome>,
}

impl Figure {
    /// Returns true for a time or a rate, false for a share of failures or losses.
    pub(crate) fn is_time_or_rate(&self) -> bool {
        !self.name.ends_with("_percent")
    }

    /// Returns true if the interval excludes a change for the worse beyond the tolerance.
    pub(crate) fn is_not_worse(&self, tolerance_percent: f64) -> bool {
        let Some([low, high]) = self.interval_percent.filter(|_| self.outcome.is_some()) else {
            return false;
        };
        if self.name == THROUGHPUT {
            low >= -tolerance_percent
        } else if self.is_time_or_rate() {
            high <= tolerance_percent
        } else {
            high <= TOLERATED_POINTS
        }
    }
}

/// A percentile of a distribution. The verdict depends on it if the series has it for each second.
struct Percentile {
    name: &'static str,
    of: fn(&Report) -> Option<&Distribution>,
    place: f64,
    value: fn(&Distribution) -> Option<f64>,
    second: Option<fn(&Row) -> Option<f64>>,
    /// Median of the same distribution in a row.
    median: fn(&Row) -> Option<f64>,
}

impl Percentile {
    const fn response(
        name: &'static str,
        place: f64,
        value: fn(&Distribution) -> Option<f64>,
        second: Option<fn(&Row) -> Option<f64>>,
    ) -> Self {
        let median = |row: &Row| row.response_p50;
        Self { name, of: |report| Some(&report.latency.response), place, value, second, median }
    }

    const fn arrival(
        name: &'static str,
        place: f64,
        value: fn(&Distribution) -> Option<f64>,
        second: Option<fn(&Row) -> Option<f64>>,
    ) -> Self {
        let median = |row: &Row| row.arrival_p50;
        Self { name, of: |report| report.arrival.as_ref(), place, value, second, median }
    }
}

const PERCENTILES: [Percentile; 8] = [
    Percentile::arrival("arrival.p50", 0.5, |q| q.p50, Some(|row| row.arrival_p50)),
    Percentile::arrival("arrival.p90", 0.9, |q| q.p90, None),
    Percentile::arrival("arrival.p99", 0.99, |q| q.p99, Some(|row| row.arrival_p99)),
    Percentile::arrival("arrival.p99_9", 0.999, |q| q.p99_9, None),
    Percentile::response("latency.response.p50", 0.5, |q| q.p50, Some(|row| row.response_p50)),
    Percentile::response("latency.response.p90", 0.9, |q| q.p90, None),
    Percentile::response("latency.response.p99", 0.99, |q| q.p99, Some(|row| row.response_p99)),
    Percentile::response("latency.response.p99_9", 0.999, |q| q.p99_9, None),
];

/// A margin and the noise that it is computed from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uncertainty {
    pub(super) margin: Margin,
    pub(super) noise: Noise,
}

impl Uncertainty {
    fn evenly(half: f64, noise: Noise) -> Self {
        Self { margin: Margin::evenly(half), noise }
    }
}

/// A figure of one run: the logarithm of its value, and its noise as far as it follows from this run.
struct Estimate {
    log: f64,
    /// Margin from the number of values.
    values: Option<Margin>,
    /// Half interval from the variation between seconds.
    seconds: Option<f64>,
    /// True if the noise follows from more than the number of values. The number alone is not enough for a verdict.
    is_decisive: bool,
}

impl Estimate {
    fn uncertainty(&self) -> Option<Uncertainty> {
        let values = self.values.map(|margin| Uncertainty { margin, noise: Noise::Values });
        let seconds = self.seconds.map(|half| Uncertainty::evenly(half, Noise::Seconds));
        widest(&[values, seconds])
    }
}

/// The widest margin below and above, and the noise of the widest of all.
fn widest(all: &[Option<Uncertainty>]) -> Option<Uncertainty> {
    let noise = noise_of_widest(all.iter().flatten().copied())?;
    let mut margin = Margin::evenly(0.0);
    for one in all.iter().flatten() {
        margin.down = margin.down.max(one.margin.down);
        margin.up = margin.up.max(one.margin.up);
    }
    Some(Uncertainty { margin, noise })
}

fn noise_of_widest(all: impl Iterator<Item = Uncertainty>) -> Option<Noise> {
    all.max_by(|a, b| a.margin.most().total_cmp(&b.margin.most())).map(|widest| widest.noise)
}

/// Figures of both sides.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) figures: Vec<Figure>,
    /// Names of the figures of the verdict that cannot be judged.
    pub(super) undecided: Vec<String>,
}

impl Figures {
    /// Adds a figure. If it is `needed` for the verdict and cannot be judged, its name is recorded as undecided.
    fn add(&mut self, name: &str, figure: Option<Figure>, needed: bool) {
        if needed && figure.as_ref().is_none_or(|figure| figure.outcome.is_none()) {
            self.undecided.push(name.to_owned());
        }
        self.figures.extend(figure);
    }
}

/// All figures that both sides have.
pub(super) fn figures(
    base: &[Run<'_>],
    new: &[Run<'_>],
    tolerance_percent: f64,
) -> Result<Figures, CompareError> {
    let mut found = Figures::default();
    for percentile in &PERCENTILES {
        let question = Question {
            name: percentile.name,
            decides: percentile.second.is_some(),
            worse_is: 1.0,
            tolerance_percent,
        };
        let (base_runs, new_runs) = (estimates(base, percentile)?, estimates(new, percentile)?);
        let figure = relative(&question, base_runs.as_deref(), new_runs.as_deref());
        let any = base.iter().chain(new).any(|(_, report)| (percentile.of)(report).is_some());
        found.add(percentile.name, figure, question.decides && any);
    }
    let question = Question { name: THROUGHPUT, decides: true, worse_is: -1.0, tolerance_percent };
    let figure = relative(&question, rates(base).as_deref(), rates(new).as_deref());
    found.add(THROUGHPUT, figure, true);
    found.figures.extend(share("failed_percent", base, new, failed));
    found.figures.extend(share("lost_percent", base, new, lost));
    Ok(found)
}

/// The rows of whole seconds in which requests were sent.
pub(super) fn whole_seconds(report: &Report) -> impl Iterator<Item = &Row> {
    report.series.iter().filter(|row| row.t_s <= report.run.duration_s + 1e-3)
}

/// Half interval of a figure from its seconds, if at least half of the seconds have it. At 950 requests a second one
/// second has 949 values and the next 950, and only the latter has a 99th percentile.
fn noise_of_seconds(report: &Report, figure: fn(&Row) -> Option<f64>) -> Option<f64> {
    let known: Vec<f64> = whole_seconds(report).filter_map(figure).collect();
    if known.len() * 2 < whole_seconds(report).count() {
        None
    } else {
        confidence::of_seconds(&known)
    }
}

fn estimates(
    runs: &[Run<'_>],
    percentile: &Percentile,
) -> Result<Option<Vec<Estimate>>, CompareError> {
    let mut estimates = Vec::new();
    for (file, report) in runs {
        let Some(distribution) = (percentile.of)(report) else { return Ok(None) };
        let Some(value) = (percentile.value)(distribution).filter(|value| *value > 0.0) else {
            return Ok(None);
        };
        let latencies =
            distribution.latencies().map_err(|_| CompareError::Histogram((*file).to_owned()))?;
        let seconds = percentile.second.and_then(|second| noise_of_seconds(report, second));
        let needs_tail = seconds.is_none() && percentile.second.is_some();
        let tail = if needs_tail { margin_of_tail(report, &latencies, percentile) } else { None };
        let values = tail.or_else(|| confidence::of_histogram(&latencies, percentile.place));
        let is_decisive = seconds.is_some() || tail.is_some();
        estimates.push(Estimate { log: value.ln(), values, seconds, is_decisive });
    }
    Ok(Some(estimates))
}

fn margin_of_tail(
    report: &Report,
    latencies: &Latencies,
    percentile: &Percentile,
) -> Option<Margin> {
    let medians = noise_of_seconds(report, percentile.median)?;
    let per_s = report.requests.completed_per_s;
    confidence::of_tail(latencies, percentile.place, per_s, medians)
}

fn rates(runs: &[Run<'_>]) -> Option<Vec<Estimate>> {
    let mut estimates = Vec::new();
    for (_, report) in runs {
        let value = Some(report.requests.completed_per_s).filter(|rate| *rate > 0.0)?;
        let seconds: Vec<f64> = whole_seconds(report).map(|row| row.completed as f64).collect();
        let seconds = confidence::of_seconds(&seconds);
        let is_decisive = seconds.is_some();
        estimates.push(Estimate { log: value.ln(), values: None, seconds, is_decisive });
    }
    Some(estimates)
}

/// A figure to judge.
struct Question {
    name: &'static str,
    /// True if the verdict depends on the figure.
    decides: bool,
    /// 1 if a larger value is worse, −1 if a smaller value is.
    worse_is: f64,
    tolerance_percent: f64,
}

/// A figure whose change is a share of its value.
fn relative(
    question: &Question,
    base: Option<&[Estimate]>,
    new: Option<&[Estimate]>,
) -> Option<Figure> {
    let (base, new) = (base?, new?);
    let base_logs: Vec<_> = base.iter().map(|run| run.log).collect();
    let new_logs: Vec<_> = new.iter().map(|run| run.log).collect();
    let between = confidence::of_runs(&base_logs, &new_logs);
    let of_base = of_side(within_runs(base), between, base.len());
    let of_new = of_side(within_runs(new), between, new.len());
    let (before, after) = (mean(&base_logs), mean(&new_logs));
    let change = after - before;
    let of_change = of_change(of_base, of_new);
    let interval = of_change.map(|Uncertainty { margin, .. }| {
        [percent_of_log(change - margin.down), percent_of_log(change + margin.up)]
    });
    let is_decisive = between.is_some() || base.iter().chain(new).all(|run| run.is_decisive);
    let outcome = (interval.filter(|_| question.decides && is_decisive))
        .map(|interval| outcome(interval, question.worse_is, question.tolerance_percent));
    Some(Figure {
        name: question.name.to_owned(),
        base: round(before.exp(), 1e3),
        new: round(after.exp(), 1e3),
        base_interval: of_base.map(|side| interval_of_log(before, side.margin)),
        new_interval: of_new.map(|side| interval_of_log(after, side.margin)),
        change_percent: percent_of_log(change),
        interval_percent: interval,
        noise: of_change.map(|change| change.noise),
        outcome,
    })
}

/// A change in percent, from the difference of two logarithms.
fn percent_of_log(log: f64) -> f64 {
    round((log.exp() - 1.0) * 100.0, 1e2)
}

/// The interval around a value, from its logarithm.
fn interval_of_log(log: f64, margin: Margin) -> [f64; 2] {
    [(log - margin.down).exp(), (log + margin.up).exp()].map(|value| round(value, 1e3))
}

/// Noise of a side's mean from the noise within its runs. It decreases with the number of runs.
fn within_runs(side: &[Estimate]) -> Option<Uncertainty> {
    let runs: Vec<_> = side.iter().map(Estimate::uncertainty).collect::<Option<_>>()?;
    let sum = runs.iter().fold(Margin::evenly(0.0), |sum, run| sum.and(run.margin));
    let noise = noise_of_widest(runs.iter().copied())?;
    let count = side.len() as f64;
    Some(Uncertainty { margin: Margin { down: sum.down / count, up: sum.up / count }, noise })
}

/// Noise of a side's mean: from within its runs, or from the variation between runs, which decreases with their number.
pub(super) fn of_side(
    within: Option<Uncertainty>,
    between: Option<f64>,
    runs: usize,
) -> Option<Uncertainty> {
    let between = between.map(|half| Uncertainty::evenly(half / (runs as f64).sqrt(), Noise::Runs));
    widest(&[within, between])
}

/// Noise of the change. The errors of both sides are independent. The change is smaller than measured if the true value of
/// the new side is smaller, or that of the baseline larger.
pub(super) fn of_change(
    base: Option<Uncertainty>,
    new: Option<Uncertainty>,
) -> Option<Uncertainty> {
    let noise = widest(&[base, new])?.noise;
    let Margin { down, up } = base?.margin;
    Some(Uncertainty { margin: new?.margin.and(Margin { down: up, up: down }), noise })
}

/// Judges the interval of a change. `worse_is` is 1 if a larger value is worse, −1 if a smaller value is.
pub(super) fn outcome([low, high]: [f64; 2], worse_is: f64, tolerance: f64) -> Outcome {
    let (low, high) = if worse_is > 0.0 { (low, high) } else { (-high, -low) };
    if low > tolerance {
        Outcome::Worse
    } else if high < -tolerance {
        Outcome::Better
    } else if low >= -tolerance && high <= tolerance {
        Outcome::Same
    } else {
        Outcome::Unclear
    }
}
