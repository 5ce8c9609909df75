//! Reasons to be careful with a ramp's numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::StepBacklog;

/// A reason to be careful, with the names of the steps that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Caution {
    /// Steps that did not run to their end; no other finding uses them.
    NotRunToEnd { steps: Vec<String> },
    /// Steps without a single answer.
    NoAnswer { steps: Vec<String> },
    /// Steps at which the generator could not hold its plan.
    GeneratorLimited {
        steps: Vec<String>,
        /// The reason at each of them.
        #[serde(default)]
        reasons: Vec<StepReason>,
    },
    /// Steps with answers that are neither 2xx nor 3xx.
    BadAnswers {
        steps: Vec<String>,
        /// The answers at each of them.
        #[serde(default)]
        reasons: Vec<StepReason>,
    },
    /// Steps that began with messages of earlier steps under way.
    Backlog { steps: Vec<StepBacklog> },
    /// A server behind the target is loadgen's own.
    EmbeddedServers,
}

/// A sentence of a step's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct StepReason {
    /// Name of the step.
    pub(crate) step: String,
    /// The sentence.
    pub(crate) reason: String,
}

impl StepReason {
    /// Returns true if both sentences differ in their numbers alone.
    fn is_like(&self, other: &Self) -> bool {
        let letters = self.reason.chars().filter(|c| c.is_alphabetic());
        letters.eq(other.reason.chars().filter(|c| c.is_alphabetic()))
    }
}

/// Writes each reason once, with the first step that it is of.
fn write_reasons(f: &mut fmt::Formatter<'_>, reasons: &[StepReason]) -> fmt::Result {
    for (place, reason) in reasons.iter().enumerate() {
        if !reasons[..place].iter().any(|earlier| earlier.is_like(reason)) {
            write!(f, ". At {}: {}", reason.step, reason.reason)?;
        }
    }
    Ok(())
}

impl fmt::Display for Caution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunToEnd { steps } => {
                write!(f, "not run to their end, and left out here: {}", steps.join("; "))
            }
            Self::NoAnswer { steps } => {
                write!(f, "not a single request was answered at: {}", steps.join("; "))
            }
            Self::GeneratorLimited { steps, reasons } => {
                write!(f, "the generator was limited at: {}", steps.join("; "))?;
                write_reasons(f, reasons)
            }
            Self::BadAnswers { steps, reasons } => {
                write!(
                    f,
                    "answers that were neither 2xx nor 3xx do not count as capacity, at: {}",
                    steps.join("; ")
                )?;
                write_reasons(f, reasons)
            }
            Self::Backlog { steps } => {
                let steps: Vec<_> = steps.iter().map(ToString::to_string).collect();
                let their = if steps.len() == 1 { "its" } else { "their" };
                write!(
                    f,
                    "{}: {their} arrival is not {their} own. Let the pipeline come to rest between steps: a longer rest \
                     or drain in the profile, or clear = true, which empties the queue in a Redis of yours",
                    steps.join("; ")
                )
            }
            Self::EmbeddedServers => f.write_str(
                "the queue or the broker is loadgen's own (embedded): these are not the figures of a real \
                 deployment",
            ),
        }
    }
}
