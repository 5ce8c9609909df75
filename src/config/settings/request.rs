//! One of several requests of a profile: a `[[request]]` table.
//!
//! ```toml
//! [[request]]
//! name = "view"               # in the report: letters, digits, - and _
//! weight = 9                  # of ten requests nine, beside one of weight 1
//! method = "GET"
//! path = "/items/{{item}}"    # path and query; the rest of the URL is that of all requests
//!
//! [[request]]
//! name = "buy"
//! path = "/orders"
//! body-lines = "orders.ndjson"
//! ```

use std::path::PathBuf;

use serde::Deserialize;

use super::table::{ProfileError, Table};
use crate::core::units::de_count;

/// Settings of one request. A `None` field takes the value from the top level of the profile.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields, transform = require_name))]
#[serde(default, rename_all = "kebab-case")]
pub struct RequestSettings {
    /// Name in the report.
    pub name: String,
    /// Weight relative to the other requests.
    #[cfg_attr(test, schemars(with = "super::value::NumberOrText"))]
    #[serde(deserialize_with = "de_count")]
    pub weight: Option<u64>,
    /// Method.
    pub method: Option<String>,
    /// Path and query, with holes.
    pub path: Option<String>,
    /// Headers in addition to the common ones; a header replaces a common one of the same name.
    #[serde(rename = "header")]
    pub headers: Vec<String>,
    /// Body.
    pub body: Option<String>,
    /// File with the body.
    pub body_file: Option<PathBuf>,
    /// File with a body on each line.
    pub body_lines: Option<PathBuf>,
    /// Table whose rows fill the holes.
    pub data: Option<PathBuf>,
}

/// Makes the name the only required key of the schema, and removes the defaults, which a profile cannot express.
#[cfg(test)]
fn require_name(schema: &mut schemars::Schema) {
    schema.insert("required".to_owned(), serde_json::json!(["name"]));
    let properties = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut);
    for property in properties.into_iter().flat_map(serde_json::Map::values_mut) {
        property.as_object_mut().map(|property| property.remove("default"));
    }
}

const KEYS: [&str; 9] =
    ["name", "weight", "method", "path", "header", "body", "body-file", "body-lines", "data"];

impl RequestSettings {
    pub(super) fn read(table: Table<'_>) -> Result<Self, ProfileError> {
        table.check_keys(&KEYS.map(str::to_owned))?;
        if !table.entries().iter().any(|entry| entry.key == "name") {
            return Err(table.refuse("a [[request]] needs a name, as in name = \"login\""));
        }
        table.read()
    }

    /// Returns true if the request sets its own body.
    pub(crate) fn has_body(&self) -> bool {
        self.body.is_some() || self.body_file.is_some() || self.body_lines.is_some()
    }
}
