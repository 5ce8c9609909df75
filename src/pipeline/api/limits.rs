//! Bounds of what clients may make the API server hold: bytes of bodies, and connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::host::descriptors;

/// File descriptors that are not for connections of clients: Redis, the log, the listener.
const OTHER_DESCRIPTORS: usize = 64;

/// Bytes of bodies in flight, from their first byte until the queue has them. All lanes share it.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    limit: u64,
    used: AtomicU64,
}

impl MemoryBudget {
    /// An unused budget of `limit` bytes.
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    /// Takes `bytes` out of the budget; `None` if fewer are left.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation { budget: Arc::clone(self), bytes: 0 };
        reservation.grow_to(bytes).then_some(reservation)
    }

    /// Bytes that are reserved now.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }
}

/// Bytes that were taken out of a budget. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

impl Reservation {
    /// Takes more bytes, until the reservation has `bytes`. Returns false if fewer are left.
    pub(super) fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let used = self.budget.used.fetch_add(more, Relaxed);
        if used.saturating_add(more) > self.budget.limit {
            self.budget.used.fetch_sub(more, Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// Connections that clients may have open at a time.
#[derive(Debug)]
pub(super) struct ConnectionSlots(Arc<Semaphore>);

impl ConnectionSlots {
    /// At most `wanted` slots, and no more than the limit of open files allows.
    pub(super) fn new(wanted: usize) -> Self {
        let possible = descriptors::limit().saturating_sub(OTHER_DESCRIPTORS).max(1);
        if possible < wanted {
            log::warn!(
                "at most {possible} connections at a time instead of {wanted}; raise the limit of open files (ulimit -n)"
            );
        }
        Self(Arc::new(Semaphore::new(wanted.min(possible).min(Semaphore::MAX_PERMITS))))
    }

    /// Takes a slot, if one is free. Dropping it gives it back.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_what_is_left_and_takes_it_back() {
        let budget = MemoryBudget::new(10);
        let mut first = budget.reserve(6).expect("10 are left");
        assert!(budget.reserve(5).is_none());
        assert!(first.grow_to(8) && first.grow_to(3), "a reservation does not shrink");
        assert!(!first.grow_to(11));
        assert_eq!(budget.used(), 8);
        let second = budget.reserve(2).expect("2 are left");
        drop(first);
        assert_eq!(budget.used(), 2);
        drop(second);
        assert_eq!(budget.used(), 0);
        assert!(budget.reserve(u64::MAX).is_none());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn slots_are_taken_and_given_back() {
        let slots = ConnectionSlots::new(2);
        let (first, second) = (slots.take(), slots.take());
        assert!(first.is_some() && second.is_some() && slots.take().is_none());
        drop(first);
        assert!(slots.take().is_some());
        assert!(ConnectionSlots::new(usize::MAX).take().is_some());
    }
}
