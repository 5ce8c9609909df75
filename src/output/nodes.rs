//! The nodes of a merged report: one line on all of them, and a table with a row for each.

use super::number::NOT_AVAILABLE;
use super::style::{TextStyle, Tone};
use super::text::titled;
use crate::core::units::{TimeUnit, format_count, format_time};
use crate::report::nodes::index_list;
use crate::report::{NodeResult, Report};

/// Most rows of the table. Of more nodes it has the worst.
const MOST_ROWS: usize = 12;
/// Column of the state of the generator.
const STATE: usize = 1;
/// Most characters of a host's name in the table.
const HOST_CHARACTERS: usize = 20;

/// The nodes of a merged report in one line; `None` if it is not merged.
pub(super) fn parts(report: &Report) -> Option<String> {
    let parts = report.run.parts.as_ref()?;
    let partial = if report.run.partial { ": PARTIAL" } else { "" };
    let nodes = format!("node {} of {}{partial}", index_list(&parts.nodes), parts.count);
    Some(match (&report.run.fleet, parts.start_skew_us) {
        (Some(fleet), Some(0)) => {
            // They agreed on the time; each misread the clock by a little.
            let apart = format_time(fleet.clock_bound_us);
            format!("fleet {}: {nodes}; started at one time, to ± {apart}", fleet.name)
        }
        (Some(fleet), None) => format!("fleet {}: {nodes}", fleet.name),
        (_, None) => nodes,
        (fleet, Some(us)) => {
            let bound =
                fleet.as_ref().map(|fleet| format!(" ± {}", format_time(fleet.clock_bound_us)));
            let (bound, by) = (bound.unwrap_or_default(), parts.start_clock.described());
            format!("{nodes}; started within {}{bound} by {by}", format_time(us as f64))
        }
    })
}

/// Returns true if several nodes ran on one host: each counts the others among the processes beside it.
pub(super) fn share_a_host(report: &Report) -> bool {
    let mut hosts: Vec<_> = report.nodes.iter().filter_map(|node| node.host.as_deref()).collect();
    hosts.sort_unstable();
    hosts.windows(2).any(|pair| pair[0] == pair[1])
}

/// The table of nodes below its title; empty if the report is not merged.
pub(super) fn node_section(report: &Report, style: TextStyle) -> String {
    let mut rows = node_rows(report);
    if rows.is_empty() {
        return String::new();
    }
    for (row, node) in rows.iter_mut().skip(1).zip(worst(&report.nodes)) {
        if !node.valid {
            row[STATE] = style.paint(Tone::Bad, &row[STATE]);
        }
    }
    titled(rows, style)
}

/// A row for each node, below a row of column names with the title; empty if the report is not merged. Of many nodes
/// it has the worst: lost ones, then limited ones, then those with the longest times.
pub(super) fn node_rows(report: &Report) -> Vec<Vec<String>> {
    let nodes = worst(&report.nodes);
    if nodes.is_empty() {
        return Vec::new();
    }
    let columns = columns(report, &nodes);
    let mut rows = vec![vec![title(report, nodes.len())]];
    rows[0].extend(columns.iter().map(|column| column.head.to_owned()));
    for (place, node) in nodes.iter().enumerate() {
        let mut row = vec![format!("  {}", name(node))];
        row.extend(columns.iter().map(|column| column.cells[place].clone()));
        rows.push(row);
    }
    rows
}

/// The nodes that the table has, by their index.
fn worst(nodes: &[NodeResult]) -> Vec<&NodeResult> {
    let mut kept: Vec<_> = nodes.iter().collect();
    kept.sort_by(|a, b| {
        let is_better = |node: &NodeResult| (node.lost_at_s.is_none(), node.valid);
        let p99 = |node: &NodeResult| node.main_p99().unwrap_or(0.0);
        is_better(a).cmp(&is_better(b)).then(p99(b).total_cmp(&p99(a)))
    });
    kept.truncate(MOST_ROWS);
    kept.sort_by_key(|node| node.index);
    kept
}

fn title(report: &Report, shown: usize) -> String {
    let all = report.nodes.len();
    if shown == all {
        return "Nodes".to_owned();
    }
    let time = if report.arrival.is_some() { "arrival" } else { "response" };
    format!("Nodes, {shown} of {all}: lost and limited ones, then by {time} p99")
}

/// A column of the table.
struct Column {
    head: &'static str,
    cells: Vec<String>,
}

