//! The nodes of a merged report.

use super::located::{Located, field, number};
use super::markup::{Unit, escape};
use super::table::{Cell, head, table};
use crate::output::nodes::{parts, state};
use crate::report::{NodeResult, Report};

/// The table of all nodes below a line on their starts; empty if the report is not merged.
pub(super) fn nodes(report: &Located<'_, Report>) -> String {
    let nodes: Vec<_> = field!(report, nodes).items().collect();
    if nodes.is_empty() {
        return String::new();
    }
    let counts = [
        "node",
        "generator",
        "threads",
        "CPUs",
        "asked for, /s",
        "sent",
        "failed",
        "dropped",
        "accepted",
        "arrived",
    ];
    let times = [
        "node",
        "arrival p50",
        "p99",
        "response p50",
        "p99",
        "lateness p99",
        "start",
        "start ±",
        "waited for CPU",
        "steal",
        "other processes",
        "throttled",
    ];
    let line = parts(report).map(|parts| format!("<p>{}</p>\n", escape(&parts)));
    line.unwrap_or_default()
        + &table("What each node did", &head(counts), nodes.iter().map(count_row).collect())
        + &table(
            "Times and machine of each node",
            &head(times),
            nodes.iter().map(time_row).collect(),
        )
}

fn count_row(node: &Located<'_, NodeResult>) -> Vec<Cell> {
    let mut cells = vec![name(node), state_cell(node)];
    cells.push(number!(node, threads).cell(Unit::Count));
    cells.push(number!(node, cores).cell(Unit::Count));
    cells.push(number!(node, rate_target).cell(Unit::Rate));
    let counts = [
        number!(node, sent),
        number!(node, failed),
        number!(node, dropped),
        number!(node, accepted),
        number!(node, arrived),
    ];
    cells.extend(counts.map(|count| count.cell(Unit::Count)));
    cells
}

fn time_row(node: &Located<'_, NodeResult>) -> Vec<Cell> {
    let times = [
        number!(node, arrival_p50),
        number!(node, arrival_p99),
        number!(node, response_p50),
        number!(node, response_p99),
        number!(node, lateness_p99),
        number!(node, start_offset_us),
        number!(node, clock_bound_us),
    ];
    let shares = [
        number!(node, run_queue_percent),
        number!(node, steal_percent),
        number!(node, other_cpu_percent),
    ];
    let mut cells = vec![name(node)];
    cells.extend(times.map(|time| time.cell(Unit::Time)));
    cells.extend(shares.map(|share| share.cell(Unit::Percent)));
    cells.push(number!(node, throttled_s).cell(Unit::Seconds));
    cells
}

fn name(node: &Located<'_, NodeResult>) -> Cell {
    let host = node.host.as_deref().unwrap_or_default();
    escape(format!("{} {host}", node.index).trim_end()).into()
}

/// The state of the generator. A lost node is marked, with the slots that are not accounted for.
fn state_cell(node: &Located<'_, NodeResult>) -> Cell {
    if node.valid {
        return state(node).into();
    }
    if node.lost_at_s.is_none() {
        return format!("<span class=\"badge bad\">{}</span>", state(node)).into();
    }
    let at = number!(node, lost_at_s).show(Unit::Seconds);
    let badge = format!("<span class=\"badge bad\">lost at {at}</span>");
    if node.unaccounted.is_none() {
        return badge.into();
    }
    let unaccounted = number!(node, unaccounted).show(Unit::Count);
    format!("{badge} {unaccounted} slots not accounted for").into()
}
