//! Notes on messages that did not arrive: what is known of them, and what to look at.

use crate::core::units::format_some;
use crate::message::Expected;
use crate::report::Report;
use crate::run::measurements::Measurements;

pub(super) fn arrival_notes(report: &Report, seen: &Measurements) -> Vec<String> {
    let (Some(messages), Some(arrivals)) = (&report.messages, &seen.arrivals) else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    if messages.lost > 0 {
        let lost = format_some(messages.lost, "message was", "messages were");
        notes.push(match messages.arrived {
            0 => format!("{lost} lost; arrival is not measured, as not one arrived"),
            _ => format!("{lost} lost; arrival counts them with the age they had reached"),
        });
    }
    if messages.arrived == 0 && messages.accepted > 0 {
        notes.push(arrivals.unjoined.diagnosis(&Expected {
            other_topics: &arrivals.other_topics,
            topics: &seen.plan.pipeline.topics,
            id_fields: &seen.plan.request.id_fields,
            show_payload: seen.plan.pipeline.show_payload,
        }));
    }
    if seen.broker_dropped > 0 {
        notes.push(format!(
            "the broker dropped {} during the run, for us or for another of its clients \
             ($SYS/broker/publish/messages/dropped): one of its limits was reached, in Mosquitto \
             max_queued_messages",
            format_some(seen.broker_dropped, "message", "messages")
        ));
    }
    notes
}
