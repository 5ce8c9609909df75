//! The built binary: runs, their reports, and the services.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use super::{Finished, Process};

/// The binary with these arguments, without the settings of this environment. A limited generator is allowed.
pub(crate) fn loadgen(words: &str) -> Command {
    prepared(Command::new(env!("CARGO_BIN_EXE_loadgen")), words)
}

/// Does the same as [`loadgen`] with a wall clock that is wrong by `offset`, such as `-2s`. Needs `faketime`.
pub(crate) fn loadgen_with_wrong_clock(offset: &str, words: &str) -> Command {
    let mut command = Command::new("faketime");
    command.args(["-f", offset, env!("CARGO_BIN_EXE_loadgen")]);
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    prepared(command, words)
}

/// A command with these arguments, without the settings of this environment.
pub(crate) fn prepared(mut command: Command, words: &str) -> Command {
    command.args(words.split_whitespace());
    clear_settings(&mut command);
    // Tests run at the same time and take CPU time from each other's closed loops.
    command.env("LOADGEN_ALLOW_LIMITED", "true");
    command
}

/// Removes the environment variables that change a run: loadgen's own, proxies, and the summary file of GitHub.
pub(crate) fn clear_settings(command: &mut Command) {
    command.env_remove("GITHUB_STEP_SUMMARY");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if text.starts_with("loadgen_") || text.ends_with("_proxy") {
            command.env_remove(&name);
        }
    }
}

pub(crate) fn start(words: &str) -> Process {
    Process::start("loadgen", &mut loadgen(words))
}

pub(crate) fn run(words: &str) -> Finished {
    start(words).finish()
}

/// Runs to the end and reads the report. A limited generator and slow answers are allowed, as these tests do not
/// measure.
pub(crate) fn report_of(words: &str, watch: impl FnOnce(&mut Process)) -> (Finished, JsonReport) {
    report_of_command(loadgen(words), watch)
}

/// Does the same as [`report_of`] with a prepared command.
pub(crate) fn report_of_command(
    mut command: Command,
    watch: impl FnOnce(&mut Process),
) -> (Finished, JsonReport) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("r.json");
    command.args(["--allow-limited", "--timeout", "30s", "--output"]).arg(&file);
    let mut process = Process::start("loadgen", &mut command);
    watch(&mut process);
    let finished = process.finish();
    let text = std::fs::read_to_string(&file);
    let text = text.unwrap_or_else(|e| panic!("no report: {e}: {finished:?}"));
    let report = serde_json::from_str(&text).expect("the report is JSON");
    matches_schema(&report, "report.schema.json");
    (finished, JsonReport(report))
}

/// Checks a report against a schema file.
pub(crate) fn matches_schema(report: &Value, file: &str) {
    let path = format!("{}/schema/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut schemas = boon::Schemas::new();
    let schema = boon::Compiler::new().compile(&path, &mut schemas).expect("a valid schema");
    let checked = schemas.validate(report, schema).map_err(|e| e.to_string());
    assert_eq!(checked, Ok(()), "the report is not what the schema says");
}

/// A report as other tools read it: by the names in its JSON.
#[derive(Debug)]
pub(crate) struct JsonReport(Value);

impl JsonReport {
    pub(crate) fn value(&self, name: &str) -> &Value {
        let pointer = format!("/{}", name.replace('.', "/"));
        self.0.pointer(&pointer).unwrap_or_else(|| panic!("the report has no {name}"))
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.value(name).as_u64().unwrap_or_else(|| panic!("{name} is not a count"))
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.value(name).as_str().unwrap_or_else(|| panic!("{name} is not a text"))
    }

    pub(crate) fn list(&self, name: &str) -> &[Value] {
        self.value(name).as_array().unwrap_or_else(|| panic!("{name} is not a list"))
    }

    /// The whole file.
    pub(crate) fn json(&self) -> String {
        self.0.to_string()
    }
}

/// A service that is ready.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) process: Process,
}

impl Service {
    /// Starts `push` or `subscribe`.
    pub(crate) fn start(words: &str) -> Self {
        let mut process = start(words);
        process.await_line(|line| (line == "ready").then_some(()));
        Self { process }
    }

    /// Starts `api` on a free port. Returns its address.
    pub(crate) fn api(words: &str) -> (Self, SocketAddr) {
        let listen = if words.contains("--listen") { "" } else { "--listen 127.0.0.1:0" };
        Self::api_of("loadgen", &mut loadgen(&format!("api {listen} {words}")))
    }

    /// Starts `api` by this command. Returns its address.
    pub(crate) fn api_of(name: &str, command: &mut Command) -> (Self, SocketAddr) {
        let mut process = Process::start(name, command);
        let address = |line: &str| line.strip_prefix("listening on ")?.parse().ok();
        let address = process.await_line(address);
        (Self { process }, address)
    }
}
