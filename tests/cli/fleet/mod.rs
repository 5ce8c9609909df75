use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Finished, Nginx, Process, Redis, loadgen, matches_schema};

/// Nodes that are lost, a Redis that goes away, and the end by `stop`.
mod losses;
/// Ramps that a fleet runs.
mod ramps;
/// What a fleet refuses.
mod refusals;
/// Nodes that send one load and make one report.
mod together;

/// The servers that the nodes of a fleet have in common.
struct Meeting {
    redis: Redis,
    nginx: Nginx,
    folder: TempDir,
}

impl Meeting {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Some(Self { redis: Redis::start()?, nginx: Nginx::start()?, folder })
    }

    /// Words of a node of the fleet `f` with a report, at the target nginx.
    fn words(&self, more: &str) -> String {
        let (redis, socket) = (self.redis.url(), self.nginx.socket("socket"));
        let report = self.folder.path().join("all.json").display().to_string();
        format!(
            "http://localhost/ --unix-socket {socket} --fleet f --fleet-redis {redis} -t 1 -c 4 -o {report} {more}"
        )
    }

    fn command(&self, more: &str) -> Command {
        let mut command = loadgen(&self.words(more));
        // A report that was relative to the folder would be written there.
        command.current_dir(self.folder.path());
        command
    }

    fn node(&self, more: &str) -> Process {
        Process::start("node", &mut self.command(more))
    }

    /// The one report of the fleet.
    fn report(&self) -> FleetReport {
        let text = std::fs::read_to_string(self.folder.path().join("all.json")).expect("a report");
        let report = serde_json::from_str(&text).expect("JSON");
        matches_schema(&report, "report.schema.json");
        FleetReport(report)
    }
}

/// The report of a fleet, by the names in its JSON.
struct FleetReport(Value);

impl FleetReport {
    fn count(&self, pointer: &str) -> u64 {
        self.0.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer}"))
    }

    fn nodes(&self) -> &[Value] {
        self.0["nodes"].as_array().expect("nodes")
    }

    /// Sentences of a part of the verdict.
    fn verdict(&self, part: &str) -> Vec<&str> {
        let sentences = self.0["verdict"][part].as_array().expect("a list");
        sentences.iter().filter_map(Value::as_str).collect()
    }
}

/// Index of a node, from what it says when it has joined.
fn index_of(node: &Process) -> Option<u64> {
    let text = node.stderr();
    let (_, rest) = text.split_once("this is node ")?;
    rest.split(' ').next()?.parse().ok()
}

/// Waits for all nodes. Exactly one of them prints the report; it comes first.
fn ended(nodes: Vec<Process>) -> Vec<Finished> {
    let mut all: Vec<_> = nodes.into_iter().map(Process::finish).collect();
    all.sort_by_key(|node| node.stdout.is_empty());
    let printed = all.iter().filter(|node| !node.stdout.is_empty()).count();
    assert_eq!(printed, 1, "{all:?}");
    all
}
