//! Variables of the environment: the one that a faulty value is from, and names that are nearly those of settings.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, CommandFactory as _};

use super::super::args::Cli;

/// Begin of the names of loadgen's variables.
const PREFIX: &str = "LOADGEN_";

/// Variables of loadgen that no flag has.
const OTHER_VARIABLES: [&str; 2] = ["LOADGEN_EMBEDDED_PASSWORD", "LOADGEN_REVISION"];

/// Tells whether a flag's value is from the command line or from the environment.
pub(super) struct VariableSource {
    words: Vec<String>,
    command: clap::Command,
}

impl VariableSource {
    pub(super) fn new(words: &[OsString]) -> Self {
        let words = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        Self { words, command: Cli::command() }
    }

    /// Puts the variable in the place of the flag in an error about a value that is from the environment.
    pub(super) fn name_in(&self, error: &mut clap::Error) {
        for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
            let Some(ContextValue::String(argument)) = error.get(kind) else { continue };
            let flag = argument.split([' ', '=']).next().unwrap_or(argument);
            if let Some(variable) = self.variable_of(flag) {
                let text = format!("environment variable {variable}");
                error.insert(kind, ContextValue::String(text));
            }
        }
    }

    /// Puts the variables before an error that is about flags whose values are from them.
    pub(super) fn name_variables(&self, text: &str) -> String {
        let mut variables = BTreeSet::new();
        for word in text.split([' ', ':', ',', ';', '\'']) {
            variables.extend(self.variable_of(word));
        }
        if text.contains("URL") && variables.is_empty() {
            variables.extend(self.variable_of_url());
        }
        match variables.len() {
            0 => text.to_owned(),
            1 => format!("environment variable {}: {text}", join(&variables)),
            _ => format!("environment variables {}: {text}", join(&variables)),
        }
    }

    /// The variable that sets a flag, if it is set and the flag is not on the command line.
    fn variable_of(&self, flag: &str) -> Option<String> {
        let long = flag.strip_prefix("--").filter(|long| !long.is_empty())?;
        let command = self.words.get(1).and_then(|word| self.command.find_subcommand(word));
        let mut arguments = command.unwrap_or(&self.command).get_arguments();
        let argument = arguments.find(|arg| arg.get_long() == Some(long))?;
        let variable = argument.get_env()?;
        let is_set = std::env::var_os(variable).is_some();
        (is_set && !self.is_typed(argument)).then(|| variable.to_string_lossy().into_owned())
    }

    fn variable_of_url(&self) -> Option<String> {
        let url = std::env::var("LOADGEN_URL").ok()?;
        (!url.is_empty() && !self.words.contains(&url)).then(|| "LOADGEN_URL".to_owned())
    }

    /// Returns true if the command line has the flag.
    fn is_typed(&self, argument: &Arg) -> bool {
        let long = argument.get_long().map(|long| format!("--{long}"));
        let short = argument.get_short();
        self.words.iter().any(|word| {
            let name = word.split('=').next().unwrap_or(word);
            let is_short = !word.starts_with("--") && word.starts_with('-');
            long.as_deref() == Some(name) || is_short && short.is_some_and(|c| word.contains(c))
        })
    }
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(" and ")
}

/// Warns of variables whose names are nearly those of settings. Others may be of a scheduler, which names
/// variables after its services.
pub(in crate::cli) fn warn_of_near_misses() {
    let known = known_variables();
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        if let Some(meant) = near_miss(name, &known) {
            log::warn!("environment variable {name} is not used; did you mean {meant}?");
        }
    }
}

/// The variables of all commands.
fn known_variables() -> BTreeSet<String> {
    let cli = Cli::command();
    let commands = std::iter::once(&cli).chain(cli.get_subcommands());
    let arguments = commands.flat_map(clap::Command::get_arguments);
    let variables = arguments.filter_map(|arg| arg.get_env()?.to_str());
    variables.map(ToOwned::to_owned).chain(OTHER_VARIABLES.map(str::to_owned)).collect()
}

/// The variable that was meant, if the name has a typing error or two.
fn near_miss<'k>(name: &str, known: &'k BTreeSet<String>) -> Option<&'k str> {
    let word = name.strip_prefix(PREFIX).filter(|_| !known.contains(name))?;
    let most = 1 + word.len() / 6;
    let nearest = known.iter().min_by_key(|known| strsim::osa_distance(known, name))?;
    (strsim::osa_distance(nearest, name) <= most).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_with_a_typing_error_is_a_near_miss() {
        let known = known_variables();
        for (name, meant) in [
            ("LOADGEN_RAET", Some("LOADGEN_RATE")),
            ("LOADGEN_CONECTIONS", Some("LOADGEN_CONNECTIONS")),
            ("LOADGEN_FAILIF", Some("LOADGEN_FAIL_IF")),
            ("LOADGEN_HEADERS", Some("LOADGEN_HEADER")),
            ("LOADGEN_RATE", None),
            ("LOADGEN_EMBEDDED_PASSWORD", None),
            // Those that Kubernetes injects for a service named loadgen.
            ("LOADGEN_PORT", None),
            ("LOADGEN_SERVICE_HOST", None),
            ("LOADGEN_SERVICE_PORT", None),
            ("LOADGEN_SERVICE_PORT_HTTP", None),
            ("LOADGEN_PORT_8080_TCP", None),
            ("LOADGEN_PORT_8080_TCP_ADDR", None),
            ("LOADGEN_VERSION", None),
            ("LOADGEN_HOST", None),
            ("PATH", None),
        ] {
            assert_eq!(near_miss(name, &known), meant, "{name}");
        }
    }
}
