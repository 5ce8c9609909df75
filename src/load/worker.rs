//! The loop that sends: one thread, one transport, one recorder. It is written once, for open and
//! closed loops and for every transport.
//!
//! Each turn: let in what is due, put on the wire what finds a connection, wait until the next slot
//! is due or a response comes. It never sleeps per request: all that is due goes out on one wake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::sync::mpsc::UnboundedSender;

use super::line::Line;
use super::recorder::{IntervalReport, LoadResult, Recorder};
use super::schedule::{Schedule, Slot, Slots};
use crate::clock::{self, Nanos};
use crate::http::compose::Batch;
use crate::http::{Ended, Ticket, Traffic, Transport};
use crate::message::mix::slot;
use crate::message::{IdWriter, Values};
use crate::plan::load::Pace;

/// The longest a worker sleeps, so that it hears of a stop.
const LONGEST_WAIT: Nanos = Nanos::from_millis(50);
/// The length of an interval of the series.
pub const INTERVAL: Nanos = Nanos::from_secs(1);

/// Tells the workers to stop sending; what is on the wire is still waited for.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
}

impl Control {
    /// No slot is sent any more whose time has not come.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Whether [`Self::stop`] was called.
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

/// One worker's counts for whoever watches the run. Written by the worker only; losing one changes nothing.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Gauges {
    /// Requests sent, warm-up included.
    pub sent: AtomicU64,
    /// Requests that ended, warm-up included.
    pub ended: AtomicU64,
    /// Slots dropped.
    pub dropped: AtomicU64,
    /// Slots waiting for a connection.
    pub waiting: AtomicU64,
    /// Measured messages accepted.
    pub accepted: AtomicU64,
    /// Measured ones whose request ended otherwise: their messages may arrive all the same.
    pub refused: AtomicU64,
}

impl Gauges {
    /// On the wire or in line.
    pub fn in_flight(&self) -> u64 {
        let sent = self.sent.load(Relaxed);
        sent.saturating_sub(self.ended.load(Relaxed)) + self.waiting.load(Relaxed)
    }
}

/// What there is to send.
#[derive(Debug, Clone)]
pub enum Work {
    /// The slots of a schedule; beyond `max_in_flight` on the wire or in line they are dropped.
    Open {
        /// The schedule of all workers.
        schedule: Arc<Schedule>,
        /// This worker's share of the limit.
        max_in_flight: Option<u64>,
    },
    /// A request whenever a connection is free.
    Closed {
        /// Stop at this point of the clock.
        until: Option<Nanos>,
        /// Stop after so many of the measured part: this worker's share.
        requests: Option<u64>,
    },
}

/// A worker's orders.
#[derive(Debug)]
pub struct Brief {
    /// Its number, from 0.
    pub worker: usize,
    /// How many there are.
    pub workers: usize,
    /// The clock's time at the schedule's zero.
    pub start: Nanos,
    /// The clock's time at which measuring begins.
    pub measure_from: Nanos,
    /// How long to wait for stragglers after the last slot was due.
    pub drain: Nanos,
    /// How it waits for slots.
    pub pace: Pace,
    /// What to send.
    pub work: Work,
}

/// One worker, ready to run on its thread.
#[derive(Debug)]
pub struct Worker<T> {
    /// Its orders.
    pub brief: Brief,
    /// What carries its requests.
    pub transport: T,
    /// What gives its messages their ids.
    pub ids: IdWriter,
    /// Its pen.
    pub recorder: Recorder,
    /// What stops it.
    pub control: Arc<Control>,
    /// What shows its progress.
    pub gauges: Arc<Gauges>,
    /// Where its intervals go.
    pub intervals: UnboundedSender<IntervalReport>,
}

impl<T: Transport> Worker<T> {
    /// Sends until the work is done and answered, or the drain has passed.
    pub fn run(self) -> (LoadResult, Traffic) {
        sharpen_timer();
        let Self { brief, transport, ids, recorder, control, gauges, intervals } = self;
        let work = brief.work.clone();
        let supply = Supply::new(&brief, &work);
        let flow = Flow { ids, transport, recorder, on_wire: 0, next_index: 0, gauges };
        let turns = Turns {
            brief: &brief,
            supply,
            flow,
            control,
            intervals,
            interval: 0,
            over_since: None,
            warmup_traffic: None,
        };
        turns.run()
    }
}

