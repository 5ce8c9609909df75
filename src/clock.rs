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
    pub const MAX: Self = Self(u64::MAX);
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// Whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// Seconds as a float.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Microseconds as a float.
    pub fn as_micros_f64(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// The same span for the standard library.
    pub fn as_duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The same span for the kernel.
    pub fn as_timespec(self) -> Timespec {
        Timespec { tv_sec: (self.0 / 1_000_000_000) as i64, tv_nsec: (self.0 % 1_000_000_000) as i64 }
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
pub fn now() -> Nanos {
    let t = clock_gettime(ClockId::Monotonic);
    Nanos(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
}

/// How far two crystals of ordinary quality drift apart: 50 parts in a million.
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
    fn bound_at(&self, now: Nanos) -> Nanos {
        let age = now - self.answered;
        Nanos((self.answered - self.asked).0 / 2 + 1_000 + age.0 / 1_000_000 * DRIFT_PPM)
    }
}

/// The offset from the monotonic clock to the log server's time, from `TIME` round trips.
///
/// Cristian's algorithm (Distributed Computing 3:146-158, 1989): of all exchanges the one with the
/// smallest bound counts; an old one loses its place as drift widens its bound.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerClock {
    best: Option<Exchange>,
}

impl ServerClock {
    /// Takes one exchange in; it counts if it bounds the offset more closely than what is known.
    pub fn observe(&mut self, asked: Nanos, answered: Nanos, server_us: u64) {
        let new = Exchange { asked, answered, server_us };
        match self.best {
            Some(old) if old.bound_at(answered) <= new.bound_at(answered) => {}
            _ => self.best = Some(new),
        }
    }

    /// A monotonic point in the server's time, microseconds since 1970. `None` before any exchange.
    pub fn server_micros(&self, at: Nanos) -> Option<u64> {
        let offset = self.offset_us()?;
        u64::try_from(i128::from(at.0 / 1_000) + i128::from(offset)).ok()
    }

    /// The server's time back on the monotonic clock.
    pub fn monotonic(&self, server_us: u64) -> Option<Nanos> {
        let micros = i128::from(server_us) - i128::from(self.offset_us()?);
        u64::try_from(micros).ok().and_then(|us| us.checked_mul(1_000)).map(Nanos)
    }

    /// Server time minus monotonic time, in microseconds.
    pub fn offset_us(&self) -> Option<i64> {
        let best = self.best?;
        let middle = best.asked.0 / 2 + best.answered.0 / 2;
        i64::try_from(i128::from(best.server_us) - i128::from(middle / 1_000)).ok()
    }

    /// The most the offset can be wrong by at `now`.
    pub fn error_bound(&self, now: Nanos) -> Option<Nanos> {
        self.best.map(|best| best.bound_at(now))
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
        let clock = ServerClock::default();
        assert_eq!((clock.offset_us(), clock.error_bound(now())), (None, None));
        assert_eq!(clock.server_micros(Nanos(5)), None);
    }

    #[test]
    fn the_shortest_round_trip_wins_until_drift_outweighs_it() {
        let mut clock = ServerClock::default();
        clock.observe(Nanos::from_millis(10), Nanos::from_millis(12), 1_000_000);
        clock.observe(Nanos::from_millis(20), Nanos(20_100_000), 1_009_050);
        assert_eq!(clock.offset_us(), Some(989_000));
        clock.observe(Nanos::from_millis(30), Nanos::from_millis(34), 77);
        assert_eq!(clock.offset_us(), Some(989_000), "a longer trip does not replace it");
        let later = Nanos::from_secs(100);
        clock.observe(later, later + Nanos::from_millis(1), 5);
        assert_ne!(clock.offset_us(), Some(989_000), "after 100 s, 1 ms is closer than 50 us + drift");
    }

    proptest! {
        /// Whatever the two halves of the round trip are, the true offset lies within the bound.
        #[test]
        fn the_true_offset_lies_within_the_bound(
            start in 0u64..1 << 50, there in 0u64..50_000_000, back in 0u64..50_000_000, ahead in 0u64..1 << 50,
        ) {
            let answered = Nanos(start + there + back);
            let mut clock = ServerClock::default();
            clock.observe(Nanos(start), answered, (start + there + ahead) / 1_000);
            let error = (clock.offset_us().unwrap_or(0) * 1_000 - ahead as i64).unsigned_abs();
            prop_assert!(error <= clock.error_bound(answered).unwrap_or_default().0 + 1_000);
        }
    }
}
