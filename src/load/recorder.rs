//! What one worker writes down: counts, latencies, accepted ids, and a row per interval. Private to
//! the worker; handed over at the end and, for the rows, once an interval.

use super::counters::{Counters, StatusCounts};
use crate::clock::Nanos;
use crate::http::{Ended, Failure, Outcome, Ticket};
use crate::latency::Latencies;
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
    /// Which worker.
    pub worker: usize,
    /// Which interval, from 0 at the start of the measured part.
    pub index: u64,
    /// Requests sent in it.
    pub sent: u64,
    /// Slots dropped in it.
    pub dropped: u64,
    /// Requests answered in it.
    pub completed: u64,
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
    /// How long the connections took that were made for one request each; part of lateness.
    pub connect: Latencies,
    /// The part of lateness that is the generator's own: from due to the moment the worker saw it.
    /// The rest is waiting for a free connection.
    pub pacing: Latencies,
    /// Ids the target accepted.
    pub accepted: IdSet,
    /// Requests a second, one value per worker and tenth of a second, in thousandths: wrk's Req/Sec.
    pub throughput: Latencies,
    /// When the last measured request was sent.
    pub last_sent: Option<Nanos>,
    /// When the last answer to a measured request came.
    pub last_answered: Option<Nanos>,
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
        self.throughput.merge(&other.throughput);
        self.accepted.absorb(other.accepted);
        self.last_sent = self.last_sent.max(other.last_sent);
        self.last_answered = self.last_answered.max(other.last_answered);
    }
}

