//! Arguments of `loadgen compare`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::{AllowArgs, OutputArgs, UsageError, fitting};
use crate::core::units::parse_percent;
use crate::output::forms::Subject;

const USAGE: &str = "loadgen compare [OPTIONS] BASE NEW
       loadgen compare [OPTIONS] BASE... -- NEW...";
/// `--output` of a comparison.
const COMPARE_OUTPUT: &str = "Write the comparison to a file, repeatable; the ending selects the form: .txt .json \
                              .html .md .xml (JUnit)";
/// `--latency` of a comparison.
const COMPARE_LATENCY: &str =
    "Print also the percentiles that do not decide, and the source of each interval";
/// Both ways to name the sides, for messages.
const SIDES: &str = "`loadgen compare base.json new.json`, or with several runs a side \
                     `loadgen compare base/*.json -- new/*.json`";

#[derive(Debug, Args)]
#[command(
    override_usage = USAGE,
    mut_arg("outputs", |arg| arg.help(COMPARE_OUTPUT)),
    mut_arg("format", |arg| fitting(arg, Subject::Comparison)),
    mut_arg("latency", |arg| arg.help(COMPARE_LATENCY))
)]
pub(in crate::cli) struct CompareArgs {
    /// Report of the baseline and report to compare with it: of runs or of ramps, written with -o FILE.json; patterns such as 'base/*.json' may be quoted
    #[arg(value_name = "BASE")]
    files: Vec<PathBuf>,

    /// Files after `--`, up to the next flag: see [`with_divided_sides`].
    #[arg(long = AFTER_DASHES, value_name = "NEW", num_args = 0.., hide = true)]
    after: Vec<PathBuf>,

    /// Runs of the baseline, one or more: three runs of each side show how much runs differ by chance
    #[arg(long = "base", value_name = "FILE", num_args = 1..)]
    more_base: Vec<PathBuf>,

    /// Runs of the new side, one or more
    #[arg(long = "new", value_name = "FILE", num_args = 1..)]
    more_new: Vec<PathBuf>,

    /// Tolerance: by how much a number may be worse
    #[arg(long, value_name = "PERCENT", env = "LOADGEN_TOLERANCE", default_value = "5%", value_parser = parse_percent)]
    pub(in crate::cli) tolerance: f64,

    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,

    #[command(flatten)]
    pub(in crate::cli) allow: AllowArgs,
}

/// Files of both sides, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Sides {
    pub(in crate::cli) base: Vec<PathBuf>,
    pub(in crate::cli) new: Vec<PathBuf>,
}

/// Hidden flag in the place of `--`.
const AFTER_DASHES: &str = "new-side";

/// The words of a command line with a hidden flag in the place of the `--` of a comparison. After `--` clap takes every
/// word for a file, but users write flags at the end: `compare base/*.json -- new/*.json -o compare.html`.
pub(in crate::cli) fn with_divided_sides(words: &[OsString]) -> Vec<OsString> {
    let mut words = words.to_vec();
    let is_comparison = words.iter().skip(1).find(|word| *word == "compare" || *word == "--");
    if is_comparison.is_some_and(|word| word == "compare") {
        for word in words.iter_mut().filter(|word| *word == "--") {
            *word = format!("--{AFTER_DASHES}").into();
        }
    }
    words
}

impl CompareArgs {
    /// The files of both sides. Returns an error if it is not clear which files are the base.
    pub(in crate::cli) fn sides(&self) -> Result<Sides, UsageError> {
        let (base, new) = if self.after.is_empty() {
            self.split_files()?
        } else {
            (self.files.as_slice(), self.after.as_slice())
        };
        let sides =
            Sides { base: [base, &self.more_base].concat(), new: [new, &self.more_new].concat() };
        if sides.base.is_empty() {
            return Err(UsageError(format!("the base has no file; write {SIDES}")));
        }
        if sides.new.is_empty() {
            return Err(UsageError(format!(
                "the new side has no file (--base takes all files up to the next flag); write {SIDES}"
            )));
        }
        Ok(sides)
    }

    /// Divides files that no `--` divides.
    fn split_files(&self) -> Result<(&[PathBuf], &[PathBuf]), UsageError> {
        match (self.files.as_slice(), self.more_base.is_empty(), self.more_new.is_empty()) {
            ([base, new], _, _) => Ok((std::slice::from_ref(base), std::slice::from_ref(new))),
            ([], true, true) => Err(UsageError(format!("compare needs reports; write {SIDES}"))),
            ([], _, _) => Ok((&[], &[])),
            (files, true, false) => Ok((files, &[])),
            (files, false, true) => Ok((&[], files)),
            ([one], _, _) => Err(UsageError(format!(
                "{} alone cannot be compared; write {SIDES}",
                one.display()
            ))),
            (files, _, _) => Err(UsageError(format!(
                "{} files, and it is not clear which are the base; write -- between the sides: {SIDES}",
                files.len()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn sides(words: &str) -> Result<String, String> {
        let words = ["loadgen", "compare"].into_iter().chain(words.split_whitespace());
        let words: Vec<_> = words.map(OsString::from).collect();
        let cli =
            Cli::try_parse_from(with_divided_sides(&words)).map_err(|error| error.to_string())?;
        let Some(Command::Compare(args)) = cli.command else { panic!("not a comparison") };
        let Sides { base, new } = args.sides().map_err(|error| error.to_string())?;
        let join = |files: &[PathBuf]| {
            files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        Ok(format!("{} | {}", join(&base), join(&new)))
    }

    #[test]
    fn each_side_has_one_file_or_several() {
        for (words, expected) in [
            ("a b", "a | b"),
            ("a b --base c --new d --new e", "a c | b d e"),
            ("a1 a2 a3 -- b1 b2", "a1 a2 a3 | b1 b2"),
            ("a -- b", "a | b"),
            ("--base a1 a2 --new b1 b2", "a1 a2 | b1 b2"),
            ("a1 a2 a3 --new b1 b2", "a1 a2 a3 | b1 b2"),
            ("a --new b1 b2 --tolerance 2%", "a | b1 b2"),
            ("b1 b2 b3 --base a", "a | b1 b2 b3"),
            ("--tolerance 2% a1 -o r.md a2 a3 -- b", "a1 a2 a3 | b"),
            ("a1 a2 -- b1 b2 -o r.html --tolerance 2%", "a1 a2 | b1 b2"),
        ] {
            assert_eq!(sides(words).as_deref(), Ok(expected), "{words}");
        }
    }

    #[test]
    fn unclear_sides_are_refused_with_what_to_write() {
        for (words, said) in [
            ("", "compare needs reports"),
            ("a", "a alone cannot be compared"),
            ("a b c", "3 files, and it is not clear"),
            ("-- a b", "the base has no file"),
            ("--base a b c", "the new side has no file (--base takes all files"),
            ("--new a b", "the base has no file"),
        ] {
            let error = sides(words).expect_err(words);
            assert!(error.starts_with(said), "{words}: {error}");
            assert!(error.contains("base/*.json -- new/*.json"), "{words}: {error}");
        }
    }
}
