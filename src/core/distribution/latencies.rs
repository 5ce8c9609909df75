//! The latency histogram: fixed bounds, exact merge, quantiles that refuse small samples, HDR text.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use crate::core::clock::Nanos;

/// Values below this many nanoseconds share a bucket: far below what a clock call costs in noise.
const RESOLUTION_NS: u64 = 64;
/// A new histogram takes values up to here without growing: 4 ms, in 57 kB.
const FIRST_HIGHEST_NS: u64 = RESOLUTION_NS << 16;
/// Values above it are counted at it: one day.
const HIGHEST_NS: u64 = 86_400_000_000_000;
/// A quantile needs this many values beyond it; with fewer, it is a property of the accident.
const VALUES_BEYOND: f64 = 10.0;
/// Share of the values that a whole run needs with which a row of a series has a quantile too: at 1,000 requests a second
/// one second has 998 values and the next 1,002, and all of them have a 99th percentile.
const ROW_SHARE: f64 = 0.95;

/// The first bytes of a deflated V2 histogram; the length of what follows comes next.
const V2_DEFLATED: [u8; 4] = 0x1c84_9314_u32.to_be_bytes();
const LENGTH_BYTES: usize = 4;
/// The largest histogram that is read. One of ours has at most 340 kB.
const MOST_BYTES: u64 = 8 << 20;
/// The most significant digits of a histogram that is read; ours have three.
const MOST_DIGITS: u32 = 4;

/// The quantiles of every report: name in the JSON and place in [0, 1].
pub(crate) const QUANTILES: [(&str, f64); 7] = [
    ("p50", 0.50),
    ("p75", 0.75),
    ("p90", 0.90),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99_9", 0.999),
    ("p99_99", 0.9999),
];

/// Fewest values for which the quantile of this name in [`QUANTILES`] is reported.
pub(crate) fn fewest_values(name: &str) -> Option<u64> {
    let (_, place) = QUANTILES.iter().find(|(own, _)| *own == name)?;
    // A float again: 10 / (1 - 0.9) is 100.00000000000003.
    Some((VALUES_BEYOND / (1.0 - place) - 1e-6).ceil() as u64)
}

/// Steps of a spectrum for each halving of what is left above.
const TICKS_PER_HALVING: u32 = 5;

/// A step of [`Latencies::spectrum`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SpectrumStep {
    /// Largest value of the step.
    pub value: Nanos,
    /// Its place, in [0, 1].
    pub quantile: f64,
    /// Values that are not above it.
    pub up_to: u64,
}

/// Faults of an HDR text.
#[derive(Debug, thiserror::Error)]
pub enum HdrError {
    /// The text is not base64: it was cut or edited.
    #[error("not base64")]
    Base64(#[from] base64::DecodeError),
    /// The text unpacks to more than any histogram takes.
    #[error("larger than {} MiB when unpacked", MOST_BYTES >> 20)]
    TooLarge,
    /// The bytes are not a V2 or V2-deflate histogram.
    #[error("not an HDR V2 histogram: {0}")]
    Format(String),
}

/// A place of a distribution: so much of it, in [0, 1], is at most `value`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    /// The share.
    pub quantile: f64,
    /// The largest value of it.
    pub value: Nanos,
    /// Values of the whole distribution.
    pub count: u64,
}

/// Latencies in nanoseconds: 0 to a day at three significant digits, in 57 to 262 kB: the memory depends on the
/// largest value, and not on the number of values.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(RESOLUTION_NS, FIRST_HIGHEST_NS, 3);
        let mut histogram = histogram.expect("the constant bounds are valid");
        histogram.auto(true);
        Self { histogram }
    }
}

impl Latencies {
    /// Counts one value; one beyond a day counts as a day.
    pub(crate) fn record(&mut self, value: Nanos) {
        self.record_n(value, 1);
    }

    /// Counts the same value `count` times.
    pub(crate) fn record_n(&mut self, value: Nanos, count: u64) {
        let recorded = self.histogram.record_n(value.0.min(HIGHEST_NS), count);
        recorded.expect("the histogram grows up to a day");
    }

