//! The requests of a mix, one row each, as a table.

use super::text::{figure, time};
use crate::core::units::format_count;
use crate::report::{ByRequest, Distribution, Report};

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
        let mut add = |q: Option<&Distribution>, shown| {
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
