//! Recorder of one worker: counts, latencies, accepted ids, and a row per interval. Only the worker uses it; it
//! hands over the rows once an interval and the rest at the end.

use super::by_request::{Mixture, RequestResult};
use super::counters::{Counters, StatusCounts};
use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;
use crate::engine::transport::{Completion, RequestOutcome};
use crate::message::{IdSet, IdSpace, MsgId};

/// Times of a sampled request, to be joined with the stamps of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sampled {
    /// Id of the message.
    pub id: MsgId,
    /// Due time.
    pub due: Nanos,
    /// Time of sending.
    pub sent: Nanos,
    /// Time at which the response was complete.
    pub answered: Nanos,
}

/// Numbers of one worker in one interval.
#[derive(Debug, Clone)]
pub(crate) struct IntervalReport {
    /// Number of the interval, from 0 at the start of the measured part.
    pub index: u64,
    /// Requests sent in it.
    pub sent: u64,
    /// Slots dropped in it.
    pub dropped: u64,
    /// Requests answered in it.
    pub completed: u64,
    /// Answered requests with neither 2xx nor 3xx.
    pub refused: u64,
    /// Requests that failed in it.
    pub failed: u64,
    /// Requests in flight at its end.
    pub in_flight: u64,
    /// Response times of the requests completed in it.
    pub response: Latencies,
    /// Sampled requests answered in it.
    pub sampled: Vec<Sampled>,
}

/// Results of one worker, or of all.
#[derive(Debug, Default)]
pub(crate) struct LoadResult {
    /// Counts of the measured part.
    pub counters: Counters,
    /// Responses of the measured part by status.
    pub status: StatusCounts,
    /// Response times: answered − due.
    pub response: Latencies,
    /// Service times: answered − sent.
    pub service: Latencies,
    /// Lateness: sent − due.
    pub lateness: Latencies,
    /// Times to open connections that were opened for one request each; part of lateness.
    pub connect: Latencies,
    /// Pacing, the part of lateness that is the generator's own: from due to the moment the worker was ready.
    pub pacing: Latencies,
    /// Waiting, the rest of lateness in an open loop: from then to the send, for a free connection.
    pub waiting: Latencies,
    /// Time for which the worker's thread waited for a CPU, from the begin of the measured part to the end of sending.
    pub run_queue: Nanos,
    /// Ids of accepted messages.
    pub accepted: IdSet,
    /// Ids of messages whose request timed out or was unfinished.
    pub failed: IdSet,
    /// Ages of dropped slots of messages; part of `response`.
    pub dropped_messages: Latencies,
    /// Number of messages sent: the requests that carry their id.
    pub messages_sent: u64,
    /// Number of messages whose request completed.
    pub messages_ended: u64,
    /// Results of each request of a mix, in the plan's order; empty if there is only one request.
    pub by_request: Vec<RequestResult>,
    /// Requests per second in thousandths, one value per worker and tenth of a second: wrk's Req/Sec.
    pub throughput: Latencies,
    /// Time at which the last measured request was sent.
    pub last_sent: Option<Nanos>,
    /// Time of the last response to a measured request.
    pub last_answered: Option<Nanos>,
    /// Time at which nothing was left to send before the planned end; `Nanos::MAX` if sending lasted as planned.
    pub over_at: Nanos,
    /// Beginning of the first refused answer's body, if it is kept.
    pub refusal: Option<String>,
    /// True if sending was stopped because the target was gone.
    pub target_gone: bool,
}

impl LoadResult {
    /// Adds the results of another worker.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.counters.add(other.counters);
        self.status.add(&other.status);
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.lateness.merge(&other.lateness);
        self.connect.merge(&other.connect);
        self.pacing.merge(&other.pacing);
        self.waiting.merge(&other.waiting);
        self.run_queue += other.run_queue;
        self.throughput.merge(&other.throughput);
        self.accepted.absorb(other.accepted);
        self.failed.absorb(other.failed);
        self.dropped_messages.merge(&other.dropped_messages);
        self.messages_sent += other.messages_sent;
        self.messages_ended += other.messages_ended;
        self.by_request.resize_with(other.by_request.len(), RequestResult::default);
        self.by_request.iter_mut().zip(&other.by_request).for_each(|(own, o)| own.absorb(o));
        self.last_sent = self.last_sent.max(other.last_sent);
        self.last_answered = self.last_answered.max(other.last_answered);
        self.over_at = self.over_at.max(other.over_at);
        self.refusal = self.refusal.take().or(other.refusal);
        self.target_gone |= other.target_gone;
    }
}

