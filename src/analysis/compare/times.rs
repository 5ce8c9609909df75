//! Distributions of both sides, to be drawn over each other.

use serde::{Deserialize, Serialize};

use super::{CompareError, Run};
use crate::core::distribution::{Distribution, DistributionSum};
use crate::report::Report;

/// A distribution of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct ComparedTimes {
    /// `arrival` or `response`.
    pub(crate) name: String,
    /// Times of all runs of the baseline.
    pub(crate) base: Distribution,
    /// Times of all new runs.
    pub(crate) new: Distribution,
}

/// The distributions that all runs of both sides have.
pub(super) fn compared_times(
    base: &[Run<'_>],
    new: &[Run<'_>],
) -> Result<Vec<ComparedTimes>, CompareError> {
    let mut times = Vec::new();
    for name in ["arrival", "response"] {
        if let (Some(base), Some(new)) = (of_side(base, name)?, of_side(new, name)?) {
            times.push(ComparedTimes { name: name.to_owned(), base, new });
        }
    }
    Ok(times)
}

fn distribution<'a>(report: &'a Report, name: &str) -> Option<&'a Distribution> {
    if name == "arrival" { report.arrival.as_ref() } else { Some(&report.latency.response) }
}

/// The sum of a distribution over the runs of a side; `None` if a run does not have it.
fn of_side(runs: &[Run<'_>], name: &str) -> Result<Option<Distribution>, CompareError> {
    if let [(_, report)] = runs {
        // The numbers of one run are exact; those of a histogram have three digits.
        return Ok(distribution(report, name).cloned());
    }
    let mut sum = DistributionSum::default();
    for (file, report) in runs {
        let Some(distribution) = distribution(report, name) else { return Ok(None) };
        sum.add(distribution).map_err(|_| CompareError::Histogram((*file).to_owned()))?;
    }
    Ok(Some(sum.finish()))
}
