//! Runs that end early, or badly: what they say and what they leave.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use super::{assert_refused, entries};
use crate::support::{
    Nginx, Process, Redis, SOON, child_called, children_of, eventually, is_alive, loadgen,
    report_of, require, require_stack, signal_to, skip, start, within,
};

#[test]
fn a_condition_of_fail_if_that_holds_gives_exit_99() {
    if !require_stack() {
        return;
    }
    let words = "-c 2 -n 40 --fail-if messages.arrived==40 --fail-if messages.lost>0";
    let (finished, report) = report_of(words, |_| ());
    assert_eq!(finished.code, Some(99), "{finished:?}");
    let judged = |n: usize| report.value(&format!("verdict.thresholds.{n}.ok"));
    assert_eq!((judged(0), judged(1)), (&Value::Bool(false), &Value::Bool(true)));
    assert_eq!(*report.value("verdict.pass"), false);
}

#[test]
fn ctrl_c_ends_a_run_with_a_complete_report() {
    let Some(redis) = Redis::start() else { return };
    if !require("mosquitto") {
        return;
    }
    let words = format!("-R 300 -d 1h --sample 1 --redis {}", redis.url());
    let (finished, report) = report_of(&words, |process| {
        eventually("a message's arrival", || (redis.len("pushserver") > 0).then_some(()));
        process.signal(Signal::INT);
    });
    assert_eq!(finished.code, Some(130), "{finished:?}");
    assert_eq!(*report.value("run.interrupted"), true);
    let requests = |name: &str| report.count(&format!("requests.{name}"));
    let (planned, sent) = (requests("planned"), requests("sent"));
    assert!(sent > 0 && planned < 300 * 60, "{planned} planned, {sent} sent");
    assert_eq!(planned, sent + requests("dropped"));
    assert_eq!(sent, requests("completed") + requests("failed") + requests("unfinished"));
    assert_eq!(report.count("messages.accepted"), sent);
    assert_eq!((report.count("messages.arrived"), report.count("messages.lost")), (sent, 0));
    assert!(finished.stdout.contains("Requests/sec"), "the text report, too: {finished:?}");
}

#[test]
fn ctrl_c_in_the_warm_up_gives_a_report_without_measurements() {
    let Some(redis) = Redis::start() else { return };
    if !require("mosquitto") {
        return;
    }
    let words = format!("-R 300 -d 1h --warmup 1h --sample 1 --redis {}", redis.url());
    let (finished, report) = report_of(&words, |process| {
        eventually("a message's arrival", || (redis.len("pushserver") > 0).then_some(()));
        process.signal(Signal::INT);
    });
    assert_eq!(finished.code, Some(130), "{finished:?}");
    for none in ["requests.planned", "requests.sent", "messages.accepted", "messages.arrived"] {
        assert_eq!(report.count(none), 0, "{none}");
    }
}

/// A target that accepts requests and never answers, with its URL.
fn silent_target() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    (listener, url)
}

/// Connections of a run, the last one after a request has come on one of them.
fn await_request(listener: &TcpListener) -> Vec<TcpStream> {
    listener.set_nonblocking(true).expect("a socket");
    let mut streams = Vec::new();
    eventually("a request", || {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).expect("a socket");
            streams.push(stream);
        }
        let has_request = |mut stream: &TcpStream| matches!(stream.read(&mut [0; 64]), Ok(1..));
        streams.iter().any(has_request).then_some(())
    });
    streams
}

#[test]
fn a_second_ctrl_c_ends_loadgen_at_once() {
    let (listener, url) = silent_target();
    let mut process = start(&format!("{url} -R 5 -c 2 -d 1h --timeout 1h --drain 1h"));
    let _open = await_request(&listener);
    process.signal(Signal::INT);
    // The first one waits for the answer, which does not come.
    assert_eq!(within(Duration::from_millis(700), || (!process.is_running()).then_some(())), None);
    process.signal(Signal::INT);
    let finished = process.finish_within(SOON);
    assert_refused(&finished, 130, &[]);
}