/// Recorder of one worker. It records only requests that are due in the measured part.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Results, handed over at the end.
    pub result: LoadResult,
    space: IdSpace,
    sample: u64,
    measure_from: Nanos,
    interval_start: Counters,
    /// Refused requests until then.
    refused_before: u64,
    interval_response: Latencies,
    sampled: Vec<Sampled>,
    rate_window: RateWindow,
    mixture: Option<Mixture>,
    /// True if the only request carries its id; a mixture has it for each request.
    carries_id: bool,
    /// Ids of requests that do not carry them, from a script.
    unnumbered: IdSet,
    /// True in an open loop, in which requests wait for connections.
    is_open: bool,
}

impl Recorder {
    /// Creates a recorder. `measure_from` is a time on the clock. It keeps the times of one id in `sample`.
    pub(crate) fn new(space: IdSpace, sample: u64, measure_from: Nanos) -> Self {
        Self {
            result: LoadResult::default(),
            space,
            sample,
            measure_from,
            interval_start: Counters::default(),
            refused_before: 0,
            interval_response: Latencies::default(),
            sampled: Vec::new(),
            rate_window: RateWindow { start: measure_from, completed: 0 },
            is_open: false,
            mixture: None,
            carries_id: true,
            unnumbered: IdSet::default(),
        }
    }

    /// Sets whether the only request carries its id; without it, it is not a message.
    #[must_use]
    pub(crate) fn of_one(self, carries_id: bool) -> Self {
        Self { carries_id, ..self }
    }

    /// Makes it a recorder of an open loop, in which requests wait for connections.
    #[must_use]
    pub(crate) fn of_open_loop(self) -> Self {
        Self { is_open: true, ..self }
    }

    /// Records the requests of a mix, also each separately.
    #[must_use]
    pub(crate) fn of_mix(mut self, mixture: Mixture) -> Self {
        let requests = mixture.assignment.requests();
        self.result.by_request.resize_with(requests, RequestResult::default);
        Self { mixture: Some(mixture), ..self }
    }

    fn measures(&self, due: Nanos) -> bool {
        due >= self.measure_from
    }

    /// Records a slot that became due and for which the worker was ready at `now`.
    pub(crate) fn planned(&mut self, due: Nanos, now: Nanos) {
        if self.measures(due) {
            self.result.counters.planned += 1;
            self.result.pacing.record(now - due);
        }
    }

    /// Records a slot that is not sent. It enters the response times with `age`: the time that it has waited, or
    /// would have had to wait at least. Without it, overload would improve the tail.
    pub(crate) fn dropped(&mut self, slot: u64, due: Nanos, age: Nanos, never_sent: bool) {
        if self.measures(due) {
            let mut is_message = self.carries_id;
            if let Some(mixture) = &self.mixture {
                let request = mixture.assignment.of_slot(slot);
                self.result.by_request[request].dropped(age, never_sent);
                is_message = mixture.carries_id(Some(request));
            }
            if is_message {
                self.result.dropped_messages.record(age);
            }
            self.result.counters.dropped += 1;
            self.result.counters.never_sent += u64::from(never_sent);
            self.response(age);
        }
    }

    /// Records a request that was handed to the transport.
    pub(crate) fn sent(&mut self, slot: u64, due: Nanos) {
        if self.measures(due) {
            self.result.counters.sent += 1;
            let mut is_message = self.carries_id;
            if let Some(mixture) = &self.mixture {
                let request = mixture.assignment.of_slot(slot);
                self.result.by_request[request].sent();
                is_message = mixture.carries_id(Some(request));
            }
            self.result.messages_sent += u64::from(is_message);
        }
    }

