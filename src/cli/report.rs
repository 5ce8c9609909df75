//! `loadgen report`: a saved report, shown again or written in other forms.

use std::path::Path;

use anyhow::Context as _;

use super::CommandOutcome;
use super::args::ReportArgs;
use super::output::Outputs;
use crate::analysis::findings::conclude_again;
use crate::config::plan::read::{MOST_REPORT, read_text_bounded};
use crate::output::forms::Document;
use crate::report::Saved;

pub(super) async fn report(args: &ReportArgs) -> anyhow::Result<CommandOutcome> {
    let mut saved = read(&args.file)?;
    if let Saved::Ramp(ramp) = &mut saved {
        // The saved ones may be of a version that knew less.
        ramp.findings = conclude_again(ramp);
    }
    let document = Document::from(&saved);
    let outputs = Outputs::check(&args.output, document.subject())?;
    outputs.deliver(document).finish().await?;
    Ok(CommandOutcome::Done)
}

/// Reads a saved report; an error names the file.
pub(super) fn read(file: &Path) -> anyhow::Result<Saved> {
    let name = file.display().to_string();
    let text = read_text_bounded(file, MOST_REPORT, "a report").with_context(|| name.clone())?;
    Saved::from_json(&text).context(name)
}
