//! Notes on messages that did not arrive: what is known of them, and what to look at.

use crate::message::Diagnosis;
use crate::report::remark::MessageNote;
use crate::report::{Remark, Report};
use crate::run::measurements::Measurements;

pub(super) fn arrival_notes(report: &Report, seen: &Measurements) -> Vec<Remark> {
    let (Some(messages), Some(arrivals)) = (&report.messages, &seen.arrivals) else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    if messages.lost > 0 {
        notes.push(MessageNote::Lost { lost: messages.lost, arrived: messages.arrived });
    }
    if messages.arrived == 0 && messages.accepted > 0 {
        notes.push(MessageNote::NoneJoined(Box::new(Diagnosis {
            unjoined: arrivals.unjoined.clone(),
            other_topics: arrivals.other_topics.clone(),
            topics: seen.plan.pipeline.topics.clone(),
            id_fields: seen.plan.request.id_fields.clone(),
            show_payload: seen.plan.pipeline.show_payload,
        })));
    }
    if seen.broker_dropped > 0 {
        notes.push(MessageNote::BrokerDropped { dropped: seen.broker_dropped });
    }
    notes.into_iter().map(Remark::from).collect()
}