/// The thread's timers expire to the nanosecond instead of up to 50 µs late (Linux's timer slack).
fn sharpen_timer() {
    let thread = rustix::thread::gettid().as_raw_nonzero();
    // Where it is not allowed, sends are a little later, and the report's lateness shows it.
    let _ = std::fs::write(format!("/proc/{thread}/timerslack_ns"), "1");
}

/// Where slots come from.
enum Supply<'a> {
    Open { due: Slots<'a>, next: Option<Slot>, line: Line<'a>, max_in_flight: u64 },
    Closed { until: Nanos, left: u64 },
}

impl<'a> Supply<'a> {
    fn new(brief: &Brief, work: &'a Work) -> Self {
        match work {
            Work::Open { schedule, max_in_flight } => {
                let mut due = schedule.slots(brief.worker as u64, brief.workers as u64);
                let line = Line::new(due.clone(), brief.workers as u64);
                let next = due.next();
                Self::Open { due, next, line, max_in_flight: max_in_flight.unwrap_or(u64::MAX) }
            }
            Work::Closed { until, requests } => Self::Closed {
                until: until.unwrap_or(Nanos::MAX),
                left: requests.unwrap_or(u64::MAX),
            },
        }
    }

    fn waiting(&self) -> u64 {
        if let Self::Open { line, .. } = self { line.len() } else { 0 }
    }

    /// Whether no further slot will come.
    fn is_over(&self, now: Nanos) -> bool {
        match self {
            Self::Open { next, .. } => next.is_none(),
            Self::Closed { until, left } => *left == 0 || now >= *until,
        }
    }

    /// Takes one more slot, for a request that goes out with one before it; `None` where none is
    /// left. A slot that is not due yet is due `now`.
    fn take_along(&mut self, brief: &Brief, now: Nanos) -> Option<Taken> {
        match self {
            Self::Open { due, next, line, .. } => match line.pop() {
                Some(slot) => Some(Taken { due: brief.start + slot.due, planned: true }),
                None => {
                    next.take()?;
                    *next = due.next();
                    Some(Taken { due: now, planned: false })
                }
            },
            Self::Closed { left, .. } => {
                *left -= u64::from(now >= brief.measure_from && (1..u64::MAX).contains(left));
                None
            }
        }
    }

    /// Gives up what has not come yet.
    fn stop(&mut self) {
        match self {
            Self::Open { next, .. } => *next = None,
            Self::Closed { left, .. } => *left = 0,
        }
    }
}

/// A slot that is taken along.
struct Taken {
    due: Nanos,
    /// It is written down as planned already.
    planned: bool,
}

/// The way of a slot: onto the wire, and back.
struct Flow<T> {
    ids: IdWriter,
    transport: T,
    recorder: Recorder,
    on_wire: u64,
    /// The index of the next message, at least. In an open loop a slot's place gives it; a script may
    /// have used up more ids than slots.
    next_index: u64,
    gauges: Arc<Gauges>,
}

impl<T: Transport> Flow<T> {
    /// Sends the message `index` of this worker, or the next whose id is free: its index and what went
    /// out with it. `None` when the ids are used up.
    fn send(&mut self, who: (usize, usize), index: u64, due: Nanos) -> Option<(u64, Batch)> {
        let index = index.max(self.next_index);
        let slot = slot(who.0 as u64, who.1 as u64, index);
        let Some(id) = self.ids.assign(index, due) else {
            self.recorder.dropped(slot, due, clock::now() - due, true);
            return None;
        };
        let values = Values { msg_id: id.get(), worker: who.0 as u64, seq: index, turn: slot };
        self.transport.send(Ticket { due, id }, &values);
        self.count_sent(slot, due);
        let batch = self.transport.batch();
        self.next_index = index + batch.ids;
        Some((index, batch))
    }

