//! Several nodes' reports of one load → one report. Histograms and counts are added, which is exact;
//! what cannot be added, such as the percentiles of each second, is left out.

mod messages;
mod nodes;
mod stages;
mod starts;
mod sum;
mod verdict;

use std::collections::BTreeMap;

use super::{CheckError, Report, Row, StartClock};
pub(crate) use nodes::LostNode;
use starts::{NodeSpan, check_overlap};
use sum::Sum;

/// A report and the name that errors call it by: its file's.
pub type Named = (String, Report);

/// Why reports cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Nothing says that they belong together.
    #[error("{0} is not of a run with --node k/N: nothing says which part of a load it is")]
    NotAPart(String),
    /// Merging is not repeated, as a part must not be added twice.
    #[error("{0} is merged already; merge the nodes' own reports, all at once")]
    Merged(String),
    /// One part twice.
    #[error("{0} and {1} are both of node {2}")]
    SameNode(String, String, u64),
    /// The parts are not of one plan.
    #[error("{0} and {1} are not parts of one load: {2}")]
    Different(String, String, String),
    /// A histogram cannot be read.
    #[error("{0}: a histogram cannot be read: {1}; was the file cut or edited?")]
    Histogram(String, String),
    /// The sum is more than any run can have.
    #[error("the sum of the reports is not possible: {0}")]
    Impossible(CheckError),
}

/// Measurements of a fleet.
#[derive(Debug, Default)]
pub(crate) struct FleetParts {
    /// Reports of its nodes, at least one.
    pub(crate) parts: Vec<Named>,
    /// Nodes that wrote no report.
    pub(crate) lost: Vec<LostNode>,
    /// Seconds of the whole fleet, whose percentiles are those of all nodes' values together.
    pub(crate) seconds: Vec<Row>,
}

/// The report of all nodes together. Of a node that is missing it says `partial`, and is not valid.
pub fn merge(parts: Vec<Named>) -> Result<Report, MergeError> {
    merge_fleet(FleetParts { parts, ..FleetParts::default() })
}

/// The report of a fleet. A node that was lost counts until it fell silent, and the report is not valid.
pub(crate) fn merge_fleet(fleet: FleetParts) -> Result<Report, MergeError> {
    let FleetParts { mut parts, lost, seconds } = fleet;
    check(&parts)?;
    parts.sort_by_key(|(_, report)| report.run.node.map(|node| node.index));
    let clock = StartClock::of(&parts);
    check_overlap(&parts, clock)?;
    let mut all: Vec<_> = parts.into_iter().map(|part| MergePart::new(part, clock)).collect();
    for node in &lost {
        if let Some(report) = node.report.clone() {
            let part = MergePart::new((format!("node {}", node.index), report), clock);
            all.push(MergePart { is_lost: true, ..part });
        }
    }
    let merged = Sum::of(&all, clock).with_fleet(&lost, &seconds).report()?;
    merged.check().map_err(MergeError::Impossible)?;
    Ok(merged)
}

/// Refuses what is not each another node's part of one load.
fn check(parts: &[Named]) -> Result<(), MergeError> {
    let mut seen: BTreeMap<u64, &str> = BTreeMap::new();
    for (name, report) in parts {
        if report.run.parts.is_some() {
            return Err(MergeError::Merged(name.clone()));
        }
        let node = report.run.node.ok_or_else(|| MergeError::NotAPart(name.clone()))?;
        if let Some(other) = seen.insert(node.index, name) {
            return Err(MergeError::SameNode(other.to_owned(), name.clone(), node.index));
        }
    }
    let Some((first, rest)) = parts.split_first() else { return Ok(()) };
    for part in rest {
        if let Some(why) = difference(&first.1, &part.1) {
            return Err(MergeError::Different(first.0.clone(), part.0.clone(), why));
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
    let count = |report: &Report| report.run.node.map_or(0, |node| node.count).to_string();
    let requests = |report: &Report| {
        let all = report.by_request.iter();
        all.map(|one| format!("{}:{}", one.name, one.weight)).collect::<Vec<_>>().join(", ")
    };
    let number = |value: Option<f64>| value.map_or("none".to_owned(), |value| value.to_string());
    let (x, y) = (&a.run, &b.run);
    // The nodes of a fleet have numbered their workers together, however many each has.
    let workers = |run: &super::Run| run.node.and_then(|node| node.workers);
    let may_differ = workers(x).is_some() && workers(x) == workers(y);
    let own = |value: String| if may_differ { String::new() } else { value };
    let told = [
        ("nodes", count(a), count(b)),
        ("mode", x.mode.to_string(), y.mode.to_string()),
        ("target", x.target.clone(), y.target.clone()),
        ("share of the rate", own(number(x.rate_target)), own(number(y.rate_target))),
        ("arrivals", format!("{:?}", x.arrivals), format!("{:?}", y.arrivals)),
        ("connections", x.connections.to_string(), y.connections.to_string()),
        // Workers are numbered over all nodes: with other numbers some slots are sent twice and some never.
        ("threads", own(x.threads.to_string()), own(y.threads.to_string())),
        ("engine", x.engine.to_string(), y.engine.to_string()),
        ("protocol", x.protocol.to_string(), y.protocol.to_string()),
        ("streams", x.streams.to_string(), y.streams.to_string()),
        ("requests", requests(a), requests(b)),
        ("sample", x.sample.to_string(), y.sample.to_string()),
        ("listening", a.arrival.is_some().to_string(), b.arrival.is_some().to_string()),
        ("--fail-if", conditions(a), conditions(b)),
        // The nodes of a fleet have compared their settings when they joined.
        ("command", own(without_node(&x.command)), own(without_node(&y.command))),
    ];
    let differs = told.into_iter().find(|(_, a, b)| a != b);
    if let Some((what, a, b)) = differs {
        return Some(format!("{what} {a} and {b}"));
    }
    (x.id == y.id).then(|| format!("both are of run {}", x.id))
}

/// The command of the whole load: that of any node without its `--node k/N`.
fn without_node(command: &str) -> String {
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

/// A node's report, and its time on the clock that all starts are compared on.
struct MergePart {
    name: String,
    at: NodeSpan,
    report: Report,
    /// The node wrote no report: this one was made of its last heartbeat.
    is_lost: bool,
}

impl MergePart {
    fn new((name, report): Named, clock: StartClock) -> Self {
        let node = report.run.node.map_or(0, |node| node.index);
        Self { name, at: NodeSpan { node, span: clock.span(&report.run) }, report, is_lost: false }
    }
}
