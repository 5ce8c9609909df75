//! `loadgen ramp PROFILE`: profile → steps → runs → report → exit code. The report is saved after each
//! step, so that an interrupted ramp keeps its finished steps.

use std::path::Path;

use tokio::sync::watch;

use super::args::{RampArgs, UsageError};
use super::metrics::{Endpoint, step_labels, tee};
use super::output::Outputs;
use super::profiles::read_profile_text;
use super::progress::View;
use super::signals::Signals;
use super::{Outcome, logger, own_program};
use crate::config::plan::command::{quoted, words};
use crate::config::settings::Settings;
use crate::output::forms::{Document, Subject};
use crate::ramp::{Ramp, RampObserver, RampPlan, StepStart, Watcher};
use crate::report::RunResult;
use crate::report::ramp::RampReport;
use crate::run::Services;

pub(super) async fn ramp(args: RampArgs) -> anyhow::Result<Outcome> {
    logger::install(log::LevelFilter::Warn);
    let file = &args.profile;
    let text = read_profile_text(file)
        .map_err(|e| UsageError(format!("the profile {} cannot be read: {e}", file.display())))?;
    let command = command(file, &args.settings);
    let plan = RampPlan::new(file, &text, args.settings.clone(), command)?;
    if let Some(warning) = plan.warning() {
        log::warn!("{warning}");
    }
    let allowed = args.allow.allowed();
    let outputs = Outputs::check(&args.output, Subject::Ramp)?.allowing(allowed);

    let mut signals = Signals::new()?;
    let (stop, stopped) = watch::channel(false);
    let endpoint = args.watch.endpoint()?;
    let progress = View::new(args.watch.quiet);
    let mut desk = RampScreen { outputs, endpoint, progress };
    let ramp = Ramp::new(plan, Services::Children(own_program())).stop_on(stopped);
    let report = tokio::select! {
        report = ramp.run(&mut desk) => Some(report),
        // Returning drops the run and its child processes; the saved report stays.
        () = signals.ask_then_insist(&stop) => None,
    };
    desk.progress.finish();
    let Some(report) = report else { return Ok(Outcome::Interrupted) };
    let delivered = desk.outputs.deliver(Document::Ramp(&report));
    desk.outputs.add_to_step_summary(Document::Ramp(&report));
    delivered?;
    Ok(RunResult::of_ramp(&report, allowed).outcome())
}

/// Saves the report and shows the progress.
struct RampScreen {
    outputs: Outputs,
    endpoint: Option<Endpoint>,
    progress: View,
}

impl RampObserver for RampScreen {
    fn begins(&mut self, step: &StepStart<'_>) -> Option<Watcher> {
        self.progress.begin_step(step);
        let publish = self.endpoint.as_ref().map(|endpoint| endpoint.updater(step_labels(step)));
        Some(Box::new(tee(self.progress.updater(), publish)))
    }

    fn report(&mut self, so_far: &RampReport) {
        if let Err(error) = self.outputs.keep(Document::Ramp(so_far)) {
            log::warn!("{error:#}");
        }
    }
}

/// Command line that repeats the ramp, without secrets.
fn command(file: &Path, typed: &Settings) -> String {
    format!("loadgen ramp {}{}", quoted(&file.display().to_string()), words(typed))
}
