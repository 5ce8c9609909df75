//! What stands in for scripts where Lua is not built in: nothing of it can exist, as the plan refuses
//! a script then.

use super::{ScriptError, Setting, Summary};
use crate::engine::transport::link::TargetEndpoint;
use crate::engine::transport::request_source::{ComposedRequest, RequestSource};
use crate::message::Values;

/// A run's script.
#[derive(Debug)]
pub enum Session {}

/// What writes one worker's requests.
#[derive(Debug)]
pub enum Writer {}

impl Session {
    /// Refuses.
    pub fn open(_: &Setting<'_>) -> Result<(Self, Vec<Writer>), ScriptError> {
        let text = "this loadgen was built without Lua".to_owned();
        Err(ScriptError { text, place: "before the run".to_owned() })
    }

    /// Never called.
    pub fn failure(&self) -> Option<ScriptError> {
        match *self {}
    }

    /// Never called.
    pub fn done(&self, _: &Summary<'_>) -> Result<(), ScriptError> {
        match *self {}
    }
}

impl Writer {
    /// Never called.
    pub fn endpoint(&self) -> TargetEndpoint {
        match *self {}
    }
}

impl RequestSource for Writer {
    fn compose(&mut self, _: &Values) -> ComposedRequest<'_> {
        match *self {}
    }
}
