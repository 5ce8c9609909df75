//! Pauses between attempts to connect again.

use std::time::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;

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
