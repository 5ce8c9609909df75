//! The command line: the only part that talks to a terminal.

mod args;
mod compare;
#[cfg(feature = "pipeline")]
mod dead;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "pipeline")]
mod fleet;
mod help;
mod init;
mod logger;
#[cfg(feature = "pipeline")]
mod manifest;
mod manual;
mod merge;
mod metrics;
mod mistakes;
mod output;
#[cfg(test)]
mod profile_schema;
mod profiles;
mod progress;
mod ramp;
#[cfg(test)]
mod reference;
mod report;
mod run;
#[cfg(feature = "pipeline")]
mod services;
mod signals;
mod terminal;
#[cfg(feature = "pipeline")]
mod visit;

use std::path::PathBuf;
use std::process::ExitCode;

use args::{Cli, Command};
use mistakes::{CommandLine, ParseError};

use crate::report::CommandOutcome;

/// Exit code of any other error.
const FAILURE: u8 = 1;
/// Exit code of a usage error or an invalid profile; the same as clap's.
const USAGE: u8 = 2;
/// Exit code of a failed script.
const SCRIPT: u8 = 107;

/// Path of this executable, which is started again as api and push. Without /proc this is `argv[0]`; only a run
/// that starts the pipeline needs it.
fn own_program() -> PathBuf {
    let called = || std::env::args_os().next().unwrap_or_default().into();
    std::env::current_exe().unwrap_or_else(|_| called())
}

/// Parses the arguments, runs the command, prints an error with its causes, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = match CommandLine::own().parse() {
        Ok(cli) => cli,
        Err(ParseError::Usage(error)) => return fail(&error.into()),
        Err(ParseError::Clap(error)) => {
            // clap also returns help and version as errors. A closed stdout is ignored.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let level = cli.log.log_level.unwrap_or_else(|| Command::default_level(cli.command.as_ref()));
    logger::install(level, cli.log.log_format);
    mistakes::warn_of_near_misses();
    let code = execute(cli);
    logger::finish();
    code
}

/// Runs the command to its exit code.
fn execute(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command {
            None => run::run(cli.run).await,
            Some(Command::Run(args)) => run::run(*args).await,
            Some(Command::Ramp(args)) => ramp::ramp(*args).await,
            Some(Command::Report(args)) => report::report(&args).await,
            Some(Command::Compare(args)) => compare::compare(&args).await,
            Some(Command::Merge(args)) => merge::merge(&args).await,
            #[cfg(feature = "pipeline")]
            Some(Command::Watch(args)) => visit::watch(&args).await,
            #[cfg(feature = "pipeline")]
            Some(Command::Stop(args)) => visit::stop(&args).await,
            #[cfg(feature = "pipeline")]
            Some(Command::Manifest(args)) => manifest::manifest(&args),
            #[cfg(feature = "pipeline")]
            Some(Command::Api(args)) => services::api(args).await,
            #[cfg(feature = "pipeline")]
            Some(Command::Push(args)) => services::push(args).await,
            #[cfg(feature = "pipeline")]
            Some(Command::Subscribe(args)) => services::subscribe(args).await,
            #[cfg(feature = "pipeline")]
            Some(Command::Dead(args)) => dead::dead(&args).await,
            Some(Command::Init(args)) => init::init(&args),
            Some(Command::Completions(args)) => manual::completions(&args),
            Some(Command::Man) => manual::manual(),
            #[cfg(feature = "embedded")]
            Some(Command::Embedded(args)) => embedded::embedded(args).await,
        }
    });
    // Do not wait for tasks that a command left behind: they end with the process.
    runtime.shutdown_background();
    result.map_or_else(|error| fail(&error), |outcome| ExitCode::from(outcome.exit_code()))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let fleet = fleet_code(error);
    let usage = error.is::<crate::config::plan::PlanError>()
        || error.is::<args::UsageError>()
        || fleet == Some(USAGE)
        || matches!(error.downcast_ref(), Some(crate::run::RunError::Plan(_)));
    let text = format!("{error:#}");
    let text = if usage { CommandLine::own().name_variables(&text) } else { text };
    logger::say(log::Level::Error, &text);
    let script = error.is::<crate::script::ScriptError>()
        || matches!(error.downcast_ref(), Some(crate::run::RunError::Script(_)));
    ExitCode::from(match () {
        () if usage => USAGE,
        () if script => SCRIPT,
        () => fleet.unwrap_or(FAILURE),
    })
}

/// Exit code of an error of a fleet; `None` of other errors.
#[cfg(feature = "pipeline")]
fn fleet_code(error: &anyhow::Error) -> Option<u8> {
    use crate::fleet::FleetError;
    error.downcast_ref().map(|error: &FleetError| match error {
        FleetError::Usage(_) => USAGE,
        FleetError::Begun(_) => CommandOutcome::Limited.exit_code(),
        FleetError::Failed(_) | FleetError::Away(_) => FAILURE,
    })
}

#[cfg(not(feature = "pipeline"))]
fn fleet_code(_: &anyhow::Error) -> Option<u8> {
    None
}
