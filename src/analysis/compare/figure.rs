//! A figure of both sides: its values, its change, and their confidence intervals.

use serde::{Deserialize, Serialize};

use super::confidence::{self, Margin, mean};
use super::{CompareError, Run};
use crate::core::units::round;
use crate::report::{Distribution, Report, Row};

/// Tolerated rise of failed requests and lost messages, in percentage points. They come in groups, as when a
/// connection breaks, and are not independent of each other.
pub(crate) const TOLERATED_POINTS: f64 = 0.1;

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

/// A figure of one run: the logarithm of its value, and its noise as far as the run itself tells it.
struct Estimate {
    log: f64,
    values: Option<Margin>,
    seconds: Option<f64>,
    /// Whether more than the number of values is in it, which alone is no ground for a verdict.
    is_told: bool,
}

impl Estimate {
    fn off(&self) -> Option<(Margin, Noise)> {
        let seconds = self.seconds.map(|half| (Margin::evenly(half), Noise::Seconds));
        widest([self.values.map(|off| (off, Noise::Values)), seconds])
    }
}

/// To each side the widest, and the source that is the widest of all.
fn widest<const N: usize>(known: [Option<(Margin, Noise)>; N]) -> Option<(Margin, Noise)> {
    let known = || known.iter().flatten();
    let (_, noise) = known().max_by(|a, b| a.0.most().total_cmp(&b.0.most()))?;
    let most = |side: fn(&Margin) -> f64| known().map(|(off, _)| side(off)).fold(0.0, f64::max);
    Some((Margin { down: most(|off| off.down), up: most(|off| off.up) }, *noise))
}

/// What both sides have, and what cannot be told.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) figures: Vec<Figure>,
    /// Names of those that should decide and cannot.
    pub(super) undecided: Vec<String>,
}

