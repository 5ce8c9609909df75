//! Any number of the report by its dotted name: `arrival.p99`, `requests.status.500`,
//! `resources.api.cpu_percent_max`, `stages.sent-api.p50`,
//! `by_request.login.response.p99`.

use std::borrow::Cow;

use serde_json::Value;

use super::{Report, ThresholdResult};
use crate::config::plan::{BoundUnit, PlanError, Threshold};
use crate::core::json::to_value;
use crate::core::nearest::nearest;
use crate::core::units::{format_memory, format_time};

/// The schema of the report, which knows every number there can be.
const SCHEMA: &str = include_str!("../../schema/report.schema.json");
/// In a name from the schema: one item of a list, or one key of a map.
const ANY: &str = "*";

/// The value at a dotted name. In a list a part is the component, the request, or the
/// stage as `from-to`.
pub(crate) fn find<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(report, |value, part| match value {
        Value::Object(fields) => fields.get(part),
        Value::Array(items) => items.iter().find(|item| is_called(item, part)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

fn is_called(item: &Value, name: &str) -> bool {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    let stage = || Some(format!("{}-{}", text("from")?, text("to")?));
    [text("component"), text("name"), stage().as_deref()].contains(&Some(name))
}

/// The number of that dotted name, as far as this report has one.
pub fn number(report: &Report, name: &str) -> Option<f64> {
    value_of(&to_value(report), name)
}

pub(crate) fn value_of(numbers: &Value, name: &str) -> Option<f64> {
    match find(numbers, &whole(name)) {
        Some(value) => value.as_f64(),
        // A status that never came has come 0 times.
        None if name.starts_with("requests.status.") => Some(0.0),
        None => None,
    }
}

/// `response.p99` is short for `latency.response.p99`, as `arrival.p99` is its own whole name.
fn whole(name: &str) -> Cow<'_, str> {
    match name {
        "error_percent" => return Cow::Borrowed("requests.error_percent"),
        "lost_percent" => return Cow::Borrowed("messages.lost_percent"),
        _ => {}
    }
    let first = name.split('.').next().unwrap_or_default();
    if ["response", "service", "lateness", "pacing", "waiting", "connect"].contains(&first) {
        Cow::Owned(format!("latency.{name}"))
    } else {
        Cow::Borrowed(name)
    }
}

/// Returns true if the number of that name is in microseconds.
pub(crate) fn is_time(name: &str) -> bool {
    let name = whole(name);
    let parts: Vec<_> = name.split('.').collect();
    match parts[..] {
        ["arrival", last] | ["latency" | "stages", _, last] | ["by_request", _, _, last] => {
            last != "count"
        }
        _ => name.ends_with("_us"),
    }
}

/// Returns true if the number of that name is a percentage.
pub(crate) fn is_percent(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.split('_').any(|word| word == "percent")
}

/// The name in a condition, `arrival.p99` of `arrival.p99>5ms`.
pub(crate) fn name_in(expr: &str) -> &str {
    expr.split(['>', '<', '=', '!']).next().unwrap_or(expr).trim()
}

/// The value that a condition was held against, a time with its unit; `None` where there was none.
pub(crate) fn found(threshold: &ThresholdResult) -> Option<String> {
    threshold.value.map(|value| format_number(name_in(&threshold.expr), value))
}

/// A number of that dotted name as people read it: a time or a percentage with its unit, anything else as
/// it is.
pub(crate) fn format_number(name: &str, value: f64) -> String {
    if is_time(name) {
        format_time(value)
    } else if is_percent(name) {
        format!("{value}%")
    } else if name.ends_with("_bytes") {
        format_memory(value)
    } else {
        value.to_string()
    }
}

/// Formats the number of a condition as a part of a sentence.
pub(crate) fn it_is(threshold: &ThresholdResult) -> String {
    found(threshold)
        .map_or_else(|| "it was not measured".to_owned(), |value| format!("it is {value}"))
}

/// Refuses conditions on numbers that no report has, before a run is spent on them.
pub(crate) fn check_names(thresholds: &[Threshold]) -> Result<(), PlanError> {
    thresholds.iter().try_for_each(|threshold: &Threshold| {
        check_name(threshold.name())
            .and_then(|()| check_unit(threshold))
            .map_err(|why| PlanError::new(format!("--fail-if: {why}")))
    })
}

/// Refuses `--fail-if` conditions that cannot be read, or are on numbers that no report has. This comes
/// before the plan is made, which asks whether there are enough values for them.
pub(crate) fn check_conditions(texts: &[String]) -> Result<(), PlanError> {
    let thresholds = texts.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>()?;
    check_names(&thresholds)
}

/// Refuses a percentage or a duration that is compared with a number of another unit.
pub(crate) fn check_unit(threshold: &Threshold) -> Result<(), String> {
    let name = threshold.name();
    let why = match threshold.unit() {
        BoundUnit::Percent if !is_percent(name) => {
            let meant = match name {
                "messages.lost" => ", or lost_percent",
                "requests.failed" | "requests.refused" | "requests.unfinished" => {
                    ", or error_percent"
                }
                _ => "",
            };
            format!("is not a percentage; write a number without %{meant}")
        }
        BoundUnit::Duration if is_percent(name) => {
            "is a percentage; write a number or 1%".to_owned()
        }
        BoundUnit::Duration if !is_time(name) => {
            "is not a time in microseconds; write a number without a unit".to_owned()
        }
        BoundUnit::Number if needs_time_unit(threshold) => {
            format!("is a time and needs a unit: write {0}us or {0}ms", threshold.written_bound())
        }
        _ => return Ok(()),
    };
    Err(format!("'{threshold}': {name} {why}"))
}

/// Returns true if a condition compares a time with a number alone: it can be meant in any unit. The name of some
/// times has the unit, and zero needs none.
fn needs_time_unit(threshold: &Threshold) -> bool {
    let name = threshold.name();
    is_time(name) && !name.ends_with("_us") && threshold.bound() != 0.0
}

/// Checks that reports have a number of that name. The error names similar numbers.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if names().iter().any(|known| stands_for(known, &whole(name))) {
        return Ok(());
    }
    let meant = name.replace(".p99.9", ".p99_9").replace(".p999", ".p99_9");
    if meant != name && check_name(&meant).is_ok() {
        return Err(format!("the report has no number '{name}'; write {meant}"));
    }
    let near = near_names(name);
    let hint = if near.is_empty() {
        "some that it has are arrival.p99, response.p99, messages.lost, error_percent".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    Err(format!("the report has no number '{name}'; {hint}"))
}

/// Names of some numbers in other tools, and names that users expect.
const OTHER_NAMES: [(&[&str], &str); 4] = [
    (&["error_rate", "errors", "error", "failure_rate", "http_req_failed"], "error_percent"),
    (&["loss", "lost_rate", "loss_rate", "loss_percent"], "lost_percent"),
    (&["rps", "rate", "throughput", "requests_per_sec"], "requests.completed_per_s"),
    (&["failed", "failures"], "requests.failed"),
];

/// Numbers that may be meant by a name that none has.
fn near_names(name: &str) -> Vec<String> {
    if let Some((_, meant)) = OTHER_NAMES.iter().find(|(others, _)| others.contains(&name)) {
        return vec![(*meant).to_owned()];
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let same_ending: Vec<_> = numbers_ending_in(last).into_iter().take(5).collect();
    if !same_ending.is_empty() {
        return same_ending;
    }
    let names = names();
    let meant =
        nearest(&whole(name), names.iter().map(String::as_str).filter(|n| !n.contains(ANY)));
    meant.map(ToOwned::to_owned).into_iter().collect()
}

/// The numbers whose dotted names end so: `lost` → `messages.lost`.
pub(crate) fn numbers_ending_in(part: &str) -> Vec<String> {
    let ending = format!(".{part}");
    names().into_iter().filter(|n| !n.contains(ANY) && n.ends_with(&ending)).collect()
}

/// All dotted names of numbers. A condition on the heat map makes no sense, and nodes have no names.
fn names() -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON; a test reads it");
    let mut names = Vec::new();
    collect(&schema, &schema, "", &mut names);
    names.retain(|name| !name.starts_with("heatmap.") && !name.starts_with("nodes."));
    names
}

/// All dotted names of numbers below a part of the schema.
fn collect(part: &Value, schema: &Value, name: &str, names: &mut Vec<String>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    if let Some(Value::String(reference)) = part.get("$ref") {
        let target = schema.pointer(reference.trim_start_matches('#'));
        return target.into_iter().for_each(|target| collect(target, schema, name, names));
    }
    for choice in part.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        collect(choice, schema, name, names);
    }
    for (key, property) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
        collect(property, schema, &below(key), names);
    }
    for list in ["items", "additionalProperties"] {
        part.get(list).into_iter().for_each(|item| collect(item, schema, &below(ANY), names));
    }
    if is_number(part) {
        names.push(name.to_owned());
    }
}

