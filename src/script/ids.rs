//! `loadgen.msg_id()`: ids that no other worker, state, process or run gives out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use mlua::{Error, Function, Lua};

use crate::message::IdSpace;

/// One state's ids. Only the thread that uses the state touches it, so the order of the single
/// operations is plain.
#[derive(Debug)]
pub(super) struct Ids {
    space: IdSpace,
    /// The lane of this worker's messages.
    messages: Lane,
    /// The lane of ids that belong to no message.
    loose: Lane,
    /// True while a request is being written.
    writing: AtomicBool,
}

#[derive(Debug)]
struct Lane {
    number: u64,
    len: u64,
    next: AtomicU64,
}

impl Ids {
    /// The ids of two lanes, each `len` long.
    pub(super) fn new(space: IdSpace, messages: u64, loose: u64, len: u64) -> Arc<Self> {
        let lane = |number| Lane { number, len, next: AtomicU64::new(0) };
        let (messages, loose) = (lane(messages), lane(loose));
        Arc::new(Self { space, messages, loose, writing: AtomicBool::new(false) })
    }

    /// The request of message `index` is about to be written: the first id is its own, and the next
    /// ones those of the messages after it.
    pub(super) fn begin(&self, index: u64) {
        self.messages.next.store(index, Relaxed);
        self.writing.store(true, Relaxed);
    }

    /// It is written: how many ids were taken since `index`.
    pub(super) fn end(&self, index: u64) -> u64 {
        self.writing.store(false, Relaxed);
        self.messages.next.load(Relaxed) - index
    }

    fn next(&self) -> Result<u64, Error> {
        let lane = if self.writing.load(Relaxed) { &self.messages } else { &self.loose };
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

    /// The function. It gives digits, not a number: Lua 5.1 writes a number with 14 digits at most
    /// when it is joined to a text, and ids grow longer.
    pub(super) fn function(self: &Arc<Self>, lua: &Lua) -> mlua::Result<Function> {
        let ids = Arc::clone(self);
        lua.create_function(move |lua, ()| {
            lua.create_string(itoa::Buffer::new().format(ids.next()?))
        })
    }
}
