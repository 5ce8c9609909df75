//! Texts of the progress view. Every line of figures fits into 40 columns.

use std::fmt;
use std::time::Duration;

use crate::core::printable::message;
use crate::core::units::{format_count, format_duration, format_metric, format_time};
use crate::ramp::StepStart;
use crate::run::{Phase, Progress};

/// Header of a ramp's step: its number, the number of steps, and the remaining time of the ramp.
pub(super) fn step(step: &StepStart<'_>) -> String {
    let StepStart { number, of, name, left } = step;
    let left = left.map(|left| format!(", {} to go", format_duration(whole(left))));
    format!("step {number} of {of}: {}{}", message(name), left.unwrap_or_default())
}

/// Rounds up to whole seconds, so that the view never shows 0s before the end.
fn whole(span: Duration) -> Duration {
    Duration::from_secs(span.as_millis().div_ceil(1_000) as u64)
}

/// Name of the run's phase.
pub(super) fn phase(progress: &Progress) -> &'static str {
    match progress.phase {
        Phase::Waiting => "waiting",
        Phase::Warmup => "warm-up",
        Phase::Measuring => "sending",
        Phase::Draining => "draining",
    }
}

/// Time until the start, remaining time, or elapsed time if the run has no planned duration.
pub(super) fn time(progress: &Progress) -> String {
    let elapsed = Duration::from_secs(progress.elapsed.as_secs());
    match (progress.phase, progress.planned) {
        (Phase::Waiting, Some(start)) => format!("starts in {}", time_left(start, progress)),
        (Phase::Draining, _) if progress.arrived.is_some() => "the last messages".to_owned(),
        (Phase::Draining, _) => "the last answers".to_owned(),
        (_, Some(planned)) => format!("{} left", time_left(planned, progress)),
        (_, None) => format_duration(elapsed),
    }
}

/// Figures of the progress, one row per line; empty before the start.
pub(super) fn figures(progress: &Progress) -> String {
    if progress.phase == Phase::Waiting {
        return String::new();
    }
    let mut rows = vec![
        row("rate", &rate(progress), &labelled_count("sent", progress.sent)),
        row_of_percentiles("response", &response(progress)),
    ];
    if progress.arrived.is_some() {
        rows.push(row_of_percentiles("arrival", &arrival(progress)));
    }
    let queue =
        progress.queue_depth.map(|depth| labelled_count("queue", depth)).unwrap_or_default();
    rows.push(row("in flight", &format_count(progress.in_flight), &queue));
    if let Some(arrived) = progress.arrived {
        let missing = format_count(missing(progress));
        rows.push(row("missing", &missing, &labelled_count("arrived", arrived)));
    }
    if progress.totals.refused > 0 {
        let refused = format_count(progress.totals.refused);
        rows.push(row("refused", &refused, "not 2xx/3xx"));
    }
    if progress.totals.failed + progress.dropped > 0 {
        let failed = format_count(progress.totals.failed);
        rows.push(row("failed", &failed, &labelled_count("dropped", progress.dropped)));
    }
    rows.join("\n")
}

fn row(label: &str, left: &str, right: &str) -> String {
    format!("{label:>9} {left:<13} {right}").trim_end().to_owned()
}

fn row_of_percentiles(label: &str, percentiles: &Percentiles) -> String {
    let Percentiles { p50, p99 } = percentiles;
    row(label, &format!("p50 {p50}"), &format!("p99 {p99}"))
}

fn time_left(planned: Duration, progress: &Progress) -> String {
    format_duration(whole(planned.saturating_sub(progress.elapsed)))
}

fn labelled_count(label: &str, n: u64) -> String {
    format!("{label} {}", format_count(n))
}

/// Progress in one line, for output that is not a terminal.
pub(super) fn line(header: &str, progress: &Progress) -> String {
    let mut parts = Vec::new();
    if !header.is_empty() {
        parts.push(header.to_owned());
    }
    parts.push(format!("{}, {}", phase(progress), time(progress)));
    if progress.phase == Phase::Waiting {
        return parts.join(": ");
    }
    let mut words = vec![rate(progress), format!("response {}", response(progress))];
    if progress.arrived.is_some() {
        words.push(format!("arrival {}", arrival(progress)));
    }
    let totals = &progress.totals;
    let counts = [
        (Some(progress.in_flight), "in flight"),
        (progress.queue_depth, "queued"),
        (progress.arrived.map(|_| missing(progress)), "missing"),
        (Some(totals.refused).filter(|n| *n > 0), "refused"),
        (Some(totals.failed).filter(|n| *n > 0), "failed"),
        (Some(progress.dropped).filter(|n| *n > 0), "dropped"),
    ];
    for (count, label) in counts {
        words.extend(count.map(|n| format!("{} {label}", format_count(n))));
    }
    parts.push(words.join(", "));
    parts.join(": ")
}

/// Send rate over the last second; before the first full second, the latest rate.
fn rate(progress: &Progress) -> String {
    let second = progress.last_second.as_ref().map(|second| second.sent as f64);
    format!("{}/s", format_metric(second.unwrap_or(progress.rate)))
}

