//! The loop that sends: one thread, one transport, one recorder. It is written once, for open and
//! closed loops and for every transport.
//!
//! Each turn: let in what is due, put on the wire what finds a connection, read what came. Where the
//! kernel notes when that is, a turn rests for a tick before it reads, and what fell due meanwhile goes
//! out first. It never sleeps per request: all that is due goes out on one wake.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::mpsc::UnboundedSender;

use super::control::{Control, Gauges};
use super::recorder::{IntervalReport, LoadResult, Recorder};
use super::sender::{Sender, SlotTimes, WorkerIndex};
use super::slot_source::{BatchedSlot, SlotSource, WorkerConfig};
use super::stop::StopState;
use crate::core::clock::{self, Nanos};
use crate::engine::load::Pace;
use crate::engine::transport::{Completion, Traffic, Transport};
use crate::host::health::run_queue_delay;
use crate::message::IdWriter;

/// The longest a worker sleeps, so that it hears of a stop.
const LONGEST_WAIT: Nanos = Nanos::from_millis(50);
/// The length of an interval of the series.
pub const INTERVAL: Nanos = Nanos::from_secs(1);

/// One worker, ready to run on its thread.
#[derive(Debug)]
pub struct Worker<T> {
    /// Its orders.
    pub config: WorkerConfig,
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
        let Self { config, transport, ids, recorder, control, gauges, intervals } = self;
        let work = config.work.clone();
        let supply = SlotSource::new(&config, &work);
        let flow = Sender {
            ids,
            transport,
            recorder,
            on_wire: 0,
            next_index: 0,
            numbered_until: 0,
            gauges,
        };
        let turns = WorkerLoop {
            config: &config,
            supply,
            flow,
            control,
            intervals,
            interval: 0,
            ending: StopState::default(),
            warmup_traffic: None,
            delayed_before: Nanos::ZERO,
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

struct WorkerLoop<'a, T> {
    config: &'a WorkerConfig,
    supply: SlotSource<'a>,
    flow: Sender<T>,
    control: Arc<Control>,
    intervals: UnboundedSender<IntervalReport>,
    /// The interval that is being filled.
    interval: u64,
    ending: StopState,
    /// What the warm-up had read and written, once it is over.
    warmup_traffic: Option<Traffic>,
    /// Time that this thread had waited for a CPU when measuring began.
    delayed_before: Nanos,
}

impl<T: Transport> WorkerLoop<'_, T> {
    fn run(mut self) -> (LoadResult, Traffic) {
        // Reused for every wait: no allocation per request.
        let mut ended = Vec::with_capacity(1_024);
        self.flow.transport.begin(self.config.start);
        loop {
            let now = clock::now();
            self.begin_turn(now);
            self.drop_the_rest(now);
            self.launch();
            self.close_intervals(now);
            if self.is_finished(now) {
                break;
            }
            let (rest, until) = self.next_wake(now);
            let rested = rest > Nanos::ZERO && self.flow.transport.rest(rest);
            if rested && self.flow.transport.idle() > 0 {
                // What fell due meanwhile goes out before what came is read, which has its time already.
                // Nothing is dropped yet: what is read may make room.
                self.begin_turn(clock::now());
                self.launch();
            }
            self.flow.transport.wait(until, &mut ended);
            self.flow.settle(&ended);
            ended.clear();
        }
        self.finish(ended)
    }

    /// What comes before sending: slots join the line, unless somebody wants it to stop.
    fn begin_turn(&mut self, now: Nanos) {
        self.mind_stops(now);
        if self.warmup_traffic.is_none() && now >= self.config.measure_from {
            self.warmup_traffic = Some(self.flow.transport.traffic());
            // This turn may come late because the thread waited for a CPU. That wait is part of the measured
            // time, so it is left out of the waits before it.
            self.delayed_before = run_queue_delay() - (now - self.config.measure_from);
        }
        self.admit(now);
    }

