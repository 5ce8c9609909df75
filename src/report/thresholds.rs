//! Results of the `--fail-if` conditions.

use super::{Report, ThresholdResult, lookup};
use crate::config::plan::Threshold;
use crate::core::json::to_value;

/// Compares the conditions with the report's numbers.
pub(crate) fn judge_thresholds(report: &Report, thresholds: &[Threshold]) -> Vec<ThresholdResult> {
    if thresholds.is_empty() {
        return Vec::new();
    }
    let numbers = to_value(report);
    thresholds
        .iter()
        .map(|threshold: &Threshold| {
            let value = lookup::value_of(&numbers, threshold.name());
            // What cannot be judged must not pass.
            let ok = value.is_some_and(|value| !threshold.holds(value));
            ThresholdResult { expr: threshold.to_string(), value, ok }
        })
        .collect()
}
