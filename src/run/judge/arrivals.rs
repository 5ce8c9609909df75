//! Notes on messages that did not arrive: what is known of them, and what to look at.

use crate::message::Diagnosis;
use crate::report::remark::MessageNote;
use crate::report::{Messages, Remark, Report};
use crate::run::measurements::Measurements;

pub(super) fn arrival_notes(report: &Report, seen: &Measurements) -> Vec<Remark> {
    let (Some(messages), Some(arrivals)) = (&report.messages, &seen.arrivals) else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    if messages.lost > 0 {
        notes.push(MessageNote::Lost { lost: messages.lost, arrived: messages.arrived });
    }
    notes.extend(queue_notes(messages));
    // The service has not published messages that still wait in the queue.
    if messages.arrived == 0 && messages.accepted > messages.queued_after.unwrap_or(0) {
        notes.push(MessageNote::NoneJoined(Box::new(Diagnosis {
            unjoined: arrivals.unjoined.clone(),
            other_topics: arrivals.other_topics.clone(),
            topics: seen.plan.pipeline.topics_of_node(seen.plan.load.node.share.index),
            id_places: seen.plan.request.id_places.clone(),
            show_payload: seen.plan.pipeline.show_payload,
        })));
    }
    if seen.broker_dropped > 0 {
        notes.push(MessageNote::BrokerDropped { dropped: seen.broker_dropped });
    }
    notes.into_iter().map(Remark::from).collect()
}

/// Notes on messages that waited in the queue before or after the run, and on those of earlier runs.
fn queue_notes(messages: &Messages) -> Vec<MessageNote> {
    let Messages { accepted, arrived, lost, foreign, queued_before, queued_after, .. } = *messages;
    let mut notes = Vec::new();
    let queued = queued_before.unwrap_or(0);
    if is_notable(queued, accepted) {
        notes.push(MessageNote::QueueNotEmpty { queued });
    }
    if arrived > 0 && is_notable(foreign, arrived) {
        notes.push(MessageNote::Foreign { foreign });
    }
    let left = queued_after.unwrap_or(0);
    if lost > 0 && left >= lost / 2 && left > 0 {
        notes.push(MessageNote::LeftInQueue { left });
    }
    notes
}

/// At least 1 % of the others: a shared pipeline carries a few messages of others at any time.
fn is_notable(few: u64, others: u64) -> bool {
    few > 0 && few.saturating_mul(100) >= others
}
