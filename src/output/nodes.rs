//! The nodes of a merged report, as rows of a table.

use super::number::time;
use super::style::TextStyle;
use super::table::{fitted, fitted_table};
use crate::core::units::{format_count, format_some, format_time};
use crate::report::{NodeResult, Report};

/// Most nodes in a table of a text. Of more, those with the largest latencies are shown.
const MOST_ROWS: usize = 12;

/// A row for each node, below a row of column names; empty if the report is not merged.
pub(super) fn node_rows(report: &Report) -> Vec<Vec<String>> {
    if report.nodes.is_empty() {
        return Vec::new();
    }
    let has_arrivals = report.nodes.iter().any(|node| node.arrived.is_some());
    let mut heads = vec!["Node", "sent", "failed", "dropped", "response p99"];
    if has_arrivals {
        heads.push("arrival p99");
    }
    heads.extend(["lateness p99", "generator"]);
    let mut rows = vec![heads.into_iter().map(str::to_owned).collect()];
    for node in shown(report) {
        let mut row = vec![
            format!("  {} {}", node.index, node.host.as_deref().unwrap_or(""))
                .trim_end()
                .to_owned(),
            format_count(node.sent),
            format_count(node.failed),
            format_count(node.dropped),
            time(node.response_p99),
        ];
        if has_arrivals {
            row.push(time(node.arrival_p99));
        }
        row.extend([time(node.lateness_p99), state(node)]);
        rows.push(row);
    }
    rows
}

/// Sentence on the nodes that the table leaves out; `None` if it has all.
fn nodes_left_out(report: &Report) -> Option<String> {
    let left_out = report.nodes.len().saturating_sub(MOST_ROWS) as u64;
    (left_out > 0).then(|| {
        format!(
            "and {} with a smaller p99; the JSON has all",
            format_some(left_out, "node", "nodes")
        )
    })
}

/// The table of the nodes.
pub(super) fn node_table(report: &Report, style: TextStyle) -> String {
    let table = fitted_table(&node_rows(report), style);
    let rest = nodes_left_out(report).map(|rest| fitted("  ", &rest, style));
    table + &rest.unwrap_or_default()
}

/// The nodes of a merged report; `None` if it is not merged.
pub(super) fn parts(report: &Report) -> Option<String> {
    let parts = report.run.parts.as_ref()?;
    let partial = if report.run.partial { ": PARTIAL" } else { "" };
    if let Some(fleet) = &report.run.fleet {
        let (reported, count) = (parts.nodes.len(), parts.count);
        let apart = format_time(fleet.clock_bound_us);
        return Some(format!(
            "fleet {}: {reported} of {count} nodes{partial}; started at one time, to ± {apart}",
            fleet.name
        ));
    }
    let nodes: Vec<_> = parts.nodes.iter().map(u64::to_string).collect();
    let skew = parts.start_skew_us.map_or_else(String::new, |us| {
        let by = parts.start_clock.described();
        format!("; started within {} by {by}", format_time(us as f64))
    });
    Some(format!("node {} of {}{partial}{skew}", nodes.join(", "), parts.count))
}

/// State of a node's generator: `valid`, `LIMITED`, `LOST at 41.2s`.
pub(super) fn state(node: &NodeResult) -> String {
    match node.lost_at_s {
        Some(at_s) => format!("LOST at {at_s:.1}s"),
        None if node.valid => "valid".to_owned(),
        None => "LIMITED".to_owned(),
    }
}

/// The nodes of the table, by their index: those that are lost or limited, then those with the largest latencies.
fn shown(report: &Report) -> Vec<&NodeResult> {
    let mut nodes: Vec<_> = report.nodes.iter().collect();
    let p99 = |node: &NodeResult| node.arrival_p99.or(node.response_p99).unwrap_or_default();
    nodes.sort_by(|a, b| {
        let by_state = (b.lost_at_s.is_some(), !b.valid).cmp(&(a.lost_at_s.is_some(), !a.valid));
        by_state.then(p99(b).total_cmp(&p99(a)))
    });
    nodes.truncate(MOST_ROWS);
    nodes.sort_by_key(|node| node.index);
    nodes
}
