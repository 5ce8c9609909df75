//! `loadgen ramp PROFILE`: profile → steps → runs → report → exit code. The report is saved after each
//! step, so that an interrupted ramp keeps its finished steps.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::args::{RampArgs, UsageError};
use super::metrics::{Endpoint, step_labels, tee};
use super::output::{Delivery, Outputs};
use super::profiles::read_profile_text;
use super::progress::View;
use super::signals::Signals;
use super::{CommandOutcome, own_program};
use crate::config::plan::command::{quoted, words};
use crate::config::settings::Settings;
use crate::output::forms::{Document, Subject};
use crate::ramp::{Ramp, RampEvent, RampPlan, StepStart};
use crate::report::ramp::RampReport;
use crate::report::{Allowed, RunResult};
use crate::run::{Progress, Services};

/// A ramp whose arguments are checked.
pub(super) struct PreparedRamp {
    pub(super) plan: RampPlan,
    /// Text of the profile.
    pub(super) text: String,
    pub(super) screen: RampScreen,
    pub(super) allowed: Allowed,
}

/// Reads the profile, plans the steps, and checks the files of the report. `view` makes the view of the progress.
pub(super) fn prepare(
    args: &RampArgs,
    view: impl FnOnce(bool) -> View,
) -> anyhow::Result<PreparedRamp> {
    let file = &args.profile;
    let text = read_profile_text(file)
        .map_err(|e| UsageError(format!("the profile {} cannot be read: {e}", file.display())))?;
    let command = command(file, &args.settings);
    let plan = RampPlan::new(file, &text, args.settings.clone(), command)?;
    if let Some(warning) = plan.warning() {
        log::warn!("{warning}");
    }
    let allowed = args.allow.allowed();
    let outputs =
        Outputs::check(&args.output, Subject::Ramp)?.allowing(allowed).quiet(args.watch.quiet);
    let screen = RampScreen {
        outputs,
        endpoint: args.watch.endpoint()?,
        progress: view(args.watch.quiet),
        is_step_shown: true,
        show_progress: None,
    };
    Ok(PreparedRamp { plan, text, screen, allowed })
}

pub(super) async fn ramp(args: RampArgs) -> anyhow::Result<CommandOutcome> {
    #[cfg(feature = "pipeline")]
    if args.fleet.fleet.is_some() {
        return super::fleet::ramp::run(args).await;
    }
    let PreparedRamp { plan, screen, allowed, .. } = prepare(&args, View::new)?;
    let mut signals = Signals::new()?;
    let (stop, stopped) = watch::channel(false);
    let screen = Arc::new(Mutex::new(screen));
    let events = Arc::clone(&screen);
    let ramp = Ramp::new(plan, Services::Children(own_program()))
        .stop_on(stopped)
        .on_event(move |event| lock(&events).handle(event));
    let report = tokio::select! {
        report = ramp.run() => Some(report),
        // Returning drops the run and its child processes; the saved report stays.
        () = signals.ask_then_insist(&stop) => None,
    };
    lock(&screen).finish();
    let Some(report) = report else { return Ok(CommandOutcome::Interrupted) };
    let delivery = lock(&screen).deliver(&report);
    let Some(delivered) = delivery.finish_unless(&mut signals).await else {
        return Ok(CommandOutcome::Interrupted);
    };
    delivered?;
    Ok(RunResult::of_ramp(&report, allowed).outcome())
}

/// Callback for the progress of one run.
pub(super) type ShowProgress = Box<dyn FnMut(&Progress) + Send>;

/// Outputs of a ramp: the saved report, the metrics, and the progress on stderr.
pub(super) struct RampScreen {
    outputs: Outputs,
    endpoint: Option<Endpoint>,
    progress: View,
    is_step_shown: bool,
    show_progress: Option<ShowProgress>,
}

impl RampScreen {
    /// Begins to deliver the final report.
    pub(super) fn deliver(&self, report: &RampReport) -> Delivery {
        self.outputs.add_to_step_summary(Document::Ramp(report));
        self.outputs.deliver(Document::Ramp(report))
    }

    /// Clears the progress from the terminal.
    pub(super) fn finish(&mut self) {
        self.progress.finish();
        self.show_progress = None;
    }

    fn handle(&mut self, event: RampEvent<'_>) {
        match event {
            RampEvent::StepStart(step) => {
                self.begin(&step);
                self.show_step();
            }
            RampEvent::Progress(progress) => self.show(progress),
            RampEvent::Report(so_far) => self.keep(so_far),
        }
    }

    /// Handles an event of a ramp that several nodes run. Only the collector shows and keeps it; it shows a step with its first
    /// progress, which comes when all have begun.
    #[cfg(feature = "pipeline")]
    pub(super) fn handle_in_fleet(&mut self, event: RampEvent<'_>, is_collector: bool) {
        match event {
            RampEvent::StepStart(step) => self.begin(&step),
            RampEvent::Report(so_far) if is_collector => self.keep(so_far),
            RampEvent::Progress(_) | RampEvent::Report(_) => {}
        }
    }

    /// Shows the progress of the whole fleet.
    #[cfg(feature = "pipeline")]
    pub(super) fn show_fleet(&mut self, progress: &Progress) {
        if self.show_progress.is_some() && !self.is_step_shown {
            self.show_step();
        }
        self.show(progress);
    }

    fn begin(&mut self, step: &StepStart<'_>) {
        self.progress.set_step(step);
        self.is_step_shown = false;
        let labels = step_labels(step);
        let publish = self.endpoint.as_ref().map(|endpoint| endpoint.updater(labels));
        self.show_progress = Some(Box::new(tee(self.progress.updater(), publish)));
    }

    fn show_step(&mut self) {
        self.progress.show_step();
        self.is_step_shown = true;
    }

    fn show(&mut self, progress: &Progress) {
        if let Some(show) = &mut self.show_progress {
            show(progress);
        }
    }

    fn keep(&mut self, so_far: &RampReport) {
        self.progress.list_steps(so_far);
        if let Err(error) = self.outputs.keep(Document::Ramp(so_far)) {
            log::warn!("{error:#}");
        }
    }
}

/// The screen; a panic in an earlier event does not keep it from being used.
pub(super) fn lock(screen: &Mutex<RampScreen>) -> MutexGuard<'_, RampScreen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Command line that repeats the ramp, without secrets.
fn command(file: &Path, typed: &Settings) -> String {
    format!("loadgen ramp {}{}", quoted(&file.display().to_string()), words(typed))
}
