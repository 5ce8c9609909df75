//! Runs that cannot be: said before anything is spent on them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use super::{assert_refused, entries};
use crate::support::{Finished, Process, Redis, free_port, loadgen, require, run};

#[test]
fn bad_usage_is_refused_with_exit_2() {
    for (words, part) in [
        ("--frobnicate", "--frobnicate"),
        ("run --frobnicate", "--frobnicate"),
        ("api --frobnicate", "--frobnicate"),
        ("-d 5parsecs", "5parsecs"),
        ("-R 5x", "5x"),
        ("-R 0", "--rate"),
        ("-R 5 -B -n 1", "--batch_latency: loadgen measures each answer on its own"),
        ("-R -5", "--rate"),
        ("-R 1e400", "--rate"),
        ("-c 0 -n 1", "--connections"),
        ("-c 1 -t 2 -n 1", "--threads 2"),
        ("--qos 2", "--qos"),
        ("nonsense -n 1", "nonsense"),
        ("--redis http://127.0.0.1 -n 1", "--redis"),
        ("-n 1 -o report.pdf", "report.pdf: unknown ending; the known ones are .txt .json"),
        ("-n 1 --format pdf", "arrival.hgrm"),
        ("http://127.0.0.1:1/ -n 1 -o r.arrival.hgrm", "has no subscriber"),
        ("http://127.0.0.1:1/ -n 1 --format arrival.hgrm", "--format"),
        ("report", "FILE"),
        ("-n 1 --fail-if arrival.p98>5ms", "arrival.p98"),
        ("-n 1 --fail-if arrival.p99", "--fail-if"),
        ("-n 1 --first-id 9007199254740990", "could pass the largest MsgID"),
        ("push --mqtt nowhere", "--mqtt"),
        ("api --redis mqtt://127.0.0.1", "--redis"),
        ("-n 1 --stack nonsense", "--stack"),
        ("-n 1 --stack auto --redis redis://h --mqtt mqtt://h", "--stack"),
        ("-n 1 --node 2/2", "--node"),
        ("-n 1 --start-at 14:30:00", "--start-at"),
        ("-n 1 --start-at 2026-01-01T00:00:00Z", "--start-at 2026-01-01T00:00:00Z is"),
        ("-n 1 --start-at 9999-12-31T23:59:59Z", "more than a week ahead"),
        ("-n 1 --body x --body-lines y", "--body-lines"),
        ("-n 1 --body-lines /nowhere/x", "--body-lines /nowhere/x"),
        ("-n 1 --data /nowhere/x.csv", "--data /nowhere/x.csv"),
        ("-n 1 --data x=1", ".csv, .ndjson or .jsonl"),
        ("-n 1 --body {{name}}", "unknown placeholder {{name}}"),
        ("-n 1 --fail-if by_request.a.sent>0", "no request 'a'"),
        ("embedded", "queue"),
        ("embedded queue --listen nowhere", "--listen"),
    ] {
        assert_refused(&run(words), 2, &[part]);
    }
}

/// Runs loadgen with a variable of the environment.
fn run_with(variable: (&str, &str), words: &str) -> Finished {
    let mut command = loadgen(words);
    Process::start("loadgen", command.env(variable.0, variable.1)).finish()
}

#[test]
fn a_mistake_is_answered_with_what_was_meant() {
    for (words, part) in [
        ("-c 10 -z 5s http://127.0.0.1:1/", "-z is oha's and hey's duration; here it is -d 10s"),
        (
            "profiles/smoke.toml",
            "it is a profile; run it with `loadgen --profile profiles/smoke.toml`",
        ),
        ("run script.js", "k6 scripts are not supported"),
        ("localhost:8080/", "did you mean http://localhost:8080/?"),
        ("-R 24.000 -n 1", "'24.000' can be 24 or 24000"),
        ("-d 10 --fail-if response.p99>10 http://127.0.0.1:1/", "write 10us or 10ms"),
        ("-R 100 -d 1s --fail-if arival.p99>5ms", "the report has no number 'arival.p99'"),
    ] {
        assert_refused(&run(words), 2, &[part]);
    }
}

