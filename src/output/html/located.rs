//! Parts of a report with their places in its JSON, so that the page names the place of every number. [`field!`] and
//! [`number!`] make the value and its JSON pointer from the same field names: a misspelt name does not compile.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Deref;

use serde::Serialize;

use super::markup::{Unit, escape};
use crate::output::number::{NOT_AVAILABLE, Statistic};
use crate::report::{Distribution, Stage};

/// A part of a report and its JSON pointer.
#[derive(Debug)]
pub(super) struct Located<'a, T> {
    part: &'a T,
    path: String,
}

/// A field of a located part: `field!(report, latency.response)`.
macro_rules! field {
    ($from:expr, $($name:tt).+) => {{
        let from = &$from;
        from.below(&from.part().$($name).+, concat!($("/", stringify!($name)),+))
    }};
}

/// A field of a located part that is a number: `number!(report, requests.sent)`.
macro_rules! number {
    ($from:expr, $($name:tt).+) => {
        $crate::output::html::located::field!($from, $($name).+).number()
    };
}

pub(super) use {field, number};

impl<'a, T> Located<'a, T> {
    /// The whole document.
    pub(super) fn whole(part: &'a T) -> Self {
        Self { part, path: String::new() }
    }

    pub(super) fn part(&self) -> &'a T {
        self.part
    }

    /// A part below this one, at a JSON pointer relative to it. Callers use [`field!`] instead.
    pub(super) fn below<U>(&self, part: &'a U, path: &str) -> Located<'a, U> {
        Located { part, path: format!("{}{path}", self.path) }
    }
}

impl<T> Clone for Located<'_, T> {
    fn clone(&self) -> Self {
        Self { part: self.part, path: self.path.clone() }
    }
}

impl<T> Deref for Located<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.part
    }
}

impl<'a, T> Located<'a, Option<T>> {
    /// The part, if the report contains it.
    pub(super) fn known(&self) -> Option<Located<'a, T>> {
        self.part.as_ref().map(|part| self.below(part, ""))
    }
}

impl<'a, T> Located<'a, Vec<T>> {
    pub(super) fn items(&self) -> impl Iterator<Item = Located<'a, T>> {
        self.part.iter().enumerate().map(|(n, item)| self.below(item, &format!("/{n}")))
    }
}

impl<'a, T, const N: usize> Located<'a, [T; N]> {
    pub(super) fn item(&self, n: usize) -> Located<'a, T> {
        self.below(&self.part[n], &format!("/{n}"))
    }
}

impl<'a, K: ToString + Ord, V> Located<'a, BTreeMap<K, V>> {
    /// Key and value of each entry.
    pub(super) fn entries(&self) -> impl Iterator<Item = (String, Located<'a, V>)> {
        self.part.iter().map(|(key, value)| {
            let key = key.to_string();
            let value = self.below(value, &pointer_part(&key));
            (key, value)
        })
    }
}

impl<K: Borrow<str> + Ord> Located<'_, BTreeMap<K, f64>> {
    /// The number of a key; `n/a` without a place if the key is absent.
    pub(super) fn number_of(&self, key: &str) -> ShownNumber {
        let value = self.part.get(key);
        value.map(|value| self.below(value, &pointer_part(key)).number()).unwrap_or_default()
    }
}

impl<'a> Located<'a, Stage> {
    /// The times of a stage, which the JSON has beside its names.
    pub(super) fn times(&self) -> Located<'a, Distribution> {
        self.below(&self.part.distribution, "")
    }
}

impl Located<'_, Distribution> {
    pub(super) fn statistic(&self, statistic: Statistic) -> ShownNumber {
        let value = statistic.of(self.part);
        let path = format!("{}/{}", self.path, statistic.key());
        let is_lower_bound = statistic.is_lower_bound(self.part);
        ShownNumber { is_lower_bound, ..Located { part: &value, path }.number() }
    }

    /// A time of the distribution as HTML.
    pub(super) fn show(&self, statistic: Statistic) -> String {
        self.statistic(statistic).show(Unit::Time)
    }
}

