//! The parts' verdicts as one: the worst of them, and the conditions held against the sums.

use std::collections::BTreeSet;

use super::starts::Skew;
use super::sum::Sum;
use crate::config::plan::Threshold;
use crate::report::failures::failure;
use crate::report::remark::{LimitReason, Remark, ServerNote};
use crate::report::thresholds::judge_thresholds;
use crate::report::{GeneratorState, Report, ThresholdResult, Verdict};

impl Sum<'_> {
    /// The worst of the parts' verdicts, and the conditions held against the sums.
    pub(super) fn verdict(&self, report: &Report) -> Verdict {
        let mut reasons = self.told(|verdict| &verdict.reasons);
        reasons.extend(self.lost.iter().map(|node| Remark::from(node.reason())));
        let missing = self.missing();
        let is_partial = !missing.is_empty() || !self.lost.is_empty();
        if !missing.is_empty() {
            let of = self.first().run.node.map_or(0, |node| node.count);
            reasons.push(LimitReason::Partial { missing, of }.into());
        }
        let mut notes = self.told(|verdict| &verdict.notes);
        let apart = self.skew.is_some_and(Skew::is_too_large);
        let bound_us = report.run.fleet.as_ref().map(|fleet| fleet.clock_bound_us);
        let clock = self.timeline.clock();
        if let Some(skew) = self.skew.and_then(|skew| skew.described(clock, bound_us)) {
            if apart {
                reasons.push(LimitReason::StartsApart { skew }.into());
            } else {
                notes.push(ServerNote::StartSkew { skew }.into());
            }
        }
        notes.extend(self.node_notes(report).into_iter().map(Remark::from));
        let limited =
            apart || is_partial || self.reporting().any(|p| !p.report.verdict.generator.is_valid());
        let mut verdict = Verdict {
            generator: if limited { GeneratorState::Limited } else { GeneratorState::Valid },
            pass: false,
            reasons,
            failures: self.failures(report),
            notes,
            thresholds: self.thresholds(report),
        };
        verdict.settle();
        verdict
    }

    /// Nodes of which nothing is known.
    fn missing(&self) -> Vec<u64> {
        let count = self.first().run.node.map_or(0, |node| node.count);
        let mut known: BTreeSet<u64> = self.parts.iter().map(|part| part.at.node).collect();
        known.extend(self.lost.iter().map(|node| node.index));
        (0..count).filter(|index| !known.contains(index)).collect()
    }

    /// The failures of the sums, and those of each node: what one node did proves nothing of the whole.
    fn failures(&self, report: &Report) -> Vec<Remark> {
        let mut all: Vec<_> = failure(report).into_iter().map(Remark::from).collect();
        for failure in self.told(|verdict| &verdict.failures) {
            if !all.contains(&failure) {
                all.push(failure);
            }
        }
        all
    }

    /// Remarks of the nodes; with the numbers of the nodes if not all have the remark.
    fn told<'s>(&'s self, of: impl Fn(&'s Verdict) -> &'s Vec<Remark>) -> Vec<Remark> {
        let mut told: Vec<(&Remark, BTreeSet<u64>)> = Vec::new();
        for part in self.reporting() {
            for remark in of(&part.report.verdict) {
                match told.iter_mut().find(|(known, _)| *known == remark) {
                    Some((_, nodes)) => _ = nodes.insert(part.at.node),
                    None => told.push((remark, BTreeSet::from([part.at.node]))),
                }
            }
        }
        let mut all = Vec::new();
        for (remark, nodes) in told {
            let is_of_all = nodes.len() == self.reporting().count();
            all.push(if is_of_all { remark.clone() } else { remark.of_nodes(nodes) });
        }
        all
    }

    /// A condition that held in one part fails the whole, with that part's number.
    fn thresholds(&self, report: &Report) -> Vec<ThresholdResult> {
        let own = &self.first().verdict.thresholds;
        let parsed: Vec<Threshold> = own.iter().filter_map(|t| t.expr.parse().ok()).collect();
        let mut merged = judge_thresholds(report, &parsed);
        for result in merged.iter_mut().filter(|result| result.ok) {
            let parts = self.reporting().flat_map(|part| &part.report.verdict.thresholds);
            let failed = parts.into_iter().find(|part| part.expr == result.expr && !part.ok);
            if let Some(failed) = failed {
                *result = failed.clone();
            }
        }
        merged
    }
}