    /// Adds all values of the other: the result is the histogram of the union, exactly.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("the histogram grows up to a day");
    }

    /// Returns the values that were recorded after `earlier`, an earlier state of this histogram.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut recent = self.clone();
        // An earlier state has no value that this one lacks.
        if recent.histogram.subtract(&earlier.histogram).is_err() {
            recent.clear();
        }
        recent
    }

    /// Forgets all values and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.histogram.reset();
    }

    /// Returns the number of values.
    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The value at `quantile` in [0, 1], or `None` where fewer than ten values lie beyond it.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<Nanos> {
        self.quantile_with(quantile, VALUES_BEYOND)
    }

    /// The value at `quantile` in [0, 1] of one row of a series, or `None` where fewer than [`ROW_SHARE`] of ten values
    /// lie beyond it.
    pub(crate) fn row_quantile(&self, quantile: f64) -> Option<Nanos> {
        self.quantile_with(quantile, VALUES_BEYOND * ROW_SHARE)
    }

    /// The value at `quantile` in [0, 1], or `None` where fewer than `fewest` values lie beyond it.
    fn quantile_with(&self, quantile: f64, fewest: f64) -> Option<Nanos> {
        let beyond = self.count() as f64 * (1.0 - quantile);
        // The product of a float: 1000 * (1 - 0.99) is 10.000000000000009 or 9.99999999999999.
        (beyond + 1e-6 >= fewest).then(|| Nanos(self.histogram.value_at_quantile(quantile)))
    }

    /// The distribution from its smallest value to its largest, which is at 1: `per_halving` steps from
    /// each share to the one half as far from 1, at least 1, as HdrHistogram's plots have it.
    pub(crate) fn steps(&self, per_halving: u32) -> Vec<Step> {
        let steps = self.histogram.iter_quantiles(per_halving.max(1));
        steps
            .map(|at: hdrhistogram::iterators::IterationValue<u64>| Step {
                quantile: at.quantile_iterated_to(),
                value: Nanos(at.value_iterated_to()),
                count: self.count(),
            })
            .collect()
    }

    /// The values that were counted, ascending, right to a thousandth, with their counts.
    pub(crate) fn recorded(&self) -> impl Iterator<Item = (Nanos, u64)> {
        let steps = self.histogram.iter_recorded();
        steps.map(|step| (Nanos(step.value_iterated_to()), step.count_at_value()))
    }

    /// Mean in nanoseconds; `None` without values.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.histogram.mean())
    }

    /// Standard deviation in nanoseconds; `None` without values.
    pub(crate) fn stdev(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.histogram.stdev())
    }

    /// Smallest value; `None` without values.
    pub(crate) fn min(&self) -> Option<Nanos> {
        (self.count() > 0).then(|| Nanos(self.histogram.min()))
    }

    /// Largest value; `None` without values.
    pub(crate) fn max(&self) -> Option<Nanos> {
        (self.count() > 0).then(|| Nanos(self.histogram.max()))
    }

    /// The sum of all values in seconds; 0 without values.
    pub(crate) fn sum_s(&self) -> f64 {
        self.mean().unwrap_or_default() * self.count() as f64 / 1e9
    }

    /// Counts the values at or below each of the bounds, which must be ascending. A bound is exact to a
    /// thousandth, as the values are.
    pub(crate) fn counts_up_to(&self, bounds: &[Nanos]) -> Vec<u64> {
        let mut values = self.histogram.iter_recorded().peekable();
        let mut below = 0;
        bounds
            .iter()
            .map(|bound: &Nanos| {
                while let Some(step) = values.next_if(|step| step.value_iterated_to() <= bound.0) {
                    below += step.count_at_value();
                }
                below
            })
            .collect()
    }

    /// The share of values within one standard deviation of the mean, in [0, 1]: wrk's `+/- Stdev`.
    pub(crate) fn share_within_stdev(&self) -> Option<f64> {
        let (mean, stdev) = (self.mean()?, self.stdev()?);
        let (low, high) = ((mean - stdev).max(0.0) as u64, (mean + stdev) as u64);
        Some(self.histogram.count_between(low, high) as f64 / self.count() as f64)
    }

    /// The cumulative distribution in steps that grow finer towards the tail: five for each halving of
    /// what is left above, as HdrHistogram prints it. Empty without values.
    pub(crate) fn spectrum(&self) -> impl Iterator<Item = SpectrumStep> {
        let mut up_to = 0;
        self.histogram.iter_quantiles(TICKS_PER_HALVING).map(move |step| {
            up_to += step.count_since_last_iteration();
            SpectrumStep {
                value: Nanos(step.value_iterated_to()),
                quantile: step.quantile_iterated_to(),
                up_to,
            }
        })
    }

    /// The histogram's buckets and the steps in each, which HdrHistogram's tools print.
    pub(crate) fn buckets(&self) -> (u8, u32) {
        let steps = (2 * 10_u32.pow(u32::from(self.histogram.sigfig()))).next_power_of_two();
        (self.histogram.buckets(), steps)
    }

    /// HDR V2, deflated, in base64: what the HdrHistogram tools exchange. Values in nanoseconds.
    pub(crate) fn to_hdr(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.histogram, &mut bytes)
            .expect("writing to memory cannot fail");
        BASE64.encode(bytes)
    }

    /// Reads what `to_hdr` or another HdrHistogram wrote, in nanoseconds. A text that unpacks to more than
    /// 8 MiB is refused.
    pub(crate) fn from_hdr(text: &str) -> Result<Self, HdrError> {
        let bytes = unpacked(&BASE64.decode(text)?)?;
        check_header(&bytes)?;
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| HdrError::Format(e.to_string()))?;
        let mut latencies = Self::default();
        for step in read.iter_recorded() {
            latencies.record_n(Nanos(step.value_iterated_to()), step.count_at_value());
        }
        Ok(latencies)
    }
}

/// The bytes of a V2 histogram: those of a deflated one are inflated.
fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, HdrError> {
    let Some(deflated) = bytes.strip_prefix(&V2_DEFLATED).and_then(|rest| rest.get(LENGTH_BYTES..))
    else {
        return Ok(bytes.to_vec());
    };
    let mut inflated = Vec::new();
    let read = ZlibDecoder::new(deflated).take(MOST_BYTES + 1).read_to_end(&mut inflated);
    read.map_err(|e| HdrError::Format(e.to_string()))?;
    if inflated.len() as u64 > MOST_BYTES { Err(HdrError::TooLarge) } else { Ok(inflated) }
}

/// Refuses a header that promises more bytes than there are, or more digits than a day's bounds need: memory is
/// taken for what it promises. After the cookie come the length, an offset, and the number of digits.
fn check_header(bytes: &[u8]) -> Result<(), HdrError> {
    let (length, digits) = (header_field(bytes, 1), header_field(bytes, 3));
    if length as usize > bytes.len() || digits > MOST_DIGITS {
        return Err(HdrError::Format(format!(
            "its header says {length} bytes and {digits} digits"
        )));
    }
    Ok(())
}

/// A field of four bytes by its number, from 0; 0 if the bytes end before it.
fn header_field(bytes: &[u8], number: usize) -> u32 {
    let at = number * 4;
    let field = bytes.get(at..at + 4).and_then(|field| field.try_into().ok());
    field.map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests;
