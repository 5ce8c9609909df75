//! Hooks of one worker: the script's functions `response` and `delay`.

use std::fmt;
use std::sync::Arc;

use mlua::{Function, Table, Value};

use super::ScriptError;
use super::state::{ScriptState, with_article};
use super::worker_handle::WorkerHandle;
use crate::core::clock::{self, Nanos};
use crate::engine::transport::http1::captured::CapturedResponse;
use crate::engine::transport::http1::hooks::ConnectionHooks;

/// Longest delay in milliseconds. A longer one is a mistake and would overflow.
const LONGEST_DELAY_MS: f64 = 86_400_000.0;

/// Hooks of one worker with a script.
pub(super) struct ScriptHooks {
    /// Name of the worker in messages.
    place: String,
    state: ScriptState,
    /// The function `response`, if the script has it.
    response: Option<Function>,
    /// The function `delay`, if the script has it.
    delay: Option<Function>,
    handle: Arc<WorkerHandle>,
    /// Head of the last response and its fields: most heads are equal to the one before.
    head: Vec<u8>,
    fields: Option<Table>,
}

impl fmt::Debug for ScriptHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptHooks").field("place", &self.place).finish_non_exhaustive()
    }
}

impl ScriptHooks {
    /// Creates the hooks of a state that is set up. Returns `None` if the script runs no code during the load.
    pub(super) fn new(
        state: &ScriptState,
        handle: &Arc<WorkerHandle>,
        place: &str,
    ) -> Result<Option<Self>, ScriptError> {
        let hooks = Self {
            response: state.own_function("response")?,
            delay: state.own_function("delay")?,
            place: place.to_owned(),
            state: state.clone(),
            handle: Arc::clone(handle),
            head: Vec::new(),
            fields: None,
        };
        let runs = state.has("request") || hooks.response.is_some() || hooks.delay.is_some();
        Ok(runs.then_some(hooks))
    }

    /// Returns the milliseconds of `delay`. A text of digits is a number, as everywhere in Lua.
    fn delay_millis(&self, delay: &Function) -> Result<f64, ScriptError> {
        let value = delay.call::<Value>(()).map_err(|e| self.explain("delay", &e))?;
        if value.is_nil() {
            return Ok(0.0);
        }
        let kind = value.type_name();
        let millis = self.state.lua.coerce_number(value).map_err(|e| self.explain("delay", &e))?;
        millis.ok_or_else(|| {
            let problem = format!("gave {}, not milliseconds", with_article(kind));
            self.state.refuse("delay", &problem, &self.place)
        })
    }

    fn call_response(&mut self, status: u16, response: &CapturedResponse) -> mlua::Result<()> {
        let Some(function) = &self.response else { return Ok(()) };
        if self.fields.is_none() || self.head != response.head() {
            self.fields = Some(self.fields_of(response)?);
            self.head.clear();
            self.head.extend_from_slice(response.head());
        }
        let body = self.state.lua.create_string(response.body())?;
        function.call((status, self.fields.as_ref(), body))
    }

    /// Returns the header fields as a table, with the last value of each name.
    fn fields_of(&self, response: &CapturedResponse) -> mlua::Result<Table> {
        let lua = &self.state.lua;
        let table = lua.create_table()?;
        let mut filled = Ok(());
        response.fields(|name, value| {
            let pair = lua.create_string(value).and_then(|value| table.raw_set(name, value));
            if let Err(error) = pair {
                filled = Err(error);
            }
        });
        filled.map(|()| table)
    }

    fn explain(&self, function: &str, error: &mlua::Error) -> ScriptError {
        self.state.explain_in(function, error, &self.place)
    }
}

impl ConnectionHooks for ScriptHooks {
    fn sees_responses(&self) -> bool {
        self.response.is_some()
    }

    fn delays(&self) -> bool {
        self.delay.is_some()
    }

    fn response(&mut self, status: u16, response: &CapturedResponse) {
        let began = clock::now();
        if let Err(error) = self.call_response(status, response) {
            self.handle.fail(self.explain("response", &error));
        }
        self.handle.add_time_since(began);
    }

    fn delay(&mut self) -> Nanos {
        let Some(delay) = &self.delay else { return Nanos::ZERO };
        let began = clock::now();
        let millis = self.delay_millis(delay).unwrap_or_else(|error| {
            self.handle.fail(error);
            0.0
        });
        self.handle.add_time_since(began);
        // A negative value or NaN is not a delay.
        Nanos(if millis > 0.0 { (millis.min(LONGEST_DELAY_MS) * 1e6) as u64 } else { 0 })
    }

    fn time_spent(&self) -> Nanos {
        self.handle.time_spent()
    }
}
