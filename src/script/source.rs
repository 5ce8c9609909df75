//! Requests of one worker: from the script's function `request`, or the one request that the script left
//! unchanged.

use std::fmt;
use std::sync::Arc;

use mlua::{BorrowedBytes, Function, Value};

use super::ScriptError;
use super::ids::ScriptIds;
use super::state::{ScriptState, with_article};
use super::worker_handle::WorkerHandle;
use crate::core::clock;
use crate::engine::request::framing::{RequestFraming, frame};
use crate::engine::request::{Batch, Prepared, PreparedContent, RequestSource};
use crate::message::Values;

/// Request source of one worker with a script.
pub(super) struct ScriptSource {
    /// Name of the worker in messages.
    place: String,
    state: ScriptState,
    request: Function,
    /// True if the script has a function `request`, which is called for each request.
    has_request: bool,
    ids: Arc<ScriptIds>,
    handle: Arc<WorkerHandle>,
    /// Text of the last request or requests, held in the state's memory.
    text: Option<BorrowedBytes>,
    framing: RequestFraming,
    batch: Batch,
}

impl fmt::Debug for ScriptSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptSource").field("place", &self.place).finish_non_exhaustive()
    }
}

impl ScriptSource {
    /// Creates the source of a state that is set up. If the script has no `request`, writes the request of
    /// wrk's table now, once.
    pub(super) fn new(
        state: ScriptState,
        ids: Arc<ScriptIds>,
        handle: Arc<WorkerHandle>,
        place: String,
    ) -> Result<Self, ScriptError> {
        handle.begin();
        let mut source = Self {
            request: state.function("request")?,
            has_request: state.has("request"),
            place,
            state,
            ids,
            handle,
            text: None,
            framing: RequestFraming::ONE,
            batch: Batch::ONE,
        };
        if !source.has_request {
            source.write_text()?;
            source.set_batch(0);
        }
        Ok(source)
    }

    /// Calls `request` once without sending its result, as wrk does in its first thread before the run, so
    /// that a script that cannot work fails before any load.
    pub(super) fn rehearse(&mut self) -> Result<(), ScriptError> {
        self.write_text()?;
        // Discards a stop of the worker in this call.
        self.handle.begin();
        Ok(())
    }

    /// Calls `request` and stores its text.
    fn write_text(&mut self) -> Result<(), ScriptError> {
        let result = self.request.call::<Value>(());
        let text = match result.map_err(|e| self.state.explain_in("request", &e, &self.place))? {
            Value::String(text) => text.as_bytes(),
            other => {
                let problem = format!("gave {}, not a text", with_article(other.type_name()));
                return Err(self.refuse(&problem));
            }
        };
        // Lua stores equal strings once, and the last one is still held: the same address is the same text.
        let same = self.text.as_ref().is_some_and(|last| std::ptr::eq(&**last, &*text));
        if !same {
            self.framing = frame(&text).map_err(|e| self.refuse(&format!("gave {e}")))?;
            self.text = Some(text);
        }
        Ok(())
    }

    /// Writes the request of message `index`.
    fn write_for(&mut self, index: u64) -> Result<(), ScriptError> {
        self.ids.begin(index);
        let written = self.write_text();
        let used = self.ids.end(index);
        written?;
        self.set_batch(used);
        Ok(())
    }

    /// Sets the batch of the last text, for which the script has used `used` ids.
    fn set_batch(&mut self, used: u64) {
        let requests = self.framing.requests;
        let unnumbered = requests.saturating_sub(used);
        self.batch = Batch { requests, ids: used.max(requests), unnumbered };
    }

    fn refuse(&self, problem: &str) -> ScriptError {
        self.state.refuse("request", problem, &self.place)
    }
}

impl RequestSource for ScriptSource {
    fn prepare(&mut self, values: &Values) -> Prepared {
        if self.has_request {
            let began = clock::now();
            if let Err(error) = self.write_for(values.seq) {
                self.handle.fail(error);
                self.text = None;
                self.batch = Batch::ONE;
            }
            self.handle.add_time_since(began);
        }
        let content = PreparedContent::Text { bodyless: self.framing.bodyless };
        Prepared { batch: self.batch, content }
    }

    fn text(&self) -> &[u8] {
        self.text.as_deref().unwrap_or_default()
    }

    fn may_stop(&self) -> bool {
        true
    }

    fn is_stopped(&self) -> bool {
        self.handle.is_stopped()
    }
}

impl Drop for ScriptSource {
    /// Writes out what the script printed, before the report is printed.
    fn drop(&mut self) {
        self.state.flush();
    }
}
