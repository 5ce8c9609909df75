//! The nodes of a merged report, one by one: what is worth a note about them, and those that were lost.

use std::collections::BTreeMap;

use super::MergePart;
use super::sum::Sum;
use crate::core::distribution::{Latencies, micros};
use crate::core::units::round;
use crate::report::remark::{LimitReason, NodeNote, Remark};
use crate::report::{Distribution, GeneratorState, NodeResult, Report, Run};

/// A start that is less certain is worth a note: 10 ms.
const NOTABLE_BOUND_US: f64 = 10_000.0;
/// Fewest nodes of which one can differ from the others.
const FEWEST_NODES: usize = 3;
/// Fewest values of a node whose percentile is compared.
const FEWEST_VALUES: u64 = 1_000;
/// Normal quantile of a confidence of 99 %, two-sided.
const CONFIDENCE_99: f64 = 2.576;
/// Smallest ratio, or its inverse, of the percentile of a node that differs and that of the others: smaller differences
/// have no consequence.
const NOTABLE: f64 = 1.5;

/// A node that wrote no report.
#[derive(Debug, Clone, Default)]
pub(crate) struct LostNode {
    /// Index of the node.
    pub index: u64,
    /// Name of its host.
    pub host: String,
    /// Its worker threads.
    pub threads: u64,
    /// CPUs of its machine.
    pub cores: u64,
    /// Second of the run since which it was silent.
    pub silent_since_s: f64,
    /// Slots of it that are not accounted for; `None` if their number is not planned.
    pub unaccounted: Option<u64>,
    /// Its counts, response and arrival until then; `None` if it had not begun.
    pub report: Option<Report>,
}

impl Sum<'_> {
    /// The nodes, by their index.
    pub(super) fn nodes(&self) -> Vec<NodeResult> {
        let mut nodes: BTreeMap<u64, NodeResult> = BTreeMap::new();
        for lost in self.lost {
            nodes.insert(lost.index, lost_result(lost));
        }
        for part in self.parts.iter().filter(|part: &&MergePart| !part.is_lost) {
            nodes.insert(part.at.node, result(part));
        }
        nodes.into_values().collect()
    }

    /// Reasons for the nodes that were lost.
    pub(super) fn losses(&self) -> Vec<Remark> {
        let mut reasons = Vec::new();
        for lost in self.lost {
            reasons.push(Remark::from(LimitReason::NodeLost {
                node: lost.index,
                host: lost.host.clone(),
                silent_since_s: lost.silent_since_s,
                unaccounted: lost.unaccounted,
            }));
        }
        reasons
    }

    /// Notes on the nodes.
    pub(super) fn node_notes(&self, report: &Report) -> Vec<Remark> {
        let mut notes: Vec<NodeNote> = Vec::new();
        if self.lost.iter().any(|lost| lost.report.is_some()) {
            notes.push(NodeNote::LostWithoutTimes);
        }
        notes.extend(shared_hosts(&report.nodes));
        notes.extend(self.outlier());
        notes.extend(multiplied(report));
        let bound_us = report.run.fleet.as_ref().map_or(0.0, |fleet| fleet.clock_bound_us);
        notes
            .extend((bound_us > NOTABLE_BOUND_US).then_some(NodeNote::StartUncertain { bound_us }));
        notes.into_iter().map(Remark::from).collect()
    }

    /// The node whose 99th percentile is furthest outside those of the others, if there is one.
    fn outlier(&self) -> Option<NodeNote> {
        let (name, of): (_, fn(&Report) -> Option<&Distribution>) =
            if self.first().arrival.is_some() {
                ("arrival", |report| report.arrival.as_ref())
            } else {
                ("response", |report| Some(&report.latency.response))
            };
        let mut known = Vec::new();
        for part in self.written() {
            let latencies = of(&part.report).and_then(|all| all.latencies().ok());
            if let Some(interval) = latencies.and_then(|all| interval_of_p99(&all)) {
                known.push(NodePercentile { node: part.at.node, interval });
            }
        }
        let found = outlier(&known)?;
        let others = known.iter().filter(|node| node.node != found.node);
        Some(NodeNote::Differs {
            node: found.node,
            of: name,
            p99_us: found.interval.middle,
            others_us: median(others.map(|node| node.interval.middle).collect()),
        })
    }
}

/// The 99th percentile of a node, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct NodePercentile {
    node: u64,
    interval: PercentileInterval,
}

/// A percentile and its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
struct PercentileInterval {
    low: f64,
    middle: f64,
    high: f64,
}

/// The 99th percentile with its distribution-free interval: the order statistics n·p ± z·√(n·p·(1 − p)) (Conover, "Practical
/// Nonparametric Statistics", 1999, 3.2). `None` of fewer than 1,000 values.
fn interval_of_p99(all: &Latencies) -> Option<PercentileInterval> {
    const P: f64 = 0.99;
    let count = all.count();
    let beside = CONFIDENCE_99 * (P * (1.0 - P) / count as f64).sqrt();
    let upper = all.quantile_or_max((P + beside).min(1.0));
    (count >= FEWEST_VALUES).then_some(PercentileInterval {
        low: micros(all.quantile(P - beside)?),
        middle: micros(all.quantile(P)?),
        high: micros(upper?),
    })
}

