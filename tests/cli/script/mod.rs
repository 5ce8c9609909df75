//! `--script`: scripts of wrk on the wire and in the report.

mod beside_wrk;
mod course;
mod errors;
mod ids;
mod server;
mod wire;

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Finished, JsonReport, Process, loadgen, report_of_command};
use server::ScriptTarget;

/// A script in a folder of its own, which goes with it.
struct Script {
    folder: TempDir,
}

impl Script {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = Self { folder };
        std::fs::write(script.file(), text).expect("a file");
        script
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("it.lua")
    }

    /// A run with it, called from its folder, so that its errors have a short name.
    fn command(&self, words: &str) -> Command {
        let mut command = loadgen(&format!("-s it.lua {words}"));
        command.current_dir(self.folder.path());
        command
    }

    fn run(&self, words: &str) -> Finished {
        Process::start("loadgen", &mut self.command(words)).finish()
    }

    fn report(&self, words: &str) -> (Finished, JsonReport) {
        report_of_command(self.command(words), |_| ())
    }
}

/// Lines of standard output before the report, printed by the script.
fn printed(stdout: &str) -> Vec<&str> {
    stdout.lines().take_while(|line| !line.starts_with("Running ")).collect()
}

/// Checks that the counts add up and `count` requests were answered.
#[track_caller]
fn assert_answered(report: &JsonReport, count: u64) {
    let requests = |name: &str| report.count(&format!("requests.{name}"));
    assert_eq!((requests("completed"), requests("failed"), requests("unfinished")), (count, 0, 0));
    assert_eq!(requests("planned"), requests("sent") + requests("dropped"));
    assert_eq!(requests("sent"), count);
}
