//! Any number of the report by its dotted name: `arrival.p99`, `requests.status.500`,
//! `resources.api.cpu_percent_max`, `stages.sent-api.p50`.

use serde_json::Value;

/// The value at a dotted name. In a list a part is the component, or the stage as `from-to`.
pub(super) fn find<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(report, |value, part| match value {
        Value::Object(fields) => fields.get(part),
        Value::Array(items) => items.iter().find(|item| is_called(item, part)),
        _ => None,
    })
}

fn is_called(item: &Value, name: &str) -> bool {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    let stage = || Some(format!("{}-{}", text("from")?, text("to")?));
    text("component") == Some(name) || stage().as_deref() == Some(name)
}

/// All dotted names of numbers, given a report in which everything is present.
pub(super) fn names(report: &Value) -> Vec<String> {
    let mut names = Vec::new();
    collect(report, "", &mut names);
    names
}

fn collect(value: &Value, name: &str, names: &mut Vec<String>) {
    let below =
        |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| collect(value, &below(key), names))
        }
        Value::Array(items) => {
            for item in items {
                let part = match (item.get("component"), item.get("from"), item.get("to")) {
                    (Some(Value::String(component)), ..) => component.clone(),
                    (None, Some(Value::String(from)), Some(Value::String(to))) => {
                        format!("{from}-{to}")
                    }
                    _ => continue,
                };
                collect(item, &below(&part), names);
            }
        }
        Value::Number(_) => names.push(name.to_owned()),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
