//! `loadgen [run]`: settings → plan → run → report → exit code.

use anyhow::Context as _;
use tokio::sync::watch;

use super::args::{RunArgs, UsageError};
use super::output::{Document, Outputs};
use super::progress::ProgressLine;
use super::signals::Signals;
use super::{Outcome, logger};
use crate::plan::Plan;
use crate::profile::Settings;
use crate::ramp::is_ramp;
use crate::report::{Report, check_names};
use crate::run::{Runner, Services};

pub(super) async fn run(args: RunArgs) -> anyhow::Result<Outcome> {
    logger::install(log::LevelFilter::Warn);
    let settings = match &args.profile {
        Some(file) => args.settings.clone().over(read_profile(file)?),
        None => args.settings.clone(),
    };
    let plan = Plan::new(settings)?;
    check_names(&plan.thresholds)?;
    let outputs = Outputs::check(&args.output)?;

    let mut signals = Signals::new()?;
    let (stop, stopped) = watch::channel(false);
    let progress = ProgressLine::new(args.quiet);
    let own_program = std::env::current_exe().context("cannot find my own program file")?;
    let running = Runner::new()
        .services(Services::Children(own_program))
        .stop_on(stopped)
        .on_progress(progress.updater())
        .run(&plan);
    let observations = tokio::select! {
        result = running => result,
        () = signals.ask_then_insist(&stop) => {
            progress.finish();
            // Leaving drops the run, and with it every child.
            return Ok(Outcome::Interrupted);
        }
    };
    progress.finish();
    let report = Report::from(&observations?);
    outputs.print(Document::Run(&report))?;
    outputs.save(Document::Run(&report))?;
    Ok(outcome(&report, args.allow_limited))
}

fn read_profile(file: &std::path::Path) -> anyhow::Result<Settings> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("--profile {name}"))?;
    let refused = |e: String| UsageError(format!("--profile {name}: {e}")).into();
    if is_ramp(&text) {
        return Err(refused(format!("its steps are run by `loadgen ramp {name}`")));
    }
    Settings::from_toml(&text).map_err(|e| refused(e.to_string()))
}

/// Numbers that are not to be trusted come before numbers that are not good enough.
fn outcome(report: &Report, allow_limited: bool) -> Outcome {
    let verdict = &report.verdict;
    if report.run.interrupted {
        Outcome::Interrupted
    } else if verdict.generator == "limited" && !allow_limited {
        Outcome::Limited
    } else if verdict.thresholds.iter().any(|threshold| !threshold.ok) {
        Outcome::Failed
    } else {
        Outcome::Done
    }
}