#[test]
fn requests_unanswered_after_the_drain_are_counted() {
    let (listener, url) = silent_target();
    let words = format!("{url} -R 20 -n 10 -c 2 --drain 1s");
    // The kernel accepts the connections, and the test never reads from them.
    let (finished, report) = report_of(&words, |_| ());
    drop(listener);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let requests = |name: &str| report.count(&format!("requests.{name}"));
    assert_eq!(requests("planned"), 10);
    assert_eq!(requests("planned"), requests("sent") + requests("dropped"));
    assert_eq!(requests("sent"), requests("failed") + requests("unfinished"));
    assert_eq!(*report.value("messages"), Value::Null, "the run had no subscriber");
}

/// Starts a run with its own stack and a temporary folder to itself, and waits for its children.
fn start_with_children(folder: &Path) -> (Process, Vec<u32>) {
    let mut command = loadgen("-R 50 -d 1h");
    command.env("TMPDIR", folder);
    let process = Process::start("loadgen", &mut command);
    let all = ["redis-server", "mosquitto", "api", "push"];
    let children = all.map(|name| eventually(name, || child_called(process.pid(), name)));
    assert_eq!(children_of(process.pid()).len(), all.len());
    (process, children.to_vec())
}

fn assert_all_gone(children: &[u32]) {
    let alive = || children.iter().copied().filter(|pid| is_alive(*pid)).collect::<Vec<_>>();
    if within(SOON, || alive().is_empty().then_some(())).is_none() {
        let left = alive();
        left.iter().for_each(|pid| signal_to(*pid, Signal::KILL));
        panic!("orphans of {children:?}: {left:?}");
    }
}

#[test]
fn ctrl_c_before_the_agreed_start_leaves_no_files_and_no_report() {
    if !require_stack() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let in_an_hour = SystemTime::now() + Duration::from_secs(3_600);
    let at = humantime::format_rfc3339_seconds(in_an_hour);
    let file = folder.path().join("r.json");
    let mut command = loadgen(&format!("-R 100 -d 1s --start-at {at} -o {}", file.display()));
    let process = Process::start("loadgen", command.env("TMPDIR", folder.path()));
    let children = ["redis-server", "mosquitto", "api", "push"];
    let children = children.map(|name| eventually(name, || child_called(process.pid(), name)));
    process.signal(Signal::INT);
    let finished = process.finish();
    assert_refused(&finished, 130, &["before the start"]);
    assert_all_gone(&children);
    assert_eq!(entries(folder.path()), [""; 0]);
}

#[test]
fn a_killed_run_leaves_neither_processes_nor_files() {
    if !require_stack() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut process, children) = start_with_children(folder.path());
    process.kill();
    assert_all_gone(&children);
    assert_eq!(entries(folder.path()), [""; 0]);
}

#[test]
fn an_interrupted_run_leaves_neither_processes_nor_files() {
    if !require_stack() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (process, children) = start_with_children(folder.path());
    process.signal(Signal::TERM);
    let finished = process.finish();
    assert_eq!(finished.code, Some(130), "{finished:?}");
    assert_all_gone(&children);
    assert_eq!(entries(folder.path()), [""; 0]);
}

#[test]
fn a_run_against_a_url_does_not_need_proc() {
    let hide_proc = |script: &str| {
        let script = format!("mount -t tmpfs none /proc && {script}");
        let mut command = std::process::Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &script]);
        command.env("LOADGEN_ALLOW_LIMITED", "true");
        command
    };
    let may_hide = hide_proc("true").output().is_ok_and(|ran| ran.status.success());
    if !may_hide {
        skip("/proc cannot be hidden from a process here");
        return;
    }
    let Some(nginx) = Nginx::start() else { return };
    let words = format!("{} {} -k -c 1 -n 3", env!("CARGO_BIN_EXE_loadgen"), nginx.secure());
    let ran = Process::start("loadgen", &mut hide_proc(&words)).finish();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("3 completed"), "{ran:?}");
}