    /// Ends the sending where somebody wants that, or nobody is there to send to.
    fn mind_stops(&mut self, now: Nanos) {
        let asked = self.control.stopped();
        if asked {
            self.ending.ask();
        }
        let transport = &mut self.flow.transport;
        let cut_off = self.supply.is_endless() && transport.is_cut_off();
        let gone = self.ending.is_target_gone(cut_off, now);
        self.flow.recorder.result.target_gone |= gone;
        if asked || gone || transport.stopped() {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.ending.cut_short();
        self.supply.stop();
    }

    /// Slots whose time has come join the line, as long as not too many are in flight.
    fn admit(&mut self, now: Nanos) {
        let SlotSource::Open { due, next, line, max_in_flight } = &mut self.supply else { return };
        while line.len() + self.flow.on_wire < *max_in_flight {
            let Some(slot) = next.filter(|slot| self.config.start + slot.due <= now) else { break };
            self.flow.recorder.planned(self.config.start + slot.due, now);
            line.push(slot.number, now);
            *next = due.next();
        }
    }

    /// Slots whose time had come at `now` and which could not join the line then are dropped.
    fn drop_the_rest(&mut self, now: Nanos) {
        let SlotSource::Open { due, next, line, .. } = &mut self.supply else { return };
        while let Some(slot) = next.filter(|slot| self.config.start + slot.due <= now) {
            let slot_due = self.config.start + slot.due;
            self.flow.recorder.planned(slot_due, now);
            // It would have had to wait behind the oldest in flight, so at least as long as that has
            // waited already.
            let waiting = line.peek().map(|first| self.config.start + first.due);
            let oldest = self.flow.transport.oldest_due().into_iter().chain(waiting).min();
            let age = now - oldest.unwrap_or(slot_due).min(slot_due);
            self.flow.recorder.dropped(slot.number, slot_due, age, false);
            self.flow.gauges.dropped.fetch_add(1, Relaxed);
            *next = due.next();
        }
    }

    /// Whoever waits goes out as long as there are free connections.
    fn launch(&mut self) {
        let who = WorkerIndex { worker: self.config.worker, workers: self.config.workers };
        while self.flow.transport.idle() > 0 && !self.flow.transport.stopped() {
            let (index, times) = match &mut self.supply {
                SlotSource::Open { line, .. } => match line.pop() {
                    Some((slot, ready)) => {
                        let due = self.config.start + slot.due;
                        (slot.number / who.workers as u64, SlotTimes { due, ready })
                    }
                    None => break,
                },
                SlotSource::Closed { until, left } => {
                    let now = clock::now();
                    if *left == 0 || !(self.config.start..*until).contains(&now) {
                        break;
                    }
                    // A count is of measured requests; those of the warm-up do not use it up.
                    *left -= u64::from(now >= self.config.measure_from && *left < u64::MAX);
                    self.flow.recorder.planned(now, now);
                    (self.flow.next_index, SlotTimes { due: now, ready: now })
                }
            };
            let Some((taken, batch)) = self.flow.take(who, index, times) else {
                self.give_up();
                break;
            };
            if batch.requests > 1 {
                self.claim_batched_slot(
                    who,
                    self.flow.next_index - batch.ids,
                    (times.due, batch.requests),
                );
            }
            self.flow.send(&taken);
        }
        self.flow.gauges.waiting.store(self.supply.waiting(), Relaxed);
    }

    /// The requests that a script wrote together with the message `first`, which is due at `due`: each
    /// takes a slot of its own, so that a rate is one of requests. Where no slot is left, they are sent
    /// beyond the plan. What is not due yet is due now that it goes out.
    fn claim_batched_slot(&mut self, who: WorkerIndex, first: u64, (due, requests): (Nanos, u64)) {
        let now = match &self.supply {
            SlotSource::Open { .. } => clock::now(),
            SlotSource::Closed { .. } => due,
        };
        for index in first + 1..first + requests {
            let along = self.supply.claim_batched_slot(self.config, now);
            let BatchedSlot { times, planned } = along.unwrap_or(BatchedSlot {
                times: SlotTimes { due: now, ready: now },
                planned: false,
            });
            if !planned {
                self.flow.recorder.planned(times.due, now);
            }
            self.flow.claim_batched_slot(who, index, times);
        }
    }

    fn is_finished(&mut self, now: Nanos) -> bool {
        if !self.supply.is_over(now) {
            return false;
        }
        if self.ending.is_over_now(now) {
            let by_plan = self.supply.is_time_up(now) && !self.ending.is_early();
            let result = &mut self.flow.recorder.result;
            result.over_at = if by_plan { Nanos::MAX } else { now };
            result.run_queue = run_queue_delay() - self.delayed_before;
        }
        // Nobody sends what still waits where a script has stopped this worker.
        let none_waits = self.supply.waiting() == 0 || self.flow.transport.stopped();
        let nothing_left = self.flow.on_wire == 0 && none_waits;
        nothing_left || self.ending.has_waited(self.config.drain, now)
    }

    /// Until when nothing needs to wake it (0: it is not to rest), and when it must wake at the latest.
    fn next_wake(&self, now: Nanos) -> (Nanos, Nanos) {
        let latest = now + LONGEST_WAIT;
        let next = match &self.supply {
            SlotSource::Open { next: Some(next), .. } => self.config.start + next.due,
            SlotSource::Open { next: None, .. } => latest,
            SlotSource::Closed { .. } if now < self.config.start => self.config.start,
            SlotSource::Closed { until, .. } if now < *until => *until,
            SlotSource::Closed { .. } => latest,
        };
        match (&self.supply, self.config.pace) {
            (SlotSource::Open { .. }, Pace::Tick(tick)) => {
                let rest = now + tick;
                (rest, next.max(rest).min(latest))
            }
            (SlotSource::Open { .. }, Pace::Spin) => (Nanos::ZERO, Nanos::ZERO),
            // The next request waits for nothing but an answer.
            (SlotSource::Closed { .. }, _) => (Nanos::ZERO, next.min(latest)),
        }
    }

    fn close_intervals(&mut self, now: Nanos) {
        while now >= self.config.measure_from + Nanos(INTERVAL.0 * (self.interval + 1)) {
            self.close_interval();
        }
    }

    fn close_interval(&mut self) {
        let in_flight = self.flow.on_wire + self.supply.waiting();
        let report = self.flow.recorder.interval(self.config.worker, self.interval, in_flight);
        self.interval += 1;
        // Nobody listens when the run was given up; the result goes with it.
        let _ = self.intervals.send(report);
    }

    /// What is left is unfinished, and what still waits was never sent.
    fn finish(mut self, mut ended: Vec<Completion>) -> (LoadResult, Traffic) {
        let now = clock::now();
        self.flow.transport.abandon(&mut ended);
        self.flow.settle(&ended);
        if let SlotSource::Open { line, .. } = &mut self.supply {
            while let Some((slot, _)) = line.pop() {
                let due = self.config.start + slot.due;
                self.flow.recorder.dropped(slot.number, due, now - due, true);
            }
        }
        self.close_interval();
        let traffic = self.flow.transport.traffic();
        let warmup = self.warmup_traffic.unwrap_or(traffic);
        (self.flow.recorder.result, traffic.since(warmup))
    }
}
