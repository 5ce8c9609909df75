//! Flags and commands of other load generators, answered with ours.

use super::foreign_flags::{ForeignFlag, OTHER_MEANINGS, SINGLE_HYPHEN, UNKNOWN};
use crate::cli::args::Cli;
use clap::CommandFactory as _;

/// Page with the whole table.
const SEE: &str = "See docs/migrating.md";

/// Commands of other load generators, with what to write instead.
const COMMANDS: [(&str, &str); 3] = [
    ("attack", "attack is vegeta's; here it is `loadgen -R 50 -d 10s URL`"),
    ("plot", "plot is vegeta's; here it is `loadgen report FILE.json -o FILE.html`"),
    ("encode", "encode is vegeta's; here it is `loadgen report FILE.json -o FILE.csv`"),
];

/// The answer to a command of another load generator.
pub(super) fn command(word: &str) -> Option<String> {
    let (_, text) = COMMANDS.iter().find(|(name, _)| *name == word)?;
    Some(format!("{text}. {SEE}"))
}

/// The answer to a flag that no command of ours has.
pub(super) fn unknown_flag(flag: &str) -> Option<String> {
    let name = flag.split('=').next().unwrap_or(flag);
    all_of(UNKNOWN, name)
}

/// The answer to a long flag with one hyphen, such as `-rate=100`: clap would read `-r ate=100`.
pub(super) fn single_hyphen(word: &str) -> Option<String> {
    let flag = word.split('=').next().unwrap_or(word);
    let name = flag.strip_prefix('-').filter(|name| name.len() > 1 && !name.starts_with('-'))?;
    if let Some(text) = all_of(SINGLE_HYPHEN, flag) {
        return Some(text);
    }
    let is_help = ["help", "version"].contains(&name);
    let cli = Cli::command();
    let is_ours = cli.get_arguments().any(|arg| arg.get_long() == Some(name));
    (is_ours && !is_help).then(|| format!("'{flag}' has one hyphen too few; write --{name}"))
}

/// The answer to a value that does not fit our flag, and fits the flag of that name of another load generator.
pub(super) fn other_meaning(argument: &str, value: &str) -> Option<String> {
    let long = argument.split([' ', '=']).next().unwrap_or(argument);
    let flag = match long {
        "--duration" if !value.starts_with(|c: char| c.is_ascii_digit() || c == '-') => "-d",
        "--threads" if value.ends_with('s') => "-t",
        "--timeout" if value.contains('/') => "-T",
        "--connections" if value.contains('=') => "-c",
        _ => return None,
    };
    all_of(OTHER_MEANINGS, flag)
}

/// The meanings of a flag, one sentence each.
fn all_of(table: &[ForeignFlag], flag: &str) -> Option<String> {
    let sentences: Vec<_> =
        table.iter().filter(|row| row.flag == flag).map(ToString::to_string).collect();
    (!sentences.is_empty()).then(|| format!("{}. {SEE}", sentences.join(". ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns true if a command that sends load has the flag.
    fn has(name: &str) -> bool {
        let cli = Cli::command();
        let loads = ["run", "ramp"].iter().filter_map(|name| cli.find_subcommand(name));
        let mut commands = std::iter::once(&cli).chain(loads);
        commands.any(|command| {
            command.get_arguments().any(|arg| match name.strip_prefix("--") {
                Some(long) => {
                    let mut names = arg.get_long_and_visible_aliases().into_iter().flatten();
                    names.any(|known| known == long)
                }
                None => {
                    let short = name.chars().nth(1);
                    arg.get_short().is_some_and(|known| Some(known) == short)
                }
            })
        })
    }

    #[test]
    fn a_table_has_no_flag_that_is_ours_and_the_other_has_only_ours() {
        for row in UNKNOWN {
            assert!(!has(row.flag), "{} is ours", row.flag);
        }
        for row in OTHER_MEANINGS {
            assert!(has(row.flag), "{} is not ours", row.flag);
        }
        for row in SINGLE_HYPHEN {
            assert!(row.flag.len() > 2 && !row.flag.starts_with("--"), "{}", row.flag);
        }
    }

    #[test]
    fn each_row_names_a_flag_of_ours_that_there_is() {
        for row in UNKNOWN.iter().chain(OTHER_MEANINGS).chain(SINGLE_HYPHEN) {
            let named = row.ours.split(' ').find(|word| word.starts_with('-'));
            let Some(named) = named.map(|word| word.trim_end_matches([',', ':'])) else { continue };
            assert!(has(named), "{}: {named} is not a flag", row.flag);
        }
    }

    #[test]
    fn a_long_flag_with_one_hyphen_is_known() {
        for (word, part) in [
            ("-rate=100", "write --rate"),
            ("-duration", "write --duration"),
            ("-workers", "-workers is vegeta's"),
            ("-cpus", "here it is -t N"),
        ] {
            let text = single_hyphen(word).expect(word);
            assert!(text.contains(part), "{word}: {text}");
        }
        for word in ["-c", "-c10", "-R24k", "-help", "--rate", "-", "", "-Lq"] {
            assert_eq!(single_hyphen(word), None, "{word}");
        }
    }

    #[test]
    fn a_value_that_fits_ours_badly_and_theirs_well_is_explained() {
        for (argument, value, part) in [
            ("--duration <TIME>", "{\"a\":1}", "-b TEXT"),
            ("--threads <N>", "2s", "-T 2s"),
            ("--timeout <TIME>", "application/json", "Content-Type"),
        ] {
            let text = other_meaning(argument, value).expect(value);
            assert!(text.contains(part) && text.ends_with(SEE), "{text}");
        }
        for (argument, value) in [("--duration <TIME>", "5x"), ("--rate <RATE>", "fast")] {
            assert_eq!(other_meaning(argument, value), None);
        }
    }
}
