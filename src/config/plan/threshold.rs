//! `--fail-if 'arrival.p99>5ms'`: a number of the report, by its dotted name, compared with a bound.

use std::fmt;
use std::str::FromStr;

use super::{PlanError, refuse};
use crate::core::units::{parse_duration, parse_percent, parse_size};

/// Comparison of the report's number with the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

/// Comparison signs, longer ones first because `>=` begins with `>`.
const SIGNS: [(&str, Relation); 6] = [
    (">=", Relation::GreaterOrEqual),
    ("<=", Relation::LessOrEqual),
    ("==", Relation::Equal),
    ("!=", Relation::NotEqual),
    (">", Relation::Greater),
    ("<", Relation::Less),
];

/// A condition under which a run fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    text: String,
    name: String,
    comparison: Relation,
    /// Bound in the unit of the report: microseconds for durations.
    bound: f64,
    unit: BoundUnit,
}

/// The unit in which a bound is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoundUnit {
    /// A number alone, or a size in bytes.
    Number,
    /// `1%`
    Percent,
    /// `5ms`
    Duration,
}

impl Threshold {
    /// Reads `NAME>VALUE`; errors begin with `place`, where it was written.
    pub(crate) fn parse(place: &str, text: &str) -> Result<Self, PlanError> {
        let example = "write NAME>VALUE, such as 'arrival.p99>5ms' or 'error_percent>1%'";
        let split = (0..text.len()).filter(|i| text.is_char_boundary(*i)).find_map(|at| {
            let (sign, comparison) = SIGNS.iter().find(|(sign, _)| text[at..].starts_with(sign))?;
            Some((text[..at].trim(), *comparison, text[at + sign.len()..].trim()))
        });
        let Some((name, comparison, value)) = split else {
            return refuse(format!("{place} '{text}' does not have a comparison; {example}"));
        };
        let Some((bound, unit)) = bound(value) else {
            return refuse(format!(
                "{place} '{text}': '{value}' is not a number, a duration or a percentage; {example}"
            ));
        };
        if name.is_empty() {
            return refuse(format!("{place} '{text}' does not have a name; {example}"));
        }
        Ok(Self { text: text.to_owned(), name: name.to_owned(), comparison, bound, unit })
    }

    /// Returns this condition for the number called `name`.
    #[must_use]
    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The dotted name of the report's number.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The bound as it is written.
    pub(crate) fn written_bound(&self) -> &str {
        self.text.rsplit(['>', '<', '=']).next().unwrap_or_default().trim()
    }

    /// The unit in which the bound is written.
    pub(crate) fn unit(&self) -> BoundUnit {
        self.unit
    }

    /// The bound in the unit of the report: microseconds for durations.
    pub(crate) fn bound(&self) -> f64 {
        self.bound
    }

    /// Returns true if `value` meets the condition, so that the run fails.
    pub(crate) fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Relation::Greater => value > self.bound,
            Relation::GreaterOrEqual => value >= self.bound,
            Relation::Less => value < self.bound,
            Relation::LessOrEqual => value <= self.bound,
            Relation::Equal => value == self.bound,
            Relation::NotEqual => value != self.bound,
        }
    }
}

impl FromStr for Threshold {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        Self::parse("--fail-if", text)
    }
}

/// A plain number, a percentage (`1%`), a duration in microseconds (`5ms`), or a size in bytes (`64M`).
fn bound(value: &str) -> Option<(f64, BoundUnit)> {
    let (number, unit) = if let Some(number) = value.strip_suffix('%') {
        (parse_percent(number).ok()?, BoundUnit::Percent)
    } else if let Ok(number) = value.replace('_', "").parse() {
        (number, BoundUnit::Number)
    } else if value.ends_with(|c: char| c.is_ascii_uppercase()) {
        // A final capital letter marks a size: `5m` is five minutes, `5M` five mebibytes.
        (parse_size(value).ok()? as f64, BoundUnit::Number)
    } else {
        (parse_duration(value).ok()?.as_nanos() as f64 / 1e3, BoundUnit::Duration)
    };
    f64::is_finite(number).then_some((number, unit))
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_and_held() {
        for (text, name, value, holds) in [
            ("arrival.p99>5ms", "arrival.p99", 5_000.1, true),
            ("arrival.p99 > 5ms", "arrival.p99", 5_000.0, false),
            ("messages.lost>=1", "messages.lost", 1.0, true),
            ("requests.rate_achieved<23900", "requests.rate_achieved", 23_899.0, true),
            ("requests.rate_achieved<=0.5", "requests.rate_achieved", 0.6, false),
            ("requests.sent!=240000", "requests.sent", 240_000.0, false),
            ("error_percent>1%", "error_percent", 1.5, true),
            ("lost_percent <= 0.5 %", "lost_percent", 0.6, false),
            ("requests.sent==240_000", "requests.sent", 240_000.0, true),
            ("resources.api.rss_max_bytes>64M", "resources.api.rss_max_bytes", 67_108_865.0, true),
        ] {
            let threshold: Threshold = text.parse().expect(text);
            assert_eq!((threshold.name(), threshold.holds(value)), (name, holds), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_an_example() {
        for text in
            ["arrival.p99", "arrival.p99>", ">5", "arrival.p99>soon", "", "ä>ö", "a>x%", "a>%"]
        {
            let error = text.parse::<Threshold>().expect_err(text).to_string();
            assert!(error.contains("--fail-if") && error.contains("arrival.p99>5ms"), "{error}");
        }
    }
}
