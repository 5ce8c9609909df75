//! Points of wall-clock time, as people agree on them.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{UnitError, bad};

/// A point of wall-clock time with its zone, so that machines in different zones mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartTime {
    /// A date and a time.
    At(SystemTime),
    /// Time after midnight of the current day in UTC.
    Today(Duration),
}

const DAY: u64 = 86_400;
/// 10000-01-01T00:00:00Z
const YEAR_10000: u64 = 253_402_300_800;

impl StartTime {
    /// The moment, as seen from `now`.
    pub(crate) fn seen_from(self, now: SystemTime) -> SystemTime {
        match self {
            Self::At(at) => at,
            Self::Today(after_midnight) => {
                let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                UNIX_EPOCH + Duration::from_secs(since - since % DAY) + after_midnight
            }
        }
    }
}

impl FromStr for StartTime {
    type Err = UnitError;

    /// RFC 3339 with a zone (`2026-12-01T14:30:00Z`, `2026-12-01T15:30:00+01:00`), or a time of the
    /// current day in UTC (`14:30Z`, `14:30:00Z`).
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        let parsed = match (zone(text), text.contains('T')) {
            (Some((local, shift)), true) => {
                utc(&format!("{local}Z")).and_then(|t| shift_back(t, shift)).map(Self::At)
            }
            (Some((local, 0)), false) => {
                let seconds = if local.len() == "14:30".len() { ":00" } else { "" };
                let time = utc(&format!("1970-01-01T{local}{seconds}Z"));
                time.and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map(Self::Today)
            }
            _ => None,
        };
        parsed.ok_or_else(|| {
            bad(format!(
                "'{text}' is not a time with its zone; write 2026-12-01T14:30:00Z, \
                 2026-12-01T15:30:00+01:00, or 14:30:00Z for today (UTC)"
            ))
        })
    }
}

/// Reads an RFC 3339 time in UTC.
fn utc(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

/// Splits off the zone: what stands before it, and how many minutes it is ahead of UTC.
fn zone(text: &str) -> Option<(&str, i64)> {
    if let Some(local) = text.strip_suffix('Z') {
        return Some((local, 0));
    }
    let (local, zone) = text.split_at_checked(text.len().checked_sub("+01:00".len())?)?;
    let sign = match zone.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    Some((local, sign * (two_digits(hours, 24)? * 60 + two_digits(minutes, 60)?)))
}

/// Reads a number of exactly two digits that is below a limit.
fn two_digits(text: &str, below: i64) -> Option<i64> {
    let are_digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| are_digits && *number < below)
}

fn shift_back(time: SystemTime, minutes: i64) -> Option<SystemTime> {
    let shift = Duration::from_secs(minutes.unsigned_abs() * 60);
    let shifted = if minutes < 0 { time.checked_add(shift) } else { time.checked_sub(shift) };
    // What could be written with a Z: the years 1970 to 9999.
    shifted.filter(|time| {
        let since = time.duration_since(UNIX_EPOCH);
        since.is_ok_and(|since| since.as_secs() < YEAR_10000)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-01T14:30:00Z
    const HALF_PAST_TWO: u64 = 1_796_135_400;

    fn unix(text: &str, now: u64) -> f64 {
        let moment: StartTime = text.parse().unwrap_or_else(|e| panic!("{e}"));
        let at = moment.seen_from(UNIX_EPOCH + Duration::from_secs(now));
        at.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
    }

    #[test]
    fn a_time_means_the_same_in_every_zone() {
        for text in [
            "2026-12-01T14:30:00Z",
            "2026-12-01T14:30:00+00:00",
            "2026-12-01T16:00:00+01:30",
            "2026-12-01T06:30:00-08:00",
            "2026-12-02T00:30:00+10:00",
        ] {
            assert_eq!(unix(text, 0), HALF_PAST_TWO as f64, "{text}");
        }
        assert_eq!(unix("2026-12-01T14:30:00.250Z", 0), HALF_PAST_TWO as f64 + 0.25);
    }

    #[test]
    fn a_time_of_the_day_is_todays_whether_it_is_over_or_not() {
        for now in [HALF_PAST_TWO - 14 * 3_600, HALF_PAST_TWO, HALF_PAST_TWO + 9 * 3_600] {
            assert_eq!(unix("14:30Z", now), HALF_PAST_TWO as f64);
            assert_eq!(unix("14:30:00.5Z", now), HALF_PAST_TWO as f64 + 0.5);
        }
    }

    #[test]
    fn a_time_without_a_zone_or_sense_is_refused() {
        for text in [
            "",
            "Z",
            "14:30:00",
            "14:30",
            "2026-12-01T14:30:00",
            "2026-12-01",
            "25:00Z",
            "14:61Z",
            "+30s",
            "2026-13-01T00:00:00Z",
            "2026-12-01T14:30:00+1:00",
            "2026-12-01T14:30:00+24:00",
            "14:30+01:00",
            "1970-01-01T00:30:00+01:00",
            "9999-12-31T23:30:00-01:00",
            "tomorrow",
            "14:30:00é00:00",
            "2026-12-01T14:30:00++1:00",
            "1796135400",
        ] {
            let error = text.parse::<StartTime>().expect_err(text).to_string();
            assert!(error.contains("Z"), "{text}: {error}");
        }
    }
}