/// Messages that were accepted and have not arrived yet. They count as lost only after the drain.
fn missing(progress: &Progress) -> u64 {
    progress.accepted.saturating_sub(progress.arrived.unwrap_or(progress.accepted))
}

/// Percentiles of the last second as text.
struct Percentiles {
    p50: String,
    p99: String,
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {} p99 {}", self.p50, self.p99)
    }
}

fn response(progress: &Progress) -> Percentiles {
    let second = progress.last_second.as_ref();
    Percentiles {
        p50: latency(second.and_then(|s| s.response_p50)),
        p99: latency(second.and_then(|s| s.response_p99)),
    }
}

fn arrival(progress: &Progress) -> Percentiles {
    let second = progress.last_second.as_ref();
    Percentiles {
        p50: latency(second.and_then(|s| s.arrival_p50)),
        p99: latency(second.and_then(|s| s.arrival_p99)),
    }
}

fn latency(micros: Option<f64>) -> String {
    micros.map_or_else(|| "n/a".to_owned(), format_time)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::Row;
    use crate::run::measurements::Totals;

    pub(in crate::cli::progress) fn progress() -> Progress {
        Progress {
            phase: Phase::Measuring,
            elapsed: Duration::from_millis(3_400),
            planned: Some(Duration::from_secs(10)),
            rate: 23_000.0,
            sent: 96_000,
            in_flight: 12,
            dropped: 0,
            accepted: 95_990,
            arrived: Some(95_988),
            queue_depth: Some(3),
            last_second: Some(Row {
                sent: 24_000,
                response_p50: Some(459.26),
                response_p99: Some(2490.0),
                arrival_p50: Some(578.56),
                ..Row::default()
            }),
            totals: Arc::default(),
        }
    }

    #[test]
    fn the_figures_of_a_pipeline() {
        assert_eq!(
            figures(&progress()),
            "     rate 24.00k/s      sent 96,000\n \
              response p50 459µs  p99 2.49ms\n  \
               arrival p50 579µs  p99 n/a\n\
             in flight 12            queue 3\n  \
               missing 2             arrived 95,988"
        );
        assert_eq!(
            line("step 2 of 5: rate 24k", &progress()),
            "step 2 of 5: rate 24k: sending, 7s left: 24.00k/s, response p50 459µs p99 2.49ms, \
             arrival p50 579µs p99 n/a, 12 in flight, 3 queued, 2 missing"
        );
    }

    #[test]
    fn the_figures_of_one_server_in_trouble_before_the_first_second() {
        let totals = Totals { refused: 45, failed: 7, ..Totals::default() };
        let trouble = Progress {
            planned: None,
            arrived: None,
            queue_depth: None,
            last_second: None,
            dropped: 1_234,
            totals: Arc::new(totals),
            ..progress()
        };
        assert_eq!(
            figures(&trouble),
            "     rate 23.00k/s      sent 96,000\n \
              response p50 n/a       p99 n/a\n\
             in flight 12\n  \
               refused 45            not 2xx/3xx\n   \
                failed 7             dropped 1,234"
        );
        assert_eq!(
            line("", &trouble),
            "sending, 3s: 23.00k/s, response p50 n/a p99 n/a, 12 in flight, 45 refused, 7 failed, \
             1,234 dropped"
        );
    }

    #[test]
    fn figures_fit_into_40_columns() {
        let large = Progress {
            sent: 99_999_999,
            in_flight: 100_000,
            dropped: 999_999,
            accepted: 999_999_999,
            arrived: Some(1),
            queue_depth: Some(9_999_999),
            last_second: Some(Row {
                sent: 9_999_999,
                response_p50: Some(849990.0),
                response_p99: Some(999999999.999),
                ..Row::default()
            }),
            ..progress()
        };
        for line in figures(&large).lines() {
            assert!(line.len() <= 40, "{} columns: {line}", line.len());
        }
    }

    #[test]
    fn the_time_is_what_is_left() {
        let at = |phase, planned: Option<u64>| {
            let planned = planned.map(Duration::from_secs);
            time(&Progress { phase, planned, ..progress() })
        };
        assert_eq!(at(Phase::Waiting, Some(124)), "starts in 2m1s");
        assert_eq!(at(Phase::Measuring, Some(4)), "1s left");
        assert_eq!(at(Phase::Warmup, Some(3)), "0s left");
        assert_eq!(at(Phase::Measuring, None), "3s");
        assert_eq!(at(Phase::Draining, Some(4)), "the last messages");
        let waiting = Progress { phase: Phase::Waiting, ..progress() };
        assert_eq!(
            (figures(&waiting), line("", &waiting)),
            (String::new(), "waiting, starts in 7s".into())
        );
    }

    #[test]
    fn a_step_says_its_place_and_what_is_to_come() {
        let first = StepStart { number: 2, of: 10, name: "connections 4", left: None };
        assert_eq!(step(&first), "step 2 of 10: connections 4");
        let left = Some(Duration::from_millis(95_100));
        assert_eq!(step(&StepStart { left, ..first }), "step 2 of 10: connections 4, 1m36s to go");
    }
}