/// The node whose interval lies outside the intervals of all others, and is notably far from them. Of several the furthest.
fn outlier(nodes: &[NodePercentile]) -> Option<NodePercentile> {
    if nodes.len() < FEWEST_NODES {
        return None;
    }
    let mut found: Option<(f64, NodePercentile)> = None;
    for own in nodes {
        let others = || nodes.iter().filter(|other| other.node != own.node);
        let highest = others().map(|other| other.interval.high).fold(0.0, f64::max);
        let lowest = others().map(|other| other.interval.low).fold(f64::INFINITY, f64::min);
        let PercentileInterval { low, middle, high } = own.interval;
        let usual = median(others().map(|other| other.interval.middle).collect());
        let ratio = (middle / usual).max(usual / middle);
        let is_outside = low > highest || high < lowest;
        let is_furthest = found.is_none_or(|(most, _)| ratio > most);
        if is_outside && ratio >= NOTABLE && is_furthest {
            found = Some((ratio, *own));
        }
    }
    found.map(|(_, node)| node)
}

/// The median; 0 of no values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => values[middle - 1].midpoint(values[middle]),
    }
}

/// A note for each host that has more than one node.
fn shared_hosts(nodes: &[NodeResult]) -> Vec<NodeNote> {
    let mut hosts: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for node in nodes {
        if let Some(host) = &node.host {
            hosts.entry(host).or_default().push(node.index);
        }
    }
    let shared = hosts.into_iter().filter(|(_, nodes)| nodes.len() > 1);
    shared.map(|(host, nodes)| NodeNote::ShareHost { host: host.to_owned(), nodes }).collect()
}

/// A note if each of several nodes subscribes to the messages of all.
fn multiplied(report: &Report) -> Option<NodeNote> {
    let nodes = report.nodes.len() as u64;
    let arrived = report.messages.as_ref()?.arrived;
    let per_s = arrived as f64 / report.run.duration_s.max(1e-3);
    (nodes > 1 && arrived > 0)
        .then_some(NodeNote::ArrivalsMultiplied { nodes, delivered_per_s: per_s * nodes as f64 })
}

fn result(part: &MergePart) -> NodeResult {
    let MergePart { report, at, .. } = part;
    let Run { id, threads, rate_target, .. } = &report.run;
    let machine = report.generator.as_ref();
    NodeResult {
        index: at.node,
        host: machine.and_then(|machine| machine.host.clone()),
        run: Some(id.clone()),
        threads: *threads,
        cores: machine.map(|machine| machine.cores),
        rate_target: *rate_target,
        lateness_p99: report.latency.lateness.p99,
        other_cpu_percent: machine.and_then(|machine| machine.other_cpu_percent),
        steal_percent: machine.map(|machine| machine.steal_percent),
        throttled_s: machine.map(|machine| machine.throttled_s),
        valid: report.verdict.generator == GeneratorState::Valid,
        ..counts(report)
    }
}

fn lost_result(lost: &LostNode) -> NodeResult {
    NodeResult {
        index: lost.index,
        host: Some(lost.host.clone()),
        threads: lost.threads,
        cores: Some(lost.cores),
        lost_at_s: Some(round(lost.silent_since_s, 1e3)),
        unaccounted: lost.unaccounted,
        ..lost.report.as_ref().map(counts).unwrap_or_default()
    }
}

/// Counts and percentiles of a node.
fn counts(report: &Report) -> NodeResult {
    let requests = &report.requests;
    let messages = report.messages.as_ref();
    NodeResult {
        sent: requests.sent,
        completed: requests.completed,
        failed: requests.failed,
        dropped: requests.dropped,
        accepted: messages.map(|messages| messages.accepted),
        arrived: messages.map(|messages| messages.arrived),
        response_p50: report.latency.response.p50,
        response_p99: report.latency.response.p99,
        arrival_p99: report.arrival.as_ref().and_then(|arrival| arrival.p99),
        rate_target: report.run.rate_target,
        ..NodeResult::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::clock::Nanos;

    /// Nodes with 99th percentiles that are known to a tenth.
    fn nodes(p99: &[f64]) -> Vec<NodePercentile> {
        let mut nodes = Vec::new();
        for (node, middle) in p99.iter().enumerate() {
            let interval =
                PercentileInterval { low: middle * 0.9, middle: *middle, high: middle * 1.1 };
            nodes.push(NodePercentile { node: node as u64, interval });
        }
        nodes
    }

    #[test]
    fn a_node_outside_all_others_is_found_and_small_differences_are_not() {
        let found = |p99: &[f64]| outlier(&nodes(p99)).map(|node| node.node);
        assert_eq!(found(&[100.0, 101.0, 99.0, 900.0]), Some(3));
        assert_eq!(found(&[100.0, 101.0, 20.0]), Some(2));
        assert_eq!(found(&[100.0, 900.0]), None, "of two nodes either may be the odd one");
        assert_eq!(found(&[100.0, 101.0, 99.0, 130.0]), None, "a third more has no consequence");
        assert_eq!(found(&[100.0, 100.0, 900.0, 900.0]), None, "two and two");
        assert_eq!(found(&[100.0, 100.0, 900.0, 2_000.0, 10.0]), Some(4), "the furthest");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Equal nodes with a heavy tail: a Pareto distribution of exponent 1.5.
        #[test]
        fn equal_nodes_do_not_differ(
            uniform in prop::collection::vec(prop::collection::vec(1e-9..1.0_f64, 2_000), 3..8),
        ) {
            let mut known = Vec::new();
            for (node, values) in uniform.iter().enumerate() {
                let mut all = Latencies::default();
                for value in values {
                    all.record(Nanos((100_000.0 * value.powf(-1.0 / 1.5)) as u64));
                }
                let interval = interval_of_p99(&all).expect("enough values");
                prop_assert!(interval.low <= interval.middle && interval.middle <= interval.high);
                known.push(NodePercentile { node: node as u64, interval });
            }
            prop_assert_eq!(outlier(&known), None);
        }
    }
}
