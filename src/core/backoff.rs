//! Pauses between attempts to connect again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::clock::Nanos;

/// Shortest pause before another attempt to reach a server.
pub(crate) const SHORTEST_PAUSE: Nanos = Nanos::from_millis(20);
/// Longest pause.
const LONGEST_PAUSE: Nanos = Nanos::from_secs(1);
/// Enough doublings for the longest pause from any shortest one; more would overflow.
const MOST_DOUBLINGS: u32 = 20;

/// Pauses that double with each failure up to 1 s, and start over after a success. By default the first one
/// is 20 ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    shortest: Nanos,
    /// True if the first attempt after a success comes without a pause.
    is_first_at_once: bool,
    /// Failures since the last success.
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { shortest: SHORTEST_PAUSE, is_first_at_once: false, failures: 0 }
    }
}

impl Backoff {
    /// Creates a backoff without a pause after the first failure, and with `shortest` after the second.
    pub(crate) const fn first_at_once(shortest: Nanos) -> Self {
        Self { shortest, is_first_at_once: true, failures: 0 }
    }

    /// Returns the pause after one more failure.
    pub(crate) fn pause(&mut self) -> Duration {
        let is_at_once = self.is_first_at_once && self.failures == 0;
        let doublings = self.failures - u32::from(self.is_first_at_once && self.failures > 0);
        self.failures = self.failures.saturating_add(1);
        if is_at_once {
            return Duration::ZERO;
        }
        let pause = self.shortest.0.saturating_mul(1 << doublings.min(MOST_DOUBLINGS));
        Nanos(pause).min(LONGEST_PAUSE).as_duration()
    }

    /// Starts over after a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Time of a connection after which it counts as useful, even if no work was seen on it.
const USEFUL_AFTER: Duration = Duration::from_secs(5);

/// Times of the attempts to reach a server again that may accept connections and close each at once.
///
/// The pauses double with each connection that is refused or lost, and start over only after useful work. They are
/// random between half and all of their length, so that clients do not come back together.
#[derive(Debug)]
pub(crate) struct ReconnectPolicy {
    backoff: Backoff,
    connected_at: Instant,
    retry_at: Instant,
}

impl ReconnectPolicy {
    /// Creates the policy of a connection that was made at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self { backoff: Backoff::default(), connected_at: now, retry_at: now }
    }

    /// Takes in that the connection has done useful work.
    pub(crate) fn worked(&mut self) {
        self.backoff.reset();
    }

    /// Takes in that a connection was made.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.connected_at = now;
    }

    /// Takes in that the connection was lost.
    pub(crate) fn lost(&mut self, now: Instant) {
        if self.lifetime(now) >= USEFUL_AFTER {
            self.backoff.reset();
        }
        self.failed(now);
    }

    /// Takes in that an attempt to connect failed.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.retry_at = now + with_jitter(self.backoff.pause());
    }

    /// Time since the connection was made.
    pub(crate) fn lifetime(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.connected_at)
    }

    /// Time of the next attempt to connect.
    pub(crate) fn retry_at(&self) -> Instant {
        self.retry_at
    }
}

/// Returns a random time between half of `pause` and `pause`.
fn with_jitter(pause: Duration) -> Duration {
    // A hasher of the standard library has random keys.
    let random = RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64;
    pause.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_closes_each_connection_at_once_is_tried_ever_more_rarely() {
        let mut now = Instant::now();
        let mut policy = ReconnectPolicy::new(now);
        for pause in [20, 40, 80, 160, 320, 640, 1000, 1000] {
            policy.lost(now);
            let longest = Duration::from_millis(pause);
            let waits = policy.retry_at() - now;
            assert!(waits >= longest / 2 && waits <= longest, "{waits:?} of {longest:?}");
            now = policy.retry_at();
            policy.connected(now);
        }
    }

    #[test]
    fn pauses_start_over_after_useful_work_or_some_seconds() {
        let start = Instant::now();
        let mut policy = ReconnectPolicy::new(start);
        (0..9).for_each(|_| policy.failed(start));
        policy.worked();
        policy.lost(start);
        assert!(policy.retry_at() <= start + SHORTEST_PAUSE.as_duration());
        (0..9).for_each(|_| policy.failed(start));
        policy.connected(start);
        let later = start + USEFUL_AFTER;
        policy.lost(later);
        assert!(policy.retry_at() <= later + SHORTEST_PAUSE.as_duration());
    }

    #[test]
    fn pauses_of_several_clients_differ() {
        let pause = Duration::from_secs(1);
        let distinct: std::collections::BTreeSet<_> = (0..8).map(|_| with_jitter(pause)).collect();
        assert!(distinct.len() > 1, "{distinct:?}");
    }

    fn pauses<const N: usize>(backoff: &mut Backoff) -> [u128; N] {
        [(); N].map(|()| backoff.pause().as_millis())
    }

    #[test]
    fn pauses_double_to_a_second_and_start_over() {
        let mut backoff = Backoff::default();
        assert_eq!(pauses(&mut backoff), [20, 40, 80, 160, 320, 640, 1000, 1000]);
        backoff.reset();
        assert_eq!(pauses(&mut backoff), [20]);
    }

    #[test]
    fn the_first_attempt_can_come_at_once() {
        let mut backoff = Backoff::first_at_once(Nanos::from_millis(5));
        assert_eq!(pauses(&mut backoff), [0, 5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        backoff.reset();
        assert_eq!(pauses(&mut backoff), [0, 5]);
    }

    #[test]
    fn a_server_that_stays_away_is_tried_every_second() {
        let mut backoff = Backoff { failures: u32::MAX, ..Backoff::default() };
        assert_eq!(pauses(&mut backoff), [1000, 1000]);
    }
}
