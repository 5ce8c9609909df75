//! `loadgen.msg_id()`: ids that are unique over all workers, states, processes and runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use mlua::{Error, Function, Lua};

use super::ScriptSetup;
use crate::message::IdSpace;

/// Ids of one state. Only the thread that uses the state accesses them, so relaxed operations suffice.
#[derive(Debug)]
pub(super) struct ScriptIds {
    space: IdSpace,
    /// Lane of this worker's messages.
    messages: IdLane,
    /// Lane of ids that do not belong to a message.
    others: IdLane,
    /// True while a request is being written.
    writing: AtomicBool,
}

/// Range of consecutive ids, of which `next` is the index of the next one.
#[derive(Debug)]
struct IdLane {
    number: u64,
    len: u64,
    next: AtomicU64,
}

impl IdLane {
    fn new(setup: &ScriptSetup<'_>, number: u64) -> Self {
        Self { number, len: setup.ids_each, next: AtomicU64::new(0) }
    }
}

impl ScriptIds {
    /// Creates the ids of the two lanes with these numbers.
    pub(super) fn new(setup: &ScriptSetup<'_>, messages: u64, others: u64) -> Arc<Self> {
        let (messages, others) = (IdLane::new(setup, messages), IdLane::new(setup, others));
        Arc::new(Self { space: setup.space, messages, others, writing: AtomicBool::new(false) })
    }

    /// Starts the request of message `index`: the first id is its own, and the next ones are those of the
    /// messages after it.
    pub(super) fn begin(&self, index: u64) {
        self.messages.next.store(index, Relaxed);
        self.writing.store(true, Relaxed);
    }

    /// Ends the request. Returns the number of ids used since `index`.
    pub(super) fn end(&self, index: u64) -> u64 {
        self.writing.store(false, Relaxed);
        self.messages.next.load(Relaxed) - index
    }

    fn next(&self) -> Result<u64, Error> {
        let lane = if self.writing.load(Relaxed) { &self.messages } else { &self.others };
        let index = lane.next.fetch_add(1, Relaxed);
        let id = (index < lane.len).then(|| self.space.id(lane.number, index)).flatten();
        id.map(|id| id.get()).ok_or_else(|| {
            Error::runtime(format!(
                "loadgen.msg_id(): all {} ids of this worker are taken; there are 1,000 for each message \
                 that it may send, but not less than 10^6 nor more than 10^9, and 4 for each besides",
                lane.len
            ))
        })
    }

    /// Returns the function. It returns digits, not a number: Lua 5.1 writes at most 14 digits of a number that
    /// is concatenated to a text, and ids are longer.
    pub(super) fn function(self: &Arc<Self>, lua: &Lua) -> mlua::Result<Function> {
        let ids = Arc::clone(self);
        lua.create_function(move |lua, ()| {
            lua.create_string(itoa::Buffer::new().format(ids.next()?))
        })
    }
}
