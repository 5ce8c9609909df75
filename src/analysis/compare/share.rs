//! Shares of failed requests and lost messages of both sides.

use super::Run;
use super::confidence::{self, Margin};
use super::figure::{Figure, Noise, Uncertainty, of_change, of_side, outcome};
use crate::core::units::round;
use crate::report::Report;

/// Tolerated rise of failed requests and lost messages, in percentage points. They come in groups, as when a
/// connection breaks, and are not independent of each other.
pub(crate) const TOLERATED_POINTS: f64 = 0.1;

/// Cases of a kind among all cases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cases {
    some: f64,
    all: f64,
}

impl Cases {
    fn share(self) -> f64 {
        self.some / self.all
    }

    /// The cases of several runs together.
    fn total(runs: &[Self]) -> Self {
        Self {
            some: runs.iter().map(|run| run.some).sum(),
            all: runs.iter().map(|run| run.all).sum(),
        }
    }
}

/// Requests without a 2xx or 3xx answer among the planned ones.
pub(super) fn failed(report: &Report) -> Option<Cases> {
    let good = report.requests.status.iter().filter(|(code, _)| code.starts_with(['2', '3']));
    let good: u64 = good.map(|(_, count)| count).sum();
    let planned = report.requests.planned;
    Some(Cases { some: planned.saturating_sub(good) as f64, all: planned as f64 })
}

/// Lost messages among the accepted ones.
pub(super) fn lost(report: &Report) -> Option<Cases> {
    let messages = report.messages.as_ref()?;
    Some(Cases { some: messages.lost as f64, all: messages.accepted as f64 })
}

/// A share in percent. Its change is in percentage points. `None` if a run has no cases.
pub(super) fn share(
    name: &str,
    base: &[Run<'_>],
    new: &[Run<'_>],
    of: fn(&Report) -> Option<Cases>,
) -> Option<Figure> {
    let (base, new) = (cases(base, of)?, cases(new, of)?);
    let base_shares: Vec<_> = base.iter().map(|run| run.share()).collect();
    let new_shares: Vec<_> = new.iter().map(|run| run.share()).collect();
    let between = confidence::of_runs(&base_shares, &new_shares);
    let (of_base, of_new) = (of_cases(&base, between), of_cases(&new, between));
    let Uncertainty { margin, noise } = of_change(of_base, of_new)?;
    let (before, after) = (Cases::total(&base).share(), Cases::total(&new).share());
    let change = after - before;
    let interval = [percent_of_share(change - margin.down), percent_of_share(change + margin.up)];
    Some(Figure {
        name: name.to_owned(),
        base: percent_of_share(before),
        new: percent_of_share(after),
        base_interval: of_base.map(|side| interval_of_share(before, side.margin)),
        new_interval: of_new.map(|side| interval_of_share(after, side.margin)),
        change_percent: percent_of_share(change),
        interval_percent: Some(interval),
        noise: Some(noise),
        outcome: Some(outcome(interval, 1.0, TOLERATED_POINTS)),
    })
}

fn cases(runs: &[Run<'_>], of: fn(&Report) -> Option<Cases>) -> Option<Vec<Cases>> {
    runs.iter().map(|(_, report)| of(report).filter(|cases| cases.all > 0.0)).collect()
}

fn of_cases(side: &[Cases], between: Option<f64>) -> Option<Uncertainty> {
    let total = Cases::total(side);
    let margin = confidence::of_share(total.share(), total.all);
    let of_runs = of_side(Some(Uncertainty { margin, noise: Noise::Values }), between, side.len());
    // No share is below 0 or above 1.
    of_runs.map(|Uncertainty { margin, noise }| Uncertainty {
        margin: Margin {
            down: margin.down.min(total.share()),
            up: margin.up.min(1.0 - total.share()),
        },
        noise,
    })
}

fn percent_of_share(share: f64) -> f64 {
    round(share * 100.0, 1e4)
}

fn interval_of_share(share: f64, margin: Margin) -> [f64; 2] {
    [percent_of_share(share - margin.down), percent_of_share(share + margin.up)]
}
