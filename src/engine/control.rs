//! State that workers share with other threads: the stop request, and counts for the progress display.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Stop request for the workers: they stop sending and wait for requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Control {
    stop: AtomicBool,
}

impl Control {
    /// Requests the stop. Slots that are due already are still sent.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Returns true if [`Self::stop`] was called.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

/// Counts of one worker for the progress display. Only the worker writes them; no result depends on them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Gauges {
    /// Requests sent, warm-up included.
    pub sent: AtomicU64,
    /// Requests completed, warm-up included.
    pub ended: AtomicU64,
    /// Slots dropped.
    pub dropped: AtomicU64,
    /// Slots waiting for a connection.
    pub waiting: AtomicU64,
    /// Measured messages accepted.
    pub accepted: AtomicU64,
    /// Measured messages whose request was not accepted; they may arrive nevertheless.
    pub refused: AtomicU64,
}

impl Gauges {
    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        let sent = self.sent.load(Relaxed);
        sent.saturating_sub(self.ended.load(Relaxed)) + self.waiting.load(Relaxed)
    }
}
