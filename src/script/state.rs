//! One Lua state: the prelude, wrk's table filled in, and the script run once.

use std::sync::Arc;

use mlua::chunk::ChunkMode;
use mlua::{Function, IntoLuaMulti, Lua, LuaOptions, StdLib, Table, Value};

use url::Position;

use super::address::{self, Address};
use super::error::{self, explain};
use super::exit::Exit;
use super::ids::Ids;
use super::worker_handle::Failure;
use super::{ScriptError, Setting, raw_url};
use crate::message::Template;

const PRELUDE: &str = include_str!("prelude.lua");

/// A state in which the script has been run.
#[derive(Debug)]
pub(super) struct State {
    pub(super) lua: Lua,
    /// The prelude's functions that call the script's.
    calls: Table,
    file: String,
}

impl State {
    /// Makes a state and runs the script in it. `place` says whose it is.
    pub(super) fn new(
        setting: &Setting<'_>,
        ids: &Arc<Ids>,
        failure: &Arc<Failure>,
        place: &str,
    ) -> Result<Self, ScriptError> {
        let file = setting.script.file.display().to_string();
        let failed =
            |error: mlua::Error| explain(&error, &file, None, format!("loading it, {place}"));
        let lua = Lua::new_with(StdLib::ALL_SAFE, LuaOptions::new().catch_rust_panics(false));
        let lua = lua.map_err(failed)?;
        let native = native(&lua, setting, ids).map_err(failed)?;
        let exit =
            Exit { failure: Arc::clone(failure), file: file.clone(), place: place.to_owned() };
        native.set("exit", exit.function(&lua).map_err(failed)?).map_err(failed)?;
        let prelude = lua
            .load(PRELUDE)
            .set_name(format!("={}", error::PRELUDE_NAME))
            .set_mode(ChunkMode::Text);
        let calls = prelude.call(native).map_err(failed)?;
        let script = lua.load(setting.script.source.as_slice()).set_mode(ChunkMode::Text);
        script.set_name(format!("@{file}")).exec().map_err(failed)?;
        Ok(Self { lua, calls, file })
    }

    /// The prelude's function of that name.
    pub(super) fn function(&self, name: &str) -> Result<Function, ScriptError> {
        self.calls.raw_get(name).map_err(|e| self.explain(&e, name))
    }

    /// Calls the script's function `name`, if it has one.
    pub(super) fn call(
        &self,
        name: &str,
        args: impl IntoLuaMulti,
        place: &str,
    ) -> Result<(), ScriptError> {
        let result = self.function(name)?.call(args);
        result.map_err(|e| self.explain_in(name, &e, place))
    }

    /// Whether the script has a function of that name right now.
    pub(super) fn has(&self, name: &str) -> bool {
        matches!(self.lua.globals().get(name), Ok(Value::Function(_)))
    }

    /// Lua writes through the C library's buffer, which all states share.
    pub(super) fn flush(&self) {
        // What cannot be written cannot be said either.
        let _ = self.call("flush", (), "");
    }

    /// Lua's error as ours.
    pub(super) fn explain(&self, error: &mlua::Error, place: &str) -> ScriptError {
        explain(error, &self.file, None, place)
    }

    /// The same of an error that the script's function `name` ended with.
    pub(super) fn explain_in(&self, name: &str, error: &mlua::Error, place: &str) -> ScriptError {
        explain(error, &self.file, self.line_of(name), format!("{name}(), {place}"))
    }

    /// Where the script's function `name` begins.
    fn line_of(&self, name: &str) -> Option<usize> {
        let function: Option<Function> = self.lua.globals().get(name).ok();
        function.and_then(|function| function.info().line_defined)
    }

    /// An error of the script's function `name`, which is told by where it begins.
    pub(super) fn refuse(&self, name: &str, what: &str, place: &str) -> ScriptError {
        let line = self.line_of(name).map(|line| format!("{line}: ")).unwrap_or_default();
        let text = format!("{}:{line} {name}() {what}", self.file);
        ScriptError { text: text.replace(":  ", ": "), place: place.to_owned() }
    }
}

/// What the prelude is given: the target's parts, and functions of ours.
fn native(lua: &Lua, setting: &Setting<'_>, ids: &Arc<Ids>) -> mlua::Result<Table> {
    let Setting { script, target, headers, endpoint, timeout, .. } = setting;
    let table = lua.create_table()?;
    table.set("scheme", target.scheme())?;
    table.set("host", target.host_str().unwrap_or_default().trim_matches(['[', ']']))?;
    // A text, as in wrk, which has it where it was typed.
    let url = script.url.as_deref().unwrap_or(target.as_str());
    let known = target.port_or_known_default().filter(|_| raw_url::has_port(url));
    table.set("port", known.map(|port| port.to_string()))?;
    let parsed = || target[Position::BeforePath..Position::AfterQuery].to_owned();
    table.set("path", raw_url::path(url).unwrap_or_else(parsed))?;
    table.set("method", script.method.as_deref().unwrap_or("GET"))?;
    let header = |(name, value): &(String, Template)| {
        (name.clone(), lua.create_string(value.as_text().unwrap_or_default()))
    };
    let all = lua.create_table()?;
    for (name, value) in headers.iter().map(header) {
        all.set(name, value?)?;
    }
    table.set("headers", all)?;
    table.set("address", Address((*endpoint).clone()))?;
    table.set("lookup", address::lookup(lua)?)?;
    table.set("connect", address::connect(lua, *timeout)?)?;
    table.set("msg_id", ids.function(lua)?)?;
    Ok(table)
}
