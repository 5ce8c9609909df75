//! Records of one worker: counts, latencies, accepted ids, and a row per interval. Private to
//! the worker; handed over at the end and, for the rows, once an interval.

use super::by_request::{Mixture, RequestResult};
use super::counters::{Counters, StatusCounts};
use crate::core::clock::Nanos;
use crate::core::latency::Latencies;
use crate::engine::transport::{Completion, RequestOutcome, Ticket};
use crate::message::{IdSet, IdSpace, MsgId};

/// A sampled request's own stamps, to be joined with those of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// The message.
    pub id: MsgId,
    /// When it was due.
    pub due: Nanos,
    /// When it was sent.
    pub sent: Nanos,
    /// When its response was complete.
    pub answered: Nanos,
}

/// One worker's numbers for one interval.
#[derive(Debug, Clone)]
pub struct IntervalReport {
    /// The worker.
    pub worker: usize,
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
    /// On the wire or in line at its end.
    pub in_flight: u64,
    /// Response latencies of the requests that ended in it.
    pub response: Latencies,
    /// Sampled requests that were answered in it.
    pub sampled: Vec<Sampled>,
}

/// Everything a worker, or all of them together, found out.
#[derive(Debug, Default)]
pub struct LoadResult {
    /// Counts of the measured part.
    pub counters: Counters,
    /// Its answers by status.
    pub status: StatusCounts,
    /// answered − due
    pub response: Latencies,
    /// answered − sent
    pub service: Latencies,
    /// sent − due
    pub lateness: Latencies,
    /// Time to make the connections that were made for one request each; part of lateness.
    pub connect: Latencies,
    /// The part of lateness that is the generator's own: from due to the moment the worker saw it.
    /// The rest is waiting for a free connection.
    pub pacing: Latencies,
    /// The rest of lateness in an open loop: from then until it was sent, for want of a free connection.
    pub waiting: Latencies,
    /// Time that the worker's thread waited for a CPU from the beginning of measuring to the end of sending.
    pub run_queue: Nanos,
    /// Ids the target accepted.
    pub accepted: IdSet,
    /// Ids of messages whose request got no answer, although it had time to.
    pub failed: IdSet,
    /// Ages of dropped requests that would have been messages; part of `response`.
    pub dropped_messages: Latencies,
    /// Messages among the requests sent: all that carry their id.
    pub messages_sent: u64,
    /// Messages whose request ended.
    pub messages_ended: u64,
    /// Each request's part, in the plan's order; none where there is but one.
    pub by_request: Vec<RequestResult>,
    /// Requests a second, one value per worker and tenth of a second, in thousandths: wrk's Req/Sec.
    pub throughput: Latencies,
    /// When the last measured request was sent.
    pub last_sent: Option<Nanos>,
    /// When the last answer to a measured request came.
    pub last_answered: Option<Nanos>,
    /// When nothing was left to send before the time was up; [`Nanos::MAX`] where sending lasted as planned.
    pub over_at: Nanos,
    /// Sending was given up, as the target was gone.
    pub target_gone: bool,
}

impl LoadResult {
    /// Takes in another worker's.
    pub fn absorb(&mut self, other: Self) {
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
        self.target_gone |= other.target_gone;
    }
}

/// The pen of one worker. Only what was due in the measured part is written down.
#[derive(Debug)]
pub struct Recorder {
    /// Results, handed over at the end.
    pub result: LoadResult,
    space: IdSpace,
    sample: u64,
    measure_from: Nanos,
    interval_start: Counters,
    /// Answers that were no success until then.
    refused_before: u64,
    interval_response: Latencies,
    sampled: Vec<Sampled>,
    rate_window: RateWindow,
    mixture: Option<Mixture>,
    /// True if the one request carries its id; a mixture knows it for each of its requests.
    carries_id: bool,
    /// Ids of requests that a script wrote without them.
    unnumbered: IdSet,
    /// Requests wait for connections; in a closed loop they do not.
    is_open: bool,
}

impl Recorder {
    /// `measure_from` is a point on the clock; one id in `sample` is kept with its stamps.
    pub fn new(space: IdSpace, sample: u64, measure_from: Nanos) -> Self {
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

    /// Records one request that carries its id or not; without it, it is not a message.
    #[must_use]
    pub fn of_one(self, carries_id: bool) -> Self {
        Self { carries_id, ..self }
    }

    /// The same for an open loop, in which requests wait for connections.
    #[must_use]
    pub fn of_open_loop(self) -> Self {
        Self { is_open: true, ..self }
    }

    /// Records a mix of requests, also each by itself.
    #[must_use]
    pub fn of_mix(mut self, mixture: Mixture) -> Self {
        let requests = mixture.assignment.requests();
        self.result.by_request.resize_with(requests, RequestResult::default);
        Self { mixture: Some(mixture), ..self }
    }

    fn measures(&self, due: Nanos) -> bool {
        due >= self.measure_from
    }

    /// A slot's time came, and the worker saw it at `now`.
    pub fn planned(&mut self, due: Nanos, now: Nanos) {
        if self.measures(due) {
            self.result.counters.planned += 1;
            self.result.pacing.record(now - due);
        }
    }

    /// The slot of this number was not sent. It enters the response latencies as `age`: what it had
    /// waited, or would have had to wait at least. Leaving it out would let overload improve the tail.
    pub fn dropped(&mut self, slot: u64, due: Nanos, age: Nanos, never_sent: bool) {
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

    /// The request of this slot was handed over.
    pub fn sent(&mut self, slot: u64, due: Nanos) {
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

    /// Takes back that the request of this id is a message: it was sent, but a script wrote it without
    /// its id.
    pub fn unnumbered(&mut self, id: MsgId, due: Nanos) {
        if self.measures(due) {
            self.result.messages_sent -= 1;
            self.unnumbered.insert(&self.space, id);
        }
    }

    /// A request ended.
    pub fn ended(&mut self, ended: &Completion) {
        let Completion { ticket, sent, at, outcome, connect } = *ended;
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
        let is_message = self.ended_in_mix(ended);
        self.result.messages_ended += u64::from(is_message);
        match outcome {
            RequestOutcome::Answered { status } => {
                self.answered((ticket, is_message), sent, at, status);
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

    /// Writes it down for its request of a mix. Whether it was a message.
    fn ended_in_mix(&mut self, ended: &Completion) -> bool {
        let Some(mixture) = &self.mixture else {
            let id = ended.ticket.id;
            return self.carries_id && !self.unnumbered.contains(&self.space, id);
        };
        let request = mixture.assignment.of(ended.ticket.id);
        if let Some(own) = request.and_then(|n| self.result.by_request.get_mut(n)) {
            own.ended(ended);
        }
        mixture.carries_id(request)
    }

    fn answered(
        &mut self,
        (ticket, is_message): (Ticket, bool),
        sent: Nanos,
        at: Nanos,
        status: u16,
    ) {
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

    /// Closes an interval.
    pub fn interval(&mut self, worker: usize, index: u64, in_flight: u64) -> IntervalReport {
        let (now, then) = (self.result.counters, self.interval_start);
        let refused = self.result.status.refused();
        self.interval_start = now;
        let report = IntervalReport {
            worker,
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

/// A tenth of a second's completions, as wrk samples its Req/Sec.
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
