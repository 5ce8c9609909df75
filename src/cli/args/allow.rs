//! Faults that a run may have and still exit 0.

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::report::Allowed;

/// Faults that do not decide the exit code.
#[derive(Debug, Args)]
pub(in crate::cli) struct AllowArgs {
    /// Do not exit with 3 if the generator could not hold the plan
    #[arg(long, env = "LOADGEN_ALLOW_LIMITED", value_parser = BoolishValueParser::new(), help_heading = "Report")]
    allow_limited: bool,

    /// Do not exit with 1 if no request succeeded, no message arrived, or a component of the stack ended
    #[arg(long, env = "LOADGEN_ALLOW_FAILED", value_parser = BoolishValueParser::new(), help_heading = "Report")]
    allow_failed: bool,
}

impl AllowArgs {
    pub(in crate::cli) fn allowed(&self) -> Allowed {
        Allowed { limited: self.allow_limited, failed: self.allow_failed }
    }
}
