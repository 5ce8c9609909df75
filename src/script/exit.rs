//! `os.exit`: a script must not end the process, as a run would then end without its report and with the script's
//! exit code.

use std::sync::Arc;

use mlua::{Error, Function, Lua, Value};

use super::ScriptError;
use super::worker_handle::FirstFailure;

/// Largest number of call levels that are searched for a line of the script.
const DEEPEST: usize = 20;

/// `os.exit` of one state.
pub(super) struct Exit {
    pub(super) failure: Arc<FirstFailure>,
    pub(super) file: String,
    /// Name of the state in messages.
    pub(super) place: String,
}

impl Exit {
    /// Returns the function. It fails the run, even if the script catches its error.
    pub(super) fn function(self, lua: &Lua) -> mlua::Result<Function> {
        lua.create_function(move |lua, code: Option<Value>| {
            let code =
                code.filter(|code| !code.is_nil()).map(|code| code.to_string()).transpose()?;
            let text = format!(
                "{}: the script called os.exit({}), which would end loadgen without a report; \
                 wrk.thread:stop() stops a worker",
                self.caller(lua),
                code.unwrap_or_default()
            );
            self.failure.set(ScriptError { text: text.clone(), place: self.place.clone() });
            Err::<(), _>(Error::runtime(text))
        })
    }

    /// Returns the script's file and the line of the call, if Lua knows it.
    fn caller(&self, lua: &Lua) -> String {
        let own = format!("@{}", self.file);
        let line = (1..DEEPEST).find_map(|level| {
            let line = lua.inspect_stack(level, |call| {
                let is_own = call.source().source.is_some_and(|source| *source == *own);
                call.current_line().filter(|_| is_own)
            });
            line.flatten()
        });
        match line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        }
    }
}
