//! What a run's other threads share with its workers: the stop, and counts for whoever watches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

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
