//! Whether a broker is still there. At QoS 0 it says nothing by itself, so that silence alone tells
//! nothing: it is gone when it leaves a ping unanswered.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

/// When a connection is pinged, and when it is given up.
#[derive(Debug)]
pub(super) struct KeepAlive {
    every: Duration,
    /// The end of the next wait for a word of the broker.
    due: Instant,
    /// When the oldest ping went out that nothing came after.
    unanswered: Option<Instant>,
}

impl KeepAlive {
    /// For a connection that stands since `now`, to be pinged whenever it was silent for so long.
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self { every, due: now + every, unanswered: None }
    }

    /// Something came: whatever it was, the broker is there.
    pub(super) fn heard(&mut self, now: Instant) {
        self.unanswered = None;
        self.due = now + self.every;
    }

    /// When [`Self::ask`] is to be called.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// A ping is to be sent. The error is that of a broker that has left one unanswered for twice the
    /// interval.
    pub(super) fn ask(&mut self, now: Instant) -> io::Result<()> {
        let since = *self.unanswered.get_or_insert(now);
        if now.duration_since(since) >= 2 * self.every {
            let silence = format!("it answered no ping for {} s", (now - since).as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, silence));
        }
        self.due = now + self.every;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(15);
    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn a_broker_that_answers_its_pings_is_there_however_seldom_it_is_heard() {
        let mut now = Instant::now();
        let mut alive = KeepAlive::new(EVERY, now);
        // The second of two is answered late, but before the third.
        for late in [SOON, SOON, EVERY + SOON, SOON, 2 * EVERY - SOON, SOON] {
            now = alive.due();
            alive.ask(now).expect("it is asked");
            let answered = now + late;
            while alive.due() < answered {
                now = alive.due();
                alive.ask(now).expect("it has not been silent for long");
            }
            alive.heard(answered);
            assert_eq!(alive.due(), answered + EVERY);
        }
    }

    #[test]
    fn a_broker_that_leaves_a_ping_unanswered_is_gone() {
        let begin = Instant::now();
        let mut alive = KeepAlive::new(EVERY, begin);
        alive.heard(begin + EVERY / 2);
        let first = alive.due();
        assert_eq!(first, begin + EVERY / 2 + EVERY);
        alive.ask(first).expect("the first ping");
        alive.ask(first + EVERY).expect("the second ping");
        let gone = alive.ask(first + 2 * EVERY).expect_err("no answer");
        assert_eq!(gone.to_string(), "it answered no ping for 30 s");
    }
}