fn is_number(part: &Value) -> bool {
    let number = |kind: &Value| matches!(kind.as_str(), Some("number" | "integer"));
    match part.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(number),
        Some(kind) => number(kind),
        None => false,
    }
}

/// Returns true if a name of the schema covers the name. Rows of the series have no names.
fn stands_for(known: &str, asked: &str) -> bool {
    let (known, asked): (Vec<_>, Vec<_>) = (known.split('.').collect(), asked.split('.').collect());
    let same =
        |(known, asked): (&&str, &&str)| known == asked || *known == ANY && !asked.is_empty();
    known.len() == asked.len() && known[0] != "series" && known.iter().zip(&asked).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_has_the_unit_of_its_number() {
        let check = |text: &str| check_conditions(&[text.to_owned()]).map_err(|e| e.to_string());
        for text in [
            "error_percent>1%",
            "lost_percent > 0.1 %",
            "requests.error_percent>1",
            "messages.lost_percent>1%",
            "resources.api.cpu_percent_max>90%",
            "requests.per_thread.within_stdev_percent<50%",
            "messages.arrived<1",
            "requests.refused>0",
            "waiting.p99>5ms",
            "by_request.login.response.p99>5ms",
            "run.duration_s>5",
            "arrival.max>0",
            "script.per_request_us>2",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for (text, part) in [
            (
                "messages.lost>1%",
                "messages.lost is not a percentage; write a number without %, or lost_percent",
            ),
            ("requests.failed>1%", "or error_percent"),
            ("arrival.p99>1%", "arrival.p99 is not a percentage; write a number without %"),
            ("error_percent>1ms", "error_percent is a percentage; write a number or 1%"),
            ("messages.lost>1s", "messages.lost is not a time in microseconds"),
            ("run.duration_s>5s", "write a number without a unit"),
            (
                "arrival.p99>10",
                "'arrival.p99>10': arrival.p99 is a time and needs a unit: write 10us or 10ms",
            ),
            (
                "response.p99 >= 2.5",
                "response.p99 is a time and needs a unit: write 2.5us or 2.5ms",
            ),
            ("percent>1%", "no number 'percent'"),
            ("nosuch.p99>5ms", "no number 'nosuch.p99'"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.starts_with("--fail-if") && error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_a_condition_found_is_told_with_its_unit() {
        let told = |expr: &str, value: Option<f64>| {
            it_is(&ThresholdResult { expr: expr.to_owned(), value, ok: false })
        };
        for (expr, words) in [
            ("arrival.p99>1us", "it is 8.81ms"),
            ("response.p99 >= 1us", "it is 8.81ms"),
            ("latency.service.max>1ms", "it is 8.81ms"),
            ("stages.sent-api.p50>1ms", "it is 8.81ms"),
            ("by_request.view.response.p99!=5ms", "it is 8.81ms"),
            ("script.per_request_us>1", "it is 8.81ms"),
            ("error_percent>1%", "it is 8806.399%"),
            ("arrival.count<1", "it is 8806.399"),
            ("requests.per_thread.max<1", "it is 8806.399"),
            ("by_request.view.sent==7", "it is 8806.399"),
        ] {
            assert_eq!(told(expr, Some(8_806.399)), words, "{expr}");
        }
        assert_eq!(told("arrival.p99>1us", None), "it was not measured");
    }
}
