//! End of a worker: stop of sending and drain. Sending stops when the load is done, on request, or when the
//! target is gone.

use crate::core::clock::Nanos;

/// Time without any open connection after which a closed loop without a duration is stopped. Otherwise it
/// would retry forever.
pub(crate) const GONE_AFTER: Nanos = Nanos::from_secs(5);

/// Progress of a worker's end. Times are on the clock.
#[derive(Debug, Default)]
pub(super) struct StopState {
    /// Time since which nothing is left to send.
    over_since: Option<Nanos>,
    /// True if sending ended before its planned end.
    early: bool,
    /// First stop request: true if nothing was left to send by then.
    requested_while_draining: Option<bool>,
    /// Time since which no connection is open.
    cut_off_since: Option<Nanos>,
}

impl StopState {
    /// Records a stop request.
    pub(super) fn request(&mut self) {
        self.requested_while_draining.get_or_insert(self.over_since.is_some());
    }

    /// Ends sending before its planned end.
    pub(super) fn cut_short(&mut self) {
        self.early |= self.over_since.is_none();
    }

    /// Records that nothing is left to send. Returns true at the first call.
    pub(super) fn is_over_now(&mut self, now: Nanos) -> bool {
        let first = self.over_since.is_none();
        self.over_since.get_or_insert(now);
        first
    }

    /// Returns true if sending ended before its planned end.
    pub(super) fn is_early(&self) -> bool {
        self.early
    }

    /// Returns true if the drain has passed or was cut short by a stop request.
    pub(super) fn has_drained(&self, drain: Nanos, now: Nanos) -> bool {
        self.requested_while_draining == Some(true)
            || self.over_since.is_some_and(|since| now >= since + drain)
    }

    /// Returns true if no connection has been open for [`GONE_AFTER`]. `cut_off` is true if none is open now.
    pub(super) fn is_target_gone(&mut self, cut_off: bool, now: Nanos) -> bool {
        if !cut_off {
            self.cut_off_since = None;
            return false;
        }
        now >= *self.cut_off_since.get_or_insert(now) + GONE_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Nanos = Nanos::from_secs(2);

    fn at(seconds: u64) -> Nanos {
        Nanos::from_secs(seconds)
    }

    #[test]
    fn a_stop_request_while_sending_keeps_the_drain_and_one_while_draining_ends_it() {
        let mut sending = StopState::default();
        sending.request();
        sending.cut_short();
        assert!(sending.is_over_now(at(1)) && sending.is_early());
        sending.request();
        assert!(!sending.has_drained(DRAIN, at(2)) && sending.has_drained(DRAIN, at(3)));

        let mut draining = StopState::default();
        assert!(draining.is_over_now(at(1)) && !draining.is_over_now(at(2)));
        draining.request();
        draining.cut_short();
        assert!(draining.has_drained(DRAIN, at(2)) && !draining.is_early());
    }

    #[test]
    fn a_target_is_gone_after_some_time_without_a_connection() {
        let mut stop = StopState::default();
        let seen = [(true, 0), (true, 4), (false, 5), (true, 6), (true, 10), (true, 11)];
        let gone = seen.map(|(cut_off, second)| stop.is_target_gone(cut_off, at(second)));
        assert_eq!(gone, [false, false, false, false, false, true]);
    }
}
