//! Tables of a TOML file with known keys. The error for an unknown key names its line and the nearest
//! known key.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::{RequestSettings, Settings};
use crate::core::nearest::nearest;
use crate::core::secrets::mask_text;

/// Error in a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text}")]
pub struct ProfileError {
    line: usize,
    text: String,
}

/// One `key = value`.
#[derive(Debug, Clone)]
pub(crate) struct ProfileEntry<'i> {
    /// The key.
    pub(crate) key: String,
    value: DeValue<'i>,
    span: Range<usize>,
    text: &'i str,
}

/// A table, its entries in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Table<'i> {
    entries: Vec<ProfileEntry<'i>>,
    span: Range<usize>,
    text: &'i str,
}

/// The tables of a profile's requests.
const REQUEST: &str = "request";

/// The keys of [`Settings`]: the long names of the flags, and the tables of the requests.
pub(crate) fn setting_keys() -> Vec<String> {
    let keys = Settings::DEFINITIONS.iter().map(|definition| definition.key.to_owned());
    keys.chain([REQUEST.to_owned()]).collect()
}

fn refuse(text: &str, span: &Range<usize>, what: impl Into<String>) -> ProfileError {
    let before = text.get(..span.start).unwrap_or(text);
    ProfileError { line: before.matches('\n').count() + 1, text: what.into() }
}

/// Converts an error of the TOML reader and adds its line. The value is not repeated: it may be a secret.
fn explain(text: &str, span: &Range<usize>, error: &toml::de::Error) -> ProfileError {
    let message = without_strings(&error.message().replace('\n', " "));
    let message = mask_text(&in_words_of_profiles(&message));
    refuse(text, &error.span().unwrap_or(span.clone()), message)
}

/// Types of Rust at the end of an error, and what they are in a profile.
const TYPES: [(&str, &str); 5] = [
    ("expected u8", "expected a whole number without quotes"),
    ("expected u64", "expected a whole number without quotes"),
    ("expected a boolean", "expected true or false without quotes"),
    ("expected a sequence", "expected a list, such as ['a', 'b']"),
    ("expected a string", "expected a text in quotes"),
];

/// The error with the words for types that a profile has.
fn in_words_of_profiles(message: &str) -> String {
    let known = TYPES.iter().find(|(rust, _)| message.ends_with(rust));
    known.map_or_else(|| message.to_owned(), |(rust, words)| message.replace(rust, words))
}

/// `invalid type: string "…", expected a sequence` without the string.
fn without_strings(message: &str) -> String {
    let Some((before, rest)) = message.split_once("string \"") else { return message.to_owned() };
    match rest.rsplit_once("\", expected ") {
        Some((_, expected)) => format!("{before}a string, expected {expected}"),
        None => format!("{before}a string"),
    }
}

impl<'i> Table<'i> {
    /// Reads a whole file.
    pub(crate) fn parse(text: &'i str) -> Result<Self, ProfileError> {
        let root = DeTable::parse(text).map_err(|e| explain(text, &(0..0), &e))?;
        let span = root.span();
        Ok(Self::new(root.into_inner(), span, text))
    }

