//! Results of each request of a mix, beside those of all.

use super::counters::{Counters, StatusCounts};
use crate::core::clock::Nanos;
use crate::core::latency::Latencies;
use crate::engine::transport::{Completion, RequestOutcome};
use crate::message::Assignment;

/// One request's part of the result.
#[derive(Debug, Clone, Default)]
pub struct RequestResult {
    /// Counts of the measured part.
    pub counters: Counters,
    /// Its answers by status.
    pub status: StatusCounts,
    /// answered − due
    pub response: Latencies,
    /// answered − sent
    pub service: Latencies,
    /// Ages of the dropped ones; part of `response`.
    pub dropped: Latencies,
}

impl RequestResult {
    /// Takes in another worker's.
    pub fn absorb(&mut self, other: &Self) {
        self.counters.add(other.counters);
        self.status.add(&other.status);
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.dropped.merge(&other.dropped);
    }

    pub(super) fn dropped(&mut self, age: Nanos, never_sent: bool) {
        self.counters.planned += 1;
        self.counters.dropped += 1;
        self.counters.never_sent += u64::from(never_sent);
        self.response.record(age);
        self.dropped.record(age);
    }

    pub(super) fn sent(&mut self) {
        self.counters.planned += 1;
        self.counters.sent += 1;
    }

    /// Records its end, as [`super::recorder::Recorder::ended`] does for all.
    pub(super) fn ended(&mut self, ended: &Completion) {
        match ended.outcome {
            RequestOutcome::Answered { status } => {
                self.counters.completed += 1;
                self.status.count(status);
            }
            RequestOutcome::Failed(failure, cause) => {
                self.counters.failed += 1;
                self.counters.errors.count(failure, cause);
            }
            RequestOutcome::Unfinished => self.counters.unfinished += 1,
        }
        if ended.outcome.has_latency() {
            self.service.record(ended.at - ended.sent);
            self.response.record(ended.at - ended.ticket.due);
        }
    }
}

/// The request of each slot and each id, and which of them are messages.
#[derive(Debug, Clone)]
pub struct Mixture {
    /// From slots and ids to requests.
    pub assignment: Assignment,
    /// For each request: whether it carries its id, so that its message can be joined.
    pub carries_id: Vec<bool>,
}

impl Mixture {
    pub(super) fn carries_id(&self, request: Option<usize>) -> bool {
        request.and_then(|n| self.carries_id.get(n)).copied().unwrap_or(true)
    }
}
