//! The worker: one thread, one request source, one transport, one recorder. Its loop is written once, for
//! open and closed loops and for every transport.
//!
//! Each turn admits the slots that are due, sends as many as there are free connections, and reads
//! responses. With kernel timestamps, a turn rests for a tick before it reads, and first sends the slots that
//! became due meanwhile. A worker never sleeps per request: all slots that are due are sent in one turn.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::mpsc::UnboundedSender;

use super::control::{Control, Gauges};
use super::recorder::{IntervalReport, LoadResult, Recorder};
use super::request::{Batch, RequestSource};
use super::sender::{Sender, SlotTimes};
use super::slot_source::{BatchedSlot, SlotSource, WorkerConfig};
use super::stop::StopState;
use crate::core::clock::{self, Nanos};
use crate::engine::load::Pace;
use crate::engine::transport::{Completion, Traffic, Transport};
use crate::host::health::run_queue_delay;
use crate::message::IdWriter;

/// Longest sleep of a worker, so that it sees a stop request.
const LONGEST_WAIT: Nanos = Nanos::from_millis(50);
/// Length of an interval of the series.
pub(crate) const INTERVAL: Nanos = Nanos::from_secs(1);

/// Worker that is ready to run on its thread.
#[derive(Debug)]
pub(crate) struct Worker<T> {
    /// Load and times.
    pub config: WorkerConfig,
    /// Source of its requests.
    pub source: Box<dyn RequestSource>,
    /// Transport of its requests.
    pub transport: T,
    /// Ids of its messages.
    pub ids: IdWriter,
    /// Recorder of its results.
    pub recorder: Recorder,
    /// Stop request from other threads.
    pub control: Arc<Control>,
    /// Counts for the progress display.
    pub gauges: Arc<Gauges>,
    /// Channel for its intervals.
    pub intervals: UnboundedSender<IntervalReport>,
}

impl<T: Transport> Worker<T> {
    /// Sends until the load is done and answered, or the drain has passed.
    pub(crate) fn run(self) -> (LoadResult, Traffic) {
        sharpen_timer();
        let Self { config, source, transport, ids, recorder, control, gauges, intervals } = self;
        let load = config.load.clone();
        let worker_loop = WorkerLoop {
            config: &config,
            slots: SlotSource::new(&config, &load),
            sender: Sender::new(config.index, source, transport, ids, recorder, gauges),
            control,
            intervals,
            interval: 0,
            stop: StopState::default(),
            warmup_traffic: None,
            delayed_before: Nanos::ZERO,
        };
        worker_loop.run()
    }
}

/// Makes the thread's timers exact to the nanosecond instead of up to 50 µs late (Linux's timer slack).
fn sharpen_timer() {
    let thread = rustix::thread::gettid().as_raw_nonzero();
    // If it is not allowed, requests are sent a little later, and the report's lateness shows it.
    let _ = std::fs::write(format!("/proc/{thread}/timerslack_ns"), "1");
}

/// State of a worker's loop.
struct WorkerLoop<'a, T> {
    config: &'a WorkerConfig,
    slots: SlotSource<'a>,
    sender: Sender<T>,
    control: Arc<Control>,
    intervals: UnboundedSender<IntervalReport>,
    /// Number of the current interval.
    interval: u64,
    stop: StopState,
    /// Traffic of the warm-up, once it is over.
    warmup_traffic: Option<Traffic>,
    /// Time that this thread had waited for a CPU when measuring began.
    delayed_before: Nanos,
}

