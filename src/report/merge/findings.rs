//! Notes on the nodes beside each other: a reader of the sums would not see them.

use std::collections::BTreeMap;

use super::MergePart;
use super::differing::{NodeTimes, differing};
use super::sum::Sum;
use crate::report::remark::{DifferingNode, NodeNote, SharedHost};
use crate::report::{Distribution, Report, SharedArrivals};

/// Nodes whose times differ that are named; the table of nodes has all.
const NAMED_NODES: usize = 3;

impl Sum<'_> {
    /// The notes on the nodes of a report, which has the sums.
    pub(super) fn node_notes(&self, report: &Report) -> Vec<NodeNote> {
        let lost: Vec<_> =
            self.parts.iter().filter(|part| part.is_lost).map(|part| part.at.node).collect();
        let mut notes = Vec::new();
        if !lost.is_empty() {
            notes.push(NodeNote::LostNumbers { nodes: lost });
        }
        let shared = shared_hosts(report);
        if !shared.is_empty() {
            notes.push(NodeNote::ShareHost(shared));
        }
        notes.extend(self.arrivals_multiplied(report));
        notes.extend(shared_arrivals(report));
        notes.extend(self.differing_nodes(report).into_iter().map(NodeNote::Differs));
        notes
    }

    /// All nodes have the same topics, and each subscribes to them, so each gets the messages of all, unless the topics have
    /// the node's index.
    fn arrivals_multiplied(&self, report: &Report) -> Option<NodeNote> {
        let gets_all = |part: &&Report| {
            let shares =
                part.run.fleet.as_ref().is_some_and(|fleet| fleet.shared_arrivals.is_some());
            part.messages.is_some() && !shares && part.run.node.is_none_or(|node| !node.own_topics)
        };
        let nodes = self.reports().filter(gets_all).count() as u64;
        let arrived = report.messages.as_ref()?.arrived;
        if nodes < 2 || arrived == 0 || report.run.duration_s <= 0.0 {
            return None;
        }
        let per_s = arrived as f64 / report.run.duration_s * nodes as f64;
        Some(NodeNote::ArrivalsMultiplied { nodes, per_s })
    }

    /// The nodes whose main time differs from that of the others, the most distant ones first.
    fn differing_nodes(&self, report: &Report) -> Vec<DifferingNode> {
        let (time, of): (_, fn(&Report) -> Option<&Distribution>) = match report.arrival {
            Some(_) => ("arrival", |report| report.arrival.as_ref()),
            None => ("response", |report| Some(&report.latency.response)),
        };
        let mut times = Vec::new();
        for part in self.reporting() {
            times.extend(of(&part.report).and_then(|all| node_times(part, all)));
        }
        let mut nodes = Vec::new();
        for found in differing(&times).into_iter().take(NAMED_NODES) {
            let row = report.nodes.iter().find(|row| row.index == found.index);
            nodes.extend(row.map(|row| DifferingNode {
                node: row.name(),
                time,
                p99_us: found.p99_us,
                others_us: found.others_us,
            }));
        }
        nodes
    }
}

/// The times of a node with its rate; `None` if they cannot be read.
fn node_times(part: &MergePart, times: &Distribution) -> Option<NodeTimes> {
    let span_s = part.report.run.duration_s.max(1e-3);
    let latencies = times.latencies().ok()?;
    NodeTimes::new(part.at.node, &latencies, times.count as f64 / span_s)
}

/// The hosts on which several nodes ran.
fn shared_hosts(report: &Report) -> Vec<SharedHost> {
    let mut by_host: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for node in &report.nodes {
        if let Some(host) = node.host.as_deref().filter(|host| !host.is_empty()) {
            by_host.entry(host).or_default().push(node.index);
        }
    }
    by_host.retain(|_, nodes| nodes.len() > 1);
    let mut shared: Vec<_> = by_host
        .into_iter()
        .map(|(host, nodes)| SharedHost { host: host.to_owned(), nodes })
        .collect();
    shared.sort_by(|a, b| a.nodes.cmp(&b.nodes));
    shared
}

/// The note on messages that reached another node than the one that sent them.
fn shared_arrivals(report: &Report) -> Option<NodeNote> {
    let SharedArrivals { timed_by_others, bound_us } = report.run.fleet.as_ref()?.shared_arrivals?;
    let arrived = report.messages.as_ref()?.arrived;
    let note = NodeNote::ArrivalsShared { timed_by_others, arrived, bound_us };
    (timed_by_others > 0).then_some(note)
}