impl Figures {
    /// Of a figure that should decide. Where neither side has anything like it, it is not missed.
    fn decide(&mut self, name: &str, figure: Option<Figure>, is_missed: bool) {
        if is_missed && figure.as_ref().is_none_or(|figure| figure.outcome.is_none()) {
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
        let sides = (estimates(base, percentile)?, estimates(new, percentile)?);
        let decides = percentile.second.is_some();
        let figure = relative(percentile.name, &sides, decides, 1.0, tolerance_percent);
        let any = base.iter().chain(new).any(|(_, report)| (percentile.of)(report).is_some());
        found.decide(percentile.name, figure, decides && any);
    }
    let sides = (rates(base), rates(new));
    // Of a rate less is worse.
    let name = "requests.completed_per_s";
    found.decide(name, relative(name, &sides, true, -1.0, tolerance_percent), true);
    found.figures.extend(share("failed_percent", base, new, failed));
    found.figures.extend(share("lost_percent", base, new, lost));
    Ok(found)
}

/// The rows of whole seconds in which requests were sent.
pub(super) fn whole_seconds(report: &Report) -> impl Iterator<Item = &Row> {
    report.series.iter().filter(|row| row.t_s <= report.run.duration_s + 1e-3)
}

/// The noise of a figure from its seconds, where at least half of them tell it: at 1,000 requests a
/// second there are 999 in one and 1,000 in the next, of which one has a 99th percentile.
fn noise_of(report: &Report, figure: fn(&Row) -> Option<f64>) -> Option<f64> {
    let told: Vec<f64> = whole_seconds(report).filter_map(figure).collect();
    if told.len() * 2 < whole_seconds(report).count() {
        None
    } else {
        confidence::of_seconds(&told)
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
        let seconds = percentile.second.and_then(|second| noise_of(report, second));
        let tail = || {
            let medians = noise_of(report, percentile.median)?;
            let per_s = report.requests.completed_per_s;
            confidence::of_tail(&latencies, percentile.place, per_s, medians)
        };
        let tail = if seconds.is_none() && percentile.second.is_some() { tail() } else { None };
        let values = tail.or_else(|| confidence::of_histogram(&latencies, percentile.place));
        let is_told = seconds.is_some() || tail.is_some();
        estimates.push(Estimate { log: value.ln(), values, seconds, is_told });
    }
    Ok(Some(estimates))
}

fn rates(runs: &[Run<'_>]) -> Option<Vec<Estimate>> {
    let estimate = |(_, report): &Run<'_>| {
        let value = Some(report.requests.completed_per_s).filter(|rate| *rate > 0.0)?;
        let seconds: Vec<f64> = whole_seconds(report).map(|row| row.completed as f64).collect();
        let seconds = confidence::of_seconds(&seconds);
        Some(Estimate { log: value.ln(), values: None, seconds, is_told: seconds.is_some() })
    };
    runs.iter().map(estimate).collect()
}

/// A figure whose change is a share of it.
fn relative(
    name: &str,
    (base, new): &(Option<Vec<Estimate>>, Option<Vec<Estimate>>),
    decides: bool,
    worse_is: f64,
    tolerance_percent: f64,
) -> Option<Figure> {
    let (base, new) = (base.as_deref()?, new.as_deref()?);
    let logs = |side: &[Estimate]| side.iter().map(|one| one.log).collect::<Vec<_>>();
    let (base_logs, new_logs) = (logs(base), logs(new));
    let between = confidence::of_runs(&base_logs, &new_logs);
    let (of_base, of_new) =
        (of_side(own(base), between, base.len()), of_side(own(new), between, new.len()));
    let (before, after) = (mean(&base_logs), mean(&new_logs));
    let change = after - before;
    let off = of_change(of_base, of_new);
    let percent = |log: f64| round((log.exp() - 1.0) * 100.0, 1e2);
    let around = |log: f64, off: Margin| {
        [(log - off.down).exp(), (log + off.up).exp()].map(|v| round(v, 1e3))
    };
    let interval = off.map(|(off, _)| [percent(change - off.down), percent(change + off.up)]);
    let is_told = base.iter().chain(new).all(|run| run.is_told);
    let outcome = (interval.filter(|_| decides && (is_told || between.is_some())))
        .map(|interval| outcome(interval, worse_is, tolerance_percent));
    Some(Figure {
        name: name.to_owned(),
        base: round(before.exp(), 1e3),
        new: round(after.exp(), 1e3),
        base_interval: of_base.map(|(off, _)| around(before, off)),
        new_interval: of_new.map(|(off, _)| around(after, off)),
        change_percent: percent(change),
        interval_percent: interval,
        noise: off.map(|(_, noise)| noise),
        outcome,
    })
}

/// The noise of a side's mean as far as its runs themselves tell it: the more runs, the less.
fn own(side: &[Estimate]) -> Option<(Margin, Noise)> {
    let offs: Option<Vec<_>> = side.iter().map(Estimate::off).collect();
    let offs = offs?;
    let Margin { down, up } = offs.iter().fold(Margin::evenly(0.0), |sum, (off, _)| sum.and(*off));
    let (_, noise) = offs.iter().copied().max_by(|a, b| a.0.most().total_cmp(&b.0.most()))?;
    let runs = side.len() as f64;
    Some((Margin { down: down / runs, up: up / runs }, noise))
}

/// The noise of a side's mean: its own, or what runs differ by, of which a mean of many has less.
fn of_side(
    own: Option<(Margin, Noise)>,
    between: Option<f64>,
    runs: usize,
) -> Option<(Margin, Noise)> {
    let between = between.map(|half| (Margin::evenly(half / (runs as f64).sqrt()), Noise::Runs));
    widest([own, between])
}

/// The noise of the change: errors of both sides are independent. It is less than it seems where the
/// new side is, or the base is more.
fn of_change(
    base: Option<(Margin, Noise)>,
    new: Option<(Margin, Noise)>,
) -> Option<(Margin, Noise)> {
    let (_, noise) = widest([base, new])?;
    let Margin { down, up } = base?.0;
    Some((new?.0.and(Margin { down: up, up: down }), noise))
}

/// `worse_is` is 1 where more is worse, −1 where less is.
fn outcome([low, high]: [f64; 2], worse_is: f64, tolerance: f64) -> Outcome {
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

/// Requests without a good answer, of how many.
fn failed(report: &Report) -> Option<(u64, u64)> {
    let good = report.requests.status.iter().filter(|(code, _)| code.starts_with(['2', '3']));
    let good: u64 = good.map(|(_, count)| count).sum();
    Some((report.requests.planned.saturating_sub(good), report.requests.planned))
}

/// Messages lost, of how many accepted.
fn lost(report: &Report) -> Option<(u64, u64)> {
    report.messages.as_ref().map(|messages| (messages.lost, messages.accepted))
}

/// A share in percent, whose change is in percentage points.
fn share(
    name: &str,
    base: &[Run<'_>],
    new: &[Run<'_>],
    of: fn(&Report) -> Option<(u64, u64)>,
) -> Option<Figure> {
    let counts = |side: &[Run<'_>]| -> Option<Vec<(f64, f64)>> {
        let counts = side.iter().map(|(_, report)| of(report).filter(|(_, all)| *all > 0));
        counts.map(|count| count.map(|(some, all)| (some as f64, all as f64))).collect()
    };
    let (base, new) = (counts(base)?, counts(new)?);
    let total = |side: &[(f64, f64)]| {
        let all: f64 = side.iter().map(|(_, all)| all).sum();
        (side.iter().map(|(some, _)| some).sum::<f64>() / all, all)
    };
    let shares =
        |side: &[(f64, f64)]| side.iter().map(|(some, all)| some / all).collect::<Vec<_>>();
    let between = confidence::of_runs(&shares(&base), &shares(&new));
    let off = |side: &[(f64, f64)]| {
        let own = (Margin::evenly(confidence::of_share(total(side))), Noise::Values);
        of_side(Some(own), between, side.len())
    };
    let (of_base, of_new) = (off(&base), off(&new));
    let (off, noise) = of_change(of_base, of_new)?;
    let (before, after) = (total(&base).0, total(&new).0);
    let percent = |share: f64| round(share * 100.0, 1e4);
    let around =
        |share: f64, off: Margin| [percent((share - off.down).max(0.0)), percent(share + off.up)];
    let interval = [percent(after - before - off.down), percent(after - before + off.up)];
    Some(Figure {
        name: name.to_owned(),
        base: percent(before),
        new: percent(after),
        base_interval: of_base.map(|(off, _)| around(before, off)),
        new_interval: of_new.map(|(off, _)| around(after, off)),
        change_percent: percent(after - before),
        interval_percent: Some(interval),
        noise: Some(noise),
        outcome: Some(outcome(interval, 1.0, TOLERATED_POINTS)),
    })
}