    /// Records that a request that was sent does not carry its id, so that it is not a message.
    pub(crate) fn unnumbered(&mut self, id: MsgId, due: Nanos) {
        if self.measures(due) {
            self.result.messages_sent -= 1;
            self.unnumbered.insert(&self.space, id);
        }
    }

    /// Records a completion.
    pub(crate) fn completed(&mut self, completion: &Completion) {
        let Completion { ticket, sent, at, outcome, connect } = *completion;
        if !self.measures(ticket.due) {
            return;
        }
        self.result.last_sent = self.result.last_sent.max(Some(sent));
        self.result.lateness.record(sent - ticket.due);
        if self.is_open {
            self.result.waiting.record(sent - ticket.ready);
        }
        if let Some(connect) = connect {
            self.result.connect.record(connect);
        }
        let is_message = self.completed_in_mix(completion);
        self.result.messages_ended += u64::from(is_message);
        match outcome {
            RequestOutcome::Answered { status } => {
                self.answered(completion, status, is_message);
            }
            RequestOutcome::Failed(failure, cause) => {
                self.result.counters.failed += 1;
                self.result.counters.errors.count(failure, cause);
            }
            RequestOutcome::Unfinished => self.result.counters.unfinished += 1,
        }
        if outcome.has_latency() {
            self.result.service.record(at - sent);
            self.response(at - ticket.due);
            if is_message && !matches!(outcome, RequestOutcome::Answered { .. }) {
                self.result.failed.insert(&self.space, ticket.id);
            }
        }
    }

    /// Records a completion for its request of a mix. Returns true if it was a message.
    fn completed_in_mix(&mut self, completion: &Completion) -> bool {
        let id = completion.ticket.id;
        let Some(mixture) = &self.mixture else {
            return self.carries_id && !self.unnumbered.contains(&self.space, id);
        };
        let request = mixture.assignment.of(id);
        if let Some(own) = request.and_then(|n| self.result.by_request.get_mut(n)) {
            own.completed(completion);
        }
        mixture.carries_id(request)
    }

    fn answered(&mut self, completion: &Completion, status: u16, is_message: bool) {
        let Completion { ticket, sent, at, .. } = *completion;
        self.result.counters.completed += 1;
        self.result.last_answered = self.result.last_answered.max(Some(at));
        self.result.status.count(status);
        self.rate_window.count(at, &mut self.result.throughput);
        if is_message && (200..300).contains(&status) {
            self.result.accepted.insert(&self.space, ticket.id);
            if ticket.id.is_sampled(self.sample) {
                self.sampled.push(Sampled { id: ticket.id, due: ticket.due, sent, answered: at });
            }
        }
    }

    fn response(&mut self, latency: Nanos) {
        self.result.response.record(latency);
        self.interval_response.record(latency);
    }

    /// Ends an interval and returns its numbers.
    pub(crate) fn interval(&mut self, index: u64, in_flight: u64) -> IntervalReport {
        let (now, then) = (self.result.counters, self.interval_start);
        let refused = self.result.status.refused();
        self.interval_start = now;
        let report = IntervalReport {
            index,
            sent: now.sent - then.sent,
            dropped: now.dropped - then.dropped,
            completed: now.completed - then.completed,
            refused: refused - std::mem::replace(&mut self.refused_before, refused),
            failed: now.failed - then.failed,
            in_flight,
            response: self.interval_response.clone(),
            sampled: std::mem::take(&mut self.sampled),
        };
        self.interval_response.clear();
        report
    }
}

/// Completions in a tenth of a second, the sample of wrk's Req/Sec.
#[derive(Debug)]
struct RateWindow {
    start: Nanos,
    completed: u64,
}

impl RateWindow {
    const SPAN: Nanos = Nanos::from_millis(100);

    fn count(&mut self, at: Nanos, rates: &mut Latencies) {
        let passed = at - self.start;
        if passed >= Self::SPAN {
            let per_second = self.completed as f64 / passed.as_secs_f64();
            rates.record(Nanos((per_second * 1_000.0) as u64));
            *self = Self { start: at, completed: 0 };
        }
        self.completed += 1;
    }
}

#[cfg(test)]
mod tests;
