//! `loadgen compare`: new reports held against a base.

use std::path::{Path, PathBuf};

use super::CommandOutcome;
use super::args::{CompareArgs, Sides, UsageError};
use super::output::Outputs;
use super::report::read;
use crate::analysis::compare::compare as hold_against;
use crate::output::forms::{Document, Subject};
use crate::report::Saved;

pub(super) async fn compare(args: &CompareArgs) -> anyhow::Result<CommandOutcome> {
    let allowed = args.allow.allowed();
    let outputs = Outputs::check(&args.output, Subject::Comparison)?.allowing(allowed);
    let Sides { base, new } = args.sides()?;
    let (base, new) = (read_side(&base)?, read_side(&new)?);
    let comparison =
        hold_against(&base, &new, args.tolerance).map_err(|error| UsageError(error.to_string()))?;
    let document = Document::Comparison(&comparison);
    outputs.add_to_step_summary(document);
    outputs.deliver(document).finish().await?;
    Ok(comparison.outcome(allowed))
}

/// Reads the reports of a side. Patterns that the shell did not expand are expanded.
fn read_side(names: &[PathBuf]) -> anyhow::Result<Vec<(String, Saved)>> {
    let mut reports = Vec::new();
    for name in names {
        for file in expand(name)? {
            reports.push((file.display().to_string(), read(&file)?));
        }
    }
    Ok(reports)
}

/// The files of a pattern in alphabetical order; any other name as it is.
fn expand(name: &Path) -> Result<Vec<PathBuf>, UsageError> {
    let shown = name.display();
    if name.is_dir() {
        return Err(UsageError(format!(
            "{shown} is a folder; for its reports write {shown}/*.json"
        )));
    }
    let pattern = name.to_str().filter(|text| text.contains(['*', '?', '[']) && !name.exists());
    let Some(pattern) = pattern else { return Ok(vec![name.to_owned()]) };
    let found =
        glob::glob(pattern).map_err(|error| UsageError(format!("{shown}: {}", error.msg)))?;
    // What cannot be read is not a report either.
    let files: Vec<_> = found.flatten().filter(|path| path.is_file()).collect();
    if files.is_empty() {
        return Err(UsageError(format!("{shown}: no file has such a name")));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_the_shell_left_are_expanded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["b.json", "a.json", "[c].json", "d.html"] {
            std::fs::write(path(name), "").expect("space");
        }
        std::fs::create_dir(path("e.json")).expect("space");
        let all = expand(&path("*.json")).expect("files");
        assert_eq!(all, [path("[c].json"), path("a.json"), path("b.json")]);
        assert_eq!(expand(&path("[c].json")).expect("a file"), [path("[c].json")]);
        assert_eq!(expand(&path("[ab].json")).expect("files"), [path("a.json"), path("b.json")]);
        // A missing file is an error when it is read.
        assert_eq!(expand(&path("gone.json")).expect("a name"), [path("gone.json")]);
        let error = |name: &str| expand(&path(name)).expect_err(name).to_string();
        assert!(error("*.xml").ends_with("*.xml: no file has such a name"));
        assert!(error("e.json").contains("is a folder; for its reports write"));
        assert!(error("***.json").contains("***.json: "), "{}", error("***.json"));
    }
}
