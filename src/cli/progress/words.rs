//! Texts of the progress view. Every line of figures fits into 40 columns.

use std::fmt;
use std::time::Duration;

use super::window::{RecentPercentiles, RecentWindow};
use crate::core::printable::message;
use crate::core::units::{
    format_count, format_duration, format_metric, format_short_metric, format_time,
};
use crate::output::{TextStyle, Tone, fitted, step_verdict};
use crate::ramp::StepStart;
use crate::report::ramp::{RampReport, RampStep};
use crate::run::{Phase, Progress};

/// Columns that a sparkline leaves for its label and its maximum.
const BESIDE_SPARKLINE: usize = 24;

/// Header of a ramp's step: its number, the number of steps, and the remaining time of the ramp.
#[derive(Debug, Clone, Default)]
pub(super) struct StepHeader {
    title: String,
    left: Option<Duration>,
}

impl StepHeader {
    pub(super) fn new(step: &StepStart<'_>) -> Self {
        let StepStart { number, of, name, left } = step;
        Self { title: format!("step {number} of {of}: {}", message(name)), left: *left }
    }

    /// The header when the step's run has lasted for a time; empty outside of a ramp.
    pub(super) fn text(&self, elapsed: Duration) -> String {
        let left = self.left.map(|left| whole(left.saturating_sub(elapsed)));
        let left = left.map(|left| format!(", {} to go", format_duration(left)));
        format!("{}{}", self.title, left.unwrap_or_default())
    }
}

/// Result of a step that has ended, in one line of a wide terminal.
pub(super) fn finished_step(ramp: &RampReport, number: usize, style: TextStyle) -> String {
    let Some(step) = ramp.steps.get(number) else { return String::new() };
    let verdict = step_verdict(ramp, number, style);
    let words = match (&step.error, &step.report) {
        (Some(error), _) => vec![verdict, message(error)],
        (None, Some(_)) => [vec![verdict], step_figures(step)].concat(),
        (None, None) => vec![verdict],
    };
    let label = format!("  {} ", message(&step.name));
    fitted(&label, &words.join("  "), style).trim_end().to_owned()
}

