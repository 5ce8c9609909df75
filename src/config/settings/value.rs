//! Values of settings, as text for the reproduction command.

use std::path::PathBuf;
use std::time::Duration;

use super::{ArrivalProcess, Coupling, Engine, NodeShare, Pacer, StackChoice};
use crate::core::units::{Rate, Rates, format_duration};

/// Definition of one setting.
#[derive(Debug)]
pub(crate) struct Definition {
    /// Key in a profile: the long name of the flag.
    pub(crate) key: &'static str,
    /// TOML value: the default, or an example if there is no default.
    pub(crate) example: &'static str,
    /// True if the flag needs no value.
    pub(crate) is_switch: bool,
    /// True if the reproduction command does not show the whole value.
    #[cfg(test)]
    pub(crate) is_masked: bool,
    /// Schema of the TOML value.
    #[cfg(test)]
    pub(crate) schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
}

/// Type of a field of [`Settings`](super::Settings): an optional value or a list of texts.
pub(super) trait SettingValue {
    /// True if the flag needs no value.
    const IS_SWITCH: bool;

    /// Returns the given values, as the flag takes them.
    fn texts(&self) -> Vec<String>;

    /// Takes the value of `base` if this one was not given.
    fn complete_with(&mut self, base: Self);

    /// Schema of the TOML value.
    #[cfg(test)]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema;
}

impl<T: FlagValue> SettingValue for Option<T> {
    const IS_SWITCH: bool = T::IS_SWITCH;

    fn texts(&self) -> Vec<String> {
        self.iter().map(FlagValue::text).collect()
    }

    fn complete_with(&mut self, base: Self) {
        *self = self.take().or(base);
    }

    #[cfg(test)]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::schema(generator)
    }
}

impl SettingValue for Vec<String> {
    const IS_SWITCH: bool = false;

    fn texts(&self) -> Vec<String> {
        self.clone()
    }

    fn complete_with(&mut self, base: Self) {
        if self.is_empty() {
            *self = base;
        }
    }

    #[cfg(test)]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Self>()
    }
}

/// Type of a single value.
pub(super) trait FlagValue {
    /// True if the flag needs no value.
    const IS_SWITCH: bool = false;

    /// Returns the value as the flag takes it.
    fn text(&self) -> String;

    /// Schema of the TOML value.
    #[cfg(test)]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema;
}

/// Implements [`FlagValue`] with a function for the text and a type that has the schema of the TOML value.
macro_rules! flag_values {
    ($($type:ty, $text:expr, $schema:ty;)*) => { $(
        impl FlagValue for $type {
            fn text(&self) -> String {
                $text(self)
            }

            #[cfg(test)]
            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<$schema>()
            }
        }
    )* };
}

flag_values! {
    String, String::clone, Self;
    PathBuf, |path: &Self| path.display().to_string(), String;
    u8, u8::to_string, Self;
    u64, u64::to_string, NumberOrText;
    Duration, |time: &Self| format_duration(*time), NumberOrText;
    Rate, Rate::to_string, NumberOrText;
    Rates, Rates::to_string, NumberOrText;
    NodeShare, |node: &Self| format!("{}/{}", node.index, node.count), String;
    ArrivalProcess, |value: &Self| value.name().to_owned(), Self;
    Pacer, |value: &Self| value.name().to_owned(), Self;
    Engine, |value: &Self| value.name().to_owned(), Self;
    StackChoice, |value: &Self| value.name().to_owned(), Self;
    Coupling, |value: &Self| value.name().to_owned(), Self;
}

impl FlagValue for bool {
    const IS_SWITCH: bool = true;

    fn text(&self) -> String {
        self.to_string()
    }

    #[cfg(test)]
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Self>()
    }
}

/// A number, or a text such as `10k`, `500ms` or `24k/s`.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum NumberOrText {
    Number(f64),
    Text(String),
}
