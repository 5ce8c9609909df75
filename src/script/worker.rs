//! What writes one worker's requests: the script's `request`, or the one request that it left
//! unchanged; and what shows the worker's responses to it.

use std::fmt;
use std::sync::Arc;

use mlua::{BorrowedBytes, Function, Table, Value};

use super::ScriptError;
use super::ids::Ids;
use super::state::State;
use super::worker_handle::WorkerHandle;
use crate::core::clock::Nanos;
use crate::engine::transport::captured::CapturedResponse;
use crate::engine::transport::framing::{Framing, frame};
use crate::engine::transport::link::TargetEndpoint;
use crate::engine::transport::request_source::{
    Batch, ComposedRequest, RequestSource, ScriptHooks, Wants,
};
use crate::message::Values;

/// A delay longer than this is a mistake, and would overflow.
const LONGEST_DELAY_MS: f64 = 86_400_000.0;

/// Writes one worker's requests.
pub struct Writer {
    place: String,
    state: State,
    request: Function,
    response: Function,
    delay: Function,
    ids: Arc<Ids>,
    seat: Arc<WorkerHandle>,
    wants: Wants,
    /// The text of the last request or requests, held in the state's memory.
    text: Option<BorrowedBytes>,
    framing: Framing,
    batch: Batch,
    /// The head of the last response and its fields: most heads are the same as the one before.
    head: Vec<u8>,
    fields: Option<Table>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Writer {
    /// Takes over a state that is set up. Where the script has no `request` of its own, the one that
    /// wrk's table gives is written now, once.
    pub(super) fn new(
        state: State,
        ids: Arc<Ids>,
        seat: Arc<WorkerHandle>,
        place: String,
    ) -> Result<Self, ScriptError> {
        let wants = Wants {
            requests: state.has("request"),
            responses: state.has("response"),
            delays: state.has("delay"),
        };
        seat.begin();
        let mut writer = Self {
            request: state.function("request")?,
            response: state.function("response")?,
            delay: state.function("delay")?,
            place,
            state,
            ids,
            seat,
            wants,
            text: None,
            framing: Framing::ONE,
            batch: Batch::ONE,
            head: Vec::new(),
            fields: None,
        };
        if !wants.requests {
            writer.take_text()?;
            writer.account(0);
        }
        Ok(writer)
    }

    /// Calls `request` once without sending what it gives, as wrk does in its first thread before the
    /// run: a script that cannot work is found out before any load.
    pub(super) fn rehearse(&mut self) -> Result<(), ScriptError> {
        self.take_text()?;
        // Who stops itself at its first call has not been asked for a request yet.
        self.seat.begin();
        Ok(())
    }

    /// Where this worker connects.
    pub fn endpoint(&self) -> TargetEndpoint {
        self.seat.endpoint()
    }

    /// Calls `request` and takes its text over.
    fn take_text(&mut self) -> Result<(), ScriptError> {
        let called = self.request.call::<Value>(());
        let text = match called.map_err(|e| self.explain(&e, "request"))? {
            Value::String(text) => text.as_bytes(),
            other => {
                let what = format!("gave {}, not a text", one(other.type_name()));
                return Err(self.refuse("request", &what));
            }
        };
        // Lua keeps a text only once, and the last one is still held: at the same place it is the same.
        let same = self.text.as_ref().is_some_and(|last| std::ptr::eq(&**last, &*text));
        if !same {
            self.framing =
                frame(&text).map_err(|e| self.refuse("request", &format!("gave {e}")))?;
            self.text = Some(text);
        }
        Ok(())
    }

    /// Writes the request of message `index`.
    fn write_for(&mut self, index: u64) -> Result<(), ScriptError> {
        self.ids.begin(index);
        let written = self.take_text();
        let used = self.ids.end(index);
        written?;
        self.account(used);
        Ok(())
    }

    fn account(&mut self, used: u64) {
        let requests = self.framing.requests;
        let unnumbered = requests.saturating_sub(used);
        self.batch = Batch { requests, ids: used.max(requests), unnumbered };
    }

    /// How many milliseconds `delay` says. A text of digits is a number, as everywhere in Lua.
    fn held_back(&self) -> Result<f64, ScriptError> {
        let called = self.delay.call::<Value>(());
        let value = called.map_err(|e| self.explain(&e, "delay"))?;
        if value.is_nil() {
            return Ok(0.0);
        }
        let kind = value.type_name();
        let millis = self.state.lua.coerce_number(value).map_err(|e| self.explain(&e, "delay"))?;
        let what = || format!("gave {}, not milliseconds", one(kind));
        millis.ok_or_else(|| self.refuse("delay", &what()))
    }

    fn see(&mut self, status: u16, response: &CapturedResponse) -> mlua::Result<()> {
        if self.fields.is_none() || self.head != response.head() {
            self.fields = Some(self.fields_of(response)?);
            self.head.clear();
            self.head.extend_from_slice(response.head());
        }
        let body = self.state.lua.create_string(response.body())?;
        self.response.call((status, self.fields.as_ref(), body))
    }

    /// The header fields as a table; of several of one name the last.
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

    fn explain(&self, error: &mlua::Error, name: &str) -> ScriptError {
        self.state.explain_in(name, error, &self.place)
    }

    fn refuse(&self, name: &str, what: &str) -> ScriptError {
        self.state.refuse(name, what, &self.place)
    }
}

impl Drop for Writer {
    /// What the script printed stands before the report, although its last line may have no end.
    fn drop(&mut self) {
        self.state.flush();
    }
}

/// What a value is, in words.
fn one(kind: &str) -> String {
    match kind {
        "nil" => kind.to_owned(),
        "integer" => "a number".to_owned(),
        _ => format!("a {kind}"),
    }
}

impl RequestSource for Writer {
    fn compose(&mut self, _: &Values) -> ComposedRequest<'_> {
        let bytes = self.text.as_deref().unwrap_or_default();
        ComposedRequest { bytes, bodyless: self.framing.bodyless }
    }

    fn hooks(&mut self) -> Option<&mut dyn ScriptHooks> {
        Some(self)
    }
}

impl ScriptHooks for Writer {
    fn wants(&self) -> Wants {
        self.wants
    }

    fn write(&mut self, values: &Values) -> Batch {
        if self.wants.requests
            && let Err(error) = self.write_for(values.seq)
        {
            self.seat.fail(error);
            self.text = None;
            self.batch = Batch::ONE;
        }
        self.batch
    }

    fn delay(&mut self) -> Nanos {
        let millis = self.held_back().unwrap_or_else(|error| {
            self.seat.fail(error);
            0.0
        });
        // What is below zero, or no number, is no delay.
        Nanos(if millis > 0.0 { (millis.min(LONGEST_DELAY_MS) * 1e6) as u64 } else { 0 })
    }

    fn response(&mut self, status: u16, response: &CapturedResponse) {
        if let Err(error) = self.see(status, response) {
            self.seat.fail(self.explain(&error, "response"));
        }
    }

    fn stopped(&self) -> bool {
        self.seat.stopped()
    }
}
