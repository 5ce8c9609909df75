//! Distributions of times: histograms that are counted in while a run is under way, and what a report
//! says of them.

mod aged;
mod latencies;

use serde::{Deserialize, Serialize};

use super::clock::Nanos;
pub(crate) use aged::AgedLatencies;
pub use latencies::Latencies;
pub(crate) use latencies::{HdrError, QUANTILES, fewest_values};

/// Numbers of a report are rounded to this many parts of a microsecond.
const PARTS_OF_MICROSECOND: f64 = 1e3;

/// A distribution of times in a report: its numbers in microseconds and its histogram. Numbers that were read
/// from a file are kept until distributions are added up: the histogram gives them back to three digits only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Distribution {
    /// Number of values.
    pub count: u64,
    /// Smallest value.
    pub min: Option<f64>,
    /// Mean.
    pub mean: Option<f64>,
    /// Standard deviation.
    pub stdev: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Median. Like all percentiles `null` with fewer than ten values beyond it.
    pub p50: Option<f64>,
    /// 75th percentile.
    pub p75: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// 99.9th percentile.
    pub p99_9: Option<f64>,
    /// 99.99th percentile.
    pub p99_99: Option<f64>,
    /// All values: HDR V2, deflated, base64, in nanoseconds. It stays packed, as a histogram takes 300 kB and a
    /// ramp has hundreds of them.
    pub hdr: String,
    /// Names of the percentiles, and `max`, that are lower bounds: too many of the values are ages of messages
    /// that never arrived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_least: Vec<String>,
    /// The values that are ages, part of `hdr` and in the same form; left out where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ages_hdr: Option<String>,
}

impl Distribution {
    /// Unpacks all values.
    pub(crate) fn latencies(&self) -> Result<Latencies, HdrError> {
        Latencies::from_hdr(&self.hdr)
    }

    /// Returns true if its histograms can be unpacked.
    pub(crate) fn is_readable(&self) -> bool {
        self.latencies().is_ok() && self.ages().is_ok()
    }

    /// Unpacks the values that are ages.
    fn ages(&self) -> Result<Latencies, HdrError> {
        self.ages_hdr.as_deref().map_or_else(|| Ok(Latencies::default()), Latencies::from_hdr)
    }

    /// A percentile or `max` by its name, in microseconds; `None` if it is not known or not of that name.
    pub(crate) fn by_name(&self, name: &str) -> Option<f64> {
        match name {
            "p50" => self.p50,
            "p75" => self.p75,
            "p90" => self.p90,
            "p95" => self.p95,
            "p99" => self.p99,
            "p99_9" => self.p99_9,
            "p99_99" => self.p99_99,
            "max" => self.max,
            _ => None,
        }
    }

    /// Returns true if the percentile of this name, or `max`, is only known to be at least what is reported.
    pub(crate) fn is_lower_bound(&self, name: &str) -> bool {
        self.at_least.iter().any(|bound| bound == name)
    }

    /// Rounds every number to whole multiples of `bound`, in microseconds: the error of the clock that the
    /// values were taken with.
    pub(crate) fn coarsen(&mut self, bound: f64) {
        for number in self.numbers_mut() {
            *number = number.map(|value| rounded((value / bound).round() * bound));
        }
    }

    fn numbers_mut(&mut self) -> [&mut Option<f64>; 11] {
        [
            &mut self.min,
            &mut self.mean,
            &mut self.stdev,
            &mut self.max,
            &mut self.p50,
            &mut self.p75,
            &mut self.p90,
            &mut self.p95,
            &mut self.p99,
            &mut self.p99_9,
            &mut self.p99_99,
        ]
    }
}

