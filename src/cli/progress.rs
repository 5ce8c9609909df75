//! Progress on a terminal: one line on stderr while a run lasts.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ramp::Ahead;
use crate::run::{Phase, Progress};
use crate::units::{format_count, format_duration, format_metric};

/// Redraws a second: a terminal costs CPU, too.
const HERTZ: u8 = 5;

/// A progress line; invisible where stderr is no terminal, in CI, or when told to be quiet.
pub(super) struct ProgressLine {
    bar: ProgressBar,
    /// Of a ramp: which step it is.
    step: String,
}

impl ProgressLine {
    pub(super) fn new(quiet: bool) -> Self {
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        let target = match quiet || ci {
            true => ProgressDrawTarget::hidden(),
            // indicatif hides it by itself where it is no terminal.
            false => ProgressDrawTarget::stderr_with_hz(HERTZ),
        };
        let bar = ProgressBar::with_draw_target(Some(1), target);
        let style = ProgressStyle::with_template("{prefix:>9} [{bar:24}] {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_prefix("starting");
        bar.tick();
        Self { bar, step: String::new() }
    }

    /// A step of a ramp begins.
    pub(super) fn begin_step(&mut self, step: &Ahead<'_>) {
        let left = step.left.map(|left| format!(", {} left", format_duration(left)));
        let Ahead { number, of, name, .. } = step;
        self.step = format!("step {number} of {of}{}: {name}, ", left.unwrap_or_default());
        self.bar.set_prefix("starting");
        self.bar.set_message(self.step.clone());
    }

    /// What to call with each progress.
    pub(super) fn updater(&self) -> impl FnMut(&Progress) + Send + 'static {
        let (bar, step) = (self.bar.clone(), self.step.clone());
        move |progress| {
            if let Some(planned) = progress.planned {
                bar.set_length(millis(planned));
                bar.set_position(millis(progress.elapsed.min(planned)));
            }
            bar.set_prefix(match progress.phase {
                Phase::Waiting => "waiting",
                Phase::Warmup => "warm-up",
                Phase::Measuring => "sending",
                Phase::Draining => "draining",
            });
            bar.set_message(format!("{step}{}", describe(progress)));
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn describe(progress: &Progress) -> String {
    if progress.phase == Phase::Waiting {
        let left = progress.planned.unwrap_or_default().saturating_sub(progress.elapsed);
        return format!("starts in {}", format_duration(Duration::from_secs(left.as_secs() + 1)));
    }
    let mut parts = vec![
        format!("{:.0}s", progress.elapsed.as_secs_f64()),
        format!("{}/s", format_metric(progress.rate)),
        format!("{} sent", format_count(progress.sent)),
        format!("{} in flight", format_count(progress.in_flight)),
    ];
    if progress.dropped > 0 {
        parts.push(format!("{} dropped", format_count(progress.dropped)));
    }
    if let Some(arrived) = progress.arrived {
        parts.push(format!("{} arrived", format_count(arrived)));
        // Not lost yet, as long as the run waits for them.
        let missing = progress.accepted.saturating_sub(arrived);
        parts.push(format!("{} missing", format_count(missing)));
    }
    if let Some(depth) = progress.queue_depth {
        parts.push(format!("{} queued", format_count(depth)));
    }
    parts.join(", ")
}
