//! Script of a run: the state of `setup` and `done`, and the states of the workers.

use std::sync::Arc;

use mlua::Table;

use super::hooks::ScriptHooks;
use super::ids::ScriptIds;
use super::source::ScriptSource;
use super::state::ScriptState;
use super::stats::Stats;
use super::worker_handle::{FirstFailure, Thread, WorkerHandle};
use super::{ScriptError, ScriptSetup, ScriptSummary};
use crate::engine::pool::OwnSource;
use crate::engine::transport::http1::hooks::ConnectionHooks;

/// Name of the state of `setup` and `done` in messages.
const MAIN: &str = "main state";

/// Script of a run.
#[derive(Debug)]
pub(crate) struct ScriptSession {
    main: ScriptState,
    /// States of the workers, whose globals `done` may read.
    workers: Vec<mlua::Lua>,
    failure: Arc<FirstFailure>,
}

impl ScriptSession {
    /// Creates all states and sets them up one after another, as wrk does: it runs the script in each, calls
    /// `setup` for each worker, and `init` in the worker's state. Blocks, and prints what the script prints.
    pub(crate) fn open(setup: &ScriptSetup<'_>) -> Result<(Self, Vec<OwnSource>), ScriptError> {
        let workers = setup.workers as u64;
        // The main state writes no messages: it has one lane, for other ids.
        let main_ids = ScriptIds::new(setup, 2 * workers, 2 * workers);
        let failure = Arc::<FirstFailure>::default();
        let main = ScriptState::new(setup, &main_ids, &failure, MAIN)?;
        let mut session = Self { main, workers: Vec::new(), failure };
        let mut sources = Vec::with_capacity(setup.workers);
        for worker in 0..workers {
            sources.push(session.add_worker(setup, worker)?);
        }
        session.main.flush();
        // A script may have caught the error of os.exit.
        session.failure().map_or(Ok((session, sources)), Err)
    }

    fn add_worker(
        &mut self,
        setup: &ScriptSetup<'_>,
        worker: u64,
    ) -> Result<OwnSource, ScriptError> {
        let place = format!("worker {worker}");
        let ids = ScriptIds::new(setup, worker, setup.workers as u64 + worker);
        let state = ScriptState::new(setup, &ids, &self.failure, &place)?;
        let failure = Arc::clone(&self.failure);
        let handle = WorkerHandle::new(state.lua.weak(), setup.endpoint.clone(), failure);
        set_thread(&state, &handle).map_err(|e| state.explain(&e, &place))?;
        self.main.call("setup", Thread(Arc::clone(&handle)), &place)?;
        let arguments = arguments(&state, setup).map_err(|e| state.explain(&e, &place))?;
        state.call("init", arguments, &place)?;
        self.workers.push(state.lua.clone());
        let hooks = ScriptHooks::new(&state, &handle, &place)?;
        let mut source = ScriptSource::new(state, ids, Arc::clone(&handle), place)?;
        if worker == 0 {
            source.rehearse()?;
        }
        let hooks = hooks.map(|hooks| Box::new(hooks) as Box<dyn ConnectionHooks>);
        Ok(OwnSource { source: Box::new(source), hooks, endpoint: handle.endpoint() })
    }

    /// Error that ended the run, if there is one.
    pub(crate) fn failure(&self) -> Option<ScriptError> {
        self.failure.get().cloned()
    }

    /// Calls `done`, if the script has it. Writes out what all states have printed.
    pub(crate) fn done(&self, summary: &ScriptSummary<'_>) -> Result<(), ScriptError> {
        let called = if self.main.has("done") { self.call_done(summary) } else { Ok(()) };
        self.main.flush();
        called?;
        self.failure().map_or(Ok(()), Err)
    }

    fn call_done(&self, summary: &ScriptSummary<'_>) -> Result<(), ScriptError> {
        let table = self.summary(summary).map_err(|e| self.main.explain(&e, MAIN))?;
        let latency = Stats::new(summary.latency, 1_000);
        let requests = Stats::new(summary.rates, 1_000);
        self.main.call("done", (table, latency, requests), MAIN)
    }

    fn summary(&self, summary: &ScriptSummary<'_>) -> mlua::Result<Table> {
        let lua = &self.main.lua;
        let table = lua.create_table_from(as_floats([
            ("duration", summary.duration.0 / 1_000),
            ("requests", summary.requests),
            ("bytes", summary.bytes),
        ]))?;
        let errors = summary.errors;
        let errors = lua.create_table_from(as_floats([
            ("connect", errors.connect),
            ("read", errors.read),
            ("write", errors.write),
            ("status", errors.status),
            ("timeout", errors.timeout),
        ]))?;
        table.set("errors", errors)?;
        Ok(table)
    }
}

/// Sets `wrk.thread`.
fn set_thread(state: &ScriptState, handle: &Arc<WorkerHandle>) -> mlua::Result<()> {
    let table: Table = state.lua.globals().get("wrk")?;
    table.set("thread", Thread(Arc::clone(handle)))
}

/// Converts counts to Lua's numbers.
fn as_floats<const N: usize>(counts: [(&str, u64); N]) -> [(&str, f64); N] {
    counts.map(|(name, count)| (name, count as f64))
}

/// Returns the table for `init`: the URL at 0, as in wrk, and the script's arguments from 1.
fn arguments(state: &ScriptState, setup: &ScriptSetup<'_>) -> mlua::Result<Table> {
    let table = state.lua.create_sequence_from(setup.script.args.iter().map(String::as_str))?;
    table.raw_set(0, setup.script.url.as_deref().unwrap_or(setup.target.as_str()))?;
    Ok(table)
}
