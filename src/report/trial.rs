//! A search for the highest value that holds a condition, and its trials.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{GeneratorState, format_number};
use crate::core::units::format_count;

/// A search for the highest value that holds a condition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Search {
    /// The setting that is varied.
    pub axis: SearchAxis,
    /// Text of the condition in the profile.
    pub condition: String,
    /// Trials in the order they were run.
    pub trials: Vec<Trial>,
    /// The highest value that held in most of its trials, below all that did not.
    pub holds: Option<f64>,
    /// The lowest value that did not hold in most of its trials.
    pub fails: Option<f64>,
    /// Trials at `holds` that held, and all trials there.
    pub confirmed: (u64, u64),
}

/// The setting that a search varies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SearchAxis {
    /// Requests a second.
    #[default]
    Rate,
    /// Connections: in a closed loop, the concurrency.
    Connections,
}

/// One run of a search.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(from = "SavedTrial", into = "SavedTrial")]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Trial {
    /// The value of the axis.
    pub value: f64,
    /// Index of its step in `steps`.
    pub step: u64,
    /// The judgement on the condition.
    pub outcome: TrialOutcome,
    /// The reasons as one sentence; `None` if the condition held.
    pub because: Option<String>,
    /// The reasons; empty in files of versions that saved the sentence only.
    pub reasons: Vec<UnmetReason>,
}

/// The judgement of one trial on the condition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TrialOutcome {
    /// All parts of the condition hold.
    #[default]
    Holds,
    /// A part does not hold.
    Fails,
    /// No part is known to fail, but the report does not contain the numbers for some of them.
    NotKnown,
}

/// A reason for which a trial does not hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum UnmetReason {
    /// The run as a whole failed.
    RunFailed {
        /// Name of the failure, such as `nothing arrived`.
        failure: String,
    },
    /// Too many answers were neither 2xx nor 3xx.
    BadAnswers {
        /// Percent of all answers.
        percent: f64,
    },
    /// Too many requests were not answered.
    NotAnswered {
        /// Percent of the planned requests.
        percent: f64,
    },
    /// A number of the report is outside its limit.
    Number {
        /// Name of the number.
        name: String,
        /// Its value, in the report's unit.
        value: f64,
    },
    /// The report does not have a number.
    NumberNotKnown {
        /// Name of the number.
        name: String,
    },
    /// The queue grew.
    QueueGrew {
        /// Messages a second.
        per_s: f64,
    },
    /// The report does not have the queue depth.
    QueueGrowthNotKnown,
    /// The generator is not valid.
    Generator {
        /// Its state.
        state: GeneratorState,
    },
}

/// A trial in JSON. Versions that did not save the outcome saved `held` and the sentence.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
struct SavedTrial {
    /// The value of the axis, above 0.
    value: f64,
    /// Index of its step in `steps`.
    step: u64,
    /// True if the condition held.
    held: bool,
    /// The reasons as one sentence; `null` if the condition held.
    because: Option<String>,
    /// The judgement on the condition.
    #[serde(default)]
    outcome: Option<TrialOutcome>,
    /// The reasons as values.
    #[serde(default)]
    reasons: Vec<UnmetReason>,
}

impl Trial {
    /// The trial of a value, judged by the reasons against it.
    pub(crate) fn new(value: f64, step: u64, reasons: Vec<UnmetReason>) -> Self {
        let outcome = if reasons.is_empty() {
            TrialOutcome::Holds
        } else if reasons.iter().all(UnmetReason::is_not_known) {
            TrialOutcome::NotKnown
        } else {
            TrialOutcome::Fails
        };
        let texts: Vec<_> = reasons.iter().map(UnmetReason::to_string).collect();
        let because = (!texts.is_empty()).then(|| texts.join("; "));
        Self { value, step, outcome, because, reasons }
    }

    /// Returns true if the condition held.
    pub(crate) fn held(&self) -> bool {
        self.outcome == TrialOutcome::Holds
    }
}

impl SearchAxis {
    /// The setting's key.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Connections => "connections",
        }
    }

    /// A value of the setting as text: `22,500/s`, `8 connections`.
    pub(crate) fn value_text(self, value: f64) -> String {
        match self {
            Self::Rate => format!("{}/s", format_count(value.round() as u64)),
            Self::Connections => format!("{} connections", format_count(value as u64)),
        }
    }
}

impl TrialOutcome {
    /// The outcome in one or two words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::NotKnown => "not known",
        }
    }
}

impl From<SavedTrial> for Trial {
    fn from(saved: SavedTrial) -> Self {
        let SavedTrial { value, step, held, because, outcome, reasons } = saved;
        let outcome = outcome.unwrap_or_else(|| outcome_of_sentence(held, because.as_deref()));
        Self { value, step, outcome, because, reasons }
    }
}

