//! Notes on messages, their ids and their arrival.

use std::fmt;

use super::Coded;
use crate::config::plan::NO_REQUEST_CARRIES_ID;
use crate::core::units::format_some;
use crate::message::{Diagnosis, MissedSpan};

/// Missed spans that a note names one by one; the report has all.
const NAMED_SPANS: usize = 3;

/// A fact about the messages that a reader must know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MessageNote {
    /// Messages are lost.
    Lost { lost: u64, arrived: u64 },
    /// Nothing could be joined to a request.
    NoneJoined(Box<Diagnosis>),
    /// The broker dropped messages of any of its clients.
    BrokerDropped { dropped: u64 },
    /// The queue was not empty before the run.
    QueueNotEmpty { queued: u64 },
    /// Messages of another run or publisher arrived.
    Foreign { foreign: u64 },
    /// Messages were left in the queue.
    LeftInQueue { left: u64 },
    /// Requests of a script had no id.
    Unnumbered { requests: u64 },
    /// Requests of the plan carry no id.
    IdNotCarried {
        /// Names of these requests; all if this is `None`.
        without: Option<Vec<String>>,
    },
    /// `--first-id` was rounded up.
    FirstIdRounded { asked: u64, first: u64 },
    /// The subscriber lost its connection.
    SubscriberReconnected {
        /// Number of losses, at least one.
        times: u64,
        /// Messages that may have been published meanwhile.
        missed: u64,
        /// When these were due.
        spans: Vec<MissedSpan>,
        /// QoS that was asked for.
        qos: u8,
    },
    /// The kernel gave no time of receipt.
    TimedWhenRead { messages: u64 },
}

impl Coded for MessageNote {
    fn code(&self) -> &'static str {
        match self {
            Self::Lost { .. } => "messages_lost",
            Self::NoneJoined(_) => "no_message_joined",
            Self::BrokerDropped { .. } => "broker_dropped",
            Self::QueueNotEmpty { .. } => "queue_not_empty",
            Self::Foreign { .. } => "foreign_messages",
            Self::LeftInQueue { .. } => "left_in_queue",
            Self::Unnumbered { .. } => "script_without_id",
            Self::IdNotCarried { .. } => "id_not_carried",
            Self::FirstIdRounded { .. } => "first_id_rounded",
            Self::SubscriberReconnected { .. } => "subscriber_reconnected",
            Self::TimedWhenRead { .. } => "arrivals_timed_when_read",
        }
    }
}

impl fmt::Display for MessageNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { lost, arrived } => {
                let lost = format_some(*lost, "message was", "messages were");
                f.write_str(&lost)?;
                f.write_str(if *arrived == 0 {
                    " lost; arrival is not measured, as not one arrived"
                } else {
                    " lost; arrival counts them with the age they had reached"
                })
            }
            Self::NoneJoined(diagnosis) => diagnosis.fmt(f),
            Self::BrokerDropped { dropped } => write!(
                f,
                "the broker dropped {} during the run, for us or for another of its clients \
                 ($SYS/broker/publish/messages/dropped): one of its limits was reached, in Mosquitto \
                 max_queued_messages",
                format_some(*dropped, "message", "messages")
            ),
            Self::QueueNotEmpty { queued } => write!(
                f,
                "{} in the queue before the run: its own waited behind them, and their arrival is late by \
                 that. Empty the queue before a run, or wait until it is empty",
                format_some(*queued, "message was", "messages were")
            ),
            Self::Foreign { foreign } => write!(
                f,
                "{} with an id of another run: left in the queue by an earlier one, or sent by others who \
                 use the topic. They are not in the figures, but the messages of this run may have waited \
                 behind them",
                format_some(*foreign, "message arrived", "messages arrived")
            ),
            Self::LeftInQueue { left } => write!(
                f,
                "{} in the queue after the drain: what takes them out is too slow, or away",
                format_some(*left, "message was", "messages were")
            ),
            Self::Unnumbered { requests } => write!(
                f,
                "{} of the script had no id of loadgen.msg_id(): no arrival can be joined to them, so \
                 they count neither as accepted nor as lost. Give each request loadgen.msg_id() as its MsgID",
                format_some(*requests, "request", "requests")
            ),
            Self::IdNotCarried { without: None } => f.write_str(NO_REQUEST_CARRIES_ID),
            Self::IdNotCarried { without: Some(names) } => write!(
                f,
                "{{{{msg_id}}}} is not in the body, a header or the URL of {}: messages and arrival are \
                 of the other requests",
                names.join(", ")
            ),
            Self::FirstIdRounded { asked, first } => write!(
                f,
                "--first-id {asked}: the ids begin at {first}, the next place that is the same for all nodes"
            ),
            Self::SubscriberReconnected { times, missed, spans, qos } => {
                write_reconnects(f, *times)?;
                write_missed(f, *missed, spans, *qos)
            }
            Self::TimedWhenRead { messages } => write!(
                f,
                "the kernel noted no time of receipt for {}: timed when read",
                format_some(*messages, "message", "messages")
            ),
        }
    }
}

fn write_reconnects(f: &mut fmt::Formatter<'_>, times: u64) -> fmt::Result {
    f.write_str("our subscriber lost its connection to the broker ")?;
    match times {
        1 => f.write_str("once; "),
        n => write!(f, "{n} times; "),
    }
}

fn write_missed(
    f: &mut fmt::Formatter<'_>,
    missed: u64,
    spans: &[MissedSpan],
    qos: u8,
) -> fmt::Result {
    if missed == 0 {
        return f.write_str("no message was missed");
    }
    let mut named = Vec::new();
    for MissedSpan { from, to } in spans.iter().take(NAMED_SPANS) {
        named.push(format!("{:.2} s to {:.2} s", from.as_secs_f64(), to.as_secs_f64()));
    }
    if spans.len() > NAMED_SPANS {
        named.push(format!("{} more", spans.len() - NAMED_SPANS));
    }
    let messages = format_some(missed, "message", "messages");
    write!(f, "{messages} due from {} of the run did not reach us, ", named.join(", "))?;
    match qos {
        0 => f.write_str(
            "as at QoS 0 a broker keeps nothing for a client that is away: they count as missed, not as \
             lost, also those that the pipeline lost",
        ),
        qos => write!(
            f,
            "although we asked for QoS {qos}: they were published at QoS 0, the broker kept no session or \
             had its queue full, or they were lost before they reached it. They count as missed, not as lost"
        ),
    }
}
