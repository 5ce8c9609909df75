//! Rows of a merged report: the seconds of all nodes, and a row for each node.

use std::collections::BTreeMap;

use super::sum::{Sum, at};
use super::{LostNode, MergePart};
use crate::core::units::round;
use crate::report::figures::add;
use crate::report::{Membership, NodeResult, Row, SharedArrivals};

impl Sum<'_> {
    /// Rows of the same second added. All nodes see the one queue. Percentiles cannot be added: a second has them only
    /// where the fleet has a row of it, whose counts are then those of all nodes.
    pub(super) fn series(&self) -> Vec<Row> {
        let mut rows: BTreeMap<u64, Row> = BTreeMap::new();
        for part in self.parts {
            for row in &part.report.series {
                let second = second_of(self.offset(part) + row.t_s);
                let sum = rows.entry(second).or_default();
                sum.t_s = second as f64;
                add(&mut sum.sent, row.sent);
                add(&mut sum.completed, row.completed);
                add(&mut sum.failed, row.failed);
                add(&mut sum.arrived, row.arrived);
                add(&mut sum.in_flight, row.in_flight);
                sum.queue_depth = sum.queue_depth.max(row.queue_depth);
                let used = row.cpu_percent.iter();
                let named =
                    used.map(|(component, percent)| (at(component, part.at.node).into(), *percent));
                sum.cpu_percent.extend(named);
            }
        }
        for exact in self.seconds {
            let second = second_of(exact.t_s);
            let sum = rows.entry(second).or_default();
            *sum = Row {
                t_s: second as f64,
                in_flight: sum.in_flight,
                queue_depth: sum.queue_depth,
                cpu_percent: std::mem::take(&mut sum.cpu_percent),
                ..exact.clone()
            };
        }
        rows.into_values().collect()
    }

    /// Membership of the whole fleet; `None` without one. Of several Redis servers it names none.
    pub(super) fn fleet(&self) -> Option<Membership> {
        let members: Vec<_> =
            self.reports().filter_map(|report| report.run.fleet.as_ref()).collect();
        let first = members.first()?;
        let mut bounds: Vec<_> = members.iter().map(|member| member.clock_bound_us).collect();
        bounds.sort_by(f64::total_cmp);
        let is_common = members.iter().all(|member| member.server == first.server);
        Some(Membership {
            name: first.name.clone(),
            server: first.server.clone().filter(|_| is_common),
            start_us: members.iter().map(|member| member.start_us).min().unwrap_or(0),
            clock_bound_us: round(bounds.iter().rev().take(2).sum(), 1e3),
            shared_arrivals: members.iter().filter_map(|member| member.shared_arrivals).reduce(
                |all, one| SharedArrivals {
                    timed_by_others: all.timed_by_others.saturating_add(one.timed_by_others),
                    bound_us: all.bound_us.max(one.bound_us),
                },
            ),
        })
    }

    /// A row for each node, by its index.
    pub(super) fn nodes(&self) -> Vec<NodeResult> {
        let mut nodes: Vec<_> = self.parts.iter().map(|part| self.node(part)).collect();
        for lost in self.lost {
            match nodes.iter_mut().find(|node| node.index == lost.index) {
                Some(node) => lost.mark(node),
                None => {
                    let mut node = NodeResult { index: lost.index, ..NodeResult::default() };
                    lost.mark(&mut node);
                    nodes.push(node);
                }
            }
        }
        nodes.sort_by_key(|node| node.index);
        nodes
    }

    fn node(&self, part: &MergePart) -> NodeResult {
        let report = &part.report;
        let machine = report.generator.as_ref();
        let messages = report.messages.as_ref();
        let arrival = report.arrival.as_ref();
        let started = self.timeline.begin_us(&report.run).is_some();
        NodeResult {
            index: part.at.node,
            host: machine.and_then(|machine| machine.host.clone()),
            run_id: Some(report.run.id.clone()).filter(|id| !id.is_empty()),
            version: Some(report.tool.version.clone()).filter(|version| !version.is_empty()),
            threads: Some(report.run.threads).filter(|threads| *threads > 0),
            cores: machine.map(|machine| machine.cores),
            rate_target: report.run.rate_target,
            sent: report.requests.sent,
            completed: report.requests.completed,
            failed: report.requests.failed,
            dropped: report.requests.dropped,
            accepted: messages.map(|messages| messages.accepted),
            arrived: messages.map(|messages| messages.arrived),
            response_p50: report.latency.response.p50,
            response_p99: report.latency.response.p99,
            arrival_p50: arrival.and_then(|times| times.p50),
            arrival_p99: arrival.and_then(|times| times.p99),
            lateness_p99: report.latency.lateness.p99,
            run_queue_percent: machine.map(|machine| machine.run_queue_percent),
            steal_percent: machine.map(|machine| machine.steal_percent),
            throttled_s: machine.map(|machine| machine.throttled_s),
            other_cpu_percent: machine.and_then(|machine| machine.other_cpu_percent),
            start_offset_us: Some(part.at.span.begin_us - self.begin_us).filter(|_| started),
            clock_bound_us: report.run.fleet.as_ref().map(|fleet| fleet.clock_bound_us),
            lost_at_s: None,
            lost_because: None,
            unaccounted: None,
            valid: !part.is_lost && report.verdict.generator.is_valid(),
        }
    }
}

impl LostNode {
    /// Marks the row of this node.
    fn mark(&self, node: &mut NodeResult) {
        if !self.host.is_empty() {
            node.host = Some(self.host.clone());
        }
        node.lost_at_s = Some(self.silent_since_s);
        node.lost_because.clone_from(&self.because);
        node.unaccounted = self.unaccounted;
        node.valid = false;
    }
}

/// The second that a row ends.
fn second_of(t_s: f64) -> u64 {
    t_s.round() as u64
}
