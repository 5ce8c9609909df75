//! Secrets in every place that takes one: none is in any output, in any form, or on the command line of a child.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::support::{
    Finished, Mosquitto, Process, Redis, Service, children_of, command_line, eventually, exchange,
    loadgen, require, run,
};

/// Part of every secret.
const CANARY: &str = "onyx";
const REDIS_PASSWORD: &str = "onyx-redis";
const MQTT_USER: &str = "onyx-user";
const MQTT_PASSWORD: &str = "onyx-mqtt";
/// All forms of a run with arrivals.
const FORMS: [&str; 9] = ["txt", "json", "html", "md", "csv", "tsv", "xml", "hlog", "arrival.hgrm"];

#[track_caller]
fn assert_clean(what: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(CANARY));
    assert_eq!(line, None, "a secret is in {what}");
}

#[track_caller]
fn assert_said_nothing(what: &str, finished: &Finished) {
    assert_clean(&format!("the output of {what}"), &finished.stdout);
    assert_clean(&format!("the messages of {what}"), &finished.stderr);
}

/// `-o` for a file of every form, and the files.
fn outputs(folder: &Path, forms: &[&str]) -> (String, Vec<PathBuf>) {
    let files: Vec<_> = forms.iter().map(|form| folder.join(format!("r.{form}"))).collect();
    let words = files.iter().map(|file| format!(" -o {}", file.display())).collect();
    (words, files)
}

fn assert_clean_files(files: &[PathBuf]) {
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(!text.is_empty(), "{}", file.display());
        assert_clean(&file.display().to_string(), &text);
    }
}

/// The metrics of a run that lasts.
fn metrics(process: &Process) -> String {
    eventually("what is run, in the metrics", || {
        let said = process.stderr();
        let (_, rest) = said.split_once("metrics at http://")?;
        let address = rest.split_once("/metrics")?.0.parse().ok()?;
        let head = "GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        let body = exchange(address, head.as_bytes()).body;
        body.contains("loadgen_requests_completed_total").then_some(body)
    })
}

