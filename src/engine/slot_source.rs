//! What a worker has to send: the slots of a schedule, or a request whenever a connection is free.

use std::sync::Arc;

use super::backlog::Backlog;
use super::schedule::{Schedule, Slot, Slots};
use super::sender::SlotTimes;
use crate::core::clock::Nanos;
use crate::engine::load::Pace;

/// What there is to send.
#[derive(Debug, Clone)]
pub enum WorkerLoad {
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
pub struct WorkerConfig {
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
    pub work: WorkerLoad,
}

/// Where slots come from.
#[expect(clippy::large_enum_variant, reason = "a worker has one, on its stack")]
pub(super) enum SlotSource<'a> {
    Open { due: Slots<'a>, next: Option<Slot>, line: Backlog<'a>, max_in_flight: u64 },
    Closed { until: Nanos, left: u64 },
}

impl<'a> SlotSource<'a> {
    pub(super) fn new(config: &WorkerConfig, work: &'a WorkerLoad) -> Self {
        match work {
            WorkerLoad::Open { schedule, max_in_flight } => {
                let mut due = schedule.slots(config.worker as u64, config.workers as u64);
                let line = Backlog::new(due.clone(), config.workers as u64);
                let next = due.next();
                Self::Open { due, next, line, max_in_flight: max_in_flight.unwrap_or(u64::MAX) }
            }
            WorkerLoad::Closed { until, requests } => Self::Closed {
                until: until.unwrap_or(Nanos::MAX),
                left: requests.unwrap_or(u64::MAX),
            },
        }
    }

    pub(super) fn waiting(&self) -> u64 {
        if let Self::Open { line, .. } = self { line.len() } else { 0 }
    }

    /// Whether its time is up, where it has one.
    pub(super) fn is_time_up(&self, now: Nanos) -> bool {
        match self {
            Self::Open { next, .. } => next.is_none(),
            Self::Closed { until, .. } => now >= *until,
        }
    }

    /// Whether only a count ends it.
    pub(super) fn is_endless(&self) -> bool {
        matches!(self, Self::Closed { until: Nanos::MAX, .. })
    }

    /// Whether no further slot will come.
    pub(super) fn is_over(&self, now: Nanos) -> bool {
        match self {
            Self::Open { next, .. } => next.is_none(),
            Self::Closed { until, left } => *left == 0 || now >= *until,
        }
    }

    /// Takes one more slot, for a request that goes out with one before it; `None` where none is
    /// left. A slot that is not due yet is due `now`.
    pub(super) fn claim_batched_slot(
        &mut self,
        config: &WorkerConfig,
        now: Nanos,
    ) -> Option<BatchedSlot> {
        match self {
            Self::Open { due, next, line, .. } => match line.pop() {
                Some((slot, ready)) => {
                    let times = SlotTimes { due: config.start + slot.due, ready };
                    Some(BatchedSlot { times, planned: true })
                }
                None => {
                    next.take()?;
                    *next = due.next();
                    Some(BatchedSlot { times: SlotTimes { due: now, ready: now }, planned: false })
                }
            },
            Self::Closed { left, .. } => {
                *left -= u64::from(now >= config.measure_from && (1..u64::MAX).contains(left));
                None
            }
        }
    }

    /// Gives up what has not come yet.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Open { next, .. } => *next = None,
            Self::Closed { left, .. } => *left = 0,
        }
    }
}

/// A slot that is taken along.
pub(super) struct BatchedSlot {
    pub(super) times: SlotTimes,
    /// It is written down as planned already.
    pub(super) planned: bool,
}
