//! Results of each request of a mix.

use super::counters::{Counters, StatusCounts};
use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;
use crate::engine::transport::{Completion, RequestOutcome};
use crate::message::Assignment;

/// Results of one request of a mix.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestResult {
    /// Counts of the measured part.
    pub counters: Counters,
    /// Responses by status.
    pub status: StatusCounts,
    /// Response times: answered − due.
    pub response: Latencies,
    /// Service times: answered − sent.
    pub service: Latencies,
    /// Ages of the dropped slots; part of `response`.
    pub dropped: Latencies,
}

impl RequestResult {
    /// Adds the results of another worker.
    pub(crate) fn absorb(&mut self, other: &Self) {
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

    /// Records a completion, as [`super::recorder::Recorder::completed`] does for all requests.
    pub(super) fn completed(&mut self, completion: &Completion) {
        match completion.outcome {
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
        if completion.outcome.has_latency() {
            self.service.record(completion.at - completion.sent);
            self.response.record(completion.at - completion.ticket.due);
        }
    }
}

/// Requests of a mix by slot and id.
#[derive(Debug, Clone)]
pub(crate) struct Mixture {
    /// Mapping of slots and ids to requests.
    pub assignment: Assignment,
    /// For each request, true if it carries its id, so that its arrival can be joined.
    pub carries_id: Vec<bool>,
}

impl Mixture {
    pub(super) fn carries_id(&self, request: Option<usize>) -> bool {
        request.and_then(|n| self.carries_id.get(n)).copied().unwrap_or(true)
    }
}
