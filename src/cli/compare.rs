//! `loadgen compare`: new reports held against a base.

use std::path::PathBuf;

use super::CommandOutcome;
use super::args::{CompareArgs, UsageError};
use super::output::Outputs;
use super::report::read;
use crate::analysis::compare::compare as hold_against;
use crate::output::forms::{Document, Subject};
use crate::report::Saved;

pub(super) async fn compare(args: &CompareArgs) -> anyhow::Result<CommandOutcome> {
    let outputs = Outputs::check(&args.output, Subject::Comparison)?;
    let base = side(&args.base, &args.more_base)?;
    let new = side(&args.new, &args.more_new)?;
    let comparison =
        hold_against(&base, &new, args.tolerance).map_err(|error| UsageError(error.to_string()))?;
    let document = Document::Comparison(&comparison);
    outputs.add_to_step_summary(document);
    outputs.deliver(document).finish().await?;
    let allowed = args.allow.allowed();
    // Same order as for a run: an untrustworthy result outweighs a bad one.
    Ok(if !comparison.failed.is_empty() && !allowed.failed {
        CommandOutcome::Failed
    } else if !comparison.trusted && !allowed.limited {
        CommandOutcome::Limited
    } else if comparison.worse {
        CommandOutcome::ConditionHeld
    } else {
        CommandOutcome::Done
    })
}

fn side(first: &PathBuf, more: &[PathBuf]) -> anyhow::Result<Vec<(String, Saved)>> {
    let files = std::iter::once(first).chain(more);
    files.map(|file| Ok((file.display().to_string(), read(file)?))).collect()
}
