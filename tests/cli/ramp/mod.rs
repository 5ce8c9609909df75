//! `loadgen ramp`: steps one after another, and what is kept when something goes wrong.

mod answers;
mod breaks;
mod results;

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Process, loadgen, matches_schema, run};

/// A ramp of the built binary, with its files in a folder of its own.
struct Ramp {
    folder: TempDir,
    process: Process,
}

impl Ramp {
    /// Starts it on a profile. What a busy machine does to the generator is not what these tests are
    /// about.
    fn start(profile: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("some.toml");
        std::fs::write(&file, profile).expect("a file");
        let mut command = loadgen("ramp --allow-limited --timeout 30s --output");
        command.arg(folder.path().join("r.json")).arg(&file);
        Self { process: Process::start("loadgen", &mut command), folder }
    }

    /// The report saved so far, checked against the schema; `None` before the first step has ended.
    fn saved(&self) -> Option<Value> {
        saved(self.folder.path())
    }

    /// Waits for the end: the exit code, what was printed, and the report.
    fn finish(self) -> (Option<i32>, String, Value) {
        let finished = self.process.finish();
        let report = saved(self.folder.path());
        (
            finished.code,
            finished.stdout,
            report.unwrap_or_else(|| panic!("no report: {}", finished.stderr)),
        )
    }
}

fn saved(folder: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(folder.join("r.json")).ok()?;
    // Whole or not there at all.
    let report = serde_json::from_str(&text).expect("the report is JSON");
    matches_schema(&report, "ramp.schema.json");
    Some(report)
}

/// The report that `loadgen report` makes of a saved one.
fn report_again(report: &Value) -> Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("saved.json");
    std::fs::write(&file, report.to_string()).expect("a file");
    let shown = run(&format!("report {} --format json", file.display()));
    assert_eq!(shown.code, Some(0), "{shown:?}");
    serde_json::from_str(&shown.stdout).expect("the report is JSON")
}

/// The steps' names.
fn names(report: &Value) -> Vec<&str> {
    steps(report).iter().filter_map(|step| step["name"].as_str()).collect()
}

fn steps(report: &Value) -> &[Value] {
    report["steps"].as_array().map_or(&[], Vec::as_slice)
}

fn findings(report: &Value, kind: &str) -> Vec<String> {
    let all = report["findings"].as_array().expect("a list").iter();
    let of_kind = all.filter(|finding| finding["kind"] == kind);
    of_kind.filter_map(|finding| finding["text"].as_str().map(str::to_owned)).collect()
}