/// The pen of one worker. Only what was due in the measured part is written down.
#[derive(Debug)]
pub struct Recorder {
    /// What is handed over at the end.
    pub result: LoadResult,
    space: IdSpace,
    sample: u64,
    measure_from: Nanos,
    interval_start: Counters,
    interval_response: Latencies,
    sampled: Vec<Sampled>,
    rate_window: RateWindow,
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
            interval_response: Latencies::default(),
            sampled: Vec::new(),
            rate_window: RateWindow { start: measure_from, completed: 0 },
        }
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

    /// A slot was not sent. It enters the response latencies as `age`: what it had waited, or would
    /// have had to wait at least. Leaving it out would let overload improve the tail.
    pub fn dropped(&mut self, due: Nanos, age: Nanos, never_sent: bool) {
        if self.measures(due) {
            self.result.counters.dropped += 1;
            self.result.counters.never_sent += u64::from(never_sent);
            self.response(age);
        }
    }

    /// A request was handed over.
    pub fn sent(&mut self, due: Nanos) {
        if self.measures(due) {
            self.result.counters.sent += 1;
        }
    }

    /// A request ended.
    pub fn ended(&mut self, ended: &Ended) {
        let Ended { ticket, sent, at, outcome, connect } = *ended;
        if !self.measures(ticket.due) {
            return;
        }
        self.result.last_sent = self.result.last_sent.max(Some(sent));
        self.result.lateness.record(sent - ticket.due);
        if let Some(connect) = connect {
            self.result.connect.record(connect);
        }
        match outcome {
            Outcome::Answered { status } => {
                self.answered(ticket, sent, at, status);
            }
            Outcome::Failed(failure) => {
                self.result.counters.failed += 1;
                self.result.counters.errors.count(failure);
                // One that broke off early says nothing about how long an answer takes; one that
                // was waited for in vain says: at least that long.
                if failure == Failure::Timeout {
                    self.latencies(ticket, sent, at);
                }
            }
            Outcome::Unfinished => {
                self.result.counters.unfinished += 1;
                self.latencies(ticket, sent, at);
            }
        }
    }

    fn answered(&mut self, ticket: Ticket, sent: Nanos, at: Nanos, status: u16) {
        self.result.counters.completed += 1;
        self.result.last_answered = self.result.last_answered.max(Some(at));
        self.result.status.count(status);
        self.latencies(ticket, sent, at);
        self.rate_window.count(at, &mut self.result.throughput);
        if (200..300).contains(&status) {
            self.result.accepted.insert(&self.space, ticket.id);
            if ticket.id.is_sampled(self.sample) {
                self.sampled.push(Sampled { id: ticket.id, due: ticket.due, sent, answered: at });
            }
        }
    }

    fn latencies(&mut self, ticket: Ticket, sent: Nanos, at: Nanos) {
        self.result.service.record(at - sent);
        self.response(at - ticket.due);
    }

    fn response(&mut self, latency: Nanos) {
        self.result.response.record(latency);
        self.interval_response.record(latency);
    }

    /// Closes an interval.
    pub fn interval(&mut self, worker: usize, index: u64, in_flight: u64) -> IntervalReport {
        let (now, then) = (self.result.counters, self.interval_start);
        self.interval_start = now;
        let report = IntervalReport {
            worker,
            index,
            sent: now.sent - then.sent,
            dropped: now.dropped - then.dropped,
            completed: now.completed - then.completed,
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
mod tests {
    use super::*;

    fn recorder() -> Recorder {
        Recorder::new(IdSpace::from_authority(0, 1, 100), 100, Nanos::from_secs(1))
    }

    fn ended(due_ms: u64, sent_ms: u64, at_ms: u64, outcome: Outcome) -> Ended {
        let id = MsgId::new(due_ms).expect("small");
        let ticket = Ticket { due: Nanos::from_millis(due_ms), id };
        let (sent, at) = (Nanos::from_millis(sent_ms), Nanos::from_millis(at_ms));
        Ended { ticket, sent, at, outcome, connect: None }
    }

    fn max_ms(latencies: &Latencies) -> Option<u64> {
        latencies.max().map(|max| (max.0 + 500_000) / 1_000_000)
    }

    #[test]
    fn the_three_times_are_kept_apart() {
        let mut recorder = recorder();
        recorder.ended(&ended(1_100, 1_130, 1_150, Outcome::Answered { status: 200 }));
        let result = &recorder.result;
        assert_eq!(
            (max_ms(&result.lateness), max_ms(&result.service), max_ms(&result.response)),
            (Some(30), Some(20), Some(50))
        );
        assert_eq!((result.accepted.len(), recorder.sampled.len()), (1, 1));
    }

    #[test]
    fn overload_enters_the_latencies_and_a_broken_connection_does_not() {
        let mut recorder = recorder();
        recorder.ended(&ended(1_000, 1_000, 1_001, Outcome::Failed(Failure::Read)));
        assert_eq!(recorder.result.response.count(), 0);
        recorder.ended(&ended(1_000, 1_010, 3_010, Outcome::Failed(Failure::Timeout)));
        recorder.ended(&ended(1_000, 1_000, 6_000, Outcome::Unfinished));
        recorder.dropped(Nanos::from_millis(1_000), Nanos::from_millis(7_000), true);
        assert_eq!(recorder.result.response.count(), 3);
        assert_eq!(max_ms(&recorder.result.response).map(|ms| ms / 10), Some(700));
        assert_eq!(recorder.result.service.count(), 2, "a dropped slot was never served");
        let counters = recorder.result.counters;
        assert_eq!((counters.failed, counters.unfinished, counters.dropped), (2, 1, 1));
        assert_eq!((counters.errors.read, counters.errors.timeout), (1, 1));
    }

    #[test]
    fn a_refused_message_is_answered_and_not_accepted() {
        let mut recorder = recorder();
        recorder.ended(&ended(1_000, 1_000, 1_001, Outcome::Answered { status: 503 }));
        assert_eq!((recorder.result.counters.completed, recorder.result.accepted.len()), (1, 0));
        assert_eq!(recorder.result.status.iter().collect::<Vec<_>>(), [(503, 1)]);
    }

    #[test]
    fn the_warm_up_leaves_no_trace() {
        let mut recorder = recorder();
        let before = Nanos::from_millis(999);
        recorder.planned(before, before);
        recorder.sent(before);
        recorder.ended(&ended(999, 999, 1_500, Outcome::Answered { status: 200 }));
        assert_eq!(recorder.result.counters, Counters::default());
        assert_eq!(recorder.interval(0, 0, 0).response.count(), 0);
    }

    #[test]
    fn an_interval_holds_what_came_since_the_last() {
        let mut recorder = recorder();
        recorder.ended(&ended(1_000, 1_000, 1_001, Outcome::Answered { status: 200 }));
        assert_eq!(recorder.interval(0, 0, 3).completed, 1);
        recorder.ended(&ended(1_100, 1_100, 1_101, Outcome::Failed(Failure::Protocol)));
        let second = recorder.interval(0, 1, 2);
        assert_eq!((second.completed, second.failed, second.response.count()), (0, 1, 0));
    }
}
