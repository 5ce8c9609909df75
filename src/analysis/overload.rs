//! Signs in one report that its messages came slower than they were accepted: lost messages, and a queue that grew.

use super::queue_growth::{QueueGrowth, queue_growth};
use crate::report::Report;
use crate::report::finding::OverloadSign;

/// The signs of a run; none if it delivered its messages.
pub(crate) fn overload_signs(report: &Report) -> Vec<OverloadSign> {
    let lost = report.messages.as_ref().map_or(0, |messages| messages.lost);
    let lost = (lost > 0).then_some(OverloadSign::Lost { messages: lost });
    let growth = queue_growth(report).filter(QueueGrowth::is_growing);
    let grew = growth
        .map(|growth| OverloadSign::QueueGrew { per_s: growth.per_s, to: most_queued(report) });
    lost.into_iter().chain(grew).collect()
}

/// The most messages seen in the queue.
pub(crate) fn most_queued(report: &Report) -> u64 {
    report.series.iter().filter_map(|row| row.queue_depth).max().unwrap_or(0)
}
