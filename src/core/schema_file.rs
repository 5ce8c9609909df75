//! The JSON schemas in `schema/`, made from the types: a test compares each file with its types.
//!
//! `LOADGEN_UPDATE_SCHEMA=1 cargo test --lib schema` writes the files anew.

use std::fs;
use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// A time as reports have it, RFC 3339 in UTC.
pub(crate) const TIME: &str = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$";

/// Compares the file `schema/NAME.schema.json` with the schema of a type.
pub(crate) fn check<T: JsonSchema>(name: &str, title: &str, description: &str) {
    check_file(name, &schema::<T>(title, description));
}

/// Does the same as [`check`] for a type whose floating-point numbers are not below zero.
pub(crate) fn check_unsigned<T: JsonSchema>(name: &str, title: &str, description: &str) {
    let mut schema = schema::<T>(title, description);
    add_minimum(&mut schema);
    check_file(name, &schema);
}

fn check_file(name: &str, schema: &Value) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{name}.schema.json"));
    let text = serde_json::to_string_pretty(&schema).expect("plain data") + "\n";
    if std::env::var_os("LOADGEN_UPDATE_SCHEMA").is_some() {
        fs::write(&file, text).expect("the folder is writable");
        return;
    }
    let saved = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        saved == text,
        "{} is not the schema of the types: run LOADGEN_UPDATE_SCHEMA=1 cargo test --lib schema",
        file.display()
    );
}

/// The schema of the JSON that this version writes. Fields that a file of an older version may lack are optional.
fn schema<T: JsonSchema>(title: &str, description: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    schema["title"] = title.into();
    schema["description"] = description.into();
    make_added_fields_optional(&mut schema);
    join_lines(&mut schema);
    schema
}

/// Removes the fields with a default from the required ones: a file may lack exactly these.
fn make_added_fields_optional(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let properties = object.get("properties").cloned().unwrap_or_default();
            if let Some(Value::Array(required)) = object.get_mut("required") {
                required.retain(|name| {
                    let property = name.as_str().and_then(|name| properties.get(name));
                    property.is_none_or(|property| property.get("default").is_none())
                });
            }
            object.values_mut().for_each(make_added_fields_optional);
        }
        Value::Array(items) => items.iter_mut().for_each(make_added_fields_optional),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Adds a minimum of 0 to every floating-point number, except one whose minimum is set to null.
fn add_minimum(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("format").is_some_and(|format| format == "double") {
                let minimum = object.entry("minimum").or_insert_with(|| 0.into());
                if minimum.is_null() {
                    object.remove("minimum");
                }
            }
            object.values_mut().for_each(add_minimum);
        }
        Value::Array(items) => items.iter_mut().for_each(add_minimum),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Joins the lines of each description.
fn join_lines(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace("\n\n", "\u{0}").replace('\n', " ").replace('\u{0}', "\n\n");
            }
            object.values_mut().for_each(join_lines);
        }
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A run's report, which has a schema of its own, or null.
pub(crate) fn report_or_null(_: &mut SchemaGenerator) -> Schema {
    let schema = json!({ "anyOf": [{ "$ref": "report.schema.json" }, { "type": "null" }] });
    schema.try_into().expect("an object")
}
