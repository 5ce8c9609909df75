//! A ramp's report: one report for each step, never blended, and what follows from them together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Remark;
use super::{Report, Tool};
use crate::core::printable::printable_json;
#[cfg(test)]
use crate::core::schema_file;

pub use super::finding::{Finding, FindingKind};
pub use super::trial::{Search, SearchAxis, Trial, TrialOutcome, UnmetReason};

/// Report of a ramp. It is saved after every step, so that a ramp that breaks off keeps its finished steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct RampReport {
    /// Version of the file format; it rises if a field changes its meaning or is removed.
    #[cfg_attr(test, schemars(extend("const" = 1)))]
    pub schema_version: u32,
    /// `ramp`; a run's report does not have this field.
    #[cfg_attr(test, schemars(extend("const" = "ramp")))]
    pub kind: String,
    /// The program that wrote it.
    pub tool: Tool,
    /// The profile's file name without its ending.
    pub name: String,
    /// The question the profile answers: its opening comment.
    pub question: Option<String>,
    /// The command that repeats it, without secrets.
    pub command: String,
    /// When the first step began, RFC 3339 in UTC.
    #[cfg_attr(test, schemars(regex(pattern = schema_file::TIME)))]
    pub started_at: String,
    /// The setting that differs from step to step (`connections`, `rate`), if it is one number.
    pub axis: Option<String>,
    /// Steps planned; `null` for a search, which finds its steps as it goes.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub planned_steps: Option<u64>,
    /// True if it came to its end.
    pub complete: bool,
    /// The steps in the order they were run.
    pub steps: Vec<RampStep>,
    /// The search; `null` if the profile lists its steps.
    pub search: Option<Search>,
    /// Conclusions from the steps.
    pub findings: Vec<Finding>,
}

/// One step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct RampStep {
    /// Its name, such as `connections 4`.
    pub name: String,
    /// The setting of the axis in this step.
    pub x: Option<f64>,
    /// The settings that it changes, by their long names, without secrets.
    pub settings: BTreeMap<String, String>,
    /// Name that it shares with the steps on the same curve, which differ from it in the axis alone; empty if the
    /// ramp has one curve. `null` in files of versions that did not save it.
    #[serde(default)]
    pub curve: Option<String>,
    /// Reason why there is no report, or why its run broke off.
    pub error: Option<String>,
    /// Report of its measured part.
    #[cfg_attr(test, schemars(schema_with = "schema_file::report_or_null"))]
    pub report: Option<Report>,
}

impl RampStep {
    /// Returns true if its run came to its end without a single answer.
    pub(crate) fn is_silent(&self) -> bool {
        let answered = self.report.as_ref().map(|report| report.requests.completed);
        self.error.is_none() && answered == Some(0)
    }

    /// Failures of a run that came to its end.
    pub(crate) fn failures(&self) -> &[Remark] {
        match &self.report {
            Some(report) if self.error.is_none() => &report.verdict.failures,
            _ => &[],
        }
    }
}

impl RampReport {
    /// Steps with failures that count against the ramp. A search may try values at which nothing succeeds or
    /// arrives, as long as it has other steps.
    pub(crate) fn failed_steps(&self) -> Vec<&RampStep> {
        let failed = self.steps.iter().filter(|step| !step.failures().is_empty());
        let failed: Vec<_> = failed.collect();
        if self.search.is_some() && failed.len() < self.steps.len() {
            return Vec::new();
        }
        failed
    }

    /// Number of steps that were begun and planned, and of those that went wrong, as text.
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

    #[cfg(test)]
    /// Reads a saved report.
    pub(crate) fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let mut ramp: Self = serde_json::from_str(text)?;
        ramp.complete();
        Ok(ramp)
    }

    /// Fills in the fields that follow from others, also in files of versions that did not save them.
    pub(crate) fn complete(&mut self) {
        let axis = self.axis.as_deref();
        for step in &mut self.steps {
            if let Some(report) = &mut step.report {
                report.complete();
            }
            if step.curve.is_none() {
                step.curve = Some(curve_from_name(step, axis));
            }
        }
    }

    /// The file's text: JSON, two spaces deep, ending in a newline.
    pub(crate) fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("plain data can be written");
        printable_json(text + "\n")
    }
}

/// The curve of a step of a file that does not have it. The step's name consists of a name from the profile, or of all
/// changed settings; then come the values of a sweep. The curve is the name without the axis.
fn curve_from_name(step: &RampStep, axis: Option<&str>) -> String {
    let settings: Vec<_> =
        step.settings.iter().map(|(key, value)| format!("{key} {value}")).collect();
    let mut parts: Vec<&str> = step.name.split(", ").collect();
    if !parts.iter().any(|part| settings.iter().any(|setting| setting == part)) {
        return String::new();
    }
    let value = axis.and_then(|axis| Some(format!("{axis} {}", step.settings.get(axis)?)));
    parts.retain(|part| value.as_deref() != Some(*part));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_a_ramp_is_that_of_its_types() {
        schema_file::check::<RampReport>(
            "ramp",
            "loadgen ramp report",
            "A ramp's report, schema version 1: the report of each step's run, and the conclusions from them. Additions keep the \
             version; it rises if a field changes its meaning or is removed.",
        );
    }

    #[test]
    fn the_curve_of_an_older_step_follows_from_its_name() {
        let curve = |name: &str, settings: &[(&str, &str)]| {
            let settings = settings.iter().map(|(key, value)| ((*key).into(), (*value).into()));
            let step = RampStep {
                name: name.to_owned(),
                settings: settings.collect(),
                ..RampStep::default()
            };
            curve_from_name(&step, Some("rate"))
        };
        assert_eq!(curve("rate 2000", &[("rate", "2000")]), "");
        let swept = [("rate", "2000"), ("coupling", "direct")];
        assert_eq!(curve("coupling direct, rate 2000", &swept), "coupling direct");
        assert_eq!(curve("one, rate 2000", &[("rate", "2000"), ("threads", "1")]), "one");
        assert_eq!(curve("one", &[("rate", "2000")]), "", "named steps share a curve");
        assert_eq!(curve("step 1", &[]), "");
    }
}
