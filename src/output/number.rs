//! Numbers as text, for all forms that people read.

use crate::core::distribution::QUANTILES;
use crate::core::units::{TimeUnit, format_time};
use crate::report::{Distribution, Report, Resource};

/// Text of a number that was not measured, or of a percentile of too few values.
pub(super) const NOT_AVAILABLE: &str = "n/a";

/// Returns a time in microseconds with its unit.
pub(super) fn time(micros: Option<f64>) -> String {
    micros.map_or_else(|| NOT_AVAILABLE.to_owned(), format_time)
}

/// Statistics of several distributions as text, a row for each distribution. The times of a column have one unit.
pub(super) fn statistic_rows(
    distributions: &[&Distribution],
    statistics: &[Statistic],
) -> Vec<Vec<String>> {
    let mut rows = vec![Vec::new(); distributions.len()];
    for statistic in statistics {
        let unit =
            TimeUnit::of_column(distributions.iter().filter_map(|times| statistic.of(times)));
        for (row, times) in rows.iter_mut().zip(distributions) {
            row.push(statistic.text_in(times, unit));
        }
    }
    rows
}

/// CPU time of a component for each request sent, in microseconds; `None` if no request was sent.
pub(super) fn cpu_per_request_us(used: &Resource, report: &Report) -> Option<f64> {
    let sent = report.requests.sent;
    (sent > 0).then(|| used.cpu_s * 1e6 / sent as f64)
}

/// The error bound of the clock if a stage's time was rounded to zero by it: then only "less than this" is known.
pub(super) fn bound_of_zero(micros: Option<f64>, error_bound_us: Option<f64>) -> Option<f64> {
    error_bound_us.filter(|_| micros == Some(0.0))
}

/// A number of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statistic {
    Min,
    Mean,
    Stdev,
    P50,
    P75,
    P90,
    P95,
    P99,
    P99_9,
    P99_99,
    Max,
}

impl Statistic {
    /// Every percentile of the report.
    pub(super) const PERCENTILES: [Self; 7] =
        [Self::P50, Self::P75, Self::P90, Self::P95, Self::P99, Self::P99_9, Self::P99_99];

    /// Name of the field in the JSON.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Mean => "mean",
            Self::Stdev => "stdev",
            Self::P50 => "p50",
            Self::P75 => "p75",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P99_9 => "p99_9",
            Self::P99_99 => "p99_99",
            Self::Max => "max",
        }
    }

    /// Name for people: `p99.9`.
    pub(super) fn label(self) -> String {
        self.key().replace('_', ".")
    }

    /// The value in microseconds; `None` if there are too few values.
    pub(super) fn of(self, distribution: &Distribution) -> Option<f64> {
        match self {
            Self::Min => distribution.min,
            Self::Mean => distribution.mean,
            Self::Stdev => distribution.stdev,
            percentile_or_max => distribution.by_name(percentile_or_max.key()),
        }
    }

    /// Share of the values that are not above a percentile: 0.99 for p99. `None` for other numbers.
    pub(super) fn quantile(self) -> Option<f64> {
        QUANTILES.into_iter().find(|(key, _)| *key == self.key()).map(|(_, share)| share)
    }

    /// Returns true if the distribution contains too many ages of messages that never arrived, so that the value is only a
    /// lower bound.
    pub(super) fn is_lower_bound(self, distribution: &Distribution) -> bool {
        distribution.is_lower_bound(self.key())
    }

    /// The value with its unit; `> 6.10s` if it is a lower bound.
    pub(super) fn text(self, distribution: &Distribution) -> String {
        match self.of(distribution) {
            Some(value) if self.is_lower_bound(distribution) => format!("> {}", format_time(value)),
            value => time(value),
        }
    }

    /// The value in a unit; `> 6.10s` if it is a lower bound.
    fn text_in(self, distribution: &Distribution, unit: TimeUnit) -> String {
        let Some(value) = self.of(distribution) else { return NOT_AVAILABLE.to_owned() };
        let bound = if self.is_lower_bound(distribution) { "> " } else { "" };
        format!("{bound}{}", unit.write(value, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statistic_is_the_field_of_its_name() {
        let text = include_str!("../../tests/data/run.json");
        let report = Report::from_json(text).expect("a saved report");
        let json = serde_json::to_value(&report.latency.response).expect("plain data");
        let others = [Statistic::Min, Statistic::Mean, Statistic::Stdev, Statistic::Max];
        for statistic in Statistic::PERCENTILES.into_iter().chain(others) {
            let value = statistic.of(&report.latency.response);
            assert_eq!(json[statistic.key()].as_f64(), value, "{statistic:?}");
            assert!(value.is_some(), "{statistic:?}");
        }
        assert!(Statistic::PERCENTILES.iter().all(|percentile| percentile.quantile().is_some()));
        assert_eq!(Statistic::Max.quantile(), None);
    }

    #[test]
    fn the_times_of_a_column_have_one_unit() {
        let [short, long] = [500.0, 1_070.0].map(|p99| Distribution {
            p50: Some(20.0),
            p99: Some(p99),
            ..Distribution::default()
        });
        let statistics = [Statistic::P50, Statistic::P99, Statistic::Max];
        assert_eq!(
            statistic_rows(&[&short, &long], &statistics),
            [["20.0µs", "0.500ms", "n/a"], ["20.0µs", "1.07ms", "n/a"]]
        );
    }

    #[test]
    fn a_lower_bound_is_marked() {
        let mut distribution = Distribution { p99: Some(6_100_000.0), ..Distribution::default() };
        assert_eq!(Statistic::P99.text(&distribution), "6.10s");
        distribution.at_least = vec!["p99".into()];
        assert_eq!(Statistic::P99.text(&distribution), "> 6.10s");
        assert_eq!(Statistic::P50.text(&distribution), "n/a");
    }
}
