//! `loadgen init`: a profile with every setting. Names, meanings and choices come from the list that
//! the command line is made of; only the values are written here, and a test holds them to the list.

use std::io;
use std::path::Path;

use anyhow::Context as _;
use clap::builder::PossibleValue;
use clap::{Arg, Args as _, Command};

use super::CommandOutcome;
use super::args::InitArgs;
use super::output::replace::{link_target, replace, write_new};
use super::output::{is_special, print_bytes, write_into};
use crate::config::settings::Settings;

/// Longest line of the comments.
const WIDTH: usize = 96;

/// Settings that the profile sets; all other settings are commented out.
const SET: [&str; 3] = ["rate", "duration", "fail-if"];

/// Writes the profile.
pub(super) fn init(args: &InitArgs) -> anyhow::Result<CommandOutcome> {
    let (text, file) = (profile(), args.file.as_path());
    if file == Path::new("-") {
        print_bytes(text.as_bytes()).context("the profile could not be printed")?;
        return Ok(CommandOutcome::Done);
    }
    let name = file.display();
    let content = text.as_bytes();
    let written = if !args.force {
        write_new(file, content)
    } else if is_special(file) {
        write_into(file, content)
    } else {
        replace(&link_target(file), content)
    };
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow::anyhow!(
            "{name} already exists; choose another file, or overwrite it with --force"
        ),
        _ => anyhow::Error::new(error).context(format!("{name} could not be written")),
    })?;
    println!("{name} written; run it with: loadgen --profile {name}");
    Ok(CommandOutcome::Done)
}

/// All settings, in the order of the help: those of one heading stand together.
fn settings() -> Vec<Arg> {
    let command = Settings::augment_args(Command::new("profile"));
    let mut settings: Vec<_> = command.get_arguments().cloned().collect();
    let headings: Vec<_> = command.get_arguments().map(Arg::get_help_heading).collect();
    settings.sort_by_key(|setting| {
        headings.iter().position(|heading| *heading == setting.get_help_heading())
    });
    settings
}

/// Returns the key of a setting: its long flag, or its id for a positional argument.
fn key(setting: &Arg) -> &str {
    setting.get_long().unwrap_or(setting.get_id().as_str())
}

/// The whole profile.
pub(super) fn profile() -> String {
    let mut text = String::from(
        // A ramp prints a comment in the first line as its question, so this line stays empty.
        "\n\
         # A comment above this, from the first line on, is the question that the profile answers:\n\
         # `loadgen ramp` prints it.\n\
         #\n\
         # Keys are the long names of the flags; what is given on the command line wins.\n\
         # A value in a comment is the default, or an example where there is no default.\n",
    );
    let mut heading = None;
    for setting in &settings() {
        if setting.get_help_heading() != heading {
            heading = setting.get_help_heading();
            text += &format!("\n# ---- {} ----\n", heading.unwrap_or_default());
        }
        text += "\n";
        text += &describe(setting);
        let (key, set) = (key(setting), if SET.contains(&key(setting)) { "" } else { "#" });
        text += &format!("{set}{key} = {}\n", example(key));
    }
    text
}

/// Returns the TOML value of a setting: its default, or an example if there is no default.
fn example(key: &str) -> &'static str {
    let definition = Settings::DEFINITIONS.iter().find(|definition| definition.key == key);
    definition.map_or("''", |definition| definition.example)
}

/// Returns the help of a setting and its possible values as comment lines.
fn describe(setting: &Arg) -> String {
    let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
    // A flag accepts several words for true and false; TOML accepts only these two.
    let choices = if setting.is_hide_possible_values_set() {
        ["true", "false"].map(PossibleValue::new).to_vec()
    } else {
        setting.get_possible_values()
    };
    let lines = std::iter::once(help).chain(choices.iter().map(describe_choice));
    lines.map(|line| comment(&line)).collect()
}

fn describe_choice(choice: &PossibleValue) -> String {
    match choice.get_help() {
        Some(help) => format!("  {}: {help}", choice.get_name()),
        None => format!("  {}", choice.get_name()),
    }
}

