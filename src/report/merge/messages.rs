//! The account of messages of all nodes.

use super::MergePart;
use super::sum::Sum;
use crate::core::units::round;
use crate::report::{Examples, Messages, MissedWindow};

impl<'a> Sum<'a> {
    pub(super) fn messages(&self) -> Option<Messages> {
        let all: Vec<_> = self.reports().filter_map(|report| report.messages.as_ref()).collect();
        let first = |of: fn(&Examples) -> &Vec<u64>| {
            let most = all.iter().map(|messages| of(&messages.examples).len()).max().unwrap_or(0);
            all.iter().flat_map(|messages| of(&messages.examples)).take(most).copied().collect()
        };
        let mut sum = Messages::default();
        all.iter().for_each(|messages| sum.add_counts(messages));
        sum.missed_windows = self.missed_windows();
        // All nodes read the depth of the same queue.
        sum.queued_before = all.iter().filter_map(|messages| messages.queued_before).max();
        sum.queued_after = all.iter().filter_map(|messages| messages.queued_after).max();
        sum.examples = Examples { lost: first(|e| &e.lost), duplicated: first(|e| &e.duplicated) };
        (!all.is_empty()).then_some(sum)
    }

    /// Those of all nodes: each has a subscriber of its own. Seconds of the run, as its rows.
    fn missed_windows(&self) -> Vec<MissedWindow> {
        self.parts
            .iter()
            .flat_map(|part: &'a MergePart| {
                let windows = part.report.messages.iter().flat_map(|m| &m.missed_windows);
                let later = self.offset(part);
                windows.map(move |window| MissedWindow {
                    from_s: round(window.from_s + later, 1e3),
                    to_s: round(window.to_s + later, 1e3),
                })
            })
            .collect()
    }
}
