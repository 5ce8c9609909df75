//! Finds the message that a broker closes the connection on. MQTT 3.1.1 has no other refusal, and the close does not
//! name the message: after two closes the messages are sent one at a time.

use std::time::Duration;

/// Closes in a row, with messages in flight, after which messages are sent one at a time.
const CLOSES: u32 = 2;
/// A connection that lived this long ends such a row.
const LONG_LIFE: Duration = Duration::from_secs(10);
/// Messages that are sent one at a time then.
const SINGLY: u32 = 256;
/// Closes on a message that was alone in flight, after which it is rejected. A restart of the broker is one close.
pub(super) const CLOSES_ON_ONE: u8 = 3;

/// State of the search.
#[derive(Debug, Default)]
pub(super) struct CloseSearch {
    closes: u32,
    singly: u32,
}

impl CloseSearch {
    /// Returns true while messages are sent one at a time.
    pub(super) fn is_on(&self) -> bool {
        self.singly > 0
    }

    /// Takes in that the broker has taken a message that was alone in flight.
    pub(super) fn passed(&mut self) {
        self.singly = self.singly.saturating_sub(1);
    }

    /// Takes in that the broker closed a connection with messages in flight, this long after it was made.
    pub(super) fn closed(&mut self, lifetime: Duration) {
        self.closes = if lifetime >= LONG_LIFE { 1 } else { self.closes.saturating_add(1) };
        if self.closes >= CLOSES {
            self.singly = SINGLY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    #[test]
    fn two_closes_in_a_row_make_it_careful_for_a_while() {
        let mut search = CloseSearch::default();
        search.closed(LONG_LIFE);
        assert!(!search.is_on());
        search.closed(LONG_LIFE);
        assert!(!search.is_on(), "they are no row");
        search.closed(SHORT);
        assert!(search.is_on());
        (1..SINGLY).for_each(|_| search.passed());
        assert!(search.is_on());
        search.passed();
        assert!(!search.is_on());
        search.closed(SHORT);
        assert!(search.is_on(), "the row goes on");
    }
}
