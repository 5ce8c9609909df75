//! The `[search]` of a ramp's profile.

use super::condition::Condition;
use super::file::MOST_STEPS;
use super::search::KneeSearch;
use crate::config::settings::{ProfileEntry, ProfileError, Settings, Table};
use crate::core::units::{Rate, parse_count};
use crate::report::ramp::SearchAxis;

/// Trials at each end of the result, if the profile does not set it.
const CONFIRM: u64 = 3;
/// Most trials at each end of the result that a profile may ask for.
const MOST_CONFIRM: u64 = 100;
/// Most runs, if the profile does not set it.
const RUNS: u64 = 20;
/// Widest gap between the value that holds and the one that fails, if the profile does not set it.
const WITHIN: f64 = 0.02;

/// The `[search]` of a profile.
#[derive(Debug, Clone)]
pub(super) struct SearchFile {
    pub(super) axis: SearchAxis,
    pub(super) knee: KneeSearch,
    pub(super) condition: Condition,
}

/// The setting of the axis with a value, which is a whole number above 0.
pub(super) fn settings_at(axis: SearchAxis, value: f64) -> Settings {
    match axis {
        SearchAxis::Rate => Settings {
            rate: format!("{value}").parse::<Rate>().ok().map(Into::into),
            ..Settings::default()
        },
        SearchAxis::Connections => {
            Settings { connections: Some(value as u64), ..Settings::default() }
        }
    }
}

/// Reads the table.
pub(super) fn search(mut table: Table<'_>) -> Result<SearchFile, ProfileError> {
    let known = ["rate", "connections", "holds", "within", "confirm", "runs"].map(str::to_owned);
    table.check_keys(&known)?;
    let (axis, range) = match (table.take("rate"), table.take("connections")) {
        (Some(range), None) => (SearchAxis::Rate, range),
        (None, Some(range)) => (SearchAxis::Connections, range),
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
    let texts: Vec<_> = holds.clone().items().iter().map(ProfileEntry::shown).collect();
    let condition =
        Condition::parse(&texts.join(" and ")).map_err(|e| holds.refuse(e.to_string()))?;
    let confirm = count(table.take("confirm"), MOST_CONFIRM)?.unwrap_or(CONFIRM);
    let runs = count(table.take("runs"), MOST_STEPS as u64)?.unwrap_or(RUNS);
    let within = table.take("within").as_ref().map_or(Ok(WITHIN), share)?;
    Ok(SearchFile { axis, knee: KneeSearch { low, high, within, confirm, runs }, condition })
}

/// A whole number from 1 to `most`; `None` if the key is not there.
fn count(entry: Option<ProfileEntry<'_>>, most: u64) -> Result<Option<u64>, ProfileError> {
    let Some(entry) = entry else { return Ok(None) };
    match parse_count(&entry.shown()) {
        Ok(n) if (1..=most).contains(&n) => Ok(Some(n)),
        _ => Err(entry.refuse(format!("'{}' must be from 1 to {most}", entry.key))),
    }
}

/// The range to search, both ends included.
fn ends(range: &ProfileEntry<'_>) -> Result<(f64, f64), ProfileError> {
    let text = range.shown();
    let ends = text.split_once("..").and_then(|(low, high)| Some((end(low)?, end(high)?)));
    ends.filter(|(low, high)| low < high).ok_or_else(|| {
        range.refuse(format!(
            "'{text}' is not a range to search: write its ends, such as \"5k..60k\""
        ))
    })
}

/// An end of the range: a whole number above 0.
fn end(text: &str) -> Option<f64> {
    parse_count(text).ok().filter(|n| *n > 0).map(|n| n as f64)
}

/// A share such as `2%` or `0.02`.
fn share(entry: &ProfileEntry<'_>) -> Result<f64, ProfileError> {
    let text = entry.shown();
    let share = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.trim().parse(),
    };
    share.ok().filter(|share| (0.0001..=1.0).contains(share)).ok_or_else(|| {
        entry.refuse(format!("'{text}' is not a share such as \"2%\", from 0.01% to 100%"))
    })
}
