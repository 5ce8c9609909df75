//! The command line: the only part that talks to a terminal.

mod args;
mod colour;
mod compare;
mod embedded;
mod init;
mod logger;
mod manual;
mod merge;
mod metrics;
mod output;
mod profiles;
mod progress;
mod ramp;
#[cfg(test)]
mod reference;
mod report;
mod run;
mod services;
mod signals;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command, UsageError};

use crate::config::settings::nearest;
use crate::core::printable::message;
use crate::report::Outcome;

/// Could not run.
const FAILURE: u8 = 1;
/// Usage, or a bad profile; clap's own code.
const USAGE: u8 = 2;
/// The script failed.
const SCRIPT: u8 = 107;

/// The file of this program, which api and push are started from. Without /proc it is the name that this program
/// was called by; only a run that brings the pipeline up needs it.
fn own_program() -> PathBuf {
    let called = || std::env::args_os().next().unwrap_or_default().into();
    std::env::current_exe().unwrap_or_else(|_| called())
}

/// Parses, runs, prints an error chain once, and gives the exit code.
pub fn main() -> ExitCode {
    let first = std::env::args_os().nth(1);
    let mistyped = first.as_ref().and_then(|word| word.to_str()).and_then(mistyped_command);
    if let Some(error) = mistyped {
        return fail(&error.into());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no error; a closed pipe is none either.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command {
            None => run::run(cli.run).await,
            Some(Command::Run(args)) => run::run(*args).await,
            Some(Command::Ramp(args)) => ramp::ramp(*args).await,
            Some(Command::Report(args)) => report::report(&args),
            Some(Command::Compare(args)) => compare::compare(&args),
            Some(Command::Merge(args)) => merge::merge(&args),
            Some(Command::Api(args)) => services::api(args).await,
            Some(Command::Push(args)) => services::push(args).await,
            Some(Command::Subscribe(args)) => services::subscribe(args).await,
            Some(Command::Init(args)) => init::init(&args),
            Some(Command::Completions(args)) => manual::completions(&args),
            Some(Command::Man) => manual::manual(),
            Some(Command::Embedded(args)) => embedded::embedded(args).await,
        }
    });
    // What still runs when a command is left early ends with the process, not before it.
    runtime.shutdown_background();
    result.map_or_else(|error| fail(&error), |outcome| ExitCode::from(outcome.exit_code()))
}

/// A first word that is no command but much like one: clap would take it for the URL, and blame the next.
fn mistyped_command(word: &str) -> Option<UsageError> {
    if !word.starts_with(|c: char| c.is_ascii_alphabetic()) || word.contains([':', '/', '.']) {
        return None;
    }
    let cli = Cli::command();
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
    let names: Vec<_> = shown.map(clap::Command::get_name).chain(["help"]).collect();
    let meant = nearest(word, names.iter().copied()).filter(|name| *name != word)?;
    Some(UsageError(format!("'{word}' is no command and no URL; did you mean `loadgen {meant}`?")))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    // A peer, or a file, may have had a part in the text.
    eprintln!("loadgen: {}", message(&format!("{error:#}")));
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
        // Commands, flags, URLs, and what is like nothing.
        let flags = ["-c", "--rate", ""];
        let others = ["ramp", "help", "embedded", "http://ramp/", "ramp:80", "localhost", "zürich"];
        for word in flags.into_iter().chain(others) {
            assert!(mistyped_command(word).is_none(), "{word}");
        }
    }
}
