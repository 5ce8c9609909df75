//! The requests of a mix, each by itself, as a table.

use std::collections::BTreeMap;

use super::build::round;
use super::text::{figure, time};
use super::{ByRequest, Messages, Quantiles, Report, Requests};
use crate::core::units::format_count;

impl Requests {
    /// Answers that are neither 2xx nor 3xx, by the statuses.
    pub fn refused(&self) -> u64 {
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
    pub(super) fn refused(&self) -> u64 {
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

/// A row each; the first row is the head. None where there is but one request.
pub(super) fn request_rows(report: &Report) -> Vec<Vec<String>> {
    if report.by_request.is_empty() {
        return Vec::new();
    }
    // In a closed loop a request is due when it is sent: response and service are one.
    let open = report.run.rate_target.is_some();
    let arrives = report.by_request.iter().any(|request| request.arrival.is_some());
    let mut head = vec!["Request", "weight", "sent", "unanswered", "not 2xx/3xx"];
    for (name, shown) in [
        (["arrival p50", "p99"], arrives),
        (["response p50", "p99"], open),
        (["service p50", "p99"], true),
    ] {
        head.extend(name.into_iter().filter(|_| shown));
    }
    let row = |request: &ByRequest| {
        let mut row = vec![
            format!("  {}", request.name),
            request.weight.to_string(),
            format_count(request.sent),
            format_count(request.failed + request.unfinished + request.dropped),
            format_count(request.refused()),
        ];
        let mut add = |q: Option<&Quantiles>, shown| {
            let cells =
                ["p50", "p99"].map(|name| q.map_or_else(|| time(None), |q| figure(q, name)));
            row.extend(cells.into_iter().filter(|_| shown));
        };
        add(request.arrival.as_ref(), arrives);
        add(Some(&request.response), open);
        add(Some(&request.service), true);
        row
    };
    let head = head.into_iter().map(str::to_owned).collect();
    std::iter::once(head).chain(report.by_request.iter().map(row)).collect()
}
