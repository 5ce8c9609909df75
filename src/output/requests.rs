//! A table of the requests of a mix.

use super::number::{NOT_AVAILABLE, Statistic};
use crate::core::units::format_count;
use crate::report::{ByRequest, Distribution, Report};

/// Distributions of the table.
#[derive(Clone, Copy)]
struct Columns {
    arrival: bool,
    /// False in a closed loop: a request is due when it is sent, so response and service time are equal.
    response: bool,
}

/// A row for each request, below a row of column names; empty if the run has only one request.
pub(super) fn request_rows(report: &Report) -> Vec<Vec<String>> {
    if report.by_request.is_empty() {
        return Vec::new();
    }
    let columns = Columns {
        arrival: report.by_request.iter().any(|request| request.arrival.is_some()),
        response: report.run.rate_target.is_some(),
    };
    let mut head = vec!["Request", "weight", "sent", "unanswered", "not 2xx/3xx"];
    if columns.arrival {
        head.extend(["arrival p50", "p99"]);
    }
    if columns.response {
        head.extend(["response p50", "p99"]);
    }
    head.extend(["service p50", "p99"]);
    let mut rows = vec![head.into_iter().map(str::to_owned).collect()];
    rows.extend(report.by_request.iter().map(|request| row(request, columns)));
    rows
}

fn row(request: &ByRequest, columns: Columns) -> Vec<String> {
    let mut row = vec![
        format!("  {}", request.name),
        request.weight.to_string(),
        format_count(request.sent),
        format_count(request.failed + request.unfinished + request.dropped),
        format_count(request.refused()),
    ];
    if columns.arrival {
        row.extend(times(request.arrival.as_ref()));
    }
    if columns.response {
        row.extend(times(Some(&request.response)));
    }
    row.extend(times(Some(&request.service)));
    row
}

fn times(distribution: Option<&Distribution>) -> [String; 2] {
    [Statistic::P50, Statistic::P99].map(|statistic| {
        distribution
            .map_or_else(|| NOT_AVAILABLE.to_owned(), |distribution| statistic.text(distribution))
    })
}
