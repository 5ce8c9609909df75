//! The `[search]` of a ramp's profile.

use super::condition::Condition;
use super::file::MOST_STEPS;
use super::search::KneeSearch;
use crate::config::settings::{Entry, ProfileError, Settings, Table};
use crate::core::units::{Rate, parse_count};

/// What a search looks for.
#[derive(Debug, Clone)]
pub(super) struct SearchFile {
    pub(super) axis: Axis,
    pub(super) knee: KneeSearch,
    pub(super) condition: Condition,
}

/// What a search varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Requests a second.
    Rate,
    /// Connections: in a closed loop, the concurrency.
    Connections,
}

impl Axis {
    /// The setting's key.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Connections => "connections",
        }
    }

    /// The setting with that value, which is whole and positive.
    pub(super) fn settings(self, value: f64) -> Settings {
        match self {
            Self::Rate => Settings {
                rate: format!("{value}").parse::<Rate>().ok().map(Into::into),
                ..Settings::default()
            },
            Self::Connections => {
                Settings { connections: Some(value as u64), ..Settings::default() }
            }
        }
    }
}

/// Reads it.
pub(super) fn search(mut table: Table<'_>) -> Result<SearchFile, ProfileError> {
    let known = ["rate", "connections", "holds", "within", "confirm", "runs"].map(str::to_owned);
    table.check_keys(&known)?;
    let (axis, range) = match (table.take("rate"), table.take("connections")) {
        (Some(range), None) => (Axis::Rate, range),
        (None, Some(range)) => (Axis::Connections, range),
        _ => {
            return Err(
                table.refuse("[search] needs one of rate and connections: rate = \"5k..60k\"")
            );
        }
    };
    let (low, high) = ends(&range)?;
    let Some(holds) = table.take("holds") else {
        return Err(table.refuse("[search] needs a condition: holds = \"arrival.p99 < 5ms\""));
    };
    let texts: Vec<_> = holds.clone().items().iter().map(Entry::shown).collect();
    let condition =
        Condition::parse(&texts.join(" and ")).map_err(|e| holds.refuse(e.to_string()))?;
    let count = |table: &mut Table<'_>, key: &str, default: u64, most: u64| match table.take(key) {
        None => Ok(default),
        Some(entry) => match parse_count(&entry.shown()) {
            Ok(n) if (1..=most).contains(&n) => Ok(n),
            _ => Err(entry.refuse(format!("'{key}' is from 1 to {most}"))),
        },
    };
    let confirm = count(&mut table, "confirm", 3, 100)?;
    let runs = count(&mut table, "runs", 20, MOST_STEPS as u64)?;
    let within = table.take("within").as_ref().map_or(Ok(0.02), within)?;
    Ok(SearchFile { axis, knee: KneeSearch { low, high, within, confirm, runs }, condition })
}

/// Where a search looks, both ends included.
fn ends(range: &Entry<'_>) -> Result<(f64, f64), ProfileError> {
    let text = range.shown();
    let number = |text: &str| parse_count(text).ok().filter(|n| *n > 0).map(|n| n as f64);
    let ends = text.split_once("..").and_then(|(low, high)| Some((number(low)?, number(high)?)));
    ends.filter(|(low, high)| low < high).ok_or_else(|| {
        range
            .refuse(format!("'{text}' is not where to search: write the ends, such as \"5k..60k\""))
    })
}

/// `2%` or `0.02`.
fn within(entry: &Entry<'_>) -> Result<f64, ProfileError> {
    let text = entry.shown();
    let share = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.trim().parse(),
    };
    share.ok().filter(|share| (0.0001..=1.0).contains(share)).ok_or_else(|| {
        entry.refuse(format!("'{text}' is not a share such as \"2%\", from 0.01% to 100%"))
    })
}
