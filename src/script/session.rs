//! A run's script: the state of `setup` and `done`, and what is known of the workers' states.

use std::sync::Arc;

use mlua::Table;

use super::ids::Ids;
use super::state::State;
use super::stats::Stats;
use super::worker::Writer;
use super::worker_handle::{Failure, Thread, WorkerHandle};
use super::{ScriptError, Setting, Summary};

/// Where `setup` and `done` are called.
const MAIN: &str = "main state";

/// A run's script.
#[derive(Debug)]
pub struct Session {
    main: State,
    /// The workers' states, which `done` may still ask for their globals.
    workers: Vec<mlua::Lua>,
    failure: Arc<Failure>,
}

impl Session {
    /// Makes all states and sets them up one after another, as wrk does: the script is run in each,
    /// `setup` is called for each worker, and `init` in it. Blocks; prints what the script prints.
    pub fn open(setting: &Setting<'_>) -> Result<(Self, Vec<Writer>), ScriptError> {
        let workers = setting.workers as u64;
        let ids = |messages, loose| Ids::new(setting.space, messages, loose, setting.ids_each);
        // No message is written in the main state: both lanes are the one for what belongs to none.
        let failure = Arc::<Failure>::default();
        let main = State::new(setting, &ids(2 * workers, 2 * workers), &failure, MAIN)?;
        let mut session = Self { main, workers: Vec::new(), failure };
        let mut writers = Vec::with_capacity(setting.workers);
        for worker in 0..workers {
            let ids = ids(worker, workers + worker);
            writers.push(session.seat(setting, worker, ids)?);
        }
        session.main.flush();
        // A script may have caught the error of os.exit.
        session.failure().map_or(Ok((session, writers)), Err)
    }

    fn seat(
        &mut self,
        setting: &Setting<'_>,
        worker: u64,
        ids: Arc<Ids>,
    ) -> Result<Writer, ScriptError> {
        let place = format!("worker {worker}");
        let state = State::new(setting, &ids, &self.failure, &place)?;
        let seat = WorkerHandle::new(
            state.lua.weak(),
            setting.endpoint.clone(),
            Arc::clone(&self.failure),
        );
        let failed = |error: mlua::Error| state.explain(&error, &place);
        let table: Table = state.lua.globals().get("wrk").map_err(failed)?;
        table.set("thread", Thread(Arc::clone(&seat))).map_err(failed)?;
        self.main.call("setup", Thread(Arc::clone(&seat)), &place)?;
        state.call("init", arguments(&state, setting).map_err(failed)?, &place)?;
        self.workers.push(state.lua.clone());
        let mut writer = Writer::new(state, ids, seat, place)?;
        if worker == 0 {
            writer.rehearse()?;
        }
        Ok(writer)
    }

    /// The error that ended the run, if one did.
    pub fn failure(&self) -> Option<ScriptError> {
        self.failure.get().cloned()
    }

    /// Calls `done`, if the script has it. What all states have printed is on standard output then.
    pub fn done(&self, summary: &Summary<'_>) -> Result<(), ScriptError> {
        let called = if self.main.has("done") { self.call_done(summary) } else { Ok(()) };
        self.main.flush();
        called?;
        self.failure().map_or(Ok(()), Err)
    }

    fn call_done(&self, summary: &Summary<'_>) -> Result<(), ScriptError> {
        let table = self.summary(summary).map_err(|e| self.main.explain(&e, MAIN))?;
        let latency = Stats::new(summary.latency, 1_000);
        let requests = Stats::new(summary.rates, 1_000);
        self.main.call("done", (table, latency, requests), MAIN)
    }

    fn summary(&self, summary: &Summary<'_>) -> mlua::Result<Table> {
        let lua = &self.main.lua;
        let counts = |pairs: &[(&str, u64)]| {
            lua.create_table_from(pairs.iter().map(|(name, count)| (*name, *count as f64)))
        };
        let table = counts(&[
            ("duration", summary.duration.0 / 1_000),
            ("requests", summary.requests),
            ("bytes", summary.bytes),
        ])?;
        let errors = summary.errors;
        let errors = counts(&[
            ("connect", errors.connect),
            ("read", errors.read),
            ("write", errors.write),
            ("status", errors.status),
            ("timeout", errors.timeout),
        ])?;
        table.set("errors", errors)?;
        Ok(table)
    }
}

/// `init`'s table: the URL at 0, as wrk has it, and the script's arguments from 1.
fn arguments(state: &State, setting: &Setting<'_>) -> mlua::Result<Table> {
    let table = state.lua.create_sequence_from(setting.script.args.iter().map(String::as_str))?;
    table.raw_set(0, setting.script.url.as_deref().unwrap_or(setting.target.as_str()))?;
    Ok(table)
}