impl<T: Numeric> Located<'_, T> {
    pub(super) fn number(&self) -> ShownNumber {
        ShownNumber {
            value: self.part.value(),
            json: serde_json::to_string(self.part).unwrap_or_default(),
            path: self.path.clone(),
            is_lower_bound: false,
            bound: None,
        }
    }
}

/// A number of the report, or the place of one that was not measured.
pub(super) trait Numeric: Serialize {
    fn value(&self) -> Option<f64>;
}

impl Numeric for f64 {
    fn value(&self) -> Option<f64> {
        Some(*self)
    }
}

impl Numeric for u64 {
    fn value(&self) -> Option<f64> {
        Some(*self as f64)
    }
}

impl Numeric for u32 {
    fn value(&self) -> Option<f64> {
        Some(f64::from(*self))
    }
}

impl<T: Numeric> Numeric for Option<T> {
    fn value(&self) -> Option<f64> {
        self.as_ref().and_then(T::value)
    }
}

/// A number on the page.
#[derive(Debug, Clone, Default)]
pub(super) struct ShownNumber {
    value: Option<f64>,
    /// The exact value as the JSON has it.
    json: String,
    /// Empty if the report has no place for the number.
    path: String,
    is_lower_bound: bool,
    /// Upper bound of a value that was rounded to zero.
    bound: Option<f64>,
}

impl ShownNumber {
    pub(super) fn value(&self) -> Option<f64> {
        self.value
    }

    /// The number with an upper bound, if it was rounded to zero: only "less than this" is known of it.
    pub(super) fn bounded_by(self, bound: Option<f64>) -> Self {
        Self { bound, ..self }
    }

    /// The value at which the number is drawn: its upper bound if only that is known.
    pub(super) fn drawn_value(&self) -> Option<f64> {
        self.bound.or(self.value)
    }

    /// The number as plain text.
    pub(super) fn text(&self, unit: Unit) -> String {
        match self.bound {
            Some(bound) => format!("< {}", unit.write(bound)),
            None if self.is_lower_bound => format!("> {}", unit.write_known(self.value)),
            None => unit.write_known(self.value),
        }
    }

    /// HTML of the number: an element with the exact value and its place in the JSON.
    pub(super) fn show(&self, unit: Unit) -> String {
        self.show_as(&self.text(unit))
    }

    /// HTML of the number in the words of the caller.
    pub(super) fn show_as(&self, words: &str) -> String {
        if self.path.is_empty() {
            return NOT_AVAILABLE.to_owned();
        }
        let (value, path, words) = (&self.json, escape(&self.path), escape(words));
        format!("<data value=\"{value}\" data-path=\"{path}\">{words}</data>")
    }
}

/// One part of a JSON pointer.
fn pointer_part(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, Resource};

    #[test]
    fn a_number_names_its_value_and_its_place() {
        let mut report = Report::default();
        report.latency.response.p99 = Some(578.56);
        report.latency.response.at_least = vec!["p99".into()];
        report.requests.errors.by_cause.insert("b/c".into(), 3);
        report.resources.push(Resource { pid: 7, ..Resource::default() });
        let report = Located::whole(&report);
        assert_eq!(
            field!(report, latency.response).show(Statistic::P99),
            "<data value=\"578.56\" data-path=\"/latency/response/p99\">&gt; 579\u{a0}µs</data>"
        );
        assert_eq!(
            field!(report, latency.response).show(Statistic::P50),
            "<data value=\"null\" data-path=\"/latency/response/p50\">n/a</data>"
        );
        let by_cause = field!(report, requests.errors.by_cause);
        let (_, count) = by_cause.entries().next().expect("an entry");
        assert_eq!(
            count.number().show(Unit::Count),
            "<data value=\"3\" data-path=\"/requests/errors/by_cause/b~1c\">3</data>"
        );
        let used = field!(report, resources).items().next().expect("a component");
        assert_eq!(
            number!(used, pid).show(Unit::Plain),
            "<data value=\"7\" data-path=\"/resources/0/pid\">7</data>"
        );
        assert!(field!(report, arrival).known().is_none());
        assert_eq!(ShownNumber::default().show(Unit::Time), "n/a");
    }
}
