//! Time: one monotonic clock, and the way from it to the log server's time.
//!
//! Everything a run measures by itself is a difference of two readings of the one monotonic clock.
//! Stamps that several processes share are put into the log server's time (Redis `TIME`), so that
//! no two machines' clocks are ever compared.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds, as a point on the monotonic clock (since boot) or as a span. Subtraction stops at 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The latest point there is: "never" as a deadline.
    pub(crate) const MAX: Self = Self(u64::MAX);
    /// Zero.
    pub(crate) const ZERO: Self = Self(0);

    /// Whole milliseconds.
    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Whole seconds.
    pub(crate) const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// Seconds as a float.
    pub(crate) fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Microseconds as a float.
    pub(crate) fn as_micros_f64(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// Converts the span for the standard library.
    pub(crate) fn as_duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Converts the span for system calls.
    pub(crate) fn as_timespec(self) -> Timespec {
        Timespec {
            tv_sec: (self.0 / 1_000_000_000) as i64,
            tv_nsec: (self.0 % 1_000_000_000) as i64,
        }
    }
}

impl From<Duration> for Nanos {
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Add for Nanos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Nanos {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Debug for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.0)
    }
}

/// Now, on the clock that never steps. All processes of one machine read the same one.
pub(crate) fn now() -> Nanos {
    let t = clock_gettime(ClockId::Monotonic);
    Nanos(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
}

/// Drift between two machines' crystals of ordinary quality: 50 parts in a million. On one machine all
/// clocks follow the same crystal, and NTP adjusts them alike.
const DRIFT_PPM: u64 = 50;

/// One question to the log server: asked at `asked`, answered at `answered` with `server_us`.
#[derive(Debug, Clone, Copy)]
struct Exchange {
    asked: Nanos,
    answered: Nanos,
    server_us: u64,
}

impl Exchange {
    /// Cristian's bound: the server read its clock somewhere within the round trip, so the midpoint
    /// is off by half of it at most; then one microsecond of resolution, then drift since.
    fn bound_at(&self, now: Nanos, drift_ppm: u64) -> Nanos {
        let age = now - self.answered;
        Nanos((self.answered - self.asked).0 / 2 + 1_000 + age.0 / 1_000_000 * drift_ppm)
    }

    fn offset_us(&self) -> i64 {
        let middle = self.asked.0 / 2 + self.answered.0 / 2;
        self.server_us.wrapping_sub(middle / 1_000).cast_signed()
    }
}

/// The offset from the monotonic clock to the log server's time, from `TIME` round trips.
///
/// Cristian's algorithm (Distributed Computing 3:146-158, 1989): of all exchanges the one with the
/// smallest bound counts; an old one loses its place as drift widens its bound, or when a new one
/// contradicts it, because the server's clock was set. Times from before such a jump keep their offset.
#[derive(Debug, Clone)]
pub(crate) struct ServerClock {
    best: Option<Exchange>,
    drift_ppm: u64,
    /// When the last exchange was answered.
    observed: Nanos,
    jumps: Vec<Jump>,
}

/// A change of the server's clock that no round trip and no drift explains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jump {
    /// The last exchange before it.
    pub after: Nanos,
    /// The exchange that showed it.
    pub noticed: Nanos,
    /// The step in microseconds; below zero the clock was set back.
    pub by_us: i64,
    before: Exchange,
}

/// Smaller contradictions are followed and not called a jump: a drift beyond [`DRIFT_PPM`].
const SMALLEST_JUMP_US: u64 = 1_000;
/// A stamp that is further in the future than this is of another offset.
const FUTURE: Nanos = Nanos::from_secs(1);

impl ServerClock {
    /// `same_machine`: the server reads the clock of this machine, so the two do not drift apart.
    pub(crate) fn new(same_machine: bool) -> Self {
        Self {
            best: None,
            drift_ppm: if same_machine { 0 } else { DRIFT_PPM },
            observed: Nanos::ZERO,
            jumps: Vec::new(),
        }
    }

    /// Takes one exchange in; it counts if it bounds the offset more closely than what is known.
    pub(crate) fn observe(&mut self, asked: Nanos, answered: Nanos, server_us: u64) {
        let new = Exchange { asked, answered, server_us };
        let new_bound = new.bound_at(answered, self.drift_ppm);
        let keeps = self.best.is_some_and(|old| {
            let old_bound = old.bound_at(answered, self.drift_ppm);
            let apart = old.offset_us().abs_diff(new.offset_us());
            let agrees = apart.saturating_mul(1_000) <= old_bound.0 + new_bound.0 + 1_000;
            if !agrees && apart >= SMALLEST_JUMP_US {
                self.jumps.push(Jump {
                    after: self.observed,
                    noticed: answered,
                    by_us: new.offset_us().saturating_sub(old.offset_us()),
                    before: old,
                });
            }
            old_bound <= new_bound && agrees
        });
        self.observed = answered;
        if !keeps {
            self.best = Some(new);
        }
    }

    /// The jumps of the server's clock that were noticed, in their order.
    pub(crate) fn jumps(&self) -> &[Jump] {
        &self.jumps
    }

    /// A monotonic point in the server's time, microseconds since 1970. `None` before any exchange.
    pub(crate) fn server_micros(&self, at: Nanos) -> Option<u64> {
        let before = self.jumps.iter().find(|jump| at < jump.noticed);
        let offset = before.map(|jump| jump.before).or(self.best)?.offset_us();
        u64::try_from(i128::from(at.0 / 1_000) + i128::from(offset)).ok()
    }

