//! Checks that a saved report can be one that a run has written: a file may have been edited, cut, or made by hand. Nothing
//! that computes with a report has to expect a number that no run can have.

use serde_json::Value;

use super::ramp::RampReport;
use super::{ByRequest, Distribution, Report, Requests};
use crate::core::json::to_value;

/// The largest number that JSON readers keep exact.
const LARGEST: f64 = 9_007_199_254_740_992.0;
/// The longest time in seconds, about thirty years.
const LONGEST_S: f64 = 1e9;
/// The most nodes that share a load.
const MOST_NODES: u64 = 10_000;
/// The longest name of a status, a component, a step.
const LONGEST_NAME: usize = 10_000;
/// Shares of a whole. Rounding may exceed 100 by a little.
const SHARES: [&str; 4] = ["within_stdev_percent", "time_percent", "error_percent", "lost_percent"];
const WHOLE_PERCENT: f64 = 100.5;
/// Histograms as text, which are written into other forms as they are.
const HISTOGRAMS: [&str; 2] = ["hdr", "ages_hdr"];
/// Numbers that may be below zero: the distance of two clocks, and what a condition was held against.
const SIGNED: [&str; 2] = ["offset", "value"];

const ENDS: &str = "completed + failed + unfinished";
const STATUSES: &str = "the answers by status";

/// A field, by its dotted name, that no run can have written, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {what}; was the file edited?")]
pub struct CheckError {
    field: String,
    what: String,
}

impl CheckError {
    fn below(self, place: &str) -> Self {
        Self { field: format!("{place}.{}", self.field), ..self }
    }
}

fn refuse(field: impl Into<String>, what: impl Into<String>) -> CheckError {
    CheckError { field: field.into(), what: what.into() }
}

impl Report {
    /// Refuses numbers that no run can have, and counts that contradict each other.
    pub(crate) fn check(&self) -> Result<(), CheckError> {
        check_numbers(&to_value(self))?;
        self.check_counts()
    }

    fn check_counts(&self) -> Result<(), CheckError> {
        check_requests(&self.requests)?;
        if let Some(messages) = &self.messages {
            at_most("messages.accepted", messages.accepted, "lost", &[messages.lost])?;
        }
        self.by_request.iter().try_for_each(check_request)?;
        if self.heatmap.as_ref().is_some_and(|map| !map.is_sound()) {
            return Err(refuse("heatmap", "has rows or columns that no run writes"));
        }
        let run = &self.run;
        if humantime::parse_rfc3339(&run.started_at).is_err() {
            return Err(refuse("run.started_at", "is not a time of the form 2026-11-22T20:26:30Z"));
        }
        if let Some(node) =
            run.node.filter(|node| node.index >= node.count || node.count > MOST_NODES)
        {
            let what = format!("is {} of {}", node.index, node.count);
            return Err(refuse("run.node", what));
        }
        if let Some(parts) = run.parts.as_ref().filter(|parts| parts.count > MOST_NODES) {
            return Err(refuse(
                "run.parts.count",
                format!("is {}, above {MOST_NODES}", parts.count),
            ));
        }
        let latency = &self.latency;
        let mut distributions = vec![
            ("latency.response", &latency.response),
            ("latency.service", &latency.service),
            ("latency.lateness", &latency.lateness),
            ("latency.pacing", &latency.pacing),
        ];
        distributions.extend(latency.connect.iter().map(|connect| ("latency.connect", connect)));
        distributions.extend(self.arrival.iter().map(|arrival| ("arrival", arrival)));
        distributions.extend(self.stages.iter().map(|stage| ("stages", &stage.distribution)));
        distributions
            .into_iter()
            .try_for_each(|(name, distribution)| check_order(name, distribution))
    }
}

impl RampReport {
    /// Checks the report of every step.
    pub(crate) fn check(&self) -> Result<(), CheckError> {
        for (number, step) in self.steps.iter().enumerate() {
            let place = format!("steps[{number}].report");
            step.report
                .as_ref()
                .map_or(Ok(()), Report::check_counts)
                .map_err(|e| e.below(&place))?;
        }
        check_numbers(&to_value(self))
    }
}

fn check_requests(requests: &Requests) -> Result<(), CheckError> {
    let Requests { planned, sent, dropped, completed, failed, unfinished, status, .. } = requests;
    at_most("requests.planned", *planned, "sent + dropped", &[*sent, *dropped])?;
    at_most("requests.sent", *sent, ENDS, &[*completed, *failed, *unfinished])?;
    let answers: Vec<_> = status.values().copied().collect();
    at_most("requests.completed", *completed, STATUSES, &answers)
}

fn check_request(request: &ByRequest) -> Result<(), CheckError> {
    let ByRequest { name, sent, completed, failed, unfinished, status, .. } = request;
    let field = |field: &str| format!("by_request.{name}.{field}");
    at_most(&field("sent"), *sent, ENDS, &[*completed, *failed, *unfinished])?;
    let answers: Vec<_> = status.values().copied().collect();
    at_most(&field("completed"), *completed, STATUSES, &answers)
}

/// Refuses parts that are more than their whole.
fn at_most(field: &str, whole: u64, names: &str, parts: &[u64]) -> Result<(), CheckError> {
    let sum = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part));
    match sum.filter(|sum| *sum <= whole) {
        Some(_) => Ok(()),
        None => Err(refuse(field, format!("is {whole}, less than {names}"))),
    }
}

/// Refuses a minimum above the maximum.
fn check_order(name: &str, distribution: &Distribution) -> Result<(), CheckError> {
    if let (Some(min), Some(max)) = (distribution.min, distribution.max)
        && min > max
    {
        return Err(refuse(format!("{name}.min"), format!("is {min}, above the max {max}")));
    }
    Ok(())
}

/// Refuses numbers below zero or beyond what can be counted, by the names of their fields.
fn check_numbers(value: &Value) -> Result<(), CheckError> {
    let Value::Object(fields) = value else { return Ok(()) };
    for (name, field) in fields {
        if name.len() > LONGEST_NAME {
            let begin: String = name.chars().take(20).collect();
            return Err(refuse(format!("'{begin}…'"), "has a name that is too long"));
        }
        check_field(name, field)?;
    }
    Ok(())
}

fn check_field(name: &str, field: &Value) -> Result<(), CheckError> {
    match field {
        Value::Object(_) => check_numbers(field).map_err(|error| error.below(name)),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(number, item)| {
            check_numbers(item).map_err(|error| error.below(&format!("{name}[{number}]")))?;
            item.as_f64().map_or(Ok(()), |number| check_number(name, number))
        }),
        Value::String(text) if HISTOGRAMS.contains(&name) && !text.bytes().all(is_base64) => {
            Err(refuse(name, "is not base64"))
        }
        field => field.as_f64().map_or(Ok(()), |number| check_number(name, number)),
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

fn check_number(name: &str, number: f64) -> Result<(), CheckError> {
    let is_signed = SIGNED.iter().any(|part| name.contains(part));
    if number < 0.0 && !is_signed {
        return Err(refuse(name, format!("is {number}, below zero")));
    }
    let most = match name {
        name if SHARES.contains(&name) => WHOLE_PERCENT,
        name if name.ends_with("_s") && !name.ends_with("per_s") => LONGEST_S,
        _ => LARGEST,
    };
    if number.abs() > most || number.is_nan() {
        return Err(refuse(name, format!("is {number}, above {most}")));
    }
    Ok(())
}
