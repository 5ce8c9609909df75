//! Verdict of a comparison.

use serde::{Deserialize, Serialize};

use super::{Comparison, Figure, Outcome, Part};
use crate::report::{Allowed, CommandOutcome};

/// Verdict on the figures. `failed` and `trusted` say if the figures prove anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum ComparisonVerdict {
    /// A figure is worse by more than the tolerance.
    Worse,
    /// No figure is worse, and at least one is better by more than the tolerance.
    Better,
    /// No figure is worse.
    Same,
    /// No figure is certainly worse, and at least one may be.
    Inconclusive,
}

impl ComparisonVerdict {
    /// The word with which the verdict begins.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Worse => "WORSE",
            Self::Better => "BETTER",
            Self::Same => "SAME",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }

    /// The verdict on the figures of some parts. `undecided` is true if a figure of the verdict could not be judged.
    pub(super) fn on(parts: &[Part], undecided: bool, tolerance_percent: f64) -> Self {
        let figures = || parts.iter().flat_map(|part| &part.figures);
        let has = |outcome| figures().any(|figure| figure.outcome == Some(outcome));
        if has(Outcome::Worse) {
            Self::Worse
        } else if undecided || figures().any(|figure| figure.is_unclear(tolerance_percent)) {
            Self::Inconclusive
        } else if has(Outcome::Better) {
            Self::Better
        } else {
            Self::Same
        }
    }
}

impl Figure {
    /// Returns true if the figure may be worse by more than the tolerance, and may be not.
    pub(crate) fn is_unclear(&self, tolerance_percent: f64) -> bool {
        self.outcome == Some(Outcome::Unclear) && !self.is_not_worse(tolerance_percent)
    }
}

impl Comparison {
    /// Outcome of the command. Like for a run, a result that is not to be trusted outweighs a bad one.
    pub(crate) fn outcome(&self, allowed: Allowed) -> CommandOutcome {
        if !self.failed.is_empty() && !allowed.failed {
            CommandOutcome::Failed
        } else if !self.trusted && !allowed.limited {
            CommandOutcome::Limited
        } else if self.worse {
            CommandOutcome::ConditionHeld
        } else {
            CommandOutcome::Done
        }
    }

    /// The verdict on the figures of one part.
    pub(crate) fn verdict_on(&self, part: &Part) -> ComparisonVerdict {
        let prefix = part.prefix();
        let mut names = self.undecided.iter().filter_map(|name| name.strip_prefix(&prefix));
        // A name without a space is that of a figure; with one it belongs to another step.
        let undecided = names.any(|name| !name.contains(' '));
        ComparisonVerdict::on(std::slice::from_ref(part), undecided, self.tolerance_percent)
    }

    /// Returns true if a figure of the verdict could not be judged in a part.
    pub(crate) fn is_undecided(&self, part: &Part, name: &str) -> bool {
        self.undecided.contains(&format!("{}{name}", part.prefix()))
    }
}

impl Part {
    /// Beginning of the names of its undecided figures.
    fn prefix(&self) -> String {
        self.step.as_ref().map(|step| format!("{step} ")).unwrap_or_default()
    }
}
