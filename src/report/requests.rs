//! Numbers of requests and messages that follow from other numbers.

use std::collections::BTreeMap;

use super::{ByRequest, Messages, Requests};
use crate::core::units::round;

impl Requests {
    /// Answers that are neither 2xx nor 3xx, by the statuses.
    pub(crate) fn refused(&self) -> u64 {
        refused(&self.status)
    }

    /// Derives the numbers that follow from others.
    pub(super) fn complete(&mut self) {
        self.refused = self.refused();
        let errors = self.refused.saturating_add(self.failed).saturating_add(self.unfinished);
        self.error_percent = percent(errors, self.sent);
    }
}

impl Messages {
    /// Derives the numbers that follow from others.
    pub(super) fn complete(&mut self) {
        self.lost_percent = percent(self.lost, self.accepted);
    }
}

/// A share of a count in percent; `None` of nothing.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| round(part as f64 * 100.0 / whole as f64, 1e4))
}

impl ByRequest {
    /// Answers that are neither 2xx nor 3xx.
    pub(crate) fn refused(&self) -> u64 {
        refused(&self.status)
    }
}

/// Answers that are not a success: neither 2xx nor 3xx, as wrk has it.
fn refused(status: &BTreeMap<String, u64>) -> u64 {
    let is_odd = |status: &str| !status.starts_with(['2', '3']);
    status
        .iter()
        .filter(|(status, _)| is_odd(status))
        .fold(0, |sum, (_, count)| sum.saturating_add(*count))
}
