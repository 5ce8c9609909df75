//! The command line: the only part that talks to a terminal.

mod args;
mod compare;
#[cfg(feature = "pipeline")]
mod dead;
#[cfg(feature = "embedded")]
mod embedded;
mod help;
mod init;
mod logger;
mod manual;
mod merge;
mod metrics;
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

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use args::{Cli, Command, UsageError};

use crate::config::settings::nearest;
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
    let first = std::env::args_os().nth(1);
    let mistyped = first.as_ref().and_then(|word| word.to_str()).and_then(mistyped_command);
    if let Some(error) = mistyped {
        return fail(&error.into());
    }
    let command = help::with_short_help(Cli::command(), std::env::args_os());
    let cli = match command.try_get_matches().and_then(|found| Cli::from_arg_matches(&found)) {
        Ok(cli) => cli,
        Err(error) => {
            // clap also returns help and version as errors. A closed stdout is ignored.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let level = cli.log.log_level.unwrap_or_else(|| Command::default_level(cli.command.as_ref()));
    logger::install(level, cli.log.log_format);
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

/// Returns an error if `word` looks like a misspelt command. clap would read `word` as the URL and report
/// the next argument.
fn mistyped_command(word: &str) -> Option<UsageError> {
    if !word.starts_with(|c: char| c.is_ascii_alphabetic()) || word.contains([':', '/', '.']) {
        return None;
    }
    let cli = Cli::command();
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
    let names: Vec<_> = shown.map(clap::Command::get_name).chain(["help"]).collect();
    let meant = nearest(word, names.iter().copied()).filter(|name| *name != word)?;
    Some(UsageError(format!("'{word}' is not a command or a URL; did you mean `loadgen {meant}`?")))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    logger::say(log::Level::Error, &format!("{error:#}"));
    let usage = error.is::<crate::config::plan::PlanError>()
        || error.is::<args::UsageError>()
        || matches!(error.downcast_ref(), Some(crate::run::RunError::Plan(_)));
    let script = error.is::<crate::script::ScriptError>()
        || matches!(error.downcast_ref(), Some(crate::run::RunError::Script(_)));
    ExitCode::from(match () {
        () if usage => USAGE,
        () if script => SCRIPT,
        () => FAILURE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_command_is_told_from_a_url() {
        for (word, meant) in
            [("rmap", "ramp"), ("compar", "compare"), ("Report", "report"), ("hlep", "help")]
        {
            let said = mistyped_command(word).expect(word).to_string();
            assert!(said.contains(&format!("`loadgen {meant}`")), "{said}");
        }
        // Commands, flags, URLs, and words that resemble no command.
        let flags = ["-c", "--rate", ""];
        let others = ["ramp", "help", "embedded", "http://ramp/", "ramp:80", "localhost", "zürich"];
        for word in flags.into_iter().chain(others) {
            assert!(mistyped_command(word).is_none(), "{word}");
        }
    }
}
