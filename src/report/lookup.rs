//! Any number of the report by its dotted name: `arrival.p99`, `requests.status.500`,
//! `resources.api.cpu_percent_max`, `stages.sent-api.p50`.

use serde_json::Value;

use crate::plan::{PlanError, Threshold};

/// The schema of the report, which knows every number there can be.
const SCHEMA: &str = include_str!("../../schema/report.schema.json");
/// In a name from the schema: one item of a list, or one key of a map.
const ANY: &str = "*";

/// The value at a dotted name. In a list a part is the component, or the stage as `from-to`.
pub(super) fn find<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(report, |value, part| match value {
        Value::Object(fields) => fields.get(part),
        Value::Array(items) => items.iter().find(|item| is_called(item, part)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

fn is_called(item: &Value, name: &str) -> bool {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    let stage = || Some(format!("{}-{}", text("from")?, text("to")?));
    text("component") == Some(name) || stage().as_deref() == Some(name)
}

/// Refuses conditions on numbers that no report has, before a run is spent on them.
pub fn check_names(thresholds: &[Threshold]) -> Result<(), PlanError> {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON; a test reads it");
    let mut names = Vec::new();
    collect(&schema, &schema, "", &mut names);
    for name in thresholds.iter().map(Threshold::name) {
        if !names.iter().any(|known| stands_for(known, name)) {
            let near: Vec<_> = names.iter().filter(|n| is_near(n, name)).take(5).cloned().collect();
            let hint = match near.is_empty() {
                true => "such as arrival.p99, latency.response.p99, messages.lost".to_owned(),
                false => format!("did you mean {}?", near.join(", ")),
            };
            let text = format!("--fail-if: the report has no number '{name}'; {hint}");
            return Err(PlanError::new(text));
        }
    }
    Ok(())
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

/// Whether a name of the schema is the one asked for. Rows of the series have no name of their own.
fn stands_for(known: &str, asked: &str) -> bool {
    let (known, asked): (Vec<_>, Vec<_>) = (known.split('.').collect(), asked.split('.').collect());
    let same =
        |(known, asked): (&&str, &&str)| known == asked || *known == ANY && !asked.is_empty();
    known.len() == asked.len() && known[0] != "series" && known.iter().zip(&asked).all(same)
}

/// Names that end alike: `p99` → `arrival.p99`, `response.p99` → `latency.response.p99`.
fn is_near(known: &str, asked: &str) -> bool {
    let last = asked.rsplit('.').next().unwrap_or(asked);
    !known.contains(ANY) && known.ends_with(&format!(".{last}"))
}
