//! Slots of a worker: those of a schedule, or one whenever a connection is free.

use std::sync::Arc;

use super::backlog::Backlog;
use super::schedule::{Schedule, Slot, Slots};
use super::sender::SlotTimes;
use crate::core::clock::Nanos;
use crate::engine::load::Pace;
use crate::message::mix::slot;

/// Load of a worker.
#[derive(Debug, Clone)]
pub(crate) enum WorkerLoad {
    /// Slots of a schedule; beyond `max_in_flight` requests in flight they are dropped.
    Open {
        /// Schedule of all workers.
        schedule: Arc<Schedule>,
        /// Share of this worker in the limit, if there is one.
        max_in_flight: Option<u64>,
    },
    /// One request whenever a connection is free.
    Closed {
        /// Time on the clock at which sending stops.
        until: Option<Nanos>,
        /// Share of this worker in the number of measured requests.
        requests: Option<u64>,
    },
}

/// Number of a worker among all workers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerIndex {
    /// Number of the worker, from 0.
    pub worker: usize,
    /// Number of workers of all nodes, at least 1.
    pub workers: usize,
    /// Index of the node, from 0.
    pub node: u64,
}

impl WorkerIndex {
    /// Returns the slot of this worker's message `index`.
    pub(super) fn slot(self, index: u64) -> u64 {
        slot(self.worker as u64, self.workers as u64, index)
    }
}

/// Configuration of a worker. Times are on the clock.
#[derive(Debug)]
pub(crate) struct WorkerConfig {
    /// Number of the worker.
    pub index: WorkerIndex,
    /// Time of the schedule's zero.
    pub start: Nanos,
    /// Begin of the measured part.
    pub measure_from: Nanos,
    /// Longest wait for outstanding responses after the last slot was due.
    pub drain: Nanos,
    /// Method of waiting for slots.
    pub pace: Pace,
    /// Load to send.
    pub load: WorkerLoad,
}

/// Source of a worker's slots.
#[expect(clippy::large_enum_variant, reason = "a worker has one, on its stack")]
pub(super) enum SlotSource<'a> {
    Open { due: Slots<'a>, next: Option<Slot>, backlog: Backlog<'a>, max_in_flight: u64 },
    Closed { until: Nanos, left: u64 },
}

impl<'a> SlotSource<'a> {
    pub(super) fn new(config: &WorkerConfig, load: &'a WorkerLoad) -> Self {
        let WorkerIndex { worker, workers, .. } = config.index;
        match load {
            WorkerLoad::Open { schedule, max_in_flight } => {
                let mut due = schedule.slots(worker as u64, workers as u64);
                let backlog = Backlog::new(due.clone(), workers as u64);
                let next = due.next();
                Self::Open { due, next, backlog, max_in_flight: max_in_flight.unwrap_or(u64::MAX) }
            }
            WorkerLoad::Closed { until, requests } => Self::Closed {
                until: until.unwrap_or(Nanos::MAX),
                left: requests.unwrap_or(u64::MAX),
            },
        }
    }

    /// Number of slots in the backlog.
    pub(super) fn waiting(&self) -> u64 {
        if let Self::Open { backlog, .. } = self { backlog.len() } else { 0 }
    }

    /// Returns true if its planned time is over; false if only a number of requests ends it.
    pub(super) fn is_time_up(&self, now: Nanos) -> bool {
        match self {
            Self::Open { next, .. } => next.is_none(),
            Self::Closed { until, .. } => now >= *until,
        }
    }

    /// Returns true if it has no end in time: only a number of requests ends it.
    pub(super) fn is_endless(&self) -> bool {
        matches!(self, Self::Closed { until: Nanos::MAX, .. })
    }

    /// Returns true if there are no further slots.
    pub(super) fn is_over(&self, now: Nanos) -> bool {
        match self {
            Self::Open { next, .. } => next.is_none(),
            Self::Closed { until, left } => *left == 0 || now >= *until,
        }
    }

    /// Claims a slot for a request that is sent together with the one before it; `None` if there is none. A
    /// slot that is not due yet becomes due `now`.
    pub(super) fn claim_batched_slot(
        &mut self,
        config: &WorkerConfig,
        now: Nanos,
    ) -> Option<BatchedSlot> {
        match self {
            Self::Open { due, next, backlog, .. } => match backlog.pop() {
                Some((slot, ready)) => {
                    let times = SlotTimes { due: config.start + slot.due, ready };
                    Some(BatchedSlot { times, is_planned: true })
                }
                None => {
                    next.take()?;
                    *next = due.next();
                    Some(BatchedSlot {
                        times: SlotTimes { due: now, ready: now },
                        is_planned: false,
                    })
                }
            },
            Self::Closed { left, .. } => {
                *left -= u64::from(now >= config.measure_from && (1..u64::MAX).contains(left));
                None
            }
        }
    }

    /// Discards the slots that are not due yet.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Open { next, .. } => *next = None,
            Self::Closed { left, .. } => *left = 0,
        }
    }
}

/// Slot of a further request in a batch.
pub(super) struct BatchedSlot {
    pub(super) times: SlotTimes,
    /// True if the recorder has counted it as planned.
    pub(super) is_planned: bool,
}