fn step_figures(step: &RampStep) -> Vec<String> {
    let Some(report) = &step.report else { return Vec::new() };
    let (name, main) = match &report.arrival {
        Some(arrival) => ("arrival", arrival),
        None => ("response", &report.latency.response),
    };
    let p50 = main.p50.map(|p50| format!("p50 {}", format_time(p50)));
    let p99 = main.p99.map(|p99| format!("p99 {}", format_time(p99)));
    let percentiles: Vec<_> = p50.into_iter().chain(p99).collect();
    let mut figures = vec![format!("{}/s", format_short_metric(report.requests.rate_achieved))];
    if !percentiles.is_empty() {
        figures.push(format!("{name} {}", percentiles.join(" ")));
    }
    figures
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
pub(super) fn figures(progress: &Progress, window: &RecentWindow, style: TextStyle) -> String {
    if progress.phase == Phase::Waiting {
        return String::new();
    }
    let target = progress.target_rate.map(|rate| format!("target {}/s", format_short_metric(rate)));
    let rate = format!("{}/s", format_short_metric(rate_per_s(progress)));
    let mut rows = vec![
        row("rate", &rate, &target.unwrap_or_default()),
        row_of_percentiles("response", &window.response, window.seconds()),
    ];
    if progress.arrived.is_some() {
        rows.push(row_of_percentiles("arrival", &window.arrival, window.seconds()));
    }
    rows.extend(sparkline(window, style));
    // Messages that arrive during the warm-up are not counted, so they stand beside those accepted after it.
    rows.push(match progress.arrived {
        Some(arrived) => {
            row("accepted", &format_count(progress.accepted), &labelled_count("arrived", arrived))
        }
        None => row("sent", &format_count(progress.sent), ""),
    });
    let missing = progress.arrived.map(|_| labelled_count("missing", missing(progress)));
    rows.push(row("in flight", &format_count(progress.in_flight), &missing.unwrap_or_default()));
    if let Some(depth) = progress.queue_depth {
        rows.push(row("queue", &format_count(depth), ""));
    }
    if progress.totals.refused > 0 {
        let refused = format_count(progress.totals.refused);
        rows.push(style.paint(Tone::Bad, &row("refused", &refused, "not 2xx/3xx")));
    }
    if progress.totals.failed + progress.dropped > 0 {
        let failed = format_count(progress.totals.failed);
        let dropped = labelled_count("dropped", progress.dropped);
        rows.push(style.paint(Tone::Bad, &row("failed", &failed, &dropped)));
    }
    style.with_characters(rows.join("\n"))
}

fn row(label: &str, left: &str, right: &str) -> String {
    format!("{label:>9} {left:<11} {right}").trim_end().to_owned()
}

/// The median and the highest percentile that there are values for, with the seconds they are of unless it is one.
fn row_of_percentiles(label: &str, recent: &RecentPercentiles, seconds: u64) -> String {
    let (name, highest) = match recent.p99 {
        None if recent.p90.is_some() => ("p90", recent.p90),
        p99 => ("p99", p99),
    };
    let of =
        if seconds > 1 && recent.p50.is_some() { window_length(seconds) } else { String::new() };
    let short = |micros: Option<f64>| micros.map_or_else(|| "n/a".to_owned(), format_time);
    row(label, &format!("p50 {}", short(recent.p50)), &format!("{name} {}{of}", short(highest)))
}

fn window_length(seconds: u64) -> String {
    if seconds < 100 { format!(" ({seconds}s)") } else { format!(" ({}m)", seconds / 60) }
}

/// The p99 of the last seconds as bars, the latest to the right; `None` before there are two.
fn sparkline(window: &RecentWindow, style: TextStyle) -> Option<String> {
    let levels = style.levels();
    let columns = style.columns().saturating_sub(BESIDE_SPARKLINE).min(window.history.len());
    let shown = window.history.iter().skip(window.history.len() - columns);
    let highest = shown.clone().copied().fold(0.0, f64::max);
    if columns < 2 || highest <= 0.0 {
        return None;
    }
    let bars = shown.map(|p99| {
        let level = (p99 / highest * levels.len() as f64).ceil() as usize;
        levels[level.clamp(1, levels.len()) - 1]
    });
    let bars: String = bars.collect();
    Some(format!("{:>9} {bars} up to {}", "p99", format_time(highest)))
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
    let mut words = Vec::new();
    // The requests of the last second before the drain are not a rate of the drain.
    if progress.phase != Phase::Draining {
        words.push(rate(progress));
    }
    words.push(format!("response {}", response(progress)));
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

fn rate(progress: &Progress) -> String {
    format!("{}/s", format_metric(rate_per_s(progress)))
}

/// Send rate over the last second; before the first full second, the latest rate.
fn rate_per_s(progress: &Progress) -> f64 {
    let second = progress.last_second.as_ref().map(|second| second.sent as f64);
    second.unwrap_or(progress.rate)
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
    use crate::output::Characters;
    use crate::report::Row;
    use crate::run::measurements::Totals;

    pub(in crate::cli::progress) fn progress() -> Progress {
        Progress {
            phase: Phase::Measuring,
            elapsed: Duration::from_millis(3_400),
            planned: Some(Duration::from_secs(10)),
            rate: 23_000.0,
            target_rate: Some(24_000.0),
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

    fn plain(columns: usize) -> TextStyle {
        TextStyle::terminal(columns, false, Characters::Marks)
    }

    /// A window with these p99, in milliseconds.
    fn window(p99: &[f64]) -> RecentWindow {
        let recent = |p50, p99| RecentPercentiles { p50: Some(p50), p99, ..Default::default() };
        let mut window = RecentWindow::default();
        window.response = recent(459.26, Some(2490.0));
        window.arrival = recent(578.56, p99.last().map(|p99| p99 * 1e3));
        window.history = p99.iter().map(|p99| p99 * 1e3).collect();
        window
    }

    #[test]
    fn the_figures_of_a_pipeline() {
        let history = [1.0, 2.0, 8.0, 3.1];
        assert_eq!(
            figures(&progress(), &window(&history), plain(80)),
            "     rate 24.0k/s     target 24.0k/s\n \
              response p50 459µs   p99 2.49ms\n  \
               arrival p50 579µs   p99 3.10ms\n      \
                   p99 ▁▂█▄ up to 8.00ms\n \
              accepted 95,990      arrived 95,988\n\
             in flight 12          missing 2\n    \
                 queue 3"
        );
        assert_eq!(
            line("step 2 of 5: rate 24k", &progress()),
            "step 2 of 5: rate 24k: sending, 7s left: 24.00k/s, response p50 459µs p99 2.49ms, \
             arrival p50 579µs p99 n/a, 12 in flight, 3 queued, 2 missing"
        );
        let draining = Progress { phase: Phase::Draining, ..progress() };
        assert_eq!(
            line("step 2 of 5: rate 24k", &draining),
            "step 2 of 5: rate 24k: draining, the last messages: response p50 459µs p99 2.49ms, \
             arrival p50 579µs p99 n/a, 12 in flight, 3 queued, 2 missing"
        );
        let ascii = TextStyle::terminal(80, false, Characters::Ascii);
        assert!(figures(&progress(), &window(&history), ascii).is_ascii());
    }

    #[test]
    fn percentiles_say_the_seconds_they_are_of() {
        let of = |p90, p99, seconds| {
            row_of_percentiles("arrival", &RecentPercentiles { p50: Some(1e3), p90, p99 }, seconds)
        };
        assert_eq!(of(Some(2e3), Some(3e3), 1), "  arrival p50 1.00ms  p99 3.00ms");
        assert_eq!(of(Some(2e3), Some(3e3), 10), "  arrival p50 1.00ms  p99 3.00ms (10s)");
        assert_eq!(of(Some(2e3), None, 3), "  arrival p50 1.00ms  p90 2.00ms (3s)");
        assert_eq!(of(None, None, 3), "  arrival p50 1.00ms  p99 n/a (3s)");
        assert!(of(None, Some(3e3), 240).ends_with("p99 3.00ms (4m)"));
    }

    #[test]
    fn the_figures_of_one_server_in_trouble_before_the_first_second() {
        let totals = Totals { refused: 45, failed: 7, ..Totals::default() };
        let trouble = Progress {
            planned: None,
            arrived: None,
            queue_depth: None,
            last_second: None,
            target_rate: None,
            dropped: 1_234,
            totals: Arc::new(totals),
            ..progress()
        };
        assert_eq!(
            figures(&trouble, &RecentWindow::default(), plain(80)),
            "     rate 23.0k/s\n \
              response p50 n/a     p99 n/a\n     \
                  sent 96,000\n\
             in flight 12\n  \
               refused 45          not 2xx/3xx\n   \
                failed 7           dropped 1,234"
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
            accepted: 199_999_998,
            arrived: Some(99_999_999),
            queue_depth: Some(9_999_999),
            target_rate: Some(9_999_999.0),
            last_second: Some(Row { sent: 9_999_999, ..Row::default() }),
            ..progress()
        };
        let mut long = window(&[999_999.0; 60]);
        long.response = RecentPercentiles { p50: Some(999_499.0), p90: None, p99: Some(99_949.0) };
        for line in figures(&large, &long, plain(40)).lines() {
            assert!(line.chars().count() <= 40, "{} columns: {line}", line.chars().count());
        }
        assert!(row_of_percentiles("response", &long.response, 99).chars().count() <= 40);
    }

    #[test]
    fn a_finished_step_has_its_verdict_and_its_main_figures() {
        let text = include_str!("../../../tests/data/ramp.json");
        let ramp = RampReport::from_json(text).expect("a saved ramp");
        let line = finished_step(&ramp, 0, plain(120));
        assert!(line.starts_with("  connections 1 ✓ ok  "), "{line}");
        assert!(line.contains("/s  arrival p50 "), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(finished_step(&ramp, 0, plain(40)).lines().all(|line| line.chars().count() <= 40));
        assert_eq!(finished_step(&ramp, 99, plain(80)), "");
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
        let figures = figures(&waiting, &RecentWindow::default(), plain(80));
        assert_eq!((figures, line("", &waiting)), (String::new(), "waiting, starts in 7s".into()));
    }

    #[test]
    fn a_step_says_its_place_and_what_is_to_come() {
        let first = StepStart { number: 2, of: 10, name: "connections 4", left: None };
        let text = |step: &StepStart<'_>, elapsed| {
            StepHeader::new(step).text(Duration::from_millis(elapsed))
        };
        assert_eq!(text(&first, 0), "step 2 of 10: connections 4");
        let left = StepStart { left: Some(Duration::from_millis(95_100)), ..first };
        assert_eq!(text(&left, 0), "step 2 of 10: connections 4, 1m36s to go");
        assert_eq!(text(&left, 90_000), "step 2 of 10: connections 4, 6s to go");
        assert_eq!(text(&left, 99_000), "step 2 of 10: connections 4, 0s to go");
        assert_eq!(StepHeader::default().text(Duration::ZERO), "");
    }
}