    /// The server's time back on the monotonic clock, of a stamp that is read at `now`.
    ///
    /// After a jump a stamp may be of any offset there was: the latest point that is not in the future
    /// is taken, as stamps are read soon. `None` where all of them are in the future.
    pub(crate) fn monotonic(&self, server_us: u64, now: Nanos) -> Option<Nanos> {
        let exchanges = self.jumps.iter().map(|jump| jump.before).chain(self.best);
        let points = exchanges.filter_map(|exchange| {
            let micros = i128::from(server_us) - i128::from(exchange.offset_us());
            u64::try_from(micros).ok().and_then(|us| us.checked_mul(1_000)).map(Nanos)
        });
        points.filter(|at| *at <= now + FUTURE).max()
    }

    /// Server time minus monotonic time, in microseconds.
    pub(crate) fn offset_us(&self) -> Option<i64> {
        self.best.map(|best| best.offset_us())
    }

    /// The most the offset can be wrong by at `now`.
    pub(crate) fn error_bound(&self, now: Nanos) -> Option<Nanos> {
        self.best.map(|best| best.bound_at(now, self.drift_ppm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_clock_goes_forward() {
        let first = now();
        assert!(now() >= first);
    }

    #[test]
    fn nothing_is_known_before_the_first_exchange() {
        let clock = ServerClock::new(true);
        assert_eq!((clock.offset_us(), clock.error_bound(now())), (None, None));
        assert_eq!(clock.server_micros(Nanos(5)), None);
    }

    /// A server that is one second ahead, asked at `ms`, answering in `trip_us`.
    fn ask(clock: &mut ServerClock, ms: u64, trip_us: u64, ahead_us: u64) {
        let asked = Nanos::from_millis(ms);
        clock.observe(asked, asked + Nanos(trip_us * 1_000), ms * 1_000 + trip_us / 2 + ahead_us);
    }

    #[test]
    fn the_shortest_round_trip_wins_until_drift_outweighs_it() {
        for (same_machine, wins) in [(true, 1_000_000), (false, 1_000_020)] {
            let mut clock = ServerClock::new(same_machine);
            ask(&mut clock, 10, 2_000, 1_000_300);
            ask(&mut clock, 20, 100, 1_000_000);
            ask(&mut clock, 30, 4_000, 1_000_700);
            assert_eq!(clock.offset_us(), Some(1_000_000), "a longer trip does not replace it");
            ask(&mut clock, 100_000, 1_000, 1_000_020);
            assert_eq!(clock.offset_us(), Some(wins), "50 ppm over 100 s is more than 500 us");
        }
    }

    #[test]
    fn a_server_whose_clock_is_set_is_followed() {
        let mut clock = ServerClock::new(true);
        ask(&mut clock, 10, 50, 1_000_000);
        ask(&mut clock, 20, 400, 3_000_000);
        assert_eq!(clock.offset_us(), Some(3_000_000));
    }

    #[test]
    fn a_jump_is_noticed_and_times_on_both_sides_keep_their_offset() {
        for (by_us, ahead_us) in [(100_000_000, 300_000_000), (-100_000_000, 100_000_000)] {
            let mut clock = ServerClock::new(true);
            ask(&mut clock, 10_000, 50, 200_000_000);
            ask(&mut clock, 11_000, 400, 200_000_100);
            assert_eq!(clock.jumps().len(), 0, "the round trip explains it");
            ask(&mut clock, 12_000, 400, ahead_us);
            ask(&mut clock, 13_000, 60, ahead_us);
            let [jump] = clock.jumps() else { panic!("{:?}", clock.jumps()) };
            assert!(jump.by_us.abs_diff(by_us) <= 200, "{jump:?}");
            assert_eq!((jump.after.0 / 1_000_000, jump.noticed.0 / 1_000_000), (11_000, 12_000));
            for (at_ms, offset_us) in [(10_500, 200_000_000), (12_500, ahead_us)] {
                let at = Nanos::from_millis(at_ms);
                let server_us = at_ms * 1_000 + offset_us;
                let read_at = at + Nanos::from_millis(1_100);
                assert_eq!(clock.monotonic(server_us, read_at), Some(at), "{by_us} {at_ms}");
                assert_eq!(clock.server_micros(at), Some(server_us));
            }
        }
    }

    #[test]
    fn a_stamp_of_an_offset_that_is_not_known_yet_has_no_time() {
        let mut clock = ServerClock::new(true);
        ask(&mut clock, 10_000, 50, 200_000_000);
        let now = Nanos::from_millis(11_000);
        assert_eq!(clock.monotonic(11_000_000 + 300_000_000, now), None);
    }

    proptest! {
        /// Whatever the two halves of the round trip are, the true offset lies within the bound.
        #[test]
        fn the_true_offset_lies_within_the_bound(
            start in 0u64..1 << 50, there in 0u64..50_000_000, back in 0u64..50_000_000, ahead in 0u64..1 << 50,
        ) {
            let answered = Nanos(start + there + back);
            let mut clock = ServerClock::new(false);
            clock.observe(Nanos(start), answered, (start + there + ahead) / 1_000);
            let error = (clock.offset_us().unwrap_or(0) * 1_000 - ahead as i64).unsigned_abs();
            prop_assert!(error <= clock.error_bound(answered).unwrap_or_default().0 + 1_000);
        }
    }
}
