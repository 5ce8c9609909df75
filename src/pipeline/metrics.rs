//! Counters of a service, and their Prometheus text.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Overwrites it: for a gauge.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
}

/// One line group of the Prometheus text format 0.0.4: name, kind, help, value.
pub type Metric = (&'static str, &'static str, &'static str, u64);

/// The Prometheus text of some metrics.
pub fn exposition(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for (name, kind, help, value) in metrics {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_prometheus() {
        let counter = Counter::default();
        counter.add(3);
        let text = exposition(&[("x_total", "counter", "All x.", counter.get())]);
        assert_eq!(text, "# HELP x_total All x.\n# TYPE x_total counter\nx_total 3\n");
    }
}
