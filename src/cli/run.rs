//! `loadgen [run]`: settings → plan → run → report → exit code.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::sync::watch;

use super::args::{RunArgs, UsageError};
#[cfg(feature = "pipeline")]
use super::fleet;
use super::metrics::{run_labels, tee};
use super::output::Outputs;
use super::profiles::read_profile_text;
use super::progress::View;
use super::signals::Signals;
use super::{CommandOutcome, SCRIPT, logger, own_program};
use crate::config::plan::Plan;
use crate::config::settings::Settings;
use crate::core::units::StartTime;
use crate::output::forms::{Document, Subject};
use crate::ramp::is_ramp;
use crate::report::{Allowed, RunResult, check_conditions};
use crate::run::{RunError, Runner, Services};

/// Error message for wrk2's `-B`.
const NO_BATCHES: &str = "--batch_latency: loadgen measures each answer on its own, also in a pipelined batch; \
                          remove the flag";

/// A run whose arguments are checked.
pub(super) struct PreparedRun {
    pub(super) settings: Settings,
    pub(super) plan: Plan,
    pub(super) outputs: Outputs,
    pub(super) allowed: Allowed,
}

/// Reads the profile, makes the plan, and checks the files of the report.
pub(super) fn prepare(args: &RunArgs) -> anyhow::Result<PreparedRun> {
    if args.batch_latency {
        return Err(UsageError(NO_BATCHES.to_owned()).into());
    }
    let settings = match &args.profile {
        Some(file) => args.settings.clone().layered_on(read_profile(file)?),
        None => args.settings.clone(),
    };
    check_conditions(&settings.fail_if)?;
    let plan = Plan::new(settings.clone())?;
    if let Some(warning) = plan.warning() {
        log::warn!("{warning}");
    }
    let allowed = args.allow.allowed();
    let subject = Subject::Run { listens: plan.listens() };
    let outputs = Outputs::check(&args.output, subject)?.allowing(allowed).quiet(args.watch.quiet);
    Ok(PreparedRun { settings, plan, outputs, allowed })
}

pub(super) async fn run(args: RunArgs) -> anyhow::Result<CommandOutcome> {
    #[cfg(feature = "pipeline")]
    if args.fleet.fleet.is_some() {
        return fleet::run(args).await;
    }
    let PreparedRun { plan, outputs, allowed, .. } = prepare(&args)?;
    let start_at = args.start_at.map(|start| still_ahead(start, &plan)).transpose()?;
    let mut signals = Signals::new()?;
    let (stop, stopped) = watch::channel(false);
    let endpoint = args.watch.endpoint()?;
    let progress = View::new(args.watch.quiet);
    let publish = endpoint.as_ref().map(|endpoint| endpoint.updater(run_labels(&plan)));
    let mut runner = Runner::new()
        .services(Services::Children(own_program()))
        .stop_on(stopped)
        .on_progress(tee(progress.updater(), publish));
    if let Some(at) = start_at {
        runner = runner.start_at(at);
    }
    let running = runner.run_until_done(&plan);
    let finished = tokio::select! {
        result = running => result,
        () = signals.ask_then_insist(&stop) => {
            progress.finish();
            // Returning drops the run and its child processes.
            return Ok(CommandOutcome::Interrupted);
        }
    };
    progress.finish();
    if matches!(finished, Err(RunError::Stopped)) {
        logger::say(log::Level::Error, &RunError::Stopped.to_string());
        return Ok(CommandOutcome::Interrupted);
    }
    let finished = finished?;
    let report = finished.report.clone();
    outputs.add_to_step_summary(Document::Run(&report));
    let delivery = outputs.deliver(Document::Run(&report));
    let Some(delivered) = delivery.finish_unless(&mut signals).await else {
        return Ok(CommandOutcome::Interrupted);
    };
    // As with wrk, the script's `done` runs last. It may block, so a signal can leave it behind.
    let last_word = tokio::task::spawn_blocking(move || finished.call_done());
    let ended = tokio::select! {
        said = last_word => {
            let result = RunResult::of_run(&report, allowed);
            match said.context("done() of the script ended without a result")? {
                Ok(()) => Ok(result.outcome()),
                Err(error) if result.outcome() == CommandOutcome::Interrupted => {
                    log::error!("{error:#}");
                    Ok(CommandOutcome::Interrupted)
                }
                Err(error) => {
                    outputs.print_result(&format!("FAILED (done of the script), exit {SCRIPT}"));
                    Err(error.into())
                }
            }
        }
        () = signals.next() => Ok(CommandOutcome::Interrupted),
    };
    if let (Err(_), Err(error)) = (&delivered, &ended) {
        log::error!("{error:#}");
    }
    delivered.and(ended)
}

fn read_profile(file: &std::path::Path) -> anyhow::Result<Settings> {
    let name = file.display();
    let text = read_profile_text(file)
        .map_err(|error| UsageError(format!("--profile {name}: {error}")))?;
    if is_ramp(&text) {
        return Err(UsageError(format!(
            "--profile {name}: this is the profile of a ramp; run it with `loadgen ramp {name}`"
        ))
        .into());
    }
    let settings = Settings::from_toml(&text)
        .map_err(|error| UsageError(format!("--profile {name}: {error}")))?;
    check_conditions(&settings.fail_if)
        .map_err(|error| UsageError(format!("--profile {name}: {error}")))?;
    Ok(Settings { mix_file: Some(file.to_owned()), ..settings })
}

/// Longest wait for a start time, 7 days. A later date is probably a typing error.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 86_400);

/// Refuses a start time in the past or more than a week ahead. With a Redis the start is in the time of
/// Redis, and the run itself refuses a start in the past.
fn still_ahead(start_at: StartTime, plan: &Plan) -> Result<SystemTime, UsageError> {
    let now = SystemTime::now();
    let at = start_at.seen_from(now);
    let name = humantime::format_rfc3339_seconds(at);
    match at.duration_since(now) {
        Ok(left) if left <= LONGEST_WAIT => Ok(at),
        Ok(_) => Err(UsageError(format!("--start-at {name} is more than a week ahead"))),
        Err(past) if plan.has_clock_of_redis() && past.duration() <= LONGEST_WAIT => Ok(at),
        Err(past) => {
            let seconds = past.duration().as_secs();
            Err(UsageError(format!(
                "--start-at {name} is {seconds} s in the past; choose a later time"
            )))
        }
    }
}
