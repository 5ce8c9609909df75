//! `loadgen merge`: the reports of several nodes as one.

use std::path::Path;

use super::CommandOutcome;
use super::args::{MergeArgs, UsageError};
use super::output::Outputs;
use super::report::read;
use crate::output::forms::Document;
use crate::report::{self, Named, RunResult, Saved};

pub(super) async fn merge(args: &MergeArgs) -> anyhow::Result<CommandOutcome> {
    let parts = args.files.iter().map(|file| read_run(file)).collect::<Result<_, _>>()?;
    let merged = report::merge(parts).map_err(|error| UsageError(error.to_string()))?;
    let document = Document::Run(&merged);
    let allowed = args.allow.allowed();
    let outputs = Outputs::check(&args.output, document.subject())?.allowing(allowed);
    outputs.deliver(document).finish().await?;
    Ok(RunResult::of_run(&merged, allowed).outcome())
}

fn read_run(file: &Path) -> anyhow::Result<Named> {
    let name = file.display().to_string();
    match read(file)? {
        Saved::Run(report) => Ok((name, *report)),
        Saved::Ramp(_) => Err(UsageError(format!(
            "{name} is the report of a ramp; only reports of single runs can be merged"
        ))
        .into()),
    }
}
