//! A limit on the rate at which a push server takes messages, to try out a slower one.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::core::units::Rate;

/// Time below the limit that is made up for at once. It is longer than a timer is late, and short enough that
/// messages leave evenly.
const SLACK: Duration = Duration::from_millis(10);

/// Lets messages through at a rate, over any time longer than [`SLACK`].
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// Time between two messages at the limit.
    each: Duration,
    /// Time at which all messages so far would have passed at exactly the limit.
    paid: Instant,
}

impl RateLimiter {
    /// Limits one of `workers` to its equal share of `rate`.
    pub(super) fn new(rate: Rate, workers: usize) -> Self {
        let each = Duration::from_secs_f64(workers as f64 / rate.as_f64());
        Self { each, paid: Instant::now() }
    }

    /// Number of messages that may pass at once, at least 1.
    pub(super) fn batch(&self) -> usize {
        ((SLACK.as_secs_f64() / self.each.as_secs_f64()) as usize).max(1)
    }

    /// Waits until `messages` more are within the limit.
    pub(super) async fn pass(&mut self, messages: usize) {
        let now = Instant::now();
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        self.paid = self.paid.max(earliest) + self.each.mul_f64(messages as f64);
        sleep_until(self.paid).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_a_hundredth_of_a_second_at_most() {
        for (rate, workers, batch) in
            [("10k", 1, 100), ("10k", 4, 25), ("50", 1, 1), ("10M", 1, 100_000)]
        {
            assert_eq!(RateLimiter::new(rate.parse().expect("a rate"), workers).batch(), batch);
        }
    }

    #[tokio::test]
    async fn what_passes_is_the_rate() {
        let mut limit = RateLimiter::new("1000".parse().expect("a rate"), 1);
        let start = Instant::now();
        for _ in 0..20 {
            limit.pass(limit.batch()).await;
        }
        // 200 messages at 1,000/s, of which the slack's ten may come early; a busy machine only adds.
        assert!(start.elapsed() >= Duration::from_millis(185), "{:?}", start.elapsed());
    }
}
