//! Mistakes in the command line and in the environment: each gets an answer that says what was meant.

mod environment;
mod foreign;
mod foreign_flags;
mod word;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};

use super::args::{Cli, Command, UsageError, with_divided_sides};
use super::help::with_short_help;
use crate::core::nearest::nearest;
use environment::VariableSource;
pub(super) use environment::warn_of_near_misses;
use word::TypedWords;

/// The command line as it was typed.
pub(super) struct CommandLine {
    words: Vec<OsString>,
}

impl CommandLine {
    /// The arguments of this process.
    pub(super) fn own() -> Self {
        Self { words: std::env::args_os().collect() }
    }

    /// The command of another process, with the name of the program.
    #[cfg(feature = "pipeline")]
    pub(super) fn of(words: Vec<OsString>) -> Self {
        Self { words }
    }

    /// Parses the arguments. An error says what was meant.
    pub(super) fn parse(&self) -> Result<Cli, ParseError> {
        let typed = TypedWords::new(&self.words);
        if let Some(error) = mistake_before_parsing(&typed) {
            return Err(ParseError::Usage(error));
        }
        let command = with_short_help(Cli::command(), self.words.iter().cloned());
        let found = command.try_get_matches_from(with_divided_sides(&self.words));
        let cli = found
            .and_then(|found| Cli::from_arg_matches(&found))
            .map_err(|error| ParseError::Clap(explain(error, &typed)))?;
        match url_of(&cli).and_then(|url| typed.explain_url(url)) {
            Some(text) => Err(ParseError::Usage(UsageError(text))),
            None => Ok(cli),
        }
    }

    /// Adds the environment variables from which the flags in an error are.
    pub(super) fn name_variables(&self, text: &str) -> String {
        VariableSource::new(&self.words).name_variables(text)
    }
}

/// A command line that cannot be run.
#[derive(Debug)]
pub(super) enum ParseError {
    /// An error of clap, or its help or version.
    Clap(clap::Error),
    /// A mistake that clap would take for something else.
    Usage(UsageError),
}

/// The URL of a run or a ramp that was given.
fn url_of(cli: &Cli) -> Option<&str> {
    let settings = match &cli.command {
        None => &cli.run.settings,
        Some(Command::Run(args)) => &args.settings,
        Some(Command::Ramp(args)) => &args.settings,
        Some(_) => return None,
    };
    settings.url.as_deref()
}

/// Mistakes that clap would take for something else: `-rate` for `-r ate`, a misspelt command for a URL.
fn mistake_before_parsing(typed: &TypedWords<'_>) -> Option<UsageError> {
    let first = typed.first()?;
    if let Some(error) = mistyped_command(first) {
        return Some(error);
    }
    if !typed.is_load_command() {
        return None;
    }
    typed.flags().find_map(foreign::single_hyphen).map(UsageError)
}

/// Returns an error if `word` looks like a misspelt command. clap would read `word` as the URL and report
/// the next argument.
fn mistyped_command(word: &str) -> Option<UsageError> {
    if !word.starts_with(|c: char| c.is_ascii_alphabetic()) || word.contains([':', '/', '.']) {
        return None;
    }
    let known = foreign::command(word).or_else(|| word::built_in_profile(word));
    if known.is_some() {
        return known.map(UsageError);
    }
    let cli = Cli::command();
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
    let names: Vec<_> = shown.map(clap::Command::get_name).chain(["help"]).collect();
    let meant = nearest(word, names.iter().copied()).filter(|name| *name != word)?;
    Some(UsageError(format!("'{word}' is not a command or a URL; did you mean `loadgen {meant}`?")))
}

/// Replaces the hint of a clap error by one that knows other load generators and the environment.
fn explain(mut error: clap::Error, typed: &TypedWords<'_>) -> clap::Error {
    VariableSource::new(typed.all()).name_in(&mut error);
    if is_hint_to_escape(&error) {
        error.remove(ContextKind::Suggested);
    }
    let hint = if typed.is_load_command() { hint(&error, typed) } else { None };
    if let Some(hint) = hint {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
    }
    error
}

/// Returns true if clap's hint is to put the argument after `--`: that is the place for a script's arguments only.
fn is_hint_to_escape(error: &clap::Error) -> bool {
    let Some(ContextValue::StyledStrs(hints)) = error.get(ContextKind::Suggested) else {
        return false;
    };
    hints.iter().any(|hint| hint.to_string().starts_with("to pass "))
}

/// The hint for a clap error, if the mistake is a known one.
fn hint(error: &clap::Error, typed: &TypedWords<'_>) -> Option<String> {
    let argument = text_of(error, ContextKind::InvalidArg)?;
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => foreign::unknown_flag(argument),
        ErrorKind::UnknownArgument => Some(typed.explain_extra_word()),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            foreign::other_meaning(argument, text_of(error, ContextKind::InvalidValue)?)
        }
        _ => None,
    }
}

fn text_of(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
