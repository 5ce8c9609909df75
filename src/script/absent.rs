//! What stands in for scripts where Lua is not built in: nothing of it can exist, as the plan refuses
//! a script then.

use super::{ScriptError, Setting, Summary};
use crate::engine::transport::compose::{Compose, Composed};
use crate::engine::transport::link::Endpoint;
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
    pub fn endpoint(&self) -> Endpoint {
        match *self {}
    }
}

impl Compose for Writer {
    fn compose(&mut self, _: &Values) -> Composed<'_> {
        match *self {}
    }
}
