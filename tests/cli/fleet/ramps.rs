//! Ramps that a fleet runs: all nodes run each step together.

use serde_json::Value;

use super::{Meeting, ended, index_of};
use crate::support::{Process, eventually, loadgen, matches_schema};

impl Meeting {
    /// A node of the fleet `f` that runs a ramp with this profile.
    fn ramp_node(&self, profile: &str, more: &str) -> Process {
        let file = self.folder.path().join("steps.toml");
        std::fs::write(&file, profile).expect("space for a profile");
        let (redis, socket) = (self.redis.url(), self.nginx.socket("socket"));
        let (file, report) = (file.display(), self.folder.path().join("ramp.json"));
        let words = format!(
            "ramp {file} http://localhost/ --unix-socket {socket} --fleet f --fleet-redis {redis} -o {} {more}",
            report.display()
        );
        let mut command = loadgen(&words);
        command.current_dir(self.folder.path());
        Process::start("node", &mut command)
    }

    /// The one report of the ramp.
    fn ramp(&self) -> Value {
        let text = std::fs::read_to_string(self.folder.path().join("ramp.json")).expect("a report");
        let ramp = serde_json::from_str(&text).expect("JSON");
        matches_schema(&ramp, "ramp.schema.json");
        ramp
    }
}

/// The counts of each step at a place in its report.
fn counts(ramp: &Value, pointer: &str) -> Vec<u64> {
    let steps = ramp["steps"].as_array().expect("steps").iter();
    let count = |step: &Value| step["report"].pointer(pointer).and_then(Value::as_u64);
    steps.map(|step| count(step).unwrap_or_else(|| panic!("no {pointer}: {step}"))).collect()
}

#[test]
fn all_nodes_run_each_step_of_a_ramp_together() {
    let Some(meeting) = Meeting::start() else { return };
    // With one connection a node has one worker, and with two it has two.
    let profile = "rate = 300\nduration = '1s'\n[[step]]\nconnections = 1\n[[step]]\nconnections = 2\nthreads = 2\n";
    let nodes = (0..3).map(|_| meeting.ramp_node(profile, "--nodes 3"));
    let all = ended(nodes.collect());
    assert!(all.iter().all(|node| node.code == Some(0)), "{all:?}");
    assert!(all[1].stderr.contains("the report is that of node 0"), "{all:?}");
    let ramp = meeting.ramp();
    assert_eq!(ramp["complete"], true);
    assert_eq!(counts(&ramp, "/requests/planned"), [300, 300]);
    assert_eq!(counts(&ramp, "/requests/completed"), [300, 300]);
    assert_eq!(counts(&ramp, "/run/threads"), [3, 6]);
    for step in ramp["steps"].as_array().expect("steps") {
        let nodes = step["report"]["nodes"].as_array().expect("nodes").iter();
        assert_eq!(nodes.map(|node| &node["sent"]).collect::<Vec<_>>(), [100, 100, 100], "{step}");
    }
    let [first, second] = ["0", "1"].map(|step| {
        let pointer = format!("/steps/{step}/report/run/fleet/start_us");
        ramp.pointer(&pointer).and_then(Value::as_u64).expect("a start")
    });
    assert!(second > first + 1_000_000, "each step has a start of its own");
}

#[test]
fn all_nodes_make_the_same_choices_in_a_search() {
    let Some(meeting) = Meeting::start() else { return };
    let profile = "duration = '1s'\n[search]\nrate = '100..400'\nholds = 'requests.failed == 0'\nconfirm = 1\n";
    let nodes = (0..2).map(|_| meeting.ramp_node(profile, "--nodes 2"));
    let all = ended(nodes.collect());
    assert!(all.iter().all(|node| node.code == Some(0)), "{all:?}");
    let ramp = meeting.ramp();
    assert_eq!(counts(&ramp, "/requests/completed"), [100, 200, 400]);
    assert_eq!(ramp["search"]["holds"], 400.0);
}

#[test]
fn a_ramp_ends_with_the_step_in_which_a_node_is_lost() {
    let Some(meeting) = Meeting::start() else { return };
    let profile = "duration = '3s'\n[sweep]\nrate = [100, 200, 300, 400, 500]\n";
    let mut nodes: Vec<_> = (0..2).map(|_| meeting.ramp_node(profile, "--nodes 2")).collect();
    eventually("the first second of the second step", || {
        (meeting.redis.len("{loadgen:f}:seconds:2") > 0).then_some(())
    });
    // The collector: the other one takes over.
    let place = nodes.iter().position(|node| index_of(node) == Some(0)).expect("its index");
    nodes.remove(place).kill();
    let all = ended(nodes);
    assert_eq!(all[0].code, Some(1), "{all:?}");
    let ramp = meeting.ramp();
    let steps = ramp["steps"].as_array().expect("steps");
    assert!(ramp["complete"] == false && (2..5).contains(&steps.len()), "{ramp}");
    let last = &steps[steps.len() - 1];
    let error = last["error"].as_str().expect("an error");
    assert!(error.starts_with("node 0 (") && error.ends_with("was lost"), "{error}");
    assert_eq!(last["report"]["run"]["partial"], true);
}

#[test]
fn nodes_with_other_steps_are_refused() {
    let Some(meeting) = Meeting::start() else { return };
    let mut first = meeting.ramp_node("duration = '1s'\n[sweep]\nrate = [100]\n", "--nodes 2");
    eventually("the terms", || {
        (meeting.redis.cli(&["EXISTS", "{loadgen:f}:terms"]) == "1").then_some(())
    });
    let other = meeting.ramp_node("duration = '1s'\n[sweep]\nrate = [200]\n", "--nodes 2").finish();
    assert_eq!(other.code, Some(2));
    assert!(other.stderr.contains("has other steps here"), "{}", other.stderr);
    let run = meeting.node("--nodes 2").finish();
    assert!(run.stderr.contains("it runs a ramp, and this one does not"), "{}", run.stderr);
    first.kill();
}
