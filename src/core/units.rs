//! Quantities as people write them: rates, durations, sizes. The only place that parses them, and in
//! `format.rs` prints them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

mod format;
mod mistake;
mod rates;
mod start_time;

pub use format::format_count;
pub(crate) use format::{
    TimeUnit, align, format_binary, format_duration, format_length, format_memory, format_metric,
    format_short_metric, format_some, format_time, format_wrk_time, three_digits,
};
pub use rates::Rates;
pub(crate) use start_time::StartTime;

/// Rounds to whole parts of a unit: with `parts` 1,000 to thousandths.
pub(crate) fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// Most requests a second a plan may ask for: far above what one machine can send, low enough that
/// a slipped digit is caught.
const MAX_PER_SECOND: f64 = 10_000_000.0;

/// Fault of a quantity, as a fragment that fits after the name of the flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

fn bad(text: impl Into<String>) -> UnitError {
    UnitError(text.into())
}

/// Requests a second, kept exactly in millionths: 0.000001/s to 10,000,000/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    micro_hertz: u64,
}

impl Rate {
    #[cfg(test)]
    /// A whole number of requests a second, 1 to 10,000,000.
    pub(crate) fn per_second(requests: u32) -> Result<Self, UnitError> {
        Self::from_f64(f64::from(requests))
    }

    fn from_f64(per_second: f64) -> Result<Self, UnitError> {
        if !per_second.is_finite() || per_second < 0.0 {
            return Err(bad("a rate is a positive number of requests a second, such as 24000"));
        }
        if per_second > MAX_PER_SECOND {
            return Err(bad(format!(
                "a rate of {per_second} requests a second is beyond the limit of 10000000 (10M)"
            )));
        }
        let micro_hertz = (per_second * 1e6).round() as u64;
        if micro_hertz == 0 {
            return Err(bad("a rate must be above zero; leave it out for a closed loop"));
        }
        Ok(Self { micro_hertz })
    }

    /// Millionths of a request a second: the exact value, 1 to 10^13.
    pub(crate) fn micro_hertz(self) -> u64 {
        self.micro_hertz
    }

    /// Requests a second, rounded to the nearest `f64`.
    pub(crate) fn as_f64(self) -> f64 {
        self.micro_hertz as f64 / 1e6
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    /// `24000`, `24k`, `1.5M`, each with `/s` or without.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let number = text.trim().strip_suffix("/s").unwrap_or(text.trim());
        mistake::check_thousands(number, "a rate")?;
        let value = scaled(number, 1000.0).ok_or_else(|| mistake::not_a_rate(text))?;
        Self::from_f64(value)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

/// A count such as `1000`, `64k`, `1M` (powers of 1000).
pub(crate) fn parse_count(text: &str) -> Result<u64, UnitError> {
    mistake::check_thousands(text.trim(), "a count")?;
    let value =
        scaled(text.trim(), 1000.0).filter(|v| (0.0..=9e15).contains(v) && v.fract() == 0.0);
    value
        .map(|v| v as u64)
        .ok_or_else(|| bad(format!("'{text}' is not a count such as 1000, 64k or 1M")))
}

/// A size such as `512`, `64K`, `1M` in bytes (powers of 1024, an ending `B` or `iB` allowed).
pub(crate) fn parse_size(text: &str) -> Result<u64, UnitError> {
    let trimmed = text.trim();
    mistake::check_thousands(trimmed, "a size")?;
    let number =
        trimmed.strip_suffix("iB").or_else(|| trimmed.strip_suffix('B')).unwrap_or(trimmed);
    let value = scaled(number, 1024.0).filter(|v| (0.0..=9e15).contains(v));
    value
        .map(|v| v as u64)
        .ok_or_else(|| bad(format!("'{text}' is not a size such as 512, 64K or 1M")))
}

/// A share in percent: `5%`, `5`, `2.5%`; 0 to 1000.
pub(crate) fn parse_percent(text: &str) -> Result<f64, UnitError> {
    let number = text.trim().strip_suffix('%').unwrap_or(text.trim());
    let value = scaled(number, 1.0).filter(|v| (0.0..=1_000.0).contains(v));
    let plain = number.ends_with(|c: char| c.is_ascii_digit() || c == '.');
    value.filter(|_| plain).ok_or_else(|| bad(format!("'{text}' is not a percentage such as 5%")))
}

/// A duration: `10s`, `1m30s`, `500ms`, or a bare number of seconds as wrk takes it. At most ten years.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    // Lower case, as wrk ignores case: `1M` is a minute, never a month.
    let lower = text.trim().to_lowercase();
    let parsed = match lower.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(&lower).ok(),
    };
    match parsed {
        Some(span) if span <= Duration::from_secs(315_360_000) => Ok(span),
        Some(_) => Err(bad(format!("'{text}' is longer than ten years"))),
        None => Err(mistake::not_a_duration(text)),
    }
}