impl From<&Latencies> for Distribution {
    fn from(latencies: &Latencies) -> Self {
        let [p50, p75, p90, p95, p99, p99_9, p99_99] =
            QUANTILES.map(|(_, place)| latencies.quantile(place).map(micros));
        Self {
            count: latencies.count(),
            min: latencies.min().map(micros),
            mean: latencies.mean().map(|mean| rounded(mean / 1e3)),
            stdev: latencies.stdev().map(|stdev| rounded(stdev / 1e3)),
            max: latencies.max().map(micros),
            p50,
            p75,
            p90,
            p95,
            p99,
            p99_9,
            p99_99,
            hdr: latencies.to_hdr(),
            at_least: Vec::new(),
            ages_hdr: None,
        }
    }
}

impl From<&AgedLatencies> for Distribution {
    fn from(latencies: &AgedLatencies) -> Self {
        let all = latencies.all();
        let has_ages = all.count() > latencies.measured().count();
        Self {
            at_least: latencies.at_least().into_iter().map(str::to_owned).collect(),
            ages_hdr: has_ages.then(|| latencies.ages().to_hdr()),
            ..Self::from(&all)
        }
    }
}

/// The sum of several distributions, from their histograms.
#[derive(Debug, Default)]
pub(crate) struct DistributionSum {
    all: Latencies,
    ages: Latencies,
}

impl DistributionSum {
    /// Adds all values of one. After an error the sum is not usable.
    pub(crate) fn add(&mut self, distribution: &Distribution) -> Result<(), HdrError> {
        self.all.merge(&distribution.latencies()?);
        self.ages.merge(&distribution.ages()?);
        Ok(())
    }

    /// The distribution of all values that were added.
    pub(crate) fn finish(self) -> Distribution {
        Distribution::from(&AgedLatencies::from_parts(&self.all, self.ages))
    }
}

/// Microseconds to three decimals.
pub(crate) fn micros(span: Nanos) -> f64 {
    rounded(span.as_micros_f64())
}