/// The columns after the first one. That of dropped slots is left out if there are none.
fn columns(report: &Report, nodes: &[&NodeResult]) -> Vec<Column> {
    let cells = nodes.iter().map(|node| state(node)).collect();
    let mut columns = vec![Column { head: "generator", cells }];
    columns.push(counts("sent", nodes, |node| node.sent));
    columns.push(counts("failed", nodes, |node| node.failed));
    if report.nodes.iter().any(|node| node.dropped > 0) {
        columns.push(counts("dropped", nodes, |node| node.dropped));
    }
    if report.arrival.is_some() {
        columns.push(times("arrival p50", nodes, |node| node.arrival_p50));
        columns.push(times("p99", nodes, |node| node.arrival_p99));
        columns.push(times("response p99", nodes, |node| node.response_p99));
    } else {
        columns.push(times("response p50", nodes, |node| node.response_p50));
        columns.push(times("p99", nodes, |node| node.response_p99));
    }
    if report.has_lateness() {
        columns.push(times("lateness p99", nodes, |node| node.lateness_p99));
    }
    columns
}

fn counts(head: &'static str, nodes: &[&NodeResult], of: fn(&NodeResult) -> u64) -> Column {
    Column { head, cells: nodes.iter().map(|node| format_count(of(node))).collect() }
}

/// Times in one unit.
fn times(head: &'static str, nodes: &[&NodeResult], of: fn(&NodeResult) -> Option<f64>) -> Column {
    let unit = TimeUnit::of_column(nodes.iter().filter_map(|node| of(node)));
    let mut cells = Vec::new();
    for node in nodes {
        let time = of(node).map(|time| unit.write(time, ""));
        cells.push(time.unwrap_or_else(|| NOT_AVAILABLE.to_owned()));
    }
    Column { head, cells }
}

/// Index and host; of a host name with a domain its first part.
fn name(node: &NodeResult) -> String {
    let host = node.host.as_deref().unwrap_or_default();
    let first = host.split('.').next().unwrap_or_default();
    let is_address = first.chars().all(|c| c.is_ascii_digit());
    let host: String =
        if is_address { host } else { first }.chars().take(HOST_CHARACTERS).collect();
    format!("{} {host}", node.index).trim_end().to_owned()
}

/// The state of a node's generator: `valid`, `LIMITED` or `lost at 41.2 s`.
pub(super) fn state(node: &NodeResult) -> String {
    match node.lost_at_s {
        Some(at_s) => format!("lost at {at_s:.1} s"),
        None if node.valid => "valid".to_owned(),
        None => "LIMITED".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(index: u64, p99: f64) -> NodeResult {
        NodeResult { index, arrival_p99: Some(p99), valid: true, ..NodeResult::default() }
    }

    fn report(nodes: Vec<NodeResult>) -> Report {
        let arrival = Some(crate::report::Distribution::default());
        Report { nodes, arrival, ..Report::default() }
    }

    #[test]
    fn the_worst_of_many_nodes_are_shown_in_their_order() {
        let mut nodes: Vec<_> = (0..40).map(|index| node(index, 1_000.0 + index as f64)).collect();
        nodes[3].lost_at_s = Some(41.2);
        (nodes[3].valid, nodes[3].arrival_p99) = (false, None);
        nodes[5].valid = false;
        let rows = node_rows(&report(nodes.clone()));
        let title = "Nodes, 12 of 40: lost and limited ones, then by arrival p99";
        assert_eq!(rows[0][0], title);
        let names: Vec<_> = rows[1..].iter().map(|row| row[0].trim()).collect();
        assert_eq!(names, ["3", "5", "30", "31", "32", "33", "34", "35", "36", "37", "38", "39"]);
        assert_eq!(
            (rows[1][STATE].as_str(), rows[2][STATE].as_str()),
            ("lost at 41.2 s", "LIMITED")
        );
        let style = TextStyle::terminal(80, true, crate::output::style::Characters::Marks);
        let text = node_section(&report(nodes.clone()), style);
        for painted in ["\u{1b}[1;31mlost at 41.2 s\u{1b}", "\u{1b}[1;31mLIMITED\u{1b}"] {
            assert_eq!(text.matches(painted).count(), 1, "{text}");
        }
        nodes.truncate(12);
        assert_eq!(node_rows(&report(nodes))[0][0], "Nodes");
        assert!(node_rows(&report(Vec::new())).is_empty());
    }

    #[test]
    fn a_host_is_shown_without_its_domain() {
        for (host, shown) in [
            ("web-7", "0 web-7"),
            ("ip-10-0-12-34.eu-central-1.compute.internal", "0 ip-10-0-12-34"),
            ("10.0.12.34", "0 10.0.12.34"),
            ("a-host-with-a-name-that-is-long", "0 a-host-with-a-name-t"),
            ("", "0"),
        ] {
            let host = Some(host.to_owned());
            assert_eq!(name(&NodeResult { host, ..NodeResult::default() }), shown);
        }
        assert_eq!(name(&NodeResult::default()), "0");
    }
}
