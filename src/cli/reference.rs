//! The page docs/flags.md: every flag of every command, made from the definitions of the command line. It exists in
//! tests only; `LOADGEN_UPDATE_DOCS=1 cargo test --lib reference` writes the page again.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Args as _, Command, CommandFactory as _};

use super::args::Cli;
use crate::config::settings::Settings;

const PAGE: &str = "docs/flags.md";

/// Text for a cell of a table in Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Name of a flag as it is typed: `-R, --rate <RATE>`, or `[URL]`.
fn flag(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .and_then(|names| names.first())
        .filter(|_| arg.get_action().takes_values() && !arg.is_hide_possible_values_set());
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let names: Vec<_> = short.into_iter().chain(long).collect();
    match (names.is_empty(), value) {
        (true, value) => value.map_or_else(|| arg.get_id().to_string(), ToString::to_string),
        (false, Some(value)) => format!("{} {value}", names.join(", ")),
        (false, None) => names.join(", "),
    }
}

/// Meaning of a flag with its choices.
fn meaning(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if arg.get_action().takes_values() && !arg.is_hide_possible_values_set() {
        let choices = arg.get_possible_values();
        let names: Vec<_> =
            choices.iter().map(|choice| format!("`{}`", choice.get_name())).collect();
        if !names.is_empty() {
            text += &format!(": {}", names.join(", "));
        }
    }
    cell(&text)
}

/// Rows of the flags under one heading of the help.
fn table(page: &mut String, args: &[&Arg], profile_keys: &[String]) {
    *page += "\n| flag | meaning | variable | profile key |\n| --- | --- | --- | --- |\n";
    for arg in args {
        let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy()));
        let long = arg.get_long().unwrap_or(arg.get_id().as_str());
        let key = profile_keys.iter().find(|key| *key == long).map(|key| format!("`{key}`"));
        let (variable, key) = (variable.unwrap_or_default(), key.unwrap_or_default());
        let _ = writeln!(page, "| `{}` | {} | {variable} | {key} |", flag(arg), meaning(arg));
    }
}

/// Flags of a command that are not in `known`, in the order of the help and under its headings.
fn section(page: &mut String, command: &Command, known: &[String], profile_keys: &[String]) {
    let is_shown = |arg: &&Arg| {
        let id = arg.get_id().to_string();
        !arg.is_hide_set() && id != "help" && !known.contains(&id)
    };
    let args: Vec<_> = command.get_arguments().filter(is_shown).collect();
    let mut headings: Vec<_> = args.iter().map(|arg| arg.get_help_heading()).collect();
    headings.dedup();
    let mut done = Vec::new();
    for heading in headings {
        if done.contains(&heading) {
            continue;
        }
        done.push(heading);
        if let Some(heading) = heading {
            let _ = write!(page, "\n### {heading}\n");
        }
        let under: Vec<_> =
            args.iter().filter(|arg| arg.get_help_heading() == heading).copied().collect();
        table(page, &under, profile_keys);
    }
}

/// The commands after `run`, and those below a command, with their names as they are typed.
fn commands(root: &Command) -> Vec<(String, &Command)> {
    let is_shown = |command: &&Command| {
        !command.is_hide_set() && !["run", "help"].contains(&command.get_name())
    };
    let mut commands = Vec::new();
    for command in root.get_subcommands().filter(is_shown) {
        commands.push((command.get_name().to_owned(), command));
        for below in command.get_subcommands().filter(is_shown) {
            commands.push((format!("{} {}", command.get_name(), below.get_name()), below));
        }
    }
    commands
}

/// The whole page.
fn page() -> String {
    let mut root = Cli::command();
    root.build();
    let settings = Settings::augment_args(Command::new("settings"));
    let keys: Vec<_> = settings
        .get_arguments()
        .map(|arg| arg.get_long().unwrap_or(arg.get_id().as_str()).to_owned())
        .collect();
    let mut page = String::from(
        "# All flags\n\n\
         A test makes this page from the definitions of the command line. A flag wins over its environment variable, and the\n\
         variable wins over the key of the profile. [Flags, conditions and exit codes](reference.md) explains the common ones.\n\
         Every command takes the flags under Messages.\n\n\
         ## loadgen, loadgen run\n",
    );
    let run = root.find_subcommand("run").expect("a command");
    section(&mut page, run, &[], &keys);
    // `profile` is a flag of a run, and the argument of a ramp.
    let common: Vec<_> = run
        .get_arguments()
        .map(|arg| arg.get_id().to_string())
        .filter(|id| id != "profile")
        .collect();
    let everywhere: Vec<_> = run
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .map(|arg| arg.get_id().to_string())
        .collect();
    for (name, command) in commands(&root) {
        let name = name.as_str();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = write!(page, "\n## loadgen {name}\n\n{about}.\n");
        // A ramp has the flags of a run; the other commands have flags of their own under the same names.
        let known = if name == "ramp" { common.as_slice() } else { everywhere.as_slice() };
        if name == "ramp" {
            page +=
                "\nIt takes the flags of `loadgen run` except `--profile` and `--start-at`, and:\n";
        }
        section(&mut page, command, known, &[]);
    }
    page
}

#[test]
fn the_page_of_all_flags_is_the_command_line() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if std::env::var_os("LOADGEN_UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).expect("the page is written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        page == committed,
        "{PAGE} differs from the command line: run LOADGEN_UPDATE_DOCS=1 cargo test --lib reference"
    );
}
