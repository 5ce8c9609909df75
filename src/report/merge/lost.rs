//! Nodes that fell silent: what is known of them is added, and what is not is said.

use super::MergePart;
use super::starts::{NodeSpan, Timeline};
use crate::core::distribution::Distribution;
use crate::report::nodes::node_name;
use crate::report::remark::LimitReason;
use crate::report::{Node, Report};

/// A node of a fleet that fell silent before it sent its report.
#[derive(Debug)]
pub(crate) struct LostNode {
    /// Index of the node, from 0.
    pub(crate) index: u64,
    /// Its host; empty if it is not known.
    pub(crate) host: String,
    /// Seconds from the start of the fleet to its last heartbeat.
    pub(crate) silent_since_s: f64,
    /// Reason that it gave, in words; `None` if it only fell silent.
    pub(crate) because: Option<String>,
    /// Slots of its part of the schedule that are not in `report`; `None` without a schedule.
    pub(crate) unaccounted: Option<u64>,
    /// Its report up to its last heartbeat; `None` if there was none. It has the counts of requests and messages, and
    /// the distributions of response and arrival; others are empty.
    pub(crate) report: Option<Report>,
}

impl LostNode {
    /// Its name in sentences.
    pub(super) fn name(&self) -> String {
        node_name(self.index, Some(&self.host))
    }

    /// The reason why the merged report is not valid.
    pub(super) fn reason(&self) -> LimitReason {
        LimitReason::NodeLost {
            node: self.name(),
            silent_since_s: self.silent_since_s,
            unaccounted: self.unaccounted,
            because: self.because.clone(),
        }
    }

    /// Tells why it is not a node of the same load, as far as its number says so.
    pub(super) fn difference(&self, known: Node) -> Option<String> {
        let own = match &self.report {
            Some(report) => report.run.node?,
            None => Node { index: self.index, count: known.count, ..Node::default() },
        };
        let fits = own.index == self.index && own.index < known.count && own.count == known.count;
        (!fits)
            .then(|| format!("it is node {} of {}, not of {}", own.index, own.count, known.count))
    }

    /// Takes its report as a part. `first_us` is the start of the first node. A report that is damaged is left out, and
    /// its slots are not accounted for.
    pub(super) fn part(&mut self, timeline: Timeline, first_us: u64) -> Option<MergePart> {
        let mut report = self.report.take()?;
        if humantime::parse_rfc3339(&report.run.started_at).is_err() {
            // A heartbeat has no wall clock.
            report.run.started_at = "1970-01-01T00:00:00Z".to_owned();
        }
        if report.check().is_err() || !are_readable(&report) {
            let planned = report.requests.planned;
            self.unaccounted = self.unaccounted.map(|slots| slots.saturating_add(planned));
            return None;
        }
        let mut span = timeline.span(&report.run);
        span.begin_us = timeline.begin_us(&report.run).unwrap_or(first_us);
        let at = NodeSpan { node: self.index, span };
        Some(MergePart { name: self.name(), at, report, is_lost: true })
    }
}

/// Returns true if the histograms of a lost node can be added.
fn are_readable(report: &Report) -> bool {
    let latency = &report.latency;
    let main = [&latency.response, &latency.service, &latency.lateness, &latency.pacing];
    let more = report.arrival.iter().chain(&latency.waiting).chain(&latency.connect);
    let stages = report.stages.iter().map(|stage| &stage.distribution);
    let mut requests = Vec::new();
    for request in &report.by_request {
        requests.extend([&request.response, &request.service]);
        requests.extend(&request.arrival);
    }
    let mut all = main.into_iter().chain(more).chain(stages).chain(requests);
    all.all(|distribution: &Distribution| is_empty(distribution) || distribution.is_readable())
}

/// Returns true if a distribution has no values and no histogram.
pub(super) fn is_empty(distribution: &Distribution) -> bool {
    distribution.count == 0 && distribution.hdr.is_empty()
}
