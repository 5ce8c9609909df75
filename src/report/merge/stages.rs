//! The stages of all nodes, and their counts of the stamp lists.

use super::MergeError;
use super::sum::Sum;
use crate::report::figures::add;
use crate::report::{Stage, StampList};

impl Sum<'_> {
    /// The stages of the node that has seen most of them, each with all nodes' values.
    pub(super) fn stages(&self) -> Result<Vec<Stage>, MergeError> {
        let most = self.reports().map(|report| &report.stages).max_by_key(|stages| stages.len());
        let bound = self.reports().filter_map(|r| r.run.clock.error_bound_us).reduce(f64::max);
        most.into_iter()
            .flatten()
            .map(|stage: &Stage| {
                let mut distribution = self.distribution(|r| {
                    r.stages
                        .iter()
                        .find(|other: &&Stage| (&other.from, &other.to) == (&stage.from, &stage.to))
                        .map(|stage| &stage.distribution)
                })?;
                if let Some(bound) = bound.filter(|_| stage.crosses_processes()) {
                    distribution.coarsen(bound);
                }
                Ok(Stage { from: stage.from, to: stage.to, distribution })
            })
            .collect()
    }

    /// The counts of all nodes' stamp lists. They read the same ones: a stamp of one node is foreign to
    /// the others.
    pub(super) fn stamps(&self) -> Vec<StampList> {
        let mut sums: Vec<StampList> = Vec::new();
        for list in self.reports().flat_map(|report| &report.stamps) {
            match sums.iter_mut().find(|sum| sum.name == list.name) {
                Some(sum) => {
                    add(&mut sum.read, list.read);
                    add(&mut sum.joined, list.joined);
                    add(&mut sum.foreign, list.foreign);
                    add(&mut sum.unreadable, list.unreadable);
                    add(&mut sum.unread, list.unread);
                }
                None => sums.push(list.clone()),
            }
        }
        sums
    }
}
