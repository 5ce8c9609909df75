//! Detection of a broker that is gone. At QoS 0 a broker sends nothing by itself, so silence alone proves
//! nothing: the broker is gone if it does not answer a ping.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

/// Times at which a connection is pinged and given up.
#[derive(Debug)]
pub(super) struct KeepAlive {
    every: Duration,
    /// Time of the next ping, if the broker sends nothing before.
    due: Instant,
    /// Time of the oldest ping since the last packet of the broker.
    unanswered: Option<Instant>,
}

impl KeepAlive {
    /// Keeps a connection that was made at `now`. A ping goes out after each silence of `every`.
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self { every, due: now + every, unanswered: None }
    }

    /// Takes in that a packet came: any packet shows that the broker is there.
    pub(super) fn heard(&mut self, now: Instant) {
        self.unanswered = None;
        self.due = now + self.every;
    }

    /// Time at which [`Self::ask`] is to be called.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Takes in that a ping is sent now. An error if the broker has not answered one for twice the interval.
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
    fn a_broker_that_answers_pings_late_is_not_given_up() {
        let mut now = Instant::now();
        let mut alive = KeepAlive::new(EVERY, now);
        // The second of two is answered late, but before the third.
        for late in [SOON, SOON, EVERY + SOON, SOON, 2 * EVERY - SOON, SOON] {
            now = alive.due();
            alive.ask(now).expect("the broker is there");
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
    fn a_broker_that_does_not_answer_pings_is_given_up() {
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
