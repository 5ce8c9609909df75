//! Nodes whose 99th percentile is not that of the others. Merged percentiles hide one bad node.
//!
//! A node differs if three conditions hold:
//!
//! - The confidence interval of its p99 lies outside those of the others: above the median of their upper ends, or below
//!   that of their lower ends. The interval is free of any distribution: it lies between two order statistics, as the
//!   number of values below a quantile is binomial (David and Nagaraja, Order Statistics, 2003, 7.1). A stall delays all
//!   requests that are due in it, so values count in groups as large as a stall of 10 ms makes them (Kish, Survey
//!   Sampling, 1965).
//! - The logarithm of its p99 is an outlier among those of all nodes: its modified z-score, from the median and the median
//!   absolute deviation, is above 3.5 (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993). So nodes that vary
//!   for a reason of their own, such as their place in the network, are not named one by one.
//! - Its p99 is more than a quarter above or below the median of the others: a smaller difference hides nothing.

use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;

/// The percentile that is compared.
const QUANTILE: f64 = 0.99;
/// Fewest nodes of which one can differ from the others.
const FEWEST_NODES: usize = 3;
/// Fewest values of each node.
const FEWEST_VALUES: u64 = 1_000;
/// 99.5th percentile of the normal distribution: the interval has 99 %.
const Z: f64 = 2.575_829;
/// Length of a common stall, in seconds.
const STALL_S: f64 = 0.01;
/// Largest modified z-score of a node that is like the others.
const LARGEST_SCORE: f64 = 3.5;
/// Standard deviation of a normal distribution, in median absolute deviations.
const DEVIATIONS: f64 = 1.4826;
/// Smallest ratio of two percentiles that is worth a note.
const NOTABLE_RATIO: f64 = 1.25;

/// The 99th percentile of a node with its confidence interval, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NodeTimes {
    index: u64,
    p99: f64,
    low: f64,
    high: f64,
}

/// A node that differs from the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Differing {
    pub(super) index: u64,
    /// Its 99th percentile, in microseconds.
    pub(super) p99_us: f64,
    /// Median of those of the others, in microseconds.
    pub(super) others_us: f64,
}

impl NodeTimes {
    /// The percentile of a node, with `per_s` values a second; `None` with fewer than 1,000 values.
    pub(super) fn new(index: u64, latencies: &Latencies, per_s: f64) -> Option<Self> {
        let count = latencies.count();
        if count < FEWEST_VALUES {
            return None;
        }
        let group = (per_s * STALL_S).max(1.0);
        let spread = Z * (QUANTILE * (1.0 - QUANTILE) / (count as f64 / group)).sqrt();
        let value = |place: f64| value_at(latencies, place).0.max(1) as f64;
        let (p99, low, high) =
            (value(QUANTILE), value(QUANTILE - spread), value(QUANTILE + spread));
        Some(Self { index, p99, low, high })
    }
}

/// The value at a place of all values; the smallest below 0 and the largest from 1 on.
fn value_at(latencies: &Latencies, place: f64) -> Nanos {
    let rank = (latencies.count() as f64 * place.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
    let mut up_to = 0;
    let mut values = latencies.recorded();
    let reached = values.find(|(_, count): &(Nanos, u64)| {
        up_to += count;
        up_to >= rank
    });
    reached.map(|(value, _)| value).or(latencies.max()).unwrap_or_default()
}

/// The nodes that differ from the others, the most distant ones first. None of fewer than three nodes.
pub(super) fn differing(nodes: &[NodeTimes]) -> Vec<Differing> {
    if nodes.len() < FEWEST_NODES {
        return Vec::new();
    }
    let logs: Vec<_> = nodes.iter().map(|node| node.p99.ln()).collect();
    let centre = median(logs.clone());
    let deviation = median(logs.iter().map(|log| (log - centre).abs()).collect());
    let mut found = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        let others = Others::of(nodes, place);
        let is_outside = node.low > others.high || node.high < others.low;
        let score_limit = LARGEST_SCORE * DEVIATIONS * deviation;
        let is_outlier = (node.p99.ln() - centre).abs() > score_limit;
        let distance = (node.p99 / others.p99).ln().abs();
        if is_outside && is_outlier && distance > NOTABLE_RATIO.ln() {
            let (p99_us, others_us) = (node.p99 / 1e3, others.p99 / 1e3);
            found.push((distance, Differing { index: node.index, p99_us, others_us }));
        }
    }
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    found.into_iter().map(|(_, node)| node).collect()
}

/// Medians of the nodes except one.
struct Others {
    p99: f64,
    low: f64,
    high: f64,
}

impl Others {
    fn of(nodes: &[NodeTimes], except: usize) -> Self {
        let mut others = nodes.to_vec();
        others.remove(except);
        Self {
            p99: median(others.iter().map(|node| node.p99).collect()),
            low: median(others.iter().map(|node| node.low).collect()),
            high: median(others.iter().map(|node| node.high).collect()),
        }
    }
}

/// The middle value; of an even number the mean of both. 0 without values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        Some(upper) if values.len().is_multiple_of(2) => (values[middle - 1] + upper) / 2.0,
        Some(value) => *value,
        None => 0.0,
    }
}

#[cfg(test)]
mod tests;
