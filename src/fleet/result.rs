//! The report of a whole fleet.

use super::FleetError;
use super::collector::{FleetResult, LostFacts};
use super::heartbeat::Heartbeat;
use super::roster::{Roster, RosterNode};
use crate::core::distribution::{Distribution, Latencies};
use crate::report::merge::{FleetParts, LostNode, merge_fleet};
use crate::report::{Latency, Membership, Messages, Node, Report, Run, Verdict};

/// A node without a report, its place, and the plan that it shared with a node that has one.
struct LostPlace<'a> {
    index: u64,
    node: &'a RosterNode,
    /// Report of another node.
    like: &'a Report,
}

impl FleetResult {
    /// One report of all nodes.
    pub(crate) fn merge(mut self) -> Result<Report, FleetError> {
        let Some(like) = self.reports.values().next().cloned() else {
            return Err(FleetError::Failed(
                "no node of the fleet has written a report: all are lost".to_owned(),
            ));
        };
        let mut lost = Vec::new();
        for (index, facts) in std::mem::take(&mut self.lost) {
            if let Some(node) = self.roster.nodes.get(index as usize) {
                let place = LostPlace { index, node, like: &like };
                lost.push(place.lost_node(&self.roster, facts));
            }
        }
        let named = |(index, report): (u64, Report)| (self.roster.name(index as usize), report);
        let parts = self.reports.into_iter().map(named).collect();
        merge_fleet(FleetParts { parts, lost, seconds: self.seconds })
            .map_err(|error| FleetError::Failed(format!("the reports of the nodes: {error}")))
    }
}

impl LostPlace<'_> {
    fn lost_node(&self, roster: &Roster, facts: LostFacts) -> LostNode {
        let start_us =
            self.like.run.fleet.as_ref().map_or(facts.last_beat_us, |fleet| fleet.start_us);
        let silent_since_s = facts.last_beat_us.saturating_sub(start_us) as f64 / 1e6;
        let seen = facts
            .heartbeat
            .as_ref()
            .map_or(0, |heartbeat| heartbeat.totals.sent + heartbeat.totals.dropped);
        let unaccounted = facts.planned.map(|slots| slots.saturating_sub(seen));
        LostNode {
            index: self.index,
            host: self.node.facts.host.clone(),
            silent_since_s,
            because: facts.because,
            unaccounted,
            report: facts
                .heartbeat
                .map(|heartbeat| self.report(roster, &heartbeat, silent_since_s)),
        }
    }

    /// The measurements of a heartbeat as a report. Service, lateness and pacing are not in it.
    fn report(&self, roster: &Roster, heartbeat: &Heartbeat, until_s: f64) -> Report {
        let totals = &heartbeat.totals;
        let place = roster.place(self.index as usize);
        let whole = self
            .like
            .run
            .rate_target
            .map(|rate| rate * place.workers as f64 / self.like.run.threads.max(1) as f64);
        let share = self.node.facts.threads as f64 / place.workers.max(1) as f64;
        let empty = Distribution::from(&Latencies::default());
        let none = self.like.latency.waiting.as_ref().map(|_| empty.clone());
        Report {
            run: Run {
                id: self.node.facts.token.clone(),
                duration_s: until_s,
                rate_target: whole.map(|rate| rate * share),
                threads: self.node.facts.threads,
                interrupted: false,
                node: Some(Node {
                    index: self.index,
                    count: place.share.count,
                    first_worker: Some(place.first_worker),
                    workers: Some(place.workers),
                    own_topics: self.like.run.node.is_some_and(|node| node.own_topics),
                }),
                // Its own bound is not known, and it does not matter any more.
                fleet: self.like.run.fleet.clone().map(|fleet| Membership {
                    clock_bound_us: 0.0,
                    shared_arrivals: None,
                    ..fleet
                }),
                ..self.like.run.clone()
            },
            requests: totals.requests(),
            script: None,
            latency: Latency {
                response: distribution(&totals.response),
                service: empty.clone(),
                lateness: empty.clone(),
                pacing: empty.clone(),
                waiting: none,
                connect: self.like.latency.connect.as_ref().map(|_| empty),
            },
            messages: totals.arrived.map(|arrived| Messages {
                accepted: totals.accepted,
                arrived,
                // Its subscriber was gone.
                missed: totals.accepted.saturating_sub(arrived),
                ..Messages::default()
            }),
            arrival: totals.arrived.map(|_| distribution(&totals.arrival)),
            by_request: Vec::new(),
            stages: Vec::new(),
            stamps: Vec::new(),
            generator: None,
            resources: Vec::new(),
            series: Vec::new(),
            heatmap: None,
            verdict: Verdict::default(),
            ..self.like.clone()
        }
    }
}

/// The distribution of an HDR text; an empty one of a text that cannot be read.
fn distribution(hdr: &str) -> Distribution {
    let latencies = Latencies::from_hdr(hdr).unwrap_or_default();
    Distribution::from(&latencies)
}