#[test]
fn outputs_of_a_run_contain_no_secret() {
    let Some(redis) = Redis::with_password(REDIS_PASSWORD) else { return };
    let Some(broker) = Mosquitto::with_login(MQTT_USER, MQTT_PASSWORD) else { return };
    let (_api, address) = Service::api(&format!("--redis {}", redis.url()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let profile = folder.path().join("p.toml");
    let text = "header = ['Authorization: Bearer onyx-1', 'X-Anything: onyx-2']\n\
                body = '{\"MsgID\":{{msg_id}},\"pin\":\"onyx-3\",\"inner\":\"{\\\"apiKey\\\":\\\"onyx-4\\\"}\"}'\n";
    fs::write(&profile, text).expect("space");
    let (files, names) = outputs(folder.path(), &FORMS);
    let words = format!(
        "--profile {} -H Cookie:sid=onyx-5 -R 200 -d 1h --drain 100ms --metrics 0 --allow-limited \
         --allow-failed{files}",
        profile.display()
    );
    let mut command = loadgen(&words);
    let url = format!(
        "http://onyx-6:onyx-7@{address}/a;token=onyx-8/b?access_token=onyx-9&sig=onyx-10&X-Amz-Signature=onyx-11&page=1\
         #session=onyx-12"
    );
    command.env("LOADGEN_URL", url);
    command.env("LOADGEN_REDIS", redis.url()).env("LOADGEN_MQTT", broker.url());
    let summary = folder.path().join("summary.md");
    command.env("GITHUB_STEP_SUMMARY", &summary);
    let process = Process::start("loadgen", &mut command);
    let metrics = metrics(&process);
    assert!(metrics.contains("page=1"), "the target is shown: {metrics}");
    assert_clean("the metrics", &metrics);
    process.signal(Signal::INT);
    let finished = process.finish();
    assert_said_nothing("the run", &finished);
    assert!(finished.stdout.contains("access_token=***"), "{finished:?}");
    assert_clean_files(&names);
    assert_clean_files(&[summary]);
    // The same from the saved file.
    let saved = names.iter().find(|name| name.ends_with("r.json")).expect("it was written");
    for form in FORMS.iter().filter(|form| **form != "arrival.hgrm") {
        let shown = run(&format!("report {} --format {form}", saved.display()));
        assert_said_nothing(form, &shown);
    }
}

#[test]
fn command_lines_of_children_contain_no_secret() {
    let Some(redis) = Redis::with_password(REDIS_PASSWORD) else { return };
    let Some(broker) = Mosquitto::with_login(MQTT_USER, MQTT_PASSWORD) else { return };
    let mut command = loadgen("-R 200 -d 1h --metrics 0 --allow-limited");
    command.args(["-b", "{\"MsgID\":{{msg_id}},\"password\":\"onyx-1\"}", "-H", "X-Key: onyx-2"]);
    command.env("LOADGEN_REDIS", redis.url()).env("LOADGEN_MQTT", broker.url());
    let process = Process::start("loadgen", &mut command);
    assert_clean("the metrics", &metrics(&process));
    let children = children_of(process.pid());
    assert!(children.len() >= 2, "api and push: {children:?}");
    for child in children {
        assert_clean("a command line", &command_line(child).join(" "));
    }
    process.signal(Signal::INT);
    assert_said_nothing("the run", &process.finish());
}

#[test]
fn outputs_of_a_ramp_contain_no_secret() {
    if !require("redis-server") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let profile = folder.path().join("ramp.toml");
    // Nothing listens there: each step says why it was not run.
    let text = "url = 'http://u:onyx-1@127.0.0.1:1/?token=onyx-2'\nrequests = 5\nbody = '{\"secret\":\"onyx-3\"}'\n\
                [[step]]\nheader = ['X-Key: onyx-4']\n[[step]]\nurl = 'http://127.0.0.1:1/?key=onyx-5'\n\
                [[step]]\nredis = 'redis://:onyx-6@127.0.0.1:1'\n";
    fs::write(&profile, text).expect("space");
    let (files, names) =
        outputs(folder.path(), &["txt", "json", "html", "md", "csv", "tsv", "xml"]);
    let ramp = run(&format!("ramp {}{files}", profile.display()));
    assert_ne!(ramp.code, Some(0), "{ramp:?}");
    assert_said_nothing("the ramp", &ramp);
    assert_clean_files(&names);
}

#[test]
fn error_messages_contain_no_secret() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let profile = folder.path().join("p.toml");
    let script = folder.path().join("s.lua");
    fs::write(&script, "wrk.method = 'POST'").expect("space");
    let (profile, script) = (profile.display(), script.display());
    for text in [
        "header = \"Authorization: Bearer onyx\"\n",
        "stack = 'redis://:onyx@h'\n",
        "redis = ['redis://:onyx@h']\n",
        "[[request]]\nname = 'a'\npath = 'x?token=onyx'\n",
        "'Authorization: Bearer onyx' = 1\n",
    ] {
        fs::write(folder.path().join("p.toml"), text).expect("space");
        let refused = run(&format!("--profile {profile} -n 1 http://127.0.0.1:1/"));
        assert_eq!(refused.code, Some(2), "{text}: {refused:?}");
        assert_said_nothing(text, &refused);
    }
    for words in [
        "u:onyx@127.0.0.1:1/x",
        "http://u:onyx@127.0.0.1:1/?sig=onyx",
        "--proxy http://u:onyx@127.0.0.1:1/ http://127.0.0.1:1/?token=onyx",
        "--redis redis://:onyx@127.0.0.1:1 --mqtt mqtt://u:onyx@127.0.0.1:1",
        "--redis mqtt://u:onyx@127.0.0.1:1",
        "--engine reqwest http://u:onyx@127.0.0.1:1/?sig=onyx",
        "-n 1 http://127.0.0.1:1/ -- --password onyx",
        "-n 1 http://127.0.0.1:1/ -- --password=onyx",
    ] {
        let refused = run(words);
        assert!(matches!(refused.code, Some(1 | 2)), "{words}: {refused:?}");
        assert_said_nothing(words, &refused);
    }
    let refused =
        run(&format!("-s {script} -n 1 http://127.0.0.1:1/?code=onyx -- --password onyx"));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_said_nothing("a script", &refused);
}
