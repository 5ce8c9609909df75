//! `--process`: components that the run did not start.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::Value;

use crate::support::{JsonReport, Mosquitto, Process, Redis, Service, eventually, report_of, run};

/// A process that does nothing, with this name.
fn sleeper(name: &str) -> Process {
    Process::start("sleep", Command::new("sleep").arg0(name).arg("600"))
}

fn component<'a>(report: &'a JsonReport, name: &str) -> &'a Value {
    let found = report.list("resources").iter().find(|used| used["component"] == name);
    found.unwrap_or_else(|| panic!("no component {name}: {}", report.json()))
}

fn has_note(report: &JsonReport, code: &str) -> bool {
    report.list("verdict.codes.notes").iter().any(|note| note == code)
}

#[test]
fn components_of_a_pipeline_that_runs_already_are_measured() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let servers = format!("--redis {} --mqtt {}", redis.url(), broker.url());
    let (api, address) = Service::api(&format!("--redis {}", redis.url()));
    let push = Service::start(&format!("push {servers}"));
    let helper = format!("loadgen-helper-{}", std::process::id());
    let helpers = [sleeper(&helper), sleeper(&helper)];
    let (api_pid, push_pid) = (api.process.pid(), push.process.pid());
    let words = format!(
        "http://{address}/ -R 300 -d 2s {servers} --process api={api_pid} --process push={push_pid} \
         --process helper=name:{helper}"
    );
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for (name, pid) in [("api", api_pid), ("push", push_pid)] {
        let used = component(&report, name);
        assert_eq!((&used["pid"], &used["processes"]), (&pid.into(), &1.into()), "{used}");
        assert!(used["rss_max_bytes"].as_u64() > Some(1_000_000), "{used}");
        assert!(used["busiest_thread_percent"].is_number(), "{used}");
    }
    let used = component(&report, "helper");
    assert_eq!(used["processes"], 2, "{used}");
    let least = helpers.iter().map(Process::pid).min();
    assert_eq!(used["pid"].as_u64(), least.map(u64::from), "{used}");
    assert!(finished.stdout.contains("helper (2 processes)"), "{finished:?}");
    assert!(!has_note(&report, "process_ended"), "{}", report.json());
    drop((api, push));
}

#[test]
fn a_process_that_ends_during_the_run_is_noted() {
    let Some(redis) = Redis::start() else { return };
    let (_api, address) = Service::api(&format!("--redis {}", redis.url()));
    let mut helper = sleeper("a-helper");
    let words = format!("http://{address}/ -m POST -R 200 -d 3s --process helper={}", helper.pid());
    let (finished, report) = report_of(&words, |_| {
        eventually("a message", || (redis.len("myapp") > 100).then_some(()));
        helper.kill();
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(has_note(&report, "process_ended"), "{}", report.json());
    assert!(finished.stdout.contains("of 'helper' ended about"), "{finished:?}");
}

#[test]
fn a_process_that_is_not_there_is_told_before_the_run() {
    let Some(redis) = Redis::start() else { return };
    let (_api, address) = Service::api(&format!("--redis {}", redis.url()));
    for (process, part) in [
        ("api=name:no-such-program", "--process api=name:no-such-program: no process of this name"),
        ("api=1073741823", "--process api=1073741823: there is no such process"),
    ] {
        let finished = run(&format!("http://{address}/ -m POST -n 10 --process {process}"));
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains(part), "{part}: {finished:?}");
    }
    assert_eq!(redis.len("myapp"), 0, "nothing was sent");
    let finished = run("-R 10 -d 1s --process api=1");
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("use another name"), "{finished:?}");
}