#[test]
fn an_error_about_a_value_of_the_environment_names_the_variable() {
    let url = "http://127.0.0.1:1/ -n 1";
    for (variable, words, part) in [
        (("LOADGEN_RATE", "abc"), url, "'environment variable LOADGEN_RATE': 'abc' is not a rate"),
        (
            ("LOADGEN_CONNECTIONS", "0"),
            url,
            "environment variable LOADGEN_CONNECTIONS: --connections",
        ),
        (("LOADGEN_FAIL_IF", "nosuch>1"), url, "environment variable LOADGEN_FAIL_IF: --fail-if"),
        (("LOADGEN_URL", "localhost:1"), "-n 1", "environment variable LOADGEN_URL: 'localhost:1'"),
    ] {
        assert_refused(&run_with(variable, words), 2, &[part]);
    }
    let typed = run_with(("LOADGEN_CONNECTIONS", "5"), "http://127.0.0.1:1/ -n 1 -c 0");
    assert!(!typed.stderr.contains("environment"), "{typed:?}");
}

#[test]
fn a_variable_that_is_nearly_known_is_warned_of_and_others_are_not() {
    let warned = run_with(("LOADGEN_RAET", "1k"), "man");
    assert_eq!(warned.code, Some(0), "{warned:?}");
    let text = "environment variable LOADGEN_RAET is not used; did you mean LOADGEN_RATE?";
    assert!(warned.stderr.contains(text), "{warned:?}");
    let injected = run_with(("LOADGEN_SERVICE_PORT", "80"), "man");
    assert!(!injected.stderr.contains("LOADGEN_SERVICE_PORT"), "{injected:?}");
}

#[test]
fn an_argument_that_is_not_utf_8_is_refused() {
    let mut command = loadgen("");
    command.arg(OsStr::from_bytes(b"\xff"));
    assert_refused(&Process::start("loadgen", &mut command).finish(), 2, &["invalid UTF-8"]);
}

#[test]
fn an_unwritable_output_is_refused_before_the_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(name("folder.json")).expect("an empty place");
    for file in [name("missing/r.json"), name("folder.json"), "/proc/r.json".to_owned()] {
        // Were it tried after the run, that would take an hour.
        let finished = run(&format!("-R 10 -d 1h -o {file}"));
        assert_refused(&finished, 1, &["--output", &file]);
    }
    assert_eq!(entries(folder.path()), ["folder.json"]);
}

#[test]
fn an_unreachable_target_is_reported_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("r.json");
    let address = format!("127.0.0.1:{}", free_port());
    let words = format!("http://{address}/ -R 10 -d 1h -o {}", file.display());
    assert_refused(&run(&words), 1, &[&address]);
    assert_eq!(entries(folder.path()), [""; 0], "nothing is left of the output's trial");
}

#[test]
fn unreachable_servers_are_reported_at_once() {
    let address = format!("127.0.0.1:{}", free_port());
    let finished = run(&format!("-R 10 -d 1h --mqtt mqtt://{address} --redis redis://{address}"));
    assert_refused(&finished, 1, &["Redis", &address]);
    let Some(redis) = Redis::start() else { return };
    let words = format!("-R 10 -d 1h --mqtt mqtt://{address} --redis {}", redis.url());
    assert_refused(&run(&words), 1, &["MQTT broker", &address]);
}

#[test]
fn a_missing_or_wrong_password_is_reported_without_showing_it() {
    let Some(redis) = Redis::with_password("tulip-and-thorn") else { return };
    if !require("mosquitto") {
        return;
    }
    let address = redis.address();
    for (login, advice) in [("", "wants a password"), (":onyx-lantern@", "is not right")] {
        let finished = run(&format!("-R 10 -d 1h --redis redis://{login}{address}"));
        assert_refused(&finished, 1, &[&address, advice]);
        assert!(!finished.stderr.contains("onyx-lantern"), "{finished:?}");
    }
}

#[test]
fn a_missing_redis_server_is_reported_with_the_cure() {
    let mut command = loadgen("-R 10 -d 1h --stack spawned");
    let finished = Process::start("loadgen", command.env("PATH", "")).finish();
    let parts = ["redis-server is not installed", "apt-get", "--redis URL", "--stack embedded"];
    assert_refused(&finished, 1, &parts);
}

#[test]
fn a_missing_mosquitto_is_reported_with_the_cure() {
    let Some(redis) = Redis::start() else { return };
    let mut command = loadgen(&format!("-R 10 -d 1h --stack spawned --redis {}", redis.url()));
    let finished = Process::start("loadgen", command.env("PATH", "")).finish();
    let parts = ["mosquitto is not installed", "apt-get", "--mqtt URL", "--stack embedded"];
    assert_refused(&finished, 1, &parts);
}
