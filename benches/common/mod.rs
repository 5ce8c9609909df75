//! Helpers of the benches that run whole programs: a child and its CPU time, rounds in turn, tables in Markdown.

pub(crate) mod others;
pub(crate) mod process;
pub(crate) mod rounds;
pub(crate) mod table;

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;
use std::time::SystemTime;

use anyhow::Context as _;
use loadgen::report::Report;

/// The binary that was built with this bench.
pub(crate) const LOADGEN: &str = env!("CARGO_BIN_EXE_loadgen");

/// Removes settings of loadgen from the environment: the bench passes all that it needs.
pub(crate) fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LOADGEN_") {
            command.env_remove(&name);
        }
    }
}

/// Reads a report as JSON.
pub(crate) fn report(json: &str) -> anyhow::Result<Report> {
    serde_json::from_str(json).context("loadgen printed no report")
}

/// Date, cores and kernel of a measurement.
pub(crate) fn occasion() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date = now.split('T').next().unwrap_or_default();
    let cores = available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{date}, {cores} cores, Linux {}", kernel.trim())
}
