//! Ramps that come to their end.

use serde_json::{Value, json};

use super::{Ramp, findings, names, report_again, steps};
use crate::support::{Redis, loadgen, require, run};

#[test]
fn each_step_is_a_separate_run() {
    let ramp = Ramp::start(
        "# Is it whole?\nstack = 'embedded'\nrequests = 60\nsample = 1\n[sweep]\nconnections = [1, 3]\n",
    );
    let (code, printed, report) = ramp.finish();
    assert_eq!((code, names(&report)), (Some(0), vec!["connections 1", "connections 3"]));
    assert_eq!(report["complete"], true);
    assert_eq!((&report["axis"], &report["name"]), (&json!("connections"), &json!("some")));
    assert_eq!(report["question"], "Is it whole?");
    assert!(report["command"].as_str().is_some_and(|line| line.starts_with("loadgen ramp /")));
    for (step, connections) in steps(&report).iter().zip([1, 3]) {
        assert_eq!((&step["x"], &step["error"]), (&json!(f64::from(connections)), &Value::Null));
        let run = &step["report"];
        assert_eq!(run["run"]["connections"], connections);
        // Its own account, not the sum.
        assert_eq!(
            (&run["messages"]["arrived"], &run["messages"]["lost"]),
            (&json!(60), &json!(0))
        );
        assert_eq!(run["messages"]["unexpected"], 0);
    }
    assert_eq!(findings(&report, "capacity").len(), 1);
    assert_eq!(report_again(&report), report, "a saved ramp is reported as it was");
    for part in ["Is it whole?", "connections 3", "arrival", "verdict", "the API holds", "embedded"]
    {
        assert!(printed.contains(part), "'{part}' is missing: {printed}");
    }
}

#[test]
fn a_plain_profile_is_one_step_and_its_rate_may_change() {
    let ramp = Ramp::start("stack = 'embedded'\nrate = '100..300'\nduration = '1s'\n");
    let (code, _, report) = ramp.finish();
    assert_eq!((code, names(&report)), (Some(0), vec!["step 1"]));
    let run = &steps(&report)[0]["report"];
    assert_eq!(run["requests"]["planned"], 200);
    assert_eq!(
        (&run["run"]["rate_target"], &run["run"]["rate_range"]),
        (&json!(200.0), &json!([100.0, 300.0]))
    );
}

#[test]
fn a_search_finds_the_knee_of_a_slow_push_service_and_names_push() {
    let ramp = Ramp::start(
        "stack = 'embedded'\npush-limit = 250\nduration = '3s'\ndrain = '200ms'\n\
         [search]\nrate = '150..600'\nholds = 'queue not growing'\nwithin = '25%'\nconfirm = 1\n",
    );
    let (code, printed, report) = ramp.finish();
    assert_eq!(code, Some(0), "{printed}");
    let search = &report["search"];
    // The limit lies between, as close as was asked for.
    assert_eq!((&search["holds"], &search["fails"]), (&json!(225.0), &json!(300.0)), "{printed}");
    assert_eq!(search["confirmed"], json!([1, 1]));
    let tried: Vec<_> =
        search["trials"].as_array().expect("a list").iter().map(|trial| &trial["value"]).collect();
    assert_eq!(tried, [&json!(150.0), &json!(300.0), &json!(225.0)]);
    assert!(findings(&report, "knee")[0].starts_with("the knee is between 225/s and 300/s"));
    assert_eq!(report_again(&report)["findings"], report["findings"]);
    let cause = &findings(&report, "bottleneck")[0];
    assert!(
        cause.starts_with("the bottleneck is push") && cause.contains("--push-limit"),
        "{cause}"
    );
}

#[test]
fn an_external_redis_is_cleared_only_if_the_profile_says_so() {
    let Some(redis) = Redis::start() else { return };
    if !require("mosquitto") {
        return;
    }
    let profile =
        format!("redis = '{}'\nqueue = 'waiting'\nrequests = 20\nconnections = 1\n", redis.url());
    redis.cli(&["LPUSH", "apiserver", "not a stamp of ours"]);
    redis.cli(&["LPUSH", "waiting", "{}", "{}", "{}"]);
    let is_there = || redis.list("apiserver").iter().any(|stamp| stamp == "not a stamp of ours");
    let queued = |report: &Value| steps(report)[0]["report"]["messages"]["queued_before"].clone();
    let (code, _, report) = Ramp::start(&profile).finish();
    assert_eq!((code, is_there(), queued(&report)), (Some(0), true, 3.into()));
    // The push server of that run has taken them.
    redis.cli(&["LPUSH", "waiting", "{}", "{}"]);
    let (code, _, report) = Ramp::start(&format!("clear = true\n{profile}")).finish();
    assert_eq!((code, is_there(), queued(&report)), (Some(0), false, 0.into()));
}

#[test]
fn a_wrong_profile_is_refused_with_file_line_and_nearest_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("bad.toml");
    let refusal = |words: &str, profile: &str| {
        std::fs::write(&file, profile).expect("a file");
        let mut command = loadgen(words);
        command.arg(&file);
        let finished = crate::support::Process::start("loadgen", &mut command).finish();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{finished:?}");
        finished.stderr
    };
    for (words, profile, part) in [
        (
            "ramp",
            "rate = 5\n[sweep]\nconections = [1]\n",
            "bad.toml: line 3: unknown key 'conections'; did you mean 'connections'?",
        ),
        (
            "--profile",
            "rate = 5\nduratoin = '1s'\n",
            "bad.toml: line 2: unknown key 'duratoin'; did you mean 'duration'?",
        ),
        ("--profile", "rate = 5\n[sweep]\nthreads = [1]\n", "run it with `loadgen ramp"),
        ("ramp", "[[step]]\nconnections = 0\n", "step 'connections 0': --connections"),
    ] {
        let error = refusal(words, profile);
        assert!(error.contains(part), "{part}: {error}");
    }
    for words in ["ramp /nowhere/x.toml", "--profile /nowhere/x.toml"] {
        let missing = run(words);
        assert_eq!(missing.code, Some(2), "{missing:?}");
        assert!(missing.stderr.contains("/nowhere/x.toml"), "{missing:?}");
    }
}
