//! The step at which arrival latency breaks.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::per_second;
use crate::core::units::format_time;

/// A step with its rate and its 99th percentile of the arrival latency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct ArrivalStep {
    /// Name of the step.
    pub(crate) step: String,
    /// Good answers a second.
    pub(crate) per_s: f64,
    /// 99th percentile in microseconds.
    pub(crate) p99_us: f64,
}

/// The two steps between which arrival latency breaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct ArrivalBreak {
    /// The last step before the break.
    pub(crate) before: ArrivalStep,
    /// The first step after it.
    pub(crate) after: ArrivalStep,
    /// The response time at the break.
    pub(crate) response: ResponseAtBreak,
}

/// The response time at the step at which arrival latency breaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum ResponseAtBreak {
    /// It broke at an earlier step.
    BrokeEarlier {
        /// Name of that step.
        step: String,
    },
    /// It breaks at the same step.
    BreaksToo,
    /// It does not break.
    Holds {
        /// Its 99th percentile before the break, in microseconds.
        before_us: Option<f64>,
        /// Its 99th percentile after the break, in microseconds.
        after_us: Option<f64>,
    },
}

/// A curve on which arrival latency does not break.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct ArrivalHeld {
    /// The last step.
    pub(crate) last: ArrivalStep,
    /// The step with the highest percentile.
    pub(crate) slowest: ArrivalStep,
}

impl fmt::Display for ArrivalBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, response } = self;
        write!(
            f,
            "arrival breaks between {} ({}) and {} ({}): its p99 goes from {} to {}{response}",
            before.step,
            per_second(before.per_s),
            after.step,
            per_second(after.per_s),
            format_time(before.p99_us),
            format_time(after.p99_us)
        )
    }
}

impl fmt::Display for ResponseAtBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BrokeEarlier { step } => write!(f, "; the response broke already at {step}"),
            Self::BreaksToo => f.write_str("; the response shows it too"),
            Self::Holds { before_us, after_us } => write!(
                f,
                ", although the response does not: its p99 goes from {} to {}",
                time_or_none(*before_us),
                time_or_none(*after_us)
            ),
        }
    }
}

impl fmt::Display for ArrivalHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arrival does not break up to {} ({}): its p99 is {} there, and at most {} (at {})",
            self.last.step,
            per_second(self.last.per_s),
            format_time(self.last.p99_us),
            format_time(self.slowest.p99_us),
            self.slowest.step
        )
    }
}

fn time_or_none(micros: Option<f64>) -> String {
    micros.map_or_else(|| "n/a".to_owned(), format_time)
}
