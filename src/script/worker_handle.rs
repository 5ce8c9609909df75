//! The `thread` of `setup` and `wrk.thread`: a worker as scripts see it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mlua::{
    Error, LuaString, UserData, UserDataFields, UserDataMethods, UserDataRef, Value, WeakLua,
};

use super::ScriptError;
use super::address::Address;
use super::transfer::PlainValue;
use crate::engine::transport::link::TargetEndpoint;

/// What a worker and the scripts share about it.
pub(super) struct WorkerHandle {
    /// The worker's own state; it holds a thread itself, so this must not keep it alive.
    lua: WeakLua,
    endpoint: Mutex<TargetEndpoint>,
    stopped: AtomicBool,
    failure: Arc<Failure>,
}

/// The first error of any state.
#[derive(Debug, Default)]
pub(super) struct Failure(OnceLock<ScriptError>);

impl Failure {
    pub(super) fn set(&self, error: ScriptError) {
        // Later ones are of no interest.
        let _ = self.0.set(error);
    }

    pub(super) fn get(&self) -> Option<&ScriptError> {
        self.0.get()
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

impl WorkerHandle {
    pub(super) fn new(lua: WeakLua, endpoint: TargetEndpoint, failure: Arc<Failure>) -> Arc<Self> {
        let (endpoint, stopped) = (Mutex::new(endpoint), AtomicBool::new(false));
        Arc::new(Self { lua, endpoint, stopped, failure })
    }

    /// Where the worker connects.
    pub(super) fn endpoint(&self) -> TargetEndpoint {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A worker that does not send yet cannot be stopped.
    pub(super) fn begin(&self) {
        self.stopped.store(false, Relaxed);
    }

    /// Whether it is to send no more: a script said so, or has failed in any worker.
    pub(super) fn stopped(&self) -> bool {
        self.stopped.load(Relaxed) || self.failure.get().is_some()
    }

    /// The script failed in this worker, which ends the run.
    pub(super) fn fail(&self, error: ScriptError) {
        self.failure.set(error);
    }
}

/// The userdata. A clone is the same thread.
#[derive(Debug, Clone)]
pub(super) struct Thread(pub(super) Arc<WorkerHandle>);

impl Thread {
    fn state(&self) -> mlua::Result<mlua::Lua> {
        self.0.lua.try_upgrade().ok_or_else(|| Error::runtime("the thread is no more"))
    }
}

impl UserData for Thread {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("addr", |_, thread| Ok(Address(thread.0.endpoint())));
        fields.add_field_method_set("addr", |_, thread, address: UserDataRef<Address>| {
            *thread.0.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = address.0.clone();
            Ok(())
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |lua, thread, name: LuaString| {
            let state = thread.state()?;
            let value: Value = state.globals().get(state.create_string(name.as_bytes())?)?;
            PlainValue::of(&value)?.into_state(lua)
        });
        methods.add_method("set", |_, thread, (name, value): (LuaString, Value)| {
            let state = thread.state()?;
            let value = PlainValue::of(&value)?.into_state(&state)?;
            state.globals().set(state.create_string(name.as_bytes())?, value)
        });
        methods.add_method("stop", |_, thread, ()| {
            thread.0.stopped.store(true, Relaxed);
            Ok(())
        });
    }
}
