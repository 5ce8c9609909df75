//! Messages written at QoS 0 that the broker has not been shown to have read. It acknowledges none of them, but it
//! reads in order: the answer to a ping confirms what was written before it.

use std::time::Duration;

use tokio::time::Instant;

/// Shortest time between two pings that confirm messages.
const EVERY: Duration = Duration::from_secs(1);

/// A ping with messages before it.
#[derive(Debug)]
struct Barrier {
    /// Number of the ping on its connection.
    ping: u64,
    /// Messages written before it.
    written: u64,
}

/// Messages of one connection.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    written: u64,
    confirmed: u64,
    barrier: Option<Barrier>,
    ping_at: Instant,
}

impl Unconfirmed {
    /// Nothing is unconfirmed on a connection that was made at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self { written: 0, confirmed: 0, barrier: None, ping_at: now + EVERY }
    }

    /// Takes in that messages were written.
    pub(super) fn write(&mut self, messages: u64) {
        self.written += messages;
    }

    /// Number of messages that are not confirmed.
    pub(super) fn pending(&self) -> u64 {
        self.written - self.confirmed
    }

    /// Time of the next ping; `None` if none is needed or one is under way.
    pub(super) fn ping_at(&self) -> Option<Instant> {
        (self.pending() > 0 && self.barrier.is_none()).then_some(self.ping_at)
    }

    pub(super) fn is_ping_due(&self, now: Instant) -> bool {
        self.ping_at().is_some_and(|at| now >= at)
    }

    /// Lets the next ping be due at once.
    pub(super) fn confirm_now(&mut self, now: Instant) {
        self.barrier = None;
        self.ping_at = now;
    }

    /// Takes in that the ping with this number is sent behind all that was written.
    pub(super) fn pinged(&mut self, ping: u64) {
        if self.pending() > 0 && self.barrier.is_none() {
            self.barrier = Some(Barrier { ping, written: self.written });
        }
    }

    /// Takes in the number of answered pings, and returns how many messages they confirm.
    pub(super) fn answered(&mut self, pongs: u64, now: Instant) -> u64 {
        let Some(barrier) = self.barrier.take_if(|barrier| barrier.ping <= pongs) else { return 0 };
        let confirmed = barrier.written - self.confirmed;
        self.confirmed = barrier.written;
        self.ping_at = now + EVERY;
        confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_ping_confirms_what_was_written_before_it() {
        let start = Instant::now();
        let mut unconfirmed = Unconfirmed::new(start);
        assert_eq!(unconfirmed.ping_at(), None);
        unconfirmed.write(5);
        assert!(!unconfirmed.is_ping_due(start) && unconfirmed.is_ping_due(start + EVERY));
        unconfirmed.pinged(3);
        unconfirmed.write(2);
        assert_eq!(unconfirmed.ping_at(), None, "one is under way");
        assert_eq!(unconfirmed.answered(2, start), 0);
        assert_eq!(unconfirmed.answered(3, start), 5);
        assert_eq!(unconfirmed.pending(), 2);
        assert_eq!(unconfirmed.ping_at(), Some(start + EVERY));
        unconfirmed.confirm_now(start);
        assert!(unconfirmed.is_ping_due(start));
    }
}
