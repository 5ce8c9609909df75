//! Lua state in which the prelude and the script have run.

use std::sync::Arc;

use mlua::chunk::ChunkMode;
use mlua::{Function, IntoLuaMulti, Lua, LuaOptions, StdLib, Table, Value};

use url::Position;

use super::address::{self, ScriptAddress};
use super::error::{self, explain};
use super::exit::Exit;
use super::ids::ScriptIds;
use super::worker_handle::FirstFailure;
use super::{ScriptError, ScriptSetup, raw_url};

const PRELUDE: &str = include_str!("prelude.lua");

/// Lua state. A clone is the same state.
#[derive(Debug, Clone)]
pub(super) struct ScriptState {
    pub(super) lua: Lua,
    /// Functions of the prelude, which call those of the script.
    calls: Table,
    file: String,
}

impl ScriptState {
    /// Creates a state and runs the script in it. `place` is its name in messages.
    pub(super) fn new(
        setup: &ScriptSetup<'_>,
        ids: &Arc<ScriptIds>,
        failure: &Arc<FirstFailure>,
        place: &str,
    ) -> Result<Self, ScriptError> {
        let file = setup.script.file.display().to_string();
        let exit =
            Exit { failure: Arc::clone(failure), file: file.clone(), place: place.to_owned() };
        Self::load(setup, ids, exit, &file)
            .map_err(|error| explain(&error, &file, None, format!("loading it, {place}")))
    }

    fn load(
        setup: &ScriptSetup<'_>,
        ids: &Arc<ScriptIds>,
        exit: Exit,
        file: &str,
    ) -> mlua::Result<Self> {
        let lua = Lua::new_with(StdLib::ALL_SAFE, LuaOptions::new().catch_rust_panics(false))?;
        let native = native(&lua, setup, ids)?;
        native.set("exit", exit.function(&lua)?)?;
        let prelude = lua
            .load(PRELUDE)
            .set_name(format!("={}", error::PRELUDE_NAME))
            .set_mode(ChunkMode::Text);
        let calls = prelude.call(native)?;
        let script = lua.load(setup.script.source.as_slice()).set_mode(ChunkMode::Text);
        script.set_name(format!("@{file}")).exec()?;
        Ok(Self { lua, calls, file: file.to_owned() })
    }

    /// Returns the prelude's function that calls the script's function `name`, if the script has one.
    pub(super) fn own_function(&self, name: &str) -> Result<Option<Function>, ScriptError> {
        if self.has(name) { self.function(name).map(Some) } else { Ok(None) }
    }

    /// Returns the prelude's function `name`.
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

    /// Returns true if the script has a function `name` now.
    pub(super) fn has(&self, name: &str) -> bool {
        matches!(self.lua.globals().get(name), Ok(Value::Function(_)))
    }

    /// Flushes the C library's output buffer, which all states share.
    pub(super) fn flush(&self) {
        // There is no other way to report that it failed.
        let _ = self.call("flush", (), "");
    }

    /// Converts an error of Lua.
    pub(super) fn explain(&self, error: &mlua::Error, place: &str) -> ScriptError {
        explain(error, &self.file, None, place)
    }

    /// Converts an error of the script's function `name`.
    pub(super) fn explain_in(&self, name: &str, error: &mlua::Error, place: &str) -> ScriptError {
        explain(error, &self.file, self.line_of(name), format!("{name}(), {place}"))
    }

    /// Line at which the script's function `name` begins.
    fn line_of(&self, name: &str) -> Option<usize> {
        let function: Option<Function> = self.lua.globals().get(name).ok();
        function.and_then(|function| function.info().line_defined)
    }

    /// Creates an error about the result of the script's function `name`, with the line at which it begins.
    pub(super) fn refuse(&self, name: &str, problem: &str, place: &str) -> ScriptError {
        let line = self.line_of(name).map(|line| format!("{line}: ")).unwrap_or_default();
        let text = format!("{}:{line} {name}() {problem}", self.file);
        ScriptError { text: text.replace(":  ", ": "), place: place.to_owned() }
    }
}

/// Returns the name of a Lua type with an article.
pub(super) fn with_article(type_name: &str) -> String {
    match type_name {
        "nil" => type_name.to_owned(),
        "integer" => "a number".to_owned(),
        _ => format!("a {type_name}"),
    }
}

/// Returns the input of the prelude: parts of the target, and functions of loadgen.
fn native(lua: &Lua, setup: &ScriptSetup<'_>, ids: &Arc<ScriptIds>) -> mlua::Result<Table> {
    let ScriptSetup { script, target, headers, endpoint, timeout, .. } = setup;
    let table = lua.create_table()?;
    table.set("scheme", target.scheme())?;
    table.set("host", target.host_str().unwrap_or_default().trim_matches(['[', ']']))?;
    // A text, and only if the URL contains it, as in wrk.
    let url = script.url.as_deref().unwrap_or(target.as_str());
    let known = target.port_or_known_default().filter(|_| raw_url::has_port(url));
    table.set("port", known.map(|port| port.to_string()))?;
    let path = raw_url::path(url)
        .unwrap_or_else(|| target[Position::BeforePath..Position::AfterQuery].to_owned());
    table.set("path", path)?;
    table.set("method", script.method.as_deref().unwrap_or("GET"))?;
    let header_table = lua.create_table()?;
    for (name, value) in *headers {
        let value = lua.create_string(value.as_text().unwrap_or_default())?;
        header_table.set(name.as_str(), value)?;
    }
    table.set("headers", header_table)?;
    table.set("address", ScriptAddress((*endpoint).clone()))?;
    table.set("lookup", address::lookup(lua)?)?;
    table.set("connect", address::connect(lua, *timeout)?)?;
    table.set("msg_id", ids.function(lua)?)?;
    Ok(table)
}
