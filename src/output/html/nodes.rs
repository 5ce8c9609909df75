//! The nodes of a merged report.

use super::located::{Located, field, number};
use super::markup::{Unit, escape};
use super::table::{Cell, head, table};
use crate::output::nodes::state;
use crate::report::{NodeResult, Report};

/// A table with a row for each node; empty if the report is not merged.
pub(super) fn nodes(report: &Located<'_, Report>) -> String {
    let nodes: Vec<_> = field!(report, nodes).items().collect();
    if nodes.is_empty() {
        return String::new();
    }
    let has_arrivals = report.nodes.iter().any(|node| node.arrived.is_some());
    let head = if has_arrivals {
        head([
            "node",
            "host",
            "threads",
            "sent",
            "failed",
            "dropped",
            "response p99",
            "arrived",
            "arrival p99",
            "lateness p99",
            "other CPU",
            "steal",
            "throttled",
            "generator",
        ])
    } else {
        head([
            "node",
            "host",
            "threads",
            "sent",
            "failed",
            "dropped",
            "response p99",
            "lateness p99",
            "other CPU",
            "steal",
            "throttled",
            "generator",
        ])
    };
    let rows = nodes.iter().map(|node| row(node, has_arrivals)).collect();
    table("What each node did", &head, rows)
}

fn row(node: &Located<'_, NodeResult>, has_arrivals: bool) -> Vec<Cell> {
    let mut cells = vec![
        Cell::from(node.index.to_string()),
        Cell::from(escape(node.host.as_deref().unwrap_or("unknown"))),
        number!(node, threads).cell(Unit::Count),
        number!(node, sent).cell(Unit::Count),
        number!(node, failed).cell(Unit::Count),
        number!(node, dropped).cell(Unit::Count),
        number!(node, response_p99).cell(Unit::Time),
    ];
    if has_arrivals {
        cells.push(number!(node, arrived).cell(Unit::Count));
        cells.push(number!(node, arrival_p99).cell(Unit::Time));
    }
    cells.push(number!(node, lateness_p99).cell(Unit::Time));
    cells.push(number!(node, other_cpu_percent).cell(Unit::Percent));
    cells.push(number!(node, steal_percent).cell(Unit::Percent));
    cells.push(number!(node, throttled_s).cell(Unit::Seconds));
    cells.push(Cell::from(escape(&state(node))));
    cells
}
