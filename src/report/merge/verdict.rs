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
        let parts = report.run.parts.iter();
        let missing = parts.flat_map(|parts| (0..parts.count).filter(|n| !parts.nodes.contains(n)));
        let is_lost = |node: &u64| self.lost.iter().any(|lost| lost.index == *node);
        let missing: Vec<_> = missing.filter(|node| !is_lost(node)).collect();
        let is_partial = report.run.partial;
        reasons.extend(self.losses());
        if !missing.is_empty() {
            let of = self.first().run.node.map_or(0, |node| node.count);
            reasons.push(LimitReason::Partial { missing, of }.into());
        }
        let mut notes = self.told(|verdict| &verdict.notes);
        let apart = self.skew.is_some_and(Skew::is_too_large);
        if let Some(skew) = self.skew.and_then(|skew| skew.described(self.clock)) {
            if apart {
                reasons.push(LimitReason::StartsApart { skew }.into());
            } else {
                notes.push(ServerNote::StartSkew { skew }.into());
            }
        }
        notes.extend(self.node_notes(report));
        let limited = apart
            || is_partial
            || self.written().any(|part| !part.report.verdict.generator.is_valid());
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
        for part in self.written() {
            for remark in of(&part.report.verdict) {
                match told.iter_mut().find(|(known, _)| *known == remark) {
                    Some((_, nodes)) => _ = nodes.insert(part.at.node),
                    None => told.push((remark, BTreeSet::from([part.at.node]))),
                }
            }
        }
        let mut all = Vec::new();
        for (remark, nodes) in told {
            let is_of_all = nodes.len() == self.written().count();
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
            let parts = self.written().flat_map(|part| &part.report.verdict.thresholds);
            let failed = parts.into_iter().find(|part| part.expr == result.expr && !part.ok);
            if let Some(failed) = failed {
                *result = failed.clone();
            }
        }
        merged
    }
}
