//! The `thread` of `setup` and `wrk.thread`: a script's handle of a worker.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mlua::{
    Error, LuaString, UserData, UserDataFields, UserDataMethods, UserDataRef, Value, WeakLua,
};

use super::ScriptError;
use super::address::ScriptAddress;
use super::transfer::PlainValue;
use crate::core::clock::{self, Nanos};
use crate::engine::transport::link::TargetEndpoint;

/// State that a worker shares with the scripts.
pub(super) struct WorkerHandle {
    /// The worker's Lua state. It owns a handle itself, so the handle must not keep it alive.
    lua: WeakLua,
    endpoint: Mutex<TargetEndpoint>,
    stopped: AtomicBool,
    /// Time that the worker's thread has spent in the script, in nanoseconds. Only that thread writes it.
    time_spent: AtomicU64,
    failure: Arc<FirstFailure>,
}

/// First error of all states.
#[derive(Debug, Default)]
pub(super) struct FirstFailure(OnceLock<ScriptError>);

impl FirstFailure {
    pub(super) fn set(&self, error: ScriptError) {
        // Keeps the first one.
        let _ = self.0.set(error);
    }

    pub(super) fn get(&self) -> Option<&ScriptError> {
        self.0.get()
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

impl WorkerHandle {
    pub(super) fn new(
        lua: WeakLua,
        endpoint: TargetEndpoint,
        failure: Arc<FirstFailure>,
    ) -> Arc<Self> {
        let endpoint = Mutex::new(endpoint);
        let (stopped, time_spent) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { lua, endpoint, stopped, time_spent, failure })
    }

    /// Endpoint to which the worker connects.
    pub(super) fn endpoint(&self) -> TargetEndpoint {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Discards a stop: a worker that does not send yet cannot be stopped.
    pub(super) fn begin(&self) {
        self.stopped.store(false, Relaxed);
    }

    /// Returns true if the worker must stop sending: a script stopped it, or failed in any worker.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed) || self.failure.get().is_some()
    }

    /// Records a failure, which ends the run.
    pub(super) fn fail(&self, error: ScriptError) {
        self.failure.set(error);
    }

    /// Adds the time since `began` to the time in the script.
    pub(super) fn add_time_since(&self, began: Nanos) {
        let took = clock::now() - began;
        self.time_spent.store(self.time_spent.load(Relaxed) + took.0, Relaxed);
    }

    /// Time that the worker's thread has spent in the script during the load.
    pub(super) fn time_spent(&self) -> Nanos {
        Nanos(self.time_spent.load(Relaxed))
    }
}

/// Lua's value for a worker. A clone is the same worker.
#[derive(Debug, Clone)]
pub(super) struct Thread(pub(super) Arc<WorkerHandle>);

impl Thread {
    fn state(&self) -> mlua::Result<mlua::Lua> {
        self.0
            .lua
            .try_upgrade()
            .ok_or_else(|| Error::runtime("the thread does not exist any longer"))
    }
}

impl UserData for Thread {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("addr", |_, thread| Ok(ScriptAddress(thread.0.endpoint())));
        fields.add_field_method_set("addr", |_, thread, address: UserDataRef<ScriptAddress>| {
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
