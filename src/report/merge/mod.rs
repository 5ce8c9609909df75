//! Several nodes' reports of one load → one report. Histograms and counts are added, which is exact;
//! what cannot be added, such as the percentiles of each second, is left out.

mod differing;
mod findings;
mod lost;
mod messages;
mod plan;
mod rows;
mod stages;
mod starts;
mod sum;
mod verdict;

use super::{CheckError, Report, Row};
use plan::check;
use starts::{NodeSpan, Timeline, check_overlap};
use sum::Sum;

pub(crate) use lost::LostNode;

/// A report and the name that errors call it by: its file's.
pub type Named = (String, Report);

/// Why reports cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is nothing to add.
    #[error("no node has sent a report, so there is nothing to merge")]
    NoReport,
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

/// All that is known of a fleet when its nodes have ended.
#[derive(Debug, Default)]
pub(crate) struct FleetParts {
    /// Reports of the nodes that sent one.
    pub(crate) parts: Vec<Named>,
    /// Nodes that fell silent before.
    pub(crate) lost: Vec<LostNode>,
    /// Rows of the whole fleet, whose counts and percentiles are of all nodes' values.
    pub(crate) seconds: Vec<Row>,
}

/// The report of all nodes together. Of a node that is missing it says `partial`, and is not valid.
pub fn merge(parts: Vec<Named>) -> Result<Report, MergeError> {
    merge_fleet(FleetParts { parts, ..FleetParts::default() })
}

/// The report of a fleet: that of [`merge`], with what is known of lost nodes, and percentiles for the seconds that
/// have rows of the fleet. Errors are those of [`merge`]; a lost node causes one only if it is not a node of this load.
pub(crate) fn merge_fleet(fleet: FleetParts) -> Result<Report, MergeError> {
    let FleetParts { parts, mut lost, seconds } = fleet;
    check(&parts, &lost)?;
    lost.sort_by_key(|node| node.index);
    let timeline = Timeline::of(&parts);
    check_overlap(&parts, timeline)?;
    let mut all: Vec<_> = parts.into_iter().map(|part| MergePart::new(part, timeline)).collect();
    let first_us = all.iter().map(|part| part.at.span.begin_us).min().unwrap_or(0);
    for node in &mut lost {
        all.extend(node.part(timeline, first_us));
    }
    all.sort_by_key(|part| part.at.node);
    let merged = Sum::of(&all, timeline).with_fleet(&lost, &seconds).report()?;
    merged.check().map_err(MergeError::Impossible)?;
    Ok(merged)
}

/// A node's report, and its time on the clock that all starts are compared on.
struct MergePart {
    name: String,
    at: NodeSpan,
    report: Report,
    /// The node fell silent, and its report is made from its last heartbeat.
    is_lost: bool,
}

impl MergePart {
    fn new((name, report): Named, timeline: Timeline) -> Self {
        let node = report.run.node.map_or(0, |node| node.index);
        let at = NodeSpan { node, span: timeline.span(&report.run) };
        Self { name, at, report, is_lost: false }
    }
}
