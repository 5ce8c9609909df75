//! Number of nodes of a fleet: `8`, or `6..8` if a fleet may begin with fewer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most nodes of a fleet. A report refuses more, too.
const MOST_NODES: u64 = 10_000;

/// Number of nodes that a fleet starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FleetSize {
    /// Fewest nodes, at least 1: with them it starts when the time to join is over.
    pub(crate) fewest: u64,
    /// Most nodes: with them it starts at once.
    pub(crate) most: u64,
}

impl FleetSize {
    /// A fleet of exactly `nodes`; `None` of none, or of more than 10,000.
    pub(crate) fn exactly(nodes: u64) -> Option<Self> {
        (1..=MOST_NODES).contains(&nodes).then_some(Self { fewest: nodes, most: nodes })
    }
}

impl FromStr for FleetSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (fewest, most) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| text.trim().parse::<u64>().ok();
        match (number(fewest), number(most)) {
            (Some(fewest), Some(most)) if 1 <= fewest && fewest <= most && most <= MOST_NODES => {
                Ok(Self { fewest, most })
            }
            _ => Err(format!(
                "'{text}' is not a number of nodes from 1 to {MOST_NODES}, such as 8, or 6..8 to start with at least 6"
            )),
        }
    }
}

impl fmt::Display for FleetSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fewest == self.most {
            write!(f, "{}", self.most)
        } else {
            write!(f, "{}..{}", self.fewest, self.most)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_or_a_range() {
        for (text, fewest, most) in [("8", 8, 8), ("6..8", 6, 8), ("1", 1, 1), ("2 .. 3", 2, 3)] {
            let size: FleetSize = text.parse().expect(text);
            assert_eq!((size.fewest, size.most), (fewest, most), "{text}");
            assert_eq!(size.to_string().parse(), Ok(size), "{text}");
        }
        for text in ["", "0", "8..6", "..8", "6..", "10001", "-1", "1.5", "a", "1..2..3"] {
            let error = text.parse::<FleetSize>().expect_err(text);
            assert!(error.contains("such as 8"), "{text}: {error}");
        }
        assert_eq!(FleetSize::exactly(0), None);
    }
}