impl<T: Transport> WorkerLoop<'_, T> {
    fn run(mut self) -> (LoadResult, Traffic) {
        // Reused for every wait: no allocation per request.
        let mut completed = Vec::with_capacity(1_024);
        loop {
            let now = clock::now();
            // Turns come when requests are due: after the sends of this turn, more requests are in flight than at most times.
            let in_flight = self.in_flight();
            self.begin_turn(now);
            self.drop_excess(now);
            self.send_due();
            self.close_intervals(now, in_flight);
            if self.is_finished(now) {
                break;
            }
            let (rest, until) = self.next_wake(now);
            let rested = rest > Nanos::ZERO && self.sender.transport.rest(rest);
            if rested && self.sender.transport.idle() > 0 {
                // Sends the slots that became due meanwhile before it reads responses, which have their
                // timestamps already. Nothing is dropped yet: responses may make room.
                self.begin_turn(clock::now());
                self.send_due();
            }
            self.sender.transport.wait(until, &mut completed);
            self.sender.record_completions(&completed);
            completed.clear();
        }
        self.finish(completed)
    }

    /// Begins a turn: handles stops and admits slots to the backlog.
    fn begin_turn(&mut self, now: Nanos) {
        self.handle_stops(now);
        if self.warmup_traffic.is_none() && now >= self.config.measure_from {
            self.warmup_traffic = Some(self.sender.traffic());
            // This turn may come late because the thread waited for a CPU. That wait is part of the measured
            // time, so it is left out of the waits before it.
            self.delayed_before = run_queue_delay() - (now - self.config.measure_from);
        }
        self.admit(now);
    }

    /// Stops sending if a stop was requested or the target is gone.
    fn handle_stops(&mut self, now: Nanos) {
        let is_requested = self.control.is_stopped();
        if is_requested {
            self.stop.request();
        }
        let cut_off = self.slots.is_endless() && self.sender.transport.is_cut_off();
        let gone = self.stop.is_target_gone(cut_off, now);
        self.sender.recorder.result.target_gone |= gone;
        if is_requested || gone || self.sender.is_stopped() {
            self.stop_sending();
        }
    }

    fn stop_sending(&mut self) {
        self.stop.cut_short();
        self.slots.stop();
    }

    /// Moves slots that are due to the backlog, up to the limit of requests in flight.
    fn admit(&mut self, now: Nanos) {
        let SlotSource::Open { due, next, backlog, max_in_flight } = &mut self.slots else {
            return;
        };
        while backlog.len() + self.sender.on_wire < *max_in_flight {
            let Some(slot) = next.filter(|slot| self.config.start + slot.due <= now) else { break };
            self.sender.recorder.planned(self.config.start + slot.due, now);
            backlog.push(slot.number, now);
            *next = due.next();
        }
    }

    /// Drops the slots that are due at `now` and not admitted.
    fn drop_excess(&mut self, now: Nanos) {
        let SlotSource::Open { due, next, backlog, .. } = &mut self.slots else { return };
        while let Some(slot) = next.filter(|slot| self.config.start + slot.due <= now) {
            let slot_due = self.config.start + slot.due;
            self.sender.recorder.planned(slot_due, now);
            // It would have had to wait for the oldest request in flight, so at least as long as that has
            // waited already.
            let waiting = backlog.peek().map(|first| self.config.start + first.due);
            let oldest = self.sender.transport.oldest_due().into_iter().chain(waiting).min();
            let age = now - oldest.unwrap_or(slot_due).min(slot_due);
            self.sender.recorder.dropped(slot.number, slot_due, age, false);
            self.sender.gauges.dropped.fetch_add(1, Relaxed);
            *next = due.next();
        }
    }

    /// Sends the slots of the backlog, or of a closed loop, as long as there are free connections.
    fn send_due(&mut self) {
        let workers = self.config.index.workers as u64;
        while self.sender.transport.idle() > 0 && !self.sender.is_stopped() {
            let (index, times) = match &mut self.slots {
                SlotSource::Open { backlog, .. } => match backlog.pop() {
                    Some((slot, ready)) => {
                        let due = self.config.start + slot.due;
                        (slot.number / workers, SlotTimes { due, ready })
                    }
                    None => break,
                },
                SlotSource::Closed { until, left } => {
                    let now = clock::now();
                    if *left == 0 || !(self.config.start..*until).contains(&now) {
                        break;
                    }
                    // A number of requests is of measured ones; those of the warm-up do not count.
                    *left -= u64::from(now >= self.config.measure_from && *left < u64::MAX);
                    self.sender.recorder.planned(now, now);
                    (self.sender.next_index, SlotTimes { due: now, ready: now })
                }
            };
            let Some(claimed) = self.sender.claim(index, times) else {
                self.stop_sending();
                break;
            };
            if claimed.batch().requests > 1 {
                self.claim_batched_slots(claimed.batch(), times.due);
            }
            self.sender.send(&claimed);
        }
        self.sender.gauges.waiting.store(self.slots.waiting(), Relaxed);
    }

    /// Claims slots for the further requests of a batch, whose first one is due at `due`: each takes a slot
    /// of its own, so that the rate is one of requests. If no slot is left, they are sent beyond the plan. A
    /// slot that is not due yet becomes due now.
    fn claim_batched_slots(&mut self, batch: Batch, due: Nanos) {
        let now = match &self.slots {
            SlotSource::Open { .. } => clock::now(),
            SlotSource::Closed { .. } => due,
        };
        let first = self.sender.next_index - batch.ids;
        for index in first + 1..first + batch.requests {
            let slot = self.slots.claim_batched_slot(self.config, now);
            let BatchedSlot { times, is_planned } = slot.unwrap_or(BatchedSlot {
                times: SlotTimes { due: now, ready: now },
                is_planned: false,
            });
            if !is_planned {
                self.sender.recorder.planned(times.due, now);
            }
            self.sender.claim_following(index, times);
        }
    }

    fn is_finished(&mut self, now: Nanos) -> bool {
        if !self.slots.is_over(now) {
            return false;
        }
        if self.stop.is_over_now(now) {
            let by_plan = self.slots.is_time_up(now) && !self.stop.is_early();
            let result = &mut self.sender.recorder.result;
            result.over_at = if by_plan { Nanos::MAX } else { now };
            result.run_queue = run_queue_delay() - self.delayed_before;
        }
        // If the source has stopped this worker, slots in the backlog are never sent.
        let none_waits = self.slots.waiting() == 0 || self.sender.is_stopped();
        let nothing_left = self.sender.on_wire == 0 && none_waits;
        nothing_left || self.stop.has_drained(self.config.drain, now)
    }

    /// Returns the end of the rest (0: no rest) and the latest time to wake up.
    fn next_wake(&self, now: Nanos) -> (Nanos, Nanos) {
        let latest = now + LONGEST_WAIT;
        let next = match &self.slots {
            SlotSource::Open { next: Some(next), .. } => self.config.start + next.due,
            SlotSource::Open { next: None, .. } => latest,
            SlotSource::Closed { .. } if now < self.config.start => self.config.start,
            SlotSource::Closed { until, .. } if now < *until => *until,
            SlotSource::Closed { .. } => latest,
        };
        match (&self.slots, self.config.pace) {
            (SlotSource::Open { .. }, Pace::Tick(tick)) => {
                let rest = now + tick;
                (rest, next.max(rest).min(latest))
            }
            (SlotSource::Open { .. }, Pace::Spin) => (Nanos::ZERO, Nanos::ZERO),
            // The next request waits only for a response.
            (SlotSource::Closed { .. }, _) => (Nanos::ZERO, next.min(latest)),
        }
    }

    /// Requests on the wire and in the backlog.
    fn in_flight(&self) -> u64 {
        self.sender.on_wire + self.slots.waiting()
    }

    fn close_intervals(&mut self, now: Nanos, in_flight: u64) {
        while now >= self.config.measure_from + Nanos(INTERVAL.0 * (self.interval + 1)) {
            self.close_interval(in_flight);
        }
    }

    fn close_interval(&mut self, in_flight: u64) {
        let report = self.sender.recorder.interval(self.interval, in_flight);
        self.interval += 1;
        // The receiver is gone if the run was aborted.
        let _ = self.intervals.send(report);
    }

    /// Returns the results. Requests in flight are unfinished, and slots in the backlog were never sent.
    fn finish(mut self, mut completed: Vec<Completion>) -> (LoadResult, Traffic) {
        let now = clock::now();
        self.sender.transport.abandon(&mut completed);
        self.sender.record_completions(&completed);
        if let SlotSource::Open { backlog, .. } = &mut self.slots {
            while let Some((slot, _)) = backlog.pop() {
                let due = self.config.start + slot.due;
                self.sender.recorder.dropped(slot.number, due, now - due, true);
            }
        }
        self.close_interval(self.in_flight());
        self.sender.recorder.result.refusal = self.sender.transport.take_refusal();
        let traffic = self.sender.traffic();
        let warmup = self.warmup_traffic.unwrap_or(traffic);
        (self.sender.recorder.result, traffic.since(warmup))
    }
}

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod turns;
