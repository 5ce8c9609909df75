//! Counters of a service, and metrics for Prometheus: its text format 0.0.4, and OpenMetrics 1.0 if the reader
//! prefers it.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Number that a service counts, or that rises and falls.
#[cfg_attr(not(feature = "pipeline"), allow(unreachable_pub, reason = "only services count"))]
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

#[cfg_attr(not(feature = "pipeline"), allow(unreachable_pub, reason = "only services count"))]
impl Counter {
    /// Adds `n`.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Subtracts `n`, as for a gauge.
    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Sets the number, as for a gauge.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
}

/// Format of metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus text 0.0.4.
    #[default]
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// Returns the format that an `Accept` header prefers, by default Prometheus text.
    pub(crate) fn accepted(accept: &str) -> Self {
        let open = quality(accept, "application/openmetrics-text");
        if open > 0.0 && open >= quality(accept, "text/plain") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// For the `Content-Type` header.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Returns the quality of a media type in an `Accept` header, 0 if it is not there.
fn quality(accept: &str, media_type: &str) -> f64 {
    let range = accept.split(',').find(|range| {
        range.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(media_type))
    });
    let Some(range) = range else { return 0.0 };
    match range.split(';').find_map(|part| part.trim().strip_prefix("q=")) {
        Some(quality) => quality.trim().parse().unwrap_or(0.0),
        None => 1.0,
    }
}

/// Values of a distribution, as a histogram shows them.
#[derive(Debug)]
pub(crate) struct Histogram {
    /// Upper bounds, ascending, with the number of values at or below each.
    pub(crate) buckets: Vec<(f64, u64)>,
    pub(crate) sum: f64,
    pub(crate) count: u64,
}

/// Metrics being written. Names are without `_total` and `_info`, helps are one line that ends in a
/// full stop.
#[derive(Debug, Default)]
pub(crate) struct MetricsText {
    format: Format,
    text: String,
}

// Writing to a String cannot fail: the results of `writeln!` below say nothing.
impl MetricsText {
    /// Starts an empty text.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, text: String::new() }
    }

    /// Adds a number that only grows.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "_total", "counter", help);
        let _ = writeln!(self.text, "{name}_total {value}");
    }

    /// Adds a number that goes up and down.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "", "gauge", help);
        let _ = writeln!(self.text, "{name} {value}");
    }

    /// Adds facts, as labels of the number 1.
    pub(crate) fn info<N: Display>(&mut self, name: &str, help: &str, labels: &[(N, String)]) {
        // 0.0.4 has no such kind.
        let kind = if self.format == Format::OpenMetrics { "info" } else { "gauge" };
        self.family(name, "_info", kind, help);
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| {
                let value = value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
                format!("{name}=\"{value}\"")
            })
            .collect();
        let _ = writeln!(self.text, "{name}_info{{{}}} 1", labels.join(","));
    }

    /// Adds a distribution.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, values: &Histogram) {
        let Histogram { buckets, sum, count } = values;
        self.family(name, "", "histogram", help);
        for (bound, below) in buckets {
            // `{:?}` writes 1.0 where `{}` writes 1: OpenMetrics wants the point.
            let _ = writeln!(self.text, "{name}_bucket{{le=\"{bound:?}\"}} {below}");
        }
        let _ = writeln!(self.text, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(self.text, "{name}_sum {sum}\n{name}_count {count}");
    }

    /// Adds the lines before the samples of a family. Its name has the ending of the samples in 0.0.4, and none in
    /// OpenMetrics.
    fn family(&mut self, name: &str, ending: &str, kind: &str, help: &str) {
        let ending = if self.format == Format::OpenMetrics { "" } else { ending };
        let _ = writeln!(self.text, "# HELP {name}{ending} {help}\n# TYPE {name}{ending} {kind}");
    }

    /// Returns the text.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text += "# EOF\n";
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(format: Format) -> String {
        let counter = Counter::default();
        counter.add(3);
        let mut text = MetricsText::new(format);
        text.counter("x", "All x.", counter.get());
        text.gauge("depth", "Now.", 7);
        text.info("build", "Which.", &[("v", "1".into()), ("odd", "a\"b\\c\nd".into())]);
        let times = Histogram { buckets: vec![(0.005, 1), (1.0, 2)], sum: 4.5, count: 3 };
        text.histogram("t_seconds", "Times.", &times);
        text.finish()
    }

    #[test]
    fn prometheus_text_names_families_as_their_samples() {
        let text = sample(Format::Prometheus);
        assert_eq!(
            text,
            "# HELP x_total All x.\n# TYPE x_total counter\nx_total 3\n\
             # HELP depth Now.\n# TYPE depth gauge\ndepth 7\n\
             # HELP build_info Which.\n# TYPE build_info gauge\nbuild_info{v=\"1\",odd=\"a\\\"b\\\\c\\nd\"} 1\n\
             # HELP t_seconds Times.\n# TYPE t_seconds histogram\n\
             t_seconds_bucket{le=\"0.005\"} 1\nt_seconds_bucket{le=\"1.0\"} 2\n\
             t_seconds_bucket{le=\"+Inf\"} 3\nt_seconds_sum 4.5\nt_seconds_count 3\n"
        );
    }

    #[test]
    fn open_metrics_names_families_without_the_ending_and_says_where_it_ends() {
        let text = sample(Format::OpenMetrics);
        assert!(text.starts_with("# HELP x All x.\n# TYPE x counter\nx_total 3\n"), "{text}");
        assert!(text.contains("# TYPE build info\nbuild_info{"), "{text}");
        assert!(text.ends_with("t_seconds_count 3\n# EOF\n"), "{text}");
    }

    #[test]
    fn the_format_is_what_the_reader_prefers() {
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Prometheus),
            ("application/openmetrics-text", Format::OpenMetrics),
            // As Prometheus asks.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            ("text/plain;q=0.5, Application/OpenMetrics-Text; version=1.0.0", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.1,text/plain;q=0.9", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=x", Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
