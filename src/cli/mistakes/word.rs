//! Words in the place of the URL that are not one: files, names of profiles, methods, units.

use std::ffi::OsString;
use std::path::Path;

use crate::cli::args::Cli;
use crate::cli::profiles::{BUILT_IN, read_profile_text};
use crate::ramp::is_ramp;
use clap::CommandFactory as _;

/// Methods that are typed in the place of the URL, as with `http` and `curl`.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
/// Units that are typed apart from their number.
const UNITS: [&str; 9] = ["us", "ms", "s", "sec", "m", "min", "h", "k", "M"];
/// Files of other load generators, by their ending.
const FOREIGN_FILES: [(&str, &str); 8] = [
    ("js", "k6 scripts are"),
    ("mjs", "k6 scripts are"),
    ("ts", "k6 scripts are"),
    ("jmx", "JMeter's plans are"),
    ("py", "Locust's files are"),
    ("scala", "Gatling's simulations are"),
    ("yml", "Artillery's scenarios are"),
    ("yaml", "Artillery's scenarios are"),
];

/// The words of a command line.
pub(super) struct TypedWords<'w> {
    all: &'w [OsString],
    /// Words before `--`, without the name of the program. A word that is not UTF-8 is empty.
    words: Vec<&'w str>,
}

impl<'w> TypedWords<'w> {
    pub(super) fn new(all: &'w [OsString]) -> Self {
        let texts = all.iter().skip(1).map(|word| word.to_str().unwrap_or_default());
        Self { all, words: texts.take_while(|word| *word != "--").collect() }
    }

    /// All words, with the name of the program.
    pub(super) fn all(&self) -> &'w [OsString] {
        self.all
    }

    /// The first word: a command, the URL or a flag.
    pub(super) fn first(&self) -> Option<&'w str> {
        self.words.first().copied()
    }

    /// Returns true if the command sends load: `run`, `ramp`, or none.
    pub(super) fn is_load_command(&self) -> bool {
        let Some(first) = self.first() else { return true };
        ["run", "ramp"].contains(&first) || Cli::command().find_subcommand(first).is_none()
    }

    /// The words that begin with a hyphen.
    pub(super) fn flags(&self) -> impl Iterator<Item = &'w str> {
        self.words.iter().copied().filter(|word| word.starts_with('-'))
    }

    /// The answer to a URL that is not one, if it is a known mistake.
    pub(super) fn explain_url(&self, url: &str) -> Option<String> {
        if url.contains("://") || !self.words.contains(&url) {
            return None;
        }
        self.value_apart(url)
            .or_else(|| misplaced_method(url))
            .or_else(|| built_in_profile(url))
            .or_else(|| file(url))
    }

    /// The answer to a word beside the URL.
    pub(super) fn explain_extra_word(&self) -> String {
        let command = usize::from(["run", "ramp"].contains(&self.first().unwrap_or_default()));
        let in_place_of_url = self.words.get(command).filter(|word| !word.starts_with('-'));
        self.words
            .iter()
            .find_map(|word| self.value_apart(word))
            .or_else(|| in_place_of_url.and_then(|word| misplaced_method(word)))
            .or_else(|| in_place_of_url.and_then(|word| file(word)))
            .unwrap_or_else(|| {
                "there can be one URL; put a value that contains spaces into quotes".to_owned()
            })
    }

    /// The answer to a number after a switch, or a unit after its number.
    fn value_apart(&self, word: &str) -> Option<String> {
        let at = self.words.iter().position(|typed| *typed == word)?;
        let before = at.checked_sub(1).map(|at| self.words[at])?;
        let is_number = |text: &str| text.parse::<f64>().is_ok();
        if UNITS.contains(&word) && is_number(before) {
            return Some(format!("'{word}' is not a URL; write {before}{word}, without the space"));
        }
        if before == "-q" && is_number(word) {
            return Some(format!(
                "-q is --quiet; the rate of oha's and hey's -q {word} is -R {word} here. See docs/migrating.md"
            ));
        }
        None
    }
}

fn misplaced_method(word: &str) -> Option<String> {
    METHODS
        .contains(&word)
        .then(|| format!("'{word}' is not a URL; the method is given with -m {word}"))
}

/// The answer to the name of a built-in profile.
pub(super) fn built_in_profile(word: &str) -> Option<String> {
    let (name, text) = BUILT_IN.iter().find(|(name, _)| *name == word)?;
    Some(format!("'{name}' is a built-in profile; run it with `{}`", run_profile(name, text)))
}

/// The command for a profile.
fn run_profile(name: &str, text: &str) -> String {
    if is_ramp(text) { format!("loadgen ramp {name}") } else { format!("loadgen --profile {name}") }
}

/// The answer to the name of a file.
fn file(word: &str) -> Option<String> {
    let path = Path::new(word);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if let Some((_, what)) = FOREIGN_FILES.iter().find(|(known, _)| *known == ending) {
        return Some(format!(
            "'{word}' is not a URL; {what} not supported. A Lua script for wrk is given with -s FILE. \
             See docs/migrating.md"
        ));
    }
    let meant = match ending {
        "toml" => match read_profile_text(path) {
            Ok(text) => format!("it is a profile; run it with `{}`", run_profile(word, &text)),
            Err(error) => {
                return Some(format!(
                    "'{word}' is not a URL, and as a profile it cannot be read: {error}"
                ));
            }
        },
        "lua" => format!("a script is given with -s {word}"),
        "json" => format!("a saved report is printed with `loadgen report {word}`"),
        _ if path.exists() => {
            "it is a file. A profile is given with --profile FILE, a body with -f FILE, \
                               a script with -s FILE"
                .to_owned()
        }
        _ => return None,
    };
    Some(format!("'{word}' is not a URL; {meant}"))
}
