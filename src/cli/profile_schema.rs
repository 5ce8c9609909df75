//! The schema of profiles, schema/profile.schema.json, made from the definitions of the settings. Editors complete
//! `profiles/*.toml` with it. It exists in tests only; `LOADGEN_UPDATE_SCHEMA=1 cargo test --lib schema` writes the
//! file again.

use std::borrow::Cow;

use clap::{Args as _, Command};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::config::settings::{RequestSettings, Settings};
use crate::core::schema_file;

/// A profile of a run or a ramp.
struct Profile;

impl JsonSchema for Profile {
    fn schema_name() -> Cow<'static, str> {
        "Profile".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = properties(generator);
        let request = generator.subschema_for::<RequestSettings>().to_value();
        let requests = described(
            "Requests of the run: each is chosen as often as its weight says",
            one_or_several(&request),
        );
        let mut step = settings.clone();
        step.insert("request".into(), requests.clone());
        step.insert(
            "name".into(),
            described("Name of the step in the report", json!({ "type": "string" })),
        );
        let mut profile = settings.clone();
        profile.insert("request".into(), requests);
        profile.insert(
            "rest".into(),
            described("Pause between two steps of a ramp (default: 0s)", number_or_text()),
        );
        profile.insert(
            "clear".into(),
            described(
                "Empty the queue before each step of a ramp (default: false)",
                json!({ "type": "boolean" }),
            ),
        );
        profile.insert(
            "step".into(),
            described(
                "Steps of a ramp, each with the settings that it changes",
                one_or_several(&closed_table(&step)),
            ),
        );
        profile.insert(
            "sweep".into(),
            described("Values of a ramp: each step runs at each value", sweep(&settings)),
        );
        profile.insert(
            "search".into(),
            described("Search for the highest rate or number of connections that holds", search()),
        );
        closed_table(&profile).try_into().expect("an object")
    }
}

/// Settings with their meaning, as the help has it.
fn properties(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let command = Settings::augment_args(Command::new("profile"));
    let mut properties = Map::new();
    for (setting, definition) in command.get_arguments().zip(Settings::DEFINITIONS) {
        let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
        let schema = match definition.key {
            // Alone among the lists it may also be a text.
            "topic" => json!({ "type": ["string", "array"], "items": { "type": "string" } }),
            _ => (definition.schema)(generator).to_value(),
        };
        properties.insert(definition.key.to_owned(), described(&help, schema));
    }
    properties
}

/// Adds a description. A reference stands in `allOf`, as older readers ignore what stands beside it.
fn described(text: &str, schema: Value) -> Value {
    let mut schema = match schema {
        reference if reference.get("$ref").is_some() => json!({ "allOf": [reference] }),
        schema => schema,
    };
    schema["description"] = text.into();
    schema
}

fn closed_table(properties: &Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn one_or_several(table: &Value) -> Value {
    json!({ "anyOf": [table, { "type": "array", "items": table }] })
}

fn number_or_text() -> Value {
    json!({ "type": ["number", "string"] })
}

/// A sweep has for each setting a value, a list of values, or a range such as `1..10`.
fn sweep(settings: &Map<String, Value>) -> Value {
    let range = json!({ "type": "string", "pattern": r"\.\." });
    let keys = settings.iter().map(|(key, schema)| {
        let list = json!({ "type": "array", "minItems": 1, "items": schema });
        let values = json!({ "anyOf": [schema, range, list] });
        (key.clone(), described(schema["description"].as_str().unwrap_or_default(), values))
    });
    closed_table(&keys.collect())
}

fn search() -> Value {
    json!({
        "type": "object",
        "properties": {
            "rate": { "type": "string", "description": "Range of the rate, such as 4k..60k" },
            "connections": { "type": "string", "description": "Range of the connections, such as 1..500" },
            "holds": {
                "description": "Condition that a trial has to meet; the conditions of a list have to hold together",
                "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }]
            },
            "within": described("Largest relative gap at the end (default: 2%)", number_or_text()),
            "confirm": described("Runs at each end of the result (default: 3)", number_or_text()),
            "runs": described("Largest number of runs (default: 20)", number_or_text())
        },
        "required": ["holds"],
        "oneOf": [{ "required": ["rate"] }, { "required": ["connections"] }],
        "additionalProperties": false
    })
}

#[cfg(test)]
mod tests {
    use boon::{Compiler, SchemaIndex, Schemas};

    use super::*;
    use crate::cli::init::profile;
    use crate::cli::profiles::BUILT_IN;
    use crate::config::settings::Definition;

    #[test]
    fn the_schema_of_profiles_is_made_from_the_settings() {
        schema_file::check::<Profile>(
            "profile",
            "loadgen profile",
            "A profile of loadgen: settings by the long names of their flags, and the steps or the search of a ramp.",
        );
    }

    fn compiled() -> (Schemas, SchemaIndex) {
        let mut schemas = Schemas::new();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/profile.schema.json");
        let index = Compiler::new().compile(file, &mut schemas).expect("a valid schema");
        (schemas, index)
    }

    fn json(toml: &str) -> Value {
        toml::from_str(toml).expect("TOML")
    }

    fn assert_valid(profiles: &[impl AsRef<str>]) {
        let (schemas, index) = compiled();
        for text in profiles.iter().map(AsRef::as_ref) {
            let profile = json(text);
            schemas.validate(&profile, index).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    #[test]
    fn the_built_in_profiles_are_valid_and_name_the_schema() {
        assert_valid(&BUILT_IN.map(|(_, text)| text));
        for (name, text) in BUILT_IN {
            assert!(text.starts_with("#:schema ../schema/profile.schema.json\n"), "{name}");
        }
    }

    #[test]
    fn the_profile_of_init_and_each_example_are_valid() {
        let examples = Settings::DEFINITIONS
            .iter()
            .map(|Definition { key, example, .. }| format!("{key} = {example}"));
        assert_valid(&examples.chain([profile()]).collect::<Vec<_>>());
    }

    #[test]
    fn a_profile_may_have_requests_steps_a_sweep_or_a_search() {
        assert_valid(&[
            "topic = 'a'",
            "rate = 0.5",
            "[[request]]\nname = 'a'\nweight = '2k'",
            "[[step]]\nname = 'a'\nthreads = 1",
            "[sweep]\nrate = '1k..3k step 1k'\ncoupling = ['channel', 'direct']\nqos = 1",
            "[search]\nconnections = '1..9'\nholds = ['messages.lost == 0']",
        ]);
    }

    #[test]
    fn a_wrong_profile_is_not_valid() {
        let (schemas, index) = compiled();
        for text in [
            "rates = 5",
            "rate = true",
            "header = 'A: b'",
            "arrivals = 'weird'",
            "insecure = 'yes'",
            "qos = '1'",
            "[[request]]\nweight = 2",
            "[[request]]\nname = 'a'\nwieght = 2",
            "[[step]]\nthread = 1",
            "[sweep]\nrate = []",
            "[search]\nrate = '1..2'",
            "[search]\nholds = 'lost == 0'",
        ] {
            assert!(schemas.validate(&json(text), index).is_err(), "{text}");
        }
    }
}
