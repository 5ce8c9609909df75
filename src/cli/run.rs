//! `loadgen [run]`: settings → plan → run → report → exit code.

use anyhow::Context as _;
use tokio::sync::watch;

use super::args::{RunArgs, UsageError};
use super::output::{self, Output};
use super::progress::ProgressLine;
use super::signals::Signals;
use super::{Outcome, logger};
use crate::plan::Plan;
use crate::profile::Settings;
use crate::report::{Report, TextOptions, check_names};
use crate::run::{Runner, Services};

pub(super) async fn run(args: RunArgs) -> anyhow::Result<Outcome> {
    logger::install(log::LevelFilter::Warn);
    let settings = match &args.profile {
        Some(file) => args.settings.clone().over(read_profile(file)?),
        None => args.settings.clone(),
    };
    let plan = Plan::new(settings)?;
    check_names(&plan.thresholds)?;
    let outputs =
        args.outputs.iter().map(|path| Output::check(path)).collect::<Result<Vec<_>, _>>()?;

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
    let options = TextOptions { latency: args.latency };
    output::print(&report, args.format, options)?;
    for output in &outputs {
        output.write(&report, options)?;
    }
    Ok(outcome(&report, args.allow_limited))
}

fn read_profile(file: &std::path::Path) -> anyhow::Result<Settings> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("--profile {name}"))?;
    Settings::from_toml(&text).map_err(|e| UsageError(format!("--profile {name}: {e}")).into())
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
