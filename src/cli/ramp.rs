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
use crate::ramp::{Ramp, RampEvent, RampPlan};
use crate::report::RunResult;
use crate::report::ramp::RampReport;
use crate::run::{Progress, Services};

pub(super) async fn ramp(args: RampArgs) -> anyhow::Result<CommandOutcome> {
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

    let mut signals = Signals::new()?;
    let (stop, stopped) = watch::channel(false);
    let endpoint = args.watch.endpoint()?;
    let screen = RampScreen {
        outputs,
        endpoint,
        progress: View::new(args.watch.quiet),
        show_progress: None,
    };
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
    lock(&screen).progress.finish();
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
struct RampScreen {
    outputs: Outputs,
    endpoint: Option<Endpoint>,
    progress: View,
    show_progress: Option<ShowProgress>,
}

impl RampScreen {
    /// Begins to deliver the final report.
    fn deliver(&self, report: &RampReport) -> Delivery {
        self.outputs.add_to_step_summary(Document::Ramp(report));
        self.outputs.deliver(Document::Ramp(report))
    }

    fn handle(&mut self, event: RampEvent<'_>) {
        match event {
            RampEvent::StepStart(step) => {
                self.progress.begin_step(&step);
                let labels = step_labels(&step);
                let publish = self.endpoint.as_ref().map(|endpoint| endpoint.updater(labels));
                self.show_progress = Some(Box::new(tee(self.progress.updater(), publish)));
            }
            RampEvent::Progress(progress) => {
                if let Some(show) = &mut self.show_progress {
                    show(progress);
                }
            }
            RampEvent::Report(so_far) => {
                self.progress.list_steps(so_far);
                if let Err(error) = self.outputs.keep(Document::Ramp(so_far)) {
                    log::warn!("{error:#}");
                }
            }
        }
    }
}

/// The screen; a panic in an earlier event does not keep it from being used.
fn lock(screen: &Mutex<RampScreen>) -> MutexGuard<'_, RampScreen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Command line that repeats the ramp, without secrets.
fn command(file: &Path, typed: &Settings) -> String {
    format!("loadgen ramp {}{}", quoted(&file.display().to_string()), words(typed))
}