fn rounded(micros: f64) -> f64 {
    (micros * PARTS_OF_MICROSECOND).round() / PARTS_OF_MICROSECOND
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// Latencies from 0 to a day in nanoseconds, some of them many times.
    fn values() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0..86_400_000_000_000_u64, 1..200_u64), 0..40)
    }

    fn aged(measured: &[(u64, u64)], ages: &[(u64, u64)]) -> AgedLatencies {
        let mut aged = AgedLatencies::from(latencies(measured));
        aged.add_ages(&latencies(ages));
        aged
    }

    fn latencies(values: &[(u64, u64)]) -> Latencies {
        let mut latencies = Latencies::default();
        values.iter().for_each(|(value, count)| latencies.record_n(Nanos(*value), *count));
        latencies
    }

    fn sum(parts: &[&Distribution]) -> Distribution {
        let mut sum = DistributionSum::default();
        parts.iter().for_each(|part| sum.add(part).expect("a histogram of ours"));
        sum.finish()
    }

    #[test]
    fn the_json_of_an_empty_distribution_has_all_names_and_no_numbers() {
        let empty = Distribution::from(&Latencies::default());
        let mut json = serde_json::to_value(&empty).expect("JSON");
        assert_eq!(json.as_object_mut().and_then(|o| o.remove("hdr")), Some(json!(empty.hdr)));
        let nulls =
            ["min", "mean", "stdev", "max"].into_iter().chain(QUANTILES.map(|(name, _)| name));
        let mut expected: serde_json::Map<_, _> =
            nulls.map(|name| (name.to_owned(), Value::Null)).collect();
        expected.insert("count".to_owned(), json!(0));
        assert_eq!(json, Value::Object(expected));
    }

    #[test]
    fn a_percentile_is_found_by_each_name_of_the_json() {
        let distribution = Distribution::from(&latencies(&[(1_000_000, 200_000), (9_000_000, 1)]));
        let json = serde_json::to_value(&distribution).expect("JSON");
        for name in QUANTILES.map(|(name, _)| name).into_iter().chain(["max"]) {
            assert_eq!(distribution.by_name(name), json[name].as_f64(), "{name}");
            assert!(distribution.by_name(name).is_some(), "{name}");
        }
        assert_eq!(distribution.by_name("p12"), None);
    }

    #[test]
    fn every_number_becomes_a_multiple_of_the_clocks_error() {
        let mut distribution = Distribution::from(&latencies(&[(1_234_567, 20), (2_345_678, 30)]));
        distribution.coarsen(250.0);
        assert_eq!((distribution.min, distribution.max), (Some(1_250.0), Some(2_250.0)));
        assert!(distribution.numbers_mut().into_iter().flatten().all(|n| *n % 250.0 == 0.0));
        assert_eq!((distribution.count, distribution.p99), (50, None));
    }

    #[test]
    fn a_histogram_that_cannot_be_read_is_an_error_only_where_it_is_needed() {
        let broken =
            Distribution { hdr: "?".to_owned(), p50: Some(1.0), ..Distribution::default() };
        assert_eq!(broken.by_name("p50"), Some(1.0));
        assert!(matches!(broken.latencies(), Err(HdrError::Base64(_))));
        assert!(DistributionSum::default().add(&broken).is_err());
        let broken = Distribution {
            ages_hdr: Some("?".to_owned()),
            ..Distribution::from(&Latencies::default())
        };
        assert!(DistributionSum::default().add(&broken).is_err());
    }

    proptest! {
        // A histogram has 300 kB, and a case up to a dozen of them.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_is_written_is_read_back_number_for_number(measured in values(), ages in values()) {
            let written = Distribution::from(&aged(&measured, &ages));
            let json = serde_json::to_string(&written).expect("JSON");
            let read: Distribution = serde_json::from_str(&json).expect("what was written");
            prop_assert_eq!(&read, &written);
            prop_assert_eq!(serde_json::to_string(&read).expect("JSON"), json);
        }

        #[test]
        fn numbers_that_were_read_are_kept_though_the_histogram_says_otherwise(mean in 0.0..1e9_f64) {
            let mut written = Distribution::from(&latencies(&[(5_000_000, 100)]));
            written.mean = Some(mean);
            let json = serde_json::to_value(&written).expect("JSON");
            let read: Distribution = serde_json::from_value(json).expect("what was written");
            prop_assert_eq!(read.mean, Some(mean));
        }

        #[test]
        fn numbers_are_in_order_and_percentiles_have_ten_values_beyond_them(measured in values()) {
            let distribution = Distribution::from(&latencies(&measured));
            prop_assert_eq!(distribution.count, measured.iter().map(|(_, count)| count).sum::<u64>());
            let names = QUANTILES.map(|(name, _)| name);
            let known: Vec<_> = names.iter().filter_map(|name| distribution.by_name(name)).collect();
            let ends = [distribution.min, distribution.max].map(Option::unwrap_or_default);
            let ordered: Vec<_> = [&ends[..1], &known, &ends[1..]].concat();
            prop_assert!(ordered.is_sorted(), "{:?}", ordered);
            for name in names {
                let is_enough = Some(distribution.count) >= fewest_values(name);
                prop_assert_eq!(distribution.by_name(name).is_some(), is_enough, "{}", name);
            }
        }

        #[test]
        fn a_sum_is_the_distribution_of_all_values(
            a in values(), b in values(), ages_a in values(), ages_b in values(),
        ) {
            let parts = [aged(&a, &ages_a), aged(&b, &ages_b)].map(|part| Distribution::from(&part));
            let sum = sum(&[&parts[0], &parts[1]]);
            // Ages of a part without measured values say nothing, and are not among its values.
            let kept = |measured: &[(u64, u64)], ages: &[(u64, u64)]| {
                if measured.is_empty() { Vec::new() } else { ages.to_vec() }
            };
            let ages = [kept(&a, &ages_a), kept(&b, &ages_b)].concat();
            let whole = Distribution::from(&aged(&[a, b].concat(), &ages));
            prop_assert_eq!(sum.count, whole.count);
            prop_assert_eq!(&sum.at_least, &whole.at_least);
            for (name, _) in QUANTILES {
                prop_assert_eq!(sum.by_name(name), whole.by_name(name), "{}", name);
            }
        }
    }
}