    fn new(table: DeTable<'i>, span: Range<usize>, text: &'i str) -> Self {
        let mut entries = Vec::new();
        for (key, value) in table {
            entries.push(ProfileEntry {
                span: key.span().start..value.span().end,
                key: AsRef::<str>::as_ref(key.get_ref()).to_owned(),
                value: value.into_inner(),
                text,
            });
        }
        entries.sort_by_key(|entry: &ProfileEntry<'_>| entry.span.start);
        Self { entries, span, text }
    }

    /// The entries.
    pub(crate) fn entries(&self) -> &[ProfileEntry<'i>] {
        &self.entries
    }

    /// Refuses keys that are not among `known`.
    pub(crate) fn check_keys(&self, known: &[String]) -> Result<(), ProfileError> {
        let Some(unknown) = self.entries.iter().find(|entry| !known.contains(&entry.key)) else {
            return Ok(());
        };
        let hint = match nearest(&unknown.key, known.iter().map(String::as_str)) {
            Some(name) => format!("did you mean '{name}'?"),
            None => format!("the keys are {}", known.join(", ")),
        };
        Err(unknown.refuse(format!("unknown key '{}'; {hint}", mask_text(&unknown.key))))
    }

    /// Removes and returns the entry of `key`.
    pub(crate) fn take(&mut self, key: &str) -> Option<ProfileEntry<'i>> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Converts the remaining entries to settings.
    pub(crate) fn settings(mut self) -> Result<Settings, ProfileError> {
        self.check_keys(&setting_keys())?;
        let requests = self.take(REQUEST).map_or_else(|| Ok(Vec::new()), ProfileEntry::tables)?;
        let mix = requests.into_iter().map(RequestSettings::read).collect::<Result<_, _>>()?;
        Ok(Settings { mix, ..self.read()? })
    }

    /// Deserializes the remaining entries.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, ProfileError> {
        let (text, mut span) = (self.text, self.span);
        let entries = self.entries.into_iter().map(|entry| {
            // An error without a place is about the entry that is being read.
            span.clone_from(&entry.span);
            (entry.key, ValueDeserializer::from(Spanned::new(entry.span, entry.value)))
        });
        // A map of values. The deserializer of a whole file has three kinds of maps, and the code of all settings once for each.
        let read = T::deserialize(MapDeserializer::new(entries));
        read.map_err(|e| explain(text, &span, &e))
    }

    /// Creates an error about the whole table.
    pub(crate) fn refuse(&self, what: impl Into<String>) -> ProfileError {
        refuse(self.text, &self.span, what)
    }
}

impl<'i> ProfileEntry<'i> {
    /// Deserializes the value.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, ProfileError> {
        let value = Spanned::new(self.span.clone(), self.value);
        T::deserialize(ValueDeserializer::from(value))
            .map_err(|e| explain(self.text, &self.span, &e))
    }

    /// Returns the value as a table, or as the tables of an array.
    pub(crate) fn tables(self) -> Result<Vec<Table<'i>>, ProfileError> {
        let text = self.text;
        let error = self.refuse(format!("'{}' is a table: [{0}] or [[{0}]]", self.key));
        match self.value {
            DeValue::Array(items) => items
                .into_iter()
                .map(|item| (item.span(), item.into_inner()))
                .map(|(span, value)| table(value, span, text).ok_or_else(|| error.clone()))
                .collect(),
            value => Ok(vec![table(value, self.span, text).ok_or(error)?]),
        }
    }

    /// Returns one entry per item of a list; the entry itself if its value is not a list.
    pub(crate) fn items(self) -> Vec<Self> {
        let Self { key, value, span, text } = self;
        match value {
            DeValue::Array(items) => items
                .into_iter()
                .map(|item| Self {
                    key: key.clone(),
                    span: item.span(),
                    value: item.into_inner(),
                    text,
                })
                .collect(),
            value => vec![Self { key, value, span, text }],
        }
    }

    /// Converts the entry to settings that contain only this entry.
    pub(crate) fn setting(self) -> Result<Settings, ProfileError> {
        Table { span: self.span.clone(), text: self.text, entries: vec![self] }.settings()
    }

    /// Returns the value as text for messages.
    pub(crate) fn shown(&self) -> String {
        shown(&self.value)
    }

    /// Returns the value if it is a string.
    pub(crate) fn as_text(&self) -> Option<&str> {
        self.value.as_str()
    }

    /// Returns an entry with this key and the string `text` as its value.
    pub(crate) fn with_text(&self, text: String) -> Self {
        Self { value: DeValue::String(text.into()), ..self.clone() }
    }

    /// Creates an error about this entry.
    pub(crate) fn refuse(&self, what: impl Into<String>) -> ProfileError {
        refuse(self.text, &self.span, what)
    }
}

/// Returns the value as a table, or `None` if it is something else.
fn table<'i>(value: DeValue<'i>, span: Range<usize>, text: &'i str) -> Option<Table<'i>> {
    match value {
        DeValue::Table(table) => Some(Table::new(table, span, text)),
        _ => None,
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(is) => is.to_string(),
        DeValue::Datetime(when) => when.to_string(),
        DeValue::Array(items) => {
            items.iter().map(|item| shown(item.get_ref())).collect::<Vec<_>>().join(", ")
        }
        DeValue::Table(_) => "{…}".to_owned(),
    }
}
