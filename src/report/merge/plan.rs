//! Checks that reports are each another node's part of one load.

use std::collections::BTreeMap;

use super::{LostNode, MergeError, Named};
use crate::report::{Node, Report};

/// Refuses what is not each another node's part of one load. Of lost nodes only the number is checked.
pub(super) fn check(parts: &[Named], lost: &[LostNode]) -> Result<(), MergeError> {
    let mut seen: BTreeMap<u64, String> = BTreeMap::new();
    for (name, report) in parts {
        if report.run.parts.is_some() {
            return Err(MergeError::Merged(name.clone()));
        }
        let node = report.run.node.ok_or_else(|| MergeError::NotAPart(name.clone()))?;
        if let Some(other) = seen.insert(node.index, name.clone()) {
            return Err(MergeError::SameNode(other, name.clone(), node.index));
        }
    }
    let (first, rest) = parts.split_first().ok_or(MergeError::NoReport)?;
    for part in rest {
        if let Some(why) = difference(&first.1, &part.1) {
            return Err(MergeError::Different(first.0.clone(), part.0.clone(), why));
        }
    }
    check_workers(parts)?;
    for node in lost {
        if let Some(other) = seen.insert(node.index, node.name()) {
            return Err(MergeError::SameNode(other, node.name(), node.index));
        }
        if let Some(why) = first.1.run.node.and_then(|known| node.difference(known)) {
            return Err(MergeError::Different(first.0.clone(), node.name(), why));
        }
    }
    Ok(())
}

/// The first thing in which two parts' plans differ.
fn difference(a: &Report, b: &Report) -> Option<String> {
    let conditions = |report: &Report| {
        let thresholds = report.verdict.thresholds.iter();
        thresholds.map(|threshold| threshold.expr.clone()).collect::<Vec<_>>().join("; ")
    };
    let requests = |report: &Report| {
        let all = report.by_request.iter();
        all.map(|one| format!("{}:{}", one.name, one.weight)).collect::<Vec<_>>().join(", ")
    };
    let (x, y) = (&a.run, &b.run);
    let mut told = vec![
        ("nodes", node_count(a), node_count(b)),
        ("fleet", fleet_name(a), fleet_name(b)),
        ("workers of all nodes", worker_count(a), worker_count(b)),
        ("mode", x.mode.to_string(), y.mode.to_string()),
        ("target", x.target.clone(), y.target.clone()),
        ("arrivals", format!("{:?}", x.arrivals), format!("{:?}", y.arrivals)),
        ("engine", x.engine.to_string(), y.engine.to_string()),
        ("protocol", x.protocol.to_string(), y.protocol.to_string()),
        ("streams", x.streams.to_string(), y.streams.to_string()),
        ("requests", requests(a), requests(b)),
        ("sample", x.sample.to_string(), y.sample.to_string()),
        ("listening", a.arrival.is_some().to_string(), b.arrival.is_some().to_string()),
        ("--fail-if", conditions(a), conditions(b)),
    ];
    // Workers are numbered over all nodes. Where the numbers are not in the report, all nodes must have as many: else
    // some slots are sent twice and some never.
    if worker_numbers(a).is_none() || worker_numbers(b).is_none() {
        told.extend([
            ("threads", x.threads.to_string(), y.threads.to_string()),
            ("share of the rate", number(x.rate_target), number(y.rate_target)),
            ("connections", x.connections.to_string(), y.connections.to_string()),
            // The nodes of a fleet have compared their settings when they joined.
            ("command", without_node(&x.command), without_node(&y.command)),
        ]);
    }
    let differs = told.into_iter().find(|(_, a, b)| a != b);
    if let Some((what, a, b)) = differs {
        return Some(format!("{what} {a} and {b}"));
    }
    (x.id == y.id).then(|| format!("both are of run {}", x.id))
}

fn number(value: Option<f64>) -> String {
    value.map_or("none".to_owned(), |value| value.to_string())
}

fn node_count(report: &Report) -> String {
    report.run.node.map_or(0, |node| node.count).to_string()
}

fn fleet_name(report: &Report) -> String {
    report.run.fleet.as_ref().map_or("none".to_owned(), |fleet| fleet.name.clone())
}

fn worker_count(report: &Report) -> String {
    let workers = report.run.node.and_then(|node: Node| node.workers);
    workers.map_or("unknown".to_owned(), |workers| workers.to_string())
}

/// The numbers of a node's workers among those of all nodes.
#[derive(Debug, Clone, Copy)]
struct WorkerNumbers {
    first: u64,
    end: u64,
    of: u64,
}

fn worker_numbers(report: &Report) -> Option<WorkerNumbers> {
    let node = report.run.node?;
    let (first, of) = (node.first_worker?, node.workers?);
    Some(WorkerNumbers { first, end: first.saturating_add(report.run.threads), of })
}

/// Refuses nodes that have a worker in common, or a worker beyond the last one: slots would be sent twice.
fn check_workers(parts: &[Named]) -> Result<(), MergeError> {
    let mut numbered = Vec::new();
    for (name, report) in parts {
        numbered.extend(worker_numbers(report).map(|workers| (workers, name)));
    }
    numbered.sort_by_key(|(workers, _)| workers.first);
    for pair in numbered.windows(2) {
        let [(before, name), (after, other)] = pair else { continue };
        if after.first < before.end {
            let why = format!("both have worker {}", after.first);
            return Err(MergeError::Different((*name).clone(), (*other).clone(), why));
        }
    }
    match (numbered.first(), numbered.last()) {
        (Some((_, first)), Some((last, name))) if last.end > last.of => {
            let why = format!("worker {} of {} workers", last.end - 1, last.of);
            Err(MergeError::Different((*first).clone(), (*name).clone(), why))
        }
        _ => Ok(()),
    }
}

/// The command of the whole load: that of any node without its `--node k/N`.
pub(super) fn without_node(command: &str) -> String {
    let mut words = command.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "--node" => _ = words.next(),
            word => kept.push(word),
        }
    }
    kept.join(" ")
}