    /// The message `index` went out with the one before it.
    fn send_along(&mut self, who: (usize, usize), index: u64, due: Nanos) {
        let slot = slot(who.0 as u64, who.1 as u64, index);
        let Some(id) = self.ids.assign(index, due) else {
            return self.recorder.dropped(slot, due, clock::now() - due, true);
        };
        self.transport.send_along(Ticket { due, id });
        self.count_sent(slot, due);
    }

    fn count_sent(&mut self, slot: u64, due: Nanos) {
        self.recorder.sent(slot, due);
        self.on_wire += 1;
        self.gauges.sent.fetch_add(1, Relaxed);
    }

    fn settle(&mut self, ended: &[Ended]) {
        for end in ended {
            self.recorder.ended(end);
        }
        self.on_wire -= ended.len() as u64;
        self.gauges.ended.fetch_add(ended.len() as u64, Relaxed);
        let LoadResult { messages_ended, accepted, .. } = &self.recorder.result;
        self.gauges.accepted.store(accepted.len(), Relaxed);
        self.gauges.refused.store(messages_ended - accepted.len(), Relaxed);
    }
}

struct Turns<'a, T> {
    brief: &'a Brief,
    supply: Supply<'a>,
    flow: Flow<T>,
    control: Arc<Control>,
    intervals: UnboundedSender<IntervalReport>,
    /// The interval that is being filled.
    interval: u64,
    over_since: Option<Nanos>,
    /// What the warm-up had read and written, once it is over.
    warmup_traffic: Option<Traffic>,
}

