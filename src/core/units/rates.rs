//! The rate of an open loop: one, or an even change from one to another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Rate, RateValue, UnitError};

/// Requests a second at the beginning and at the end of a run; between them it changes evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// At the beginning.
    pub from: Rate,
    /// At the end; the same where the rate is constant.
    pub to: Rate,
}

impl Rates {
    /// Returns true if the rate does not change.
    pub(crate) fn is_constant(self) -> bool {
        self.from == self.to
    }

    /// The higher of the two.
    pub(crate) fn highest(self) -> Rate {
        self.from.max(self.to)
    }

    /// Requests a second over the whole time.
    pub(crate) fn mean(self) -> f64 {
        (self.from.as_f64() + self.to.as_f64()) / 2.0
    }
}

impl From<Rate> for Rates {
    fn from(rate: Rate) -> Self {
        Self { from: rate, to: rate }
    }
}

impl FromStr for Rates {
    type Err = UnitError;

    /// A [`Rate`], or two with `..` between: `1k..10k`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text.split_once("..") {
            Some((from, to)) => Ok(Self { from: from.parse()?, to: to.parse()? }),
            None => text.parse::<Rate>().map(Self::from),
        }
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_constant() { self.from.fmt(f) } else { write!(f, "{}..{}", self.from, self.to) }
    }
}

impl<'de> Deserialize<'de> for Rates {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        RateValue::deserialize(source)?.into_text().parse().map_err(D::Error::custom)
    }
}

impl Serialize for Rates {
    fn serialize<S: Serializer>(&self, sink: S) -> Result<S::Ok, S::Error> {
        if self.is_constant() { self.from.serialize(sink) } else { sink.collect_str(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rate_or_two_are_read_and_printed() {
        for (text, printed, mean) in
            [("24k", "24000", 24_000.0), ("1k..10k", "1000..10000", 5_500.0), ("5..5", "5", 5.0)]
        {
            let rates: Rates = text.parse().expect(text);
            assert_eq!((rates.to_string().as_str(), rates.mean()), (printed, mean));
        }
        for text in ["..", "1..", "..5", "0..5", "5..fast"] {
            assert!(text.parse::<Rates>().is_err(), "{text}");
        }
    }
}
