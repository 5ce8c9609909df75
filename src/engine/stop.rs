//! When a worker stops sending, and when it stops waiting: its work is done, it was told to, or its
//! target is gone.

use crate::core::clock::Nanos;

/// A closed loop that only a count ends is given up after no connection stood for so long: it would
/// knock for ever.
pub const GONE_AFTER: Nanos = Nanos::from_secs(5);

/// How far a worker's end has come.
#[derive(Debug, Default)]
pub(super) struct StopState {
    /// Since when nothing is left to send.
    over_since: Option<Nanos>,
    /// Sending ended before its time.
    early: bool,
    /// A stop was asked for, and nothing was left to send by then.
    hurried: Option<bool>,
    /// Since when no connection stands.
    cut_off_since: Option<Nanos>,
}

impl StopState {
    /// Whoever runs the load wants it to stop.
    pub(super) fn ask(&mut self) {
        self.hurried.get_or_insert(self.over_since.is_some());
    }

    /// Nothing more is to be sent, although it is not time.
    pub(super) fn cut_short(&mut self) {
        self.early |= self.over_since.is_none();
    }

    /// Nothing is left to send, now: whether that is seen for the first time.
    pub(super) fn is_over_now(&mut self, now: Nanos) -> bool {
        let first = self.over_since.is_none();
        self.over_since.get_or_insert(now);
        first
    }

    pub(super) fn is_early(&self) -> bool {
        self.early
    }

    /// Whether stragglers have been waited for as long as `drain` says, or nobody wants to wait.
    pub(super) fn has_waited(&self, drain: Nanos, now: Nanos) -> bool {
        self.hurried == Some(true) || self.over_since.is_some_and(|since| now >= since + drain)
    }

    /// Whether the target has been gone for [`GONE_AFTER`]; `cut_off` is whether it is just now.
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
    fn a_stop_while_it_sends_still_waits_and_one_while_it_waits_does_not() {
        let mut sending = StopState::default();
        sending.ask();
        sending.cut_short();
        assert!(sending.is_over_now(at(1)) && sending.is_early());
        sending.ask();
        assert!(!sending.has_waited(DRAIN, at(2)) && sending.has_waited(DRAIN, at(3)));

        let mut waiting = StopState::default();
        assert!(waiting.is_over_now(at(1)) && !waiting.is_over_now(at(2)));
        waiting.ask();
        waiting.cut_short();
        assert!(waiting.has_waited(DRAIN, at(2)) && !waiting.is_early());
    }

    #[test]
    fn a_target_is_gone_that_stays_away() {
        let mut ending = StopState::default();
        let seen = [(true, 0), (true, 4), (false, 5), (true, 6), (true, 10), (true, 11)];
        let gone = seen.map(|(cut_off, second)| ending.is_target_gone(cut_off, at(second)));
        assert_eq!(gone, [false, false, false, false, false, true]);
    }
}
