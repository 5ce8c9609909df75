//! The step at which arrival latency breaks.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{OverloadSign, per_second};
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
    /// 99th percentile in microseconds; `null` if it is not known.
    pub(crate) p99_us: Option<f64>,
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
    /// Signs at the first step after it that its load was too much.
    #[serde(default)]
    pub(crate) signs: Vec<OverloadSign>,
    /// The response time at the break.
    pub(crate) response: ResponseAtBreak,
}

/// A curve on which the load was too much from its first step on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct ArrivalNeverHeld {
    /// The first step.
    pub(crate) first: ArrivalStep,
    /// Signs at the first step that its load was too much.
    pub(crate) signs: Vec<OverloadSign>,
}

/// A step with the signs that its load was too much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct OverloadedStep {
    /// Name of the step.
    pub(crate) step: String,
    /// The signs, at least one.
    pub(crate) signs: Vec<OverloadSign>,
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
    /// Earlier steps whose load was too much, although that of a later one was not.
    #[serde(default)]
    pub(crate) overloaded: Vec<OverloadedStep>,
}

impl fmt::Display for ArrivalStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.step, per_second(self.per_s))
    }
}

impl fmt::Display for ArrivalBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, signs, response } = self;
        let p99 = match (before.p99_us, after.p99_us) {
            (Some(before), Some(after)) => {
                Some(format!("its p99 goes from {} to {}", format_time(before), format_time(after)))
            }
            _ => None,
        };
        let facts: Vec<_> = p99.into_iter().chain(signs.iter().map(ToString::to_string)).collect();
        write!(f, "arrival breaks between {before} and {after}: {}{response}", joined(&facts))
    }
}

impl fmt::Display for ArrivalNeverHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, signs } = self;
        let signs = joined(&signs.iter().map(ToString::to_string).collect::<Vec<_>>());
        write!(
            f,
            "arrival holds at no step that can be judged: at {first} {signs}. Add a step with less load"
        )
    }
}

/// Facts as a list: `a, b and c`.
fn joined(facts: &[String]) -> String {
    match facts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
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
        let Self { last, slowest, overloaded } = self;
        write!(
            f,
            "arrival does not break up to {last}: its p99 is {} there, and at most {} (at {})",
            time_or_none(last.p99_us),
            time_or_none(slowest.p99_us),
            slowest.step
        )?;
        let steps = overloaded.iter().map(|OverloadedStep { step, signs }| {
            let signs: Vec<_> = signs.iter().map(ToString::to_string).collect();
            format!("at {step} {}", joined(&signs))
        });
        let steps: Vec<_> = steps.collect();
        if steps.is_empty() { Ok(()) } else { write!(f, ", although {}", steps.join("; ")) }
    }
}

fn time_or_none(micros: Option<f64>) -> String {
    micros.map_or_else(|| "n/a".to_owned(), format_time)
}
