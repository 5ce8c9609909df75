//! Messages that our subscriber could not hear: which due times belong to the spans in which it was
//! disconnected from the broker.
//!
//! A message is published some time after it is due, and a backlog can make that seconds. So a span is
//! not taken from the clock but from the messages around it: it begins at the newest due time that had
//! arrived, and ends at that of the first message that arrived after the subscription stood again. Both
//! ends are widened by how far messages arrived out of order before.

use crate::core::clock::Nanos;

/// Spans are widened by this much, beside the disorder that was seen.
const MARGIN: Nanos = Nanos::from_millis(50);
/// The disorder that was seen fades by one part in 2 to the power of this with each message.
const FADE: u32 = 10;
/// Spans that are kept apart. A further one is joined with the last.
const MOST_SPANS: usize = 100;

/// Due times of which messages may be missing because of us. Open while the subscriber is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MissedSpan {
    /// The earliest.
    pub from: Nanos,
    /// The latest.
    pub to: Nanos,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum SubscriberState {
    #[default]
    Connected,
    Disconnected,
    /// The subscription stands again, and no message has come yet that was published since.
    Waiting,
}

/// The spans of a run, and what is needed to find them.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    spans: Vec<MissedSpan>,
    state: SubscriberState,
    newest_due: Nanos,
    /// Largest distance, seen lately, between the due time of a message and the newest one before it.
    disorder: Nanos,
}

impl Outages {
    /// A message arrived, which was due then.
    pub(crate) fn arrived(&mut self, due: Nanos) {
        let behind = self.newest_due - due;
        let faded = Nanos(self.disorder.0 - (self.disorder.0 >> FADE));
        self.disorder = behind.max(faded);
        self.newest_due = self.newest_due.max(due);
        if self.state == SubscriberState::Waiting {
            self.state = SubscriberState::Connected;
            let to = due + self.margin();
            if let Some(span) = self.spans.last_mut() {
                span.to = span.to.min(to).max(span.from);
            }
        }
    }

    /// The connection was lost.
    pub(crate) fn disconnected(&mut self) {
        self.state = SubscriberState::Disconnected;
        let from = self.newest_due - self.margin();
        let full = self.spans.len() == MOST_SPANS;
        match self.spans.last_mut().filter(|last| full || from <= last.to) {
            Some(last) => last.to = Nanos::MAX,
            None => self.spans.push(MissedSpan { from, to: Nanos::MAX }),
        }
    }

    /// The subscription stands again, since `now`. Of a session that was kept the oldest messages come
    /// first, and the broker may have dropped newer ones, so the first to arrive says nothing.
    pub(crate) fn reconnected(&mut self, now: Nanos, session_kept: bool) {
        if let Some(span) = self.spans.last_mut() {
            span.to = now;
        }
        self.state =
            if session_kept { SubscriberState::Connected } else { SubscriberState::Waiting };
    }

    /// Returns true if a message that was due then may have been published while we were disconnected.
    pub(crate) fn contain(&self, due: Nanos) -> bool {
        self.spans.iter().any(|span| (span.from..=span.to).contains(&due))
    }

    /// All spans.
    pub(crate) fn spans(&self) -> &[MissedSpan] {
        &self.spans
    }

    /// Subtraction stops at 0: nothing is due before the clock began.
    fn margin(&self) -> Nanos {
        Nanos(self.disorder.0.saturating_mul(2)) + MARGIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Nanos {
        Nanos::from_millis(count)
    }

    /// In order, one each millisecond.
    fn arrive(outages: &mut Outages, dues: std::ops::Range<u64>) {
        dues.for_each(|due| outages.arrived(ms(due)));
    }

    #[test]
    fn without_an_outage_nothing_is_missed() {
        let mut outages = Outages::default();
        arrive(&mut outages, 1_000..2_000);
        assert!(outages.spans().is_empty() && !outages.contain(ms(1_500)));
    }

    #[test]
    fn a_span_lies_between_the_messages_around_it_and_not_on_the_clock() {
        let mut outages = Outages::default();
        arrive(&mut outages, 1_000..2_000);
        outages.disconnected();
        assert!(outages.contain(ms(1_000_000)), "it is open while we are away");
        // A backlog of five seconds.
        outages.reconnected(ms(8_000), false);
        arrive(&mut outages, 3_000..4_000);
        assert_eq!(outages.spans(), [MissedSpan { from: ms(1_949), to: ms(3_050) }]);
        assert!(outages.contain(ms(2_500)));
        assert!(!outages.contain(ms(1_900)) && !outages.contain(ms(3_500)));
    }

    #[test]
    fn disorder_widens_a_span_and_fades() {
        let mut outages = Outages::default();
        arrive(&mut outages, 1_000..2_000);
        outages.arrived(ms(1_600));
        outages.disconnected();
        outages.reconnected(ms(3_000), false);
        outages.arrived(ms(2_800));
        let [span] = outages.spans() else { panic!("one") };
        let width = (ms(1_999) - span.from, span.to - ms(2_800));
        assert_eq!(width, (ms(848), ms(200)), "the second end is not after the subscription");
        arrive(&mut outages, 10_000..20_000);
        outages.disconnected();
        assert!(outages.contain(ms(19_950)) && !outages.contain(ms(19_900)));
    }

    #[test]
    fn what_a_kept_session_dropped_is_missed_up_to_the_subscription() {
        let mut outages = Outages::default();
        arrive(&mut outages, 1_000..2_000);
        outages.disconnected();
        outages.reconnected(ms(5_000), true);
        arrive(&mut outages, 2_000..2_100);
        assert_eq!(outages.spans(), [MissedSpan { from: ms(1_949), to: ms(5_000) }]);
    }

    #[test]
    fn a_connection_that_is_lost_over_and_over_takes_no_more_memory() {
        let mut outages = Outages::default();
        outages.disconnected();
        assert!(outages.contain(ms(1)), "nothing had arrived");
        for second in 1..1_000 {
            outages.reconnected(ms(second * 1_000), false);
            outages.disconnected();
        }
        assert_eq!(outages.spans().len(), 1);
        for second in 1..1_000 {
            outages.reconnected(ms(second * 1_000_000), false);
            arrive(&mut outages, second * 1_000_000..second * 1_000_000 + 1_000);
            outages.disconnected();
        }
        assert_eq!(outages.spans().len(), MOST_SPANS);
        assert!(outages.contain(ms(999_500_000)), "the last one is open");
    }
}