impl<T: Transport> Turns<'_, T> {
    fn run(mut self) -> (LoadResult, Traffic) {
        // Reused for every wait: no allocation per request.
        let mut ended = Vec::with_capacity(1_024);
        self.flow.transport.begin(self.brief.start);
        loop {
            let now = clock::now();
            if self.control.stopped() || self.flow.transport.stopped() {
                self.supply.stop();
            }
            if self.warmup_traffic.is_none() && now >= self.brief.measure_from {
                self.warmup_traffic = Some(self.flow.transport.traffic());
            }
            self.admit(now);
            self.launch();
            self.close_intervals(now);
            if self.is_finished(now) {
                break;
            }
            let (rest, until) = self.next_wake(now);
            self.flow.transport.wait(rest, until, &mut ended);
            self.flow.settle(&ended);
            ended.clear();
        }
        self.finish(ended)
    }

    /// Slots whose time has come join the line, or are dropped where too many are in flight.
    fn admit(&mut self, now: Nanos) {
        let Supply::Open { due, next, line, max_in_flight } = &mut self.supply else { return };
        while let Some(slot) = next.filter(|slot| self.brief.start + slot.due <= now) {
            let slot_due = self.brief.start + slot.due;
            self.flow.recorder.planned(slot_due, now);
            if line.len() + self.flow.on_wire < *max_in_flight {
                line.push(slot.number);
            } else {
                // It would have had to wait behind the oldest in flight, so at least as long as that
                // has waited already.
                let waiting = line.peek().map(|first| self.brief.start + first.due);
                let oldest = self.flow.transport.oldest_due().into_iter().chain(waiting).min();
                let age = now - oldest.unwrap_or(slot_due).min(slot_due);
                self.flow.recorder.dropped(slot.number, slot_due, age, false);
                self.flow.gauges.dropped.fetch_add(1, Relaxed);
            }
            *next = due.next();
        }
    }

    /// Whoever waits goes out as long as there are free connections.
    fn launch(&mut self) {
        let who = (self.brief.worker, self.brief.workers);
        while self.flow.transport.idle() > 0 && !self.flow.transport.stopped() {
            let sent = match &mut self.supply {
                Supply::Open { line, .. } => match line.pop() {
                    Some(slot) => {
                        let due = self.brief.start + slot.due;
                        self.flow.send(who, slot.number / who.1 as u64, due)
                    }
                    None => break,
                },
                Supply::Closed { until, left } => {
                    let now = clock::now();
                    if *left == 0 || !(self.brief.start..*until).contains(&now) {
                        break;
                    }
                    // A count is of measured requests; those of the warm-up do not use it up.
                    *left -= u64::from(now >= self.brief.measure_from && *left < u64::MAX);
                    self.flow.recorder.planned(now, now);
                    self.flow.send(who, self.flow.next_index, now)
                }
            };
            match sent {
                Some((first, batch)) if batch.requests > 1 => self.launch_rest(first, batch),
                Some(_) => {}
                None => {
                    self.supply.stop();
                    break;
                }
            }
        }
        self.flow.gauges.waiting.store(self.supply.waiting(), Relaxed);
    }

    /// The requests that a script wrote together with the message `first`: each takes a slot of its
    /// own, so that a rate is one of requests. Where no slot is left, they are sent beyond the plan.
    fn launch_rest(&mut self, first: u64, batch: Batch) {
        let now = clock::now();
        for index in first + 1..first + batch.requests {
            let taken = self.supply.take_along(self.brief, now);
            let Taken { due, planned } = taken.unwrap_or(Taken { due: now, planned: false });
            if !planned {
                self.flow.recorder.planned(due, now);
            }
            self.flow.send_along((self.brief.worker, self.brief.workers), index, due);
        }
    }

    fn is_finished(&mut self, now: Nanos) -> bool {
        if !self.supply.is_over(now) {
            return false;
        }
        let over_since = *self.over_since.get_or_insert(now);
        // Nobody sends what still waits where a script has stopped this worker.
        let none_waits = self.supply.waiting() == 0 || self.flow.transport.stopped();
        let nothing_left = self.flow.on_wire == 0 && none_waits;
        nothing_left || now >= over_since + self.brief.drain
    }

    /// Until when nothing needs to wake it, and when it must wake at the latest.
    fn next_wake(&self, now: Nanos) -> (Nanos, Nanos) {
        let latest = now + LONGEST_WAIT;
        let next = match &self.supply {
            Supply::Open { next: Some(next), .. } => self.brief.start + next.due,
            Supply::Open { next: None, .. } => latest,
            Supply::Closed { .. } if now < self.brief.start => self.brief.start,
            Supply::Closed { until, .. } if now < *until => *until,
            Supply::Closed { .. } => latest,
        };
        match (&self.supply, self.brief.pace) {
            (Supply::Open { .. }, Pace::Tick(tick)) => {
                let rest = now + tick;
                (rest, next.max(rest).min(latest))
            }
            (Supply::Open { .. }, Pace::Spin) => (Nanos::ZERO, Nanos::ZERO),
            // The next request waits for nothing but an answer.
            (Supply::Closed { .. }, _) => (Nanos::ZERO, next.min(latest)),
        }
    }

    fn close_intervals(&mut self, now: Nanos) {
        while now >= self.brief.measure_from + Nanos(INTERVAL.0 * (self.interval + 1)) {
            self.close_interval();
        }
    }

    fn close_interval(&mut self) {
        let in_flight = self.flow.on_wire + self.supply.waiting();
        let report = self.flow.recorder.interval(self.brief.worker, self.interval, in_flight);
        self.interval += 1;
        // Nobody listens when the run was given up; the result goes with it.
        let _ = self.intervals.send(report);
    }

    /// What is left is unfinished, and what still waits was never sent.
    fn finish(mut self, mut ended: Vec<Ended>) -> (LoadResult, Traffic) {
        self.flow.transport.abandon(&mut ended);
        self.flow.settle(&ended);
        let now = clock::now();
        if let Supply::Open { line, .. } = &mut self.supply {
            while let Some(slot) = line.pop() {
                let due = self.brief.start + slot.due;
                self.flow.recorder.dropped(slot.number, due, now - due, true);
            }
        }
        self.close_interval();
        let traffic = self.flow.transport.traffic();
        let warmup = self.warmup_traffic.unwrap_or(traffic);
        (self.flow.recorder.result, traffic.since(warmup))
    }
}