fn scaled(number: &str, step: f64) -> Option<f64> {
    let (digits, power) = match number.chars().last()? {
        'k' | 'K' => (&number[..number.len() - 1], 1),
        'm' | 'M' => (&number[..number.len() - 1], 2),
        'g' | 'G' => (&number[..number.len() - 1], 3),
        _ => (number, 0),
    };
    let plain = digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '_' | '-'));
    let value: f64 = digits.replace('_', "").parse().ok()?;
    (plain && value.is_finite()).then(|| value * step.powi(power))
}

/// A TOML value that may stand as a number or as text (`24000` and `"24k"`).
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number or text is wanted here, such as 24000 or \"24k\"")]
enum RateValue {
    Whole(u64),
    Number(f64),
    Text(String),
}

impl RateValue {
    fn into_text(self) -> String {
        match self {
            Self::Whole(n) => n.to_string(),
            Self::Number(n) => n.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        RateValue::deserialize(source)?.into_text().parse().map_err(D::Error::custom)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.serialize_f64(self.as_f64())
    }
}

/// For `#[serde(deserialize_with)]`: an optional duration in any of [`parse_duration`]'s spellings.
pub(crate) fn de_duration<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<Duration>, D::Error> {
    let text = RateValue::deserialize(source)?.into_text();
    parse_duration(&text).map(Some).map_err(D::Error::custom)
}

/// For `#[serde(deserialize_with)]`: an optional count in any of [`parse_count`]'s spellings.
pub(crate) fn de_count<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u64>, D::Error> {
    let text = RateValue::deserialize(source)?.into_text();
    parse_count(&text).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_every_spelling() {
        for (text, micro) in [
            ("24000", 24_000_000_000),
            ("24k", 24_000_000_000),
            ("24k/s", 24_000_000_000),
            ("1.5M", 1_500_000_000_000),
            ("0.5", 500_000),
            ("10M", 10_000_000_000_000),
            ("1_000", 1_000_000_000),
        ] {
            assert_eq!(text.parse::<Rate>().map(Rate::micro_hertz), Ok(micro), "{text}");
        }
    }

    #[test]
    fn senseless_rates_are_refused_with_a_reason() {
        for (text, part) in [
            ("0", "above zero"),
            ("-5", "positive"),
            ("99999999999", "beyond the limit"),
            ("inf", "not a rate"),
            ("nan", "not a rate"),
            ("1e9", "not a rate"),
            ("fast", "not a rate"),
            ("", "not a rate"),
            ("10 req", "not a rate"),
        ] {
            let error = text.parse::<Rate>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn durations_are_read_as_wrk_and_people_write_them() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("10", 10_000),
            ("0.5", 500),
            ("2h", 7_200_000),
            ("1M", 60_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "ten", "-1s", "-1", "10 parsecs", "nan", "99999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_and_sizes_use_their_own_thousands() {
        assert_eq!(parse_count("64k"), Ok(64_000));
        assert_eq!(parse_size("64K"), Ok(65_536));
        assert_eq!(parse_size("1MiB"), Ok(1 << 20));
        assert!(parse_count("1.5").is_err());
        assert!(parse_count("-1").is_err());
        assert!(parse_size("-1").is_err());
        for (text, percent) in [("5%", Some(5.0)), ("2.5", Some(2.5)), ("0", Some(0.0))] {
            assert_eq!(parse_percent(text).ok(), percent, "{text}");
        }
        for text in ["", "%", "5k", "-1%", "1001%", "nan", "five"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
    }
}