/// Wraps a text into comment lines of at most [`WIDTH`] characters.
fn comment(text: &str) -> String {
    let indent = &text[..text.len() - text.trim_start().len()];
    let mut out = String::new();
    let mut line = format!("# {indent}");
    for word in text.split_whitespace() {
        if line.len() + word.len() > WIDTH {
            out += line.trim_end();
            out += "\n";
            line = format!("# {indent}  ");
        }
        line += word;
        line += " ";
    }
    out + line.trim_end() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::Plan;

    /// The profile with the lines of these keys in force as well.
    fn with(keys: &[&str]) -> Settings {
        let in_force = |line: &str| {
            let is_on = |key: &&str| line.starts_with(&format!("#{key} = "));
            if keys.iter().any(is_on) { line[1..].to_owned() } else { line.to_owned() }
        };
        let text: Vec<_> = profile().lines().map(in_force).collect();
        Settings::from_toml(&text.join("\n")).unwrap_or_else(|e| panic!("{keys:?}: {e}"))
    }

    /// What the plan comes to, however it is written; plans have no other equality.
    fn plan_of(settings: Settings) -> String {
        let plan = Plan { command: String::new(), ..Plan::new(settings).expect("valid") };
        format!("{plan:?}")
    }

    #[test]
    fn every_setting_is_there_with_its_meaning_and_a_value() {
        let (settings, text) = (settings(), profile());
        let defined: Vec<_> = Settings::DEFINITIONS.iter().map(|setting| setting.key).collect();
        assert_eq!(settings.len(), defined.len());
        for setting in &settings {
            let (key, help) = (key(setting), setting.get_help().expect("a meaning").to_string());
            assert!(defined.contains(&key), "{key} is not a key of the definitions: {defined:?}");
            assert_eq!(
                text.matches(&format!("\n{key} = ")).count()
                    + text.matches(&format!("\n#{key} = ")).count(),
                1
            );
            let first: Vec<_> = help.split(' ').take(4).collect();
            assert!(text.contains(&first.join(" ")), "{key}: {help}");
        }
        assert!(text.lines().all(|line| line.len() <= WIDTH + 4), "{text}");
    }

    #[test]
    fn the_help_hides_the_environment_of_a_setting_that_the_command_masks() {
        for setting in settings() {
            let definition = Settings::DEFINITIONS.iter().find(|known| known.key == key(&setting));
            let is_masked = definition.expect("a definition").is_masked;
            assert_eq!(setting.is_hide_env_values_set(), is_masked, "{setting}");
        }
    }

    #[test]
    fn a_yes_or_no_is_written_as_a_profile_takes_it() {
        let switches = settings().into_iter().filter(Arg::is_hide_possible_values_set);
        let mut seen = 0;
        for setting in switches {
            let (key, text) = (key(&setting).to_owned(), describe(&setting));
            assert!(text.ends_with("\n#   true\n#   false\n") && !text.contains("yes"), "{text}");
            for choice in ["true", "false"] {
                Settings::from_toml(&format!("{key} = {choice}\n")).expect("it is taken");
            }
            seen += 1;
        }
        assert_eq!(seen, 5);
    }

    #[test]
    fn what_init_wrote_asks_no_question() {
        assert!(profile().starts_with("\n# A comment above this"));
    }

    #[test]
    fn each_line_means_what_the_flag_means() {
        let plain = with(&[]);
        assert_eq!(plain.rate.map(|rate| rate.mean()), Some(1_000.0));
        for setting in &settings() {
            let key = key(setting);
            if SET.contains(&key) {
                continue;
            }
            let changed = with(&[key]);
            assert_ne!(changed, plain, "{key} in force changes nothing");
        }
    }

    /// The defaults of these depend on the machine, or are two.
    const NO_ONE_VALUE: [&str; 3] = ["threads", "id-field", "id-from"];

    #[test]
    fn a_value_whose_setting_has_a_default_is_the_default() {
        let plain = plan_of(with(&[]));
        let has_default = |setting: &&Arg| {
            setting.get_help().is_some_and(|h| h.to_string().contains("default: "))
        };
        let no_value = |help: &str| help.contains("default: no");
        let mut seen = 0;
        for setting in settings().iter().filter(has_default) {
            let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
            if NO_ONE_VALUE.contains(&key(setting)) || no_value(&help) {
                continue;
            }
            assert_eq!(plan_of(with(&[key(setting)])), plain, "{}", key(setting));
            seen += 1;
        }
        assert!(seen > 15, "{seen} defaults were looked at");
    }
}
