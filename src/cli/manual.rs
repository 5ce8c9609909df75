//! `loadgen man` and `loadgen completions`: generated from the command-line definitions, so that they
//! cannot differ from the parser.

use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::{Arg, Args as _, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::CommandOutcome;
use super::args::{Cli, CompletionsArgs, LogArgs, RunArgs};
use super::output::print_bytes;

/// Prints the completions of a shell.
pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<CommandOutcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(), "loadgen", &mut script);
    print_bytes(&script).context("the completions could not be printed")?;
    Ok(CommandOutcome::Done)
}

/// Prints the manual page.
pub(super) fn manual() -> anyhow::Result<CommandOutcome> {
    let page = page(shown()).context("the manual page could not be made")?;
    print_bytes(&page).context("the manual page could not be printed")?;
    Ok(CommandOutcome::Done)
}

/// Returns the command without hidden subcommands. clap also completes hidden subcommands and cannot
/// remove one, so the command is rebuilt from the visible ones.
fn shown() -> Command {
    let whole = Cli::command();
    let subcommands = whole.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned();
    LogArgs::augment_args(RunArgs::augment_args(Command::new("loadgen")))
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().cloned().unwrap_or_default())
        .after_help(whole.get_after_help().cloned().unwrap_or_default())
        .subcommands(subcommands)
}

/// One page for the command and its subcommands.
fn page(mut command: Command) -> io::Result<Vec<u8>> {
    command = command.disable_help_subcommand(true);
    command.build();
    let main = Man::new(command.clone());
    let mut page = Vec::new();
    main.render_title(&mut page)?;
    main.render_name_section(&mut page)?;
    let mut usage = Roff::new();
    usage.control("SH", ["SYNOPSIS"]);
    for words in ["[OPTIONS] [URL]", "COMMAND [OPTIONS]"] {
        usage.text([bold("loadgen"), roman(format!(" {words}"))]).control("br", []);
    }
    page.write_all(usage.to_roff().as_bytes())?;
    main.render_options_section(&mut page)?;
    page.write_all(Roff::new().control("SH", ["COMMANDS"]).to_roff().as_bytes())?;
    for subcommand in command.get_subcommands() {
        page.write_all(section(&command, subcommand)?.as_bytes())?;
    }
    page.write_all(notes(&command).as_bytes())?;
    Ok(page)
}

/// Returns true if `command` has this option too, with the same meaning.
fn is_shared(arg: &Arg, command: &Command) -> bool {
    arg.get_id() == "help"
        || command
            .get_arguments()
            .any(|other| other.get_id() == arg.get_id() && other.get_help() == arg.get_help())
}

/// Returns the section of a subcommand, without the options that it shares with `command`.
fn section(command: &Command, subcommand: &Command) -> io::Result<String> {
    let shares = subcommand.get_arguments().filter(|arg| is_shared(arg, command)).count() > 1;
    let own = subcommand.clone().mut_args(|arg| {
        let shared = is_shared(&arg, command);
        arg.hide(shared)
    });
    let mut head = Roff::new();
    head.control("SS", [format!("loadgen {}", subcommand.get_name()).as_str()]);
    let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
    let also = if shares { ", with the options above" } else { "" };
    head.text([roman(format!("{about}{also}."))]);
    let mut options = Vec::new();
    Man::new(own).render_options_section(&mut options)?;
    let options = String::from_utf8_lossy(&options).into_owned();
    // Drop the headings and the roff definitions: the head of the page already has them.
    let lines = options
        .lines()
        .filter(|line| ![".SH ", ".ie ", ".el "].iter().any(|part| line.starts_with(part)));
    let body: String = lines.flat_map(|line| [line, "\n"]).collect();
    Ok(head.to_roff() + &body)
}

/// Renders each paragraph below the help as a section and keeps its line breaks.
fn notes(command: &Command) -> String {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut notes = Roff::new();
    for paragraph in text.split("\n\n") {
        let (title, body) = paragraph.split_once(':').unwrap_or(("Notes", paragraph));
        notes.control("SH", [title.to_uppercase().as_str()]).control("nf", []);
        for line in body.trim_start_matches('\n').lines() {
            notes.text([roman(line.trim())]);
        }
        notes.control("fi", []);
    }
    notes.to_roff()
}
