//! Stand-in for scripts in a build without Lua. No value of its types can exist: the plan refuses scripts.

use super::{ScriptError, ScriptSetup, ScriptSummary};
use crate::engine::pool::OwnSource;

/// Script of a run.
#[derive(Debug)]
pub(crate) enum ScriptSession {}

impl ScriptSession {
    /// Refuses the script.
    pub(crate) fn open(_: &ScriptSetup<'_>) -> Result<(Self, Vec<OwnSource>), ScriptError> {
        let text = "this loadgen was built without Lua".to_owned();
        Err(ScriptError { text, place: "before the run".to_owned() })
    }

    /// Never called.
    pub(crate) fn failure(&self) -> Option<ScriptError> {
        match *self {}
    }

    /// Never called.
    pub(crate) fn done(&self, _: &ScriptSummary<'_>) -> Result<(), ScriptError> {
        match *self {}
    }
}
