//! The parts' verdicts as one: the worst of them, and the conditions held against the sums.

use std::collections::BTreeSet;

use super::starts::Skew;
use super::sum::Sum;
use crate::config::plan::Threshold;
use crate::report::failures::failures;
use crate::report::thresholds::judge_thresholds;
use crate::report::{GeneratorState, Report, ThresholdResult, Verdict};

impl Sum<'_> {
    /// The worst of the parts' verdicts, and the conditions held against the sums.
    pub(super) fn verdict(&self, report: &Report) -> Verdict {
        let mut reasons = self.told(|verdict| &verdict.reasons);
        let parts = report.run.parts.iter();
        let missing = parts.flat_map(|parts| (0..parts.count).filter(|n| !parts.nodes.contains(n)));
        let missing: Vec<_> = missing.map(|node| node.to_string()).collect();
        if !missing.is_empty() {
            let (which, count) = (missing.join(", "), self.first().run.node.map_or(0, |n| n.count));
            reasons.push(format!("partial: the report of node {which} of {count} is missing"));
        }
        let mut notes = self.told(|verdict| &verdict.notes);
        let apart = self.skew.is_some_and(Skew::is_too_large);
        if let Some(sentence) = self.skew.and_then(|skew| skew.sentence(self.clock)) {
            if apart { reasons.push(sentence) } else { notes.push(sentence) }
        }
        let limited =
            apart || self.reports().any(|r| !r.verdict.generator.is_valid()) || !missing.is_empty();
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
    fn failures(&self, report: &Report) -> Vec<String> {
        let mut all = failures(report);
        for failure in self.told(|verdict| &verdict.failures) {
            if !all.contains(&failure) {
                all.push(failure);
            }
        }
        all
    }

    /// Texts of the nodes; with the numbers of the nodes if not all have the text.
    fn told<'s>(&'s self, of: impl Fn(&'s Verdict) -> &'s Vec<String>) -> Vec<String> {
        let mut told: Vec<(&String, BTreeSet<u64>)> = Vec::new();
        for part in self.parts {
            for text in of(&part.report.verdict) {
                match told.iter_mut().find(|(known, _)| *known == text) {
                    Some((_, nodes)) => _ = nodes.insert(part.at.node),
                    None => told.push((text, BTreeSet::from([part.at.node]))),
                }
            }
        }
        told.into_iter()
            .map(|(text, nodes): (&String, BTreeSet<u64>)| {
                if nodes.len() == self.parts.len() {
                    return text.clone();
                }
                let nodes: Vec<_> = nodes.iter().map(u64::to_string).collect();
                format!("node {}: {text}", nodes.join(", "))
            })
            .collect()
    }

    /// A condition that held in one part fails the whole, with that part's number.
    fn thresholds(&self, report: &Report) -> Vec<ThresholdResult> {
        let own = &self.first().verdict.thresholds;
        let parsed: Vec<Threshold> = own.iter().filter_map(|t| t.expr.parse().ok()).collect();
        let mut merged = judge_thresholds(report, &parsed);
        for result in merged.iter_mut().filter(|result| result.ok) {
            let parts = self.reports().flat_map(|part| &part.verdict.thresholds);
            let failed = parts.into_iter().find(|part| part.expr == result.expr && !part.ok);
            if let Some(failed) = failed {
                *result = failed.clone();
            }
        }
        merged
    }
}
