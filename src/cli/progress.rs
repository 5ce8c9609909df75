//! Progress on stderr: a few lines that are drawn anew where it is a terminal, a plain line now and
//! then where it is not, nothing when told to be quiet.

mod window;
mod words;

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::window::RecentWindow;
use self::words::StepHeader;
use super::logger;
use super::terminal::{is_redrawn, stderr_style};
use crate::output::TextStyle;
use crate::ramp::StepStart;
use crate::report::ramp::RampReport;
use crate::run::{Phase, Progress};

/// Redraws per second. Drawing takes CPU time from the load, so the rate is low.
const HERTZ: u8 = 5;
/// Shortest interval between two plain lines; in a long run it grows to 1/20 of the elapsed time.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// Interval between two plain lines while the run waits for its start.
const WAITING_EVERY: Duration = Duration::from_secs(60);

/// Progress view of a run on stderr.
pub(super) struct View {
    face: Face,
    /// Description of the current step; empty for a run without steps.
    header: StepHeader,
    /// Number of finished steps that are listed above the view.
    listed: usize,
}

#[derive(Clone)]
enum Face {
    Nothing,
    Plain,
    Screen(Screen),
}

impl View {
    /// A view that is there from now on.
    pub(super) fn new(quiet: bool) -> Self {
        let view = Self::undrawn(quiet);
        if let Face::Screen(screen) = &view.face {
            screen.begin(&view.header);
        }
        view
    }

    /// A view that appears with the first step or progress.
    pub(super) fn undrawn(quiet: bool) -> Self {
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        let face = match stderr_style() {
            _ if quiet => Face::Nothing,
            Some(style) if !ci && is_redrawn() => Face::Screen(Screen::new(style)),
            _ => Face::Plain,
        };
        Self { face, header: StepHeader::default(), listed: 0 }
    }

    /// Sets the step of a ramp that begins.
    pub(super) fn set_step(&mut self, step: &StepStart<'_>) {
        self.header = StepHeader::new(step);
    }

    /// Shows the step that was set.
    pub(super) fn show_step(&self) {
        match &self.face {
            Face::Nothing => {}
            Face::Plain => say(&self.header.text(Duration::ZERO)),
            Face::Screen(screen) => screen.begin(&self.header),
        }
    }

    /// Lists the steps that have ended since the last call: above the view, where they stay, or as lines.
    pub(super) fn list_steps(&mut self, ramp: &RampReport) {
        if matches!(self.face, Face::Nothing) {
            return;
        }
        // A step of a search is judged after its report.
        let judged = ramp.search.as_ref().map(|search| search.trials.len());
        for (number, step) in ramp.steps.iter().enumerate().skip(self.listed) {
            if step.error.is_none() && judged.is_some_and(|judged| number >= judged) {
                return;
            }
            self.listed = number + 1;
            match &self.face {
                Face::Nothing => {}
                Face::Plain => {
                    say(words::finished_step(ramp, number, TextStyle::PLAIN).trim_start());
                }
                Face::Screen(screen) => {
                    // A failure only leaves the line out.
                    let _ = screen.all.println(words::finished_step(ramp, number, screen.style));
                }
            }
        }
    }

    /// Returns the callback for the progress of a run.
    pub(super) fn updater(&self) -> impl FnMut(&Progress) + Send + 'static {
        let (face, header, mut lines_due) =
            (self.face.clone(), self.header.clone(), LineSchedule::default());
        let mut window = RecentWindow::default();
        move |progress| match &face {
            Face::Nothing => {}
            Face::Plain if lines_due.is_due(progress) => {
                say(&words::line(&header.text(Duration::ZERO), progress));
            }
            Face::Plain => {}
            Face::Screen(screen) => {
                window.add(progress);
                screen.show(&header, progress, &window);
            }
        }
    }

    /// Clears the view from the terminal.
    pub(super) fn finish(&self) {
        if let Face::Screen(screen) = &self.face {
            // A failure only leaves the last view on the terminal.
            let _ = screen.all.clear();
        }
    }
}

fn say(line: &str) {
    logger::say(log::Level::Info, line);
}

/// View on a terminal: a header, a bar, and figures.
#[derive(Clone)]
struct Screen {
    all: MultiProgress,
    header: ProgressBar,
    bar: ProgressBar,
    figures: ProgressBar,
    style: TextStyle,
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn add_line(all: &MultiProgress, template: &str) -> ProgressBar {
    all.add(ProgressBar::no_length().with_style(style(template)))
}

impl Screen {
    fn new(style: TextStyle) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(HERTZ));
        logger::make_room(all.clone());
        let header = add_line(&all, "{wide_msg}");
        let bar = add_line(&all, "{prefix:>9} {msg}");
        let figures = add_line(&all, "{msg}");
        Self { all, header, bar, figures, style }
    }

    fn begin(&self, header: &StepHeader) {
        self.header.set_message(header.text(Duration::ZERO));
        self.bar.set_style(style("{prefix:>9} {msg}"));
        self.bar.set_message("");
        self.bar.set_prefix("starting");
        self.figures.set_message("");
    }

    fn show(&self, header: &StepHeader, progress: &Progress, window: &RecentWindow) {
        if let Some(planned) = progress.planned {
            self.bar.set_style(style("{prefix:>9} [{wide_bar}] {msg}"));
            self.bar.set_length(millis(planned));
            self.bar.set_position(millis(progress.elapsed.min(planned)));
        }
        self.header.set_message(header.text(progress.elapsed));
        self.bar.set_prefix(words::phase(progress));
        self.bar.set_message(words::time(progress));
        self.figures.set_message(words::figures(progress, window, self.style));
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Schedule of the plain lines.
#[derive(Debug)]
struct LineSchedule {
    waiting: bool,
    next: Duration,
}

impl Default for LineSchedule {
    fn default() -> Self {
        Self { waiting: false, next: PLAIN_EVERY }
    }
}

impl LineSchedule {
    fn is_due(&mut self, progress: &Progress) -> bool {
        let (waiting, elapsed) = (progress.phase == Phase::Waiting, progress.elapsed);
        if waiting != self.waiting {
            // Report a wait at once. After the start, wait one interval, so that there are figures to show.
            *self = Self { waiting, next: if waiting { Duration::ZERO } else { PLAIN_EVERY } };
        }
        let due = elapsed >= self.next;
        if due {
            let every = if waiting { WAITING_EVERY } else { PLAIN_EVERY.max(elapsed / 20) };
            self.next = elapsed + every;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tenths of seconds at which a line is printed, of so many.
    fn lines(tenths: u32, phase: Phase, lines_due: &mut LineSchedule) -> Vec<u32> {
        let mut progress = Progress { phase, ..words::tests::progress() };
        let at = |tenth: &u32| {
            progress.elapsed = Duration::from_millis(u64::from(*tenth) * 100);
            lines_due.is_due(&progress)
        };
        (0..tenths).filter(at).collect()
    }

    #[test]
    fn plain_lines_are_few_and_become_fewer() {
        assert_eq!(
            lines(40, Phase::Measuring, &mut LineSchedule::default()),
            [0; 0],
            "a short run has none"
        );
        let mut lines_due = LineSchedule::default();
        assert_eq!(lines(1_300, Phase::Waiting, &mut lines_due), [0, 600, 1_200]);
        assert_eq!(lines(170, Phase::Measuring, &mut lines_due), [50, 100, 150]);
        let day = lines(864_000, Phase::Measuring, &mut LineSchedule::default()).len();
        assert!((100..300).contains(&day), "{day} lines a day");
    }
}
