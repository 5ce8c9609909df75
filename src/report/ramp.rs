//! A ramp's report: one report for each step, never blended, and what follows from them together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Report, Tool};
use crate::core::printable::printable_json;

/// What a ramp found out. Saved after every step, so that a ramp that breaks off keeps what it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RampReport {
    /// [`super::SCHEMA_VERSION`]
    pub schema_version: u32,
    /// `ramp`; a run's report has no such field.
    pub kind: String,
    /// What wrote it.
    pub tool: Tool,
    /// The profile's file name without its ending.
    pub name: String,
    /// The question the profile answers: its opening comment.
    pub question: Option<String>,
    /// The command that repeats it, without secrets.
    pub command: String,
    /// When the first step began, RFC 3339 in UTC.
    pub started_at: String,
    /// The setting that differs from step to step (`connections`, `rate`), if it is one number.
    pub axis: Option<String>,
    /// Steps planned; `null` for a search, which finds its steps as it goes.
    pub planned_steps: Option<u64>,
    /// Whether it came to its end.
    pub complete: bool,
    /// The steps in the order they were run.
    pub steps: Vec<RampStep>,
    /// The knee search, where there was one.
    pub search: Option<Search>,
    /// What follows, in sentences.
    pub findings: Vec<Finding>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RampStep {
    /// Its name, such as `connections 4`.
    pub name: String,
    /// The setting of the axis in this step.
    pub x: Option<f64>,
    /// The settings that it changes, by their long names, without secrets.
    pub settings: BTreeMap<String, String>,
    /// Why there is no report, or why its run broke off.
    pub error: Option<String>,
    /// Its own report: of its measured part only.
    pub report: Option<Report>,
}

/// A search for the highest value that holds a condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// `rate` or `connections`
    pub axis: String,
    /// As written in the profile.
    pub condition: String,
    /// In the order they were tried.
    pub trials: Vec<Trial>,
    /// The highest value that was confirmed to hold.
    pub holds: Option<f64>,
    /// The lowest value above it that did not.
    pub fails: Option<f64>,
    /// Runs at `holds` that held, of how many.
    pub confirmed: (u64, u64),
}

/// One run of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What was tried.
    pub value: f64,
    /// Its place in `steps`, from 0.
    pub step: u64,
    /// Whether the condition held.
    pub held: bool,
    /// The part of the condition that did not hold, with its number.
    pub because: Option<String>,
}

/// How a reason ends that is none: the report does not say.
pub const NOT_KNOWN: &str = "is not known";

impl Trial {
    /// Why nobody can tell whether the condition held, if all that speaks against it is what is not known.
    pub fn unknown(&self) -> Option<&str> {
        let because = self.because.as_deref().filter(|_| !self.held)?;
        because.split("; ").all(|reason| reason.ends_with(NOT_KNOWN)).then_some(because)
    }

    /// Result of the trial in one or two words.
    pub fn outcome(&self) -> &'static str {
        if self.held {
            "holds"
        } else if self.unknown().is_some() {
            "not known"
        } else {
            "fails"
        }
    }
}

impl Search {
    /// Why nobody can tell whether the condition holds at a value, if no trial of it says that it does not.
    pub fn unknown_at(&self, value: f64) -> Option<&str> {
        let failed = self.trials.iter().filter(|trial| trial.value == value && !trial.held);
        failed.map(Trial::unknown).collect::<Option<Vec<_>>>()?.last().copied()
    }
}

/// A sentence that follows from the steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `capacity`, `sizing`, `arrival`, `bottleneck`, `knee` or `caution`
    pub kind: String,
    /// The sentence, with its figures.
    pub text: String,
}

impl RampStep {
    /// Its run came to its end without a single answer.
    pub fn is_silent(&self) -> bool {
        let answered = self.report.as_ref().map(|report| report.requests.completed);
        self.error.is_none() && answered == Some(0)
    }

    /// Failures of a run that came to its end and proves nothing.
    pub fn failures(&self) -> &[String] {
        match &self.report {
            Some(report) if self.error.is_none() => &report.verdict.failures,
            _ => &[],
        }
    }
}

impl RampReport {
    /// Steps that prove nothing where that is a fault: a search may go where nothing succeeds or arrives,
    /// as long as it has other steps.
    pub fn failed_steps(&self) -> Vec<&RampStep> {
        let failed = self.steps.iter().filter(|step| !step.failures().is_empty());
        let failed: Vec<_> = failed.collect();
        if self.search.is_some() && failed.len() < self.steps.len() {
            return Vec::new();
        }
        failed
    }

    /// How far it came: the steps that were begun, of how many, and what became of them.
    pub(crate) fn progress(&self) -> String {
        let begun = self.steps.len();
        let of = match self.planned_steps {
            Some(planned) => format!("{begun} of {planned} steps"),
            None => format!("{begun} runs"),
        };
        let broken = self.steps.iter().filter(|step| step.error.is_some()).count();
        let faults = [(broken, "not run to its end"), (self.failed_steps().len(), "failed")];
        let faults = faults.into_iter().filter(|(count, _)| *count > 0);
        faults.fold(of, |text, (count, what)| format!("{text}, {count} of them {what}"))
    }

    /// Returns true if all was run to its end, and no step failed.
    pub(crate) fn is_whole(&self) -> bool {
        self.complete
            && self.failed_steps().is_empty()
            && self.steps.iter().all(|step| step.error.is_none())
    }

    /// Reads a saved report.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let mut ramp: Self = serde_json::from_str(text)?;
        ramp.complete();
        Ok(ramp)
    }

    /// Fills in what follows from other fields of each step's report.
    pub(crate) fn complete(&mut self) {
        self.steps.iter_mut().filter_map(|step| step.report.as_mut()).for_each(Report::complete);
    }

    /// The file's text: JSON, two spaces deep, ending in a newline.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("plain data can be written");
        printable_json(text + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(because: Option<&str>) -> Trial {
        let because = because.map(str::to_owned);
        Trial { value: 8.0, step: 0, held: because.is_none(), because }
    }

    #[test]
    fn what_is_not_known_is_told_from_what_is_broken() {
        let not_known = "arrival.p99 is not known; how the queue grew is not known";
        let broken = "arrival.p99 is not known; messages.lost is 4";
        assert_eq!(trial(Some("how the queue grew is not known")).outcome(), "not known");
        assert_eq!(trial(Some(not_known)).unknown(), Some(not_known));
        assert_eq!(trial(Some(broken)).unknown(), None);
        assert_eq!([trial(Some(broken)).outcome(), trial(None).outcome()], ["fails", "holds"]);
    }
}
