//! The highest rate that the target answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::per_second;

/// Capacity in an open loop: the highest rate of which all requests were answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct OpenLoopCapacity {
    /// Good answers a second at the highest rate that was answered in full; `null` if no rate was.
    pub(crate) held_per_s: Option<f64>,
    /// The lowest rate above it that was not answered in full.
    pub(crate) overload: Option<Overload>,
}

/// A rate that was not answered in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct Overload {
    /// Requests a second that were planned.
    pub(crate) planned_per_s: f64,
    /// Good answers a second.
    pub(crate) answered_per_s: f64,
}

/// Capacity in a closed loop: the highest rate of all steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct ClosedLoopCapacity {
    /// Good answers a second; 0 if there was none.
    pub(crate) per_s: f64,
    /// Name of the step.
    pub(crate) step: String,
    /// The change at the last step; `null` for a single step.
    pub(crate) trend: Option<Trend>,
}

/// The change of the rate from the step before the last to the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Trend {
    /// It rose clearly, so that the capacity may be higher.
    Rising {
        /// The steps differ in the number of connections.
        of_connections: bool,
    },
    /// It rose a little, in percent.
    Flattening {
        /// Rise in percent of the step before.
        percent: f64,
    },
    /// It did not rise by more than chance.
    Flat,
}

impl fmt::Display for OpenLoopCapacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.held_per_s, &self.overload) {
            (Some(held), Some(above)) => write!(
                f,
                "the API holds {}: all requests were answered; of {} only {} were",
                per_second(held),
                per_second(above.planned_per_s),
                per_second(above.answered_per_s)
            ),
            (Some(held), None) => write!(
                f,
                "the API holds at least {}: all requests were answered, and no higher rate was tried",
                per_second(held)
            ),
            (None, Some(least)) => write!(
                f,
                "the API holds less than {}: it answered {}",
                per_second(least.planned_per_s),
                per_second(least.answered_per_s)
            ),
            (None, None) => f.write_str("the API's capacity is not known"),
        }
    }
}

impl fmt::Display for ClosedLoopCapacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.per_s == 0.0 {
            return f.write_str("the API holds nothing: no answer was 2xx or 3xx");
        }
        write!(f, "the API holds {} (at {})", per_second(self.per_s), self.step)?;
        match self.trend {
            None => Ok(()),
            Some(Trend::Rising { of_connections: true }) => {
                f.write_str("; the rate was still rising, so more connections may bring more")
            }
            Some(Trend::Rising { of_connections: false }) => {
                f.write_str("; the rate was still rising")
            }
            Some(Trend::Flattening { percent }) => write!(
                f,
                ", the highest rate of all steps; that is {percent:.1}% above the step before"
            ),
            Some(Trend::Flat) => f.write_str("; the last step brought no notable rise"),
        }
    }
}