impl From<Trial> for SavedTrial {
    fn from(trial: Trial) -> Self {
        let held = trial.held();
        let Trial { value, step, outcome, because, reasons } = trial;
        Self { value, step, held, because, outcome: Some(outcome), reasons }
    }
}

/// The outcome in a file of a version that saved only the sentence: each reason that was not known ended so.
fn outcome_of_sentence(held: bool, because: Option<&str>) -> TrialOutcome {
    let is_not_known =
        because.is_some_and(|why| why.split("; ").all(|reason| reason.ends_with("is not known")));
    match (held, is_not_known) {
        (true, _) => TrialOutcome::Holds,
        (false, true) => TrialOutcome::NotKnown,
        (false, false) => TrialOutcome::Fails,
    }
}

impl Search {
    /// The reasons of the last trial at a value, if no trial there is known to fail and one is not known.
    pub(crate) fn unknown_at(&self, value: f64) -> Option<&str> {
        let mut trials = self.trials.iter().filter(|trial| trial.value == value && !trial.held());
        if trials.clone().any(|trial| trial.outcome == TrialOutcome::Fails) {
            return None;
        }
        trials.next_back()?.because.as_deref()
    }
}

impl UnmetReason {
    fn is_not_known(&self) -> bool {
        matches!(self, Self::NumberNotKnown { .. } | Self::QueueGrowthNotKnown)
    }
}

impl fmt::Display for UnmetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunFailed { failure } => f.write_str(failure),
            Self::BadAnswers { percent } => {
                write!(f, "{percent:.1}% of the answers were neither 2xx nor 3xx")
            }
            Self::NotAnswered { percent } => {
                write!(f, "{percent:.1}% of the requests were not answered")
            }
            Self::Number { name, value } => write!(f, "{name} is {}", format_number(name, *value)),
            Self::NumberNotKnown { name } => write!(f, "{name} is not known"),
            Self::QueueGrew { per_s } => {
                write!(f, "the queue grew by {}/s", format_count(per_s.round() as u64))
            }
            Self::QueueGrowthNotKnown => f.write_str("the growth of the queue is not known"),
            Self::Generator { state } => write!(f, "the generator is {state}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_known() -> UnmetReason {
        UnmetReason::NumberNotKnown { name: "arrival.p99".to_owned() }
    }

    #[test]
    fn a_trial_is_not_known_if_every_reason_is() {
        let lost = UnmetReason::Number { name: "messages.lost".to_owned(), value: 4.0 };
        let both = Trial::new(8.0, 0, vec![not_known(), UnmetReason::QueueGrowthNotKnown]);
        assert_eq!(both.outcome, TrialOutcome::NotKnown);
        let failed = Trial::new(8.0, 0, vec![not_known(), lost]);
        assert_eq!(failed.outcome, TrialOutcome::Fails);
        let text = "arrival.p99 is not known; messages.lost is 4";
        assert_eq!(failed.because.as_deref(), Some(text));
        assert!(Trial::new(8.0, 0, Vec::new()).held());
    }

    #[test]
    fn a_trial_is_read_as_it_was_written() {
        let trial = Trial::new(8.0, 3, vec![not_known()]);
        let json = serde_json::to_value(&trial).expect("plain data");
        assert_eq!((&json["held"], &json["outcome"]), (&false.into(), &"not_known".into()));
        assert_eq!(serde_json::from_value::<Trial>(json).expect("a trial"), trial);
    }

    #[test]
    fn trials_of_older_versions_are_judged_by_their_sentence() {
        let outcome = |held: bool, because: Option<&str>| {
            let json = serde_json::json!({"value": 8, "step": 0, "held": held, "because": because});
            serde_json::from_value::<Trial>(json).expect("a trial").outcome
        };
        assert_eq!(outcome(true, None), TrialOutcome::Holds);
        assert_eq!(outcome(false, None), TrialOutcome::Fails);
        let both = "arrival.p99 is not known; how the queue grew is not known";
        assert_eq!(outcome(false, Some(both)), TrialOutcome::NotKnown);
        let one = "arrival.p99 is not known; messages.lost is 4";
        assert_eq!(outcome(false, Some(one)), TrialOutcome::Fails);
    }

    #[test]
    fn a_value_is_not_known_if_none_of_its_trials_fails() {
        let lost = UnmetReason::Number { name: "messages.lost".to_owned(), value: 4.0 };
        let mut search =
            Search { trials: vec![Trial::new(8.0, 0, vec![not_known()])], ..Search::default() };
        assert_eq!(search.unknown_at(8.0), Some("arrival.p99 is not known"));
        assert_eq!(search.unknown_at(9.0), None);
        search.trials.push(Trial::new(8.0, 1, vec![lost]));
        assert_eq!(search.unknown_at(8.0), None);
    }
}
