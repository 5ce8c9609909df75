//! Whole runs through api, Redis, push, broker and subscriber, and what their reports say.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Mosquitto, Process, Recorder, Redis, Report, Service, child_called, children_of, command_line,
    eventually, get, loadgen, post, report_of, require_stack, signal_to,
};

const STAGES: [(&str, &str); 7] = [
    ("due", "sent"),
    ("sent", "api"),
    ("api", "queued"),
    ("queued", "popped"),
    ("popped", "published"),
    ("published", "arrived"),
    ("sent", "answered"),
];

/// Everything that was planned went all the way, and every part of the report says the same.
fn assert_whole(report: &Report, planned: Option<u64>) {
    let sent = report.count("requests.sent");
    assert_eq!(sent, planned.unwrap_or(sent), "{report:?}");
    assert!(sent > 0);
    for same in ["requests.planned", "requests.completed", "requests.status.200"] {
        assert_eq!(report.count(same), sent, "{same}");
    }
    for same in ["messages.accepted", "messages.arrived", "arrival.count"] {
        assert_eq!(report.count(same), sent, "{same}");
    }
    for none in ["dropped", "failed", "unfinished"] {
        assert_eq!(report.count(&format!("requests.{none}")), 0, "{none}");
    }
    for none in ["lost", "duplicated", "unknown", "unexpected"] {
        assert_eq!(report.count(&format!("messages.{none}")), 0, "{none}");
    }
    assert_series_adds_up(report);
}

fn assert_series_adds_up(report: &Report) {
    for (column, total) in [
        ("sent", "requests.sent"),
        ("completed", "requests.completed"),
        ("failed", "requests.failed"),
        ("arrived", "messages.arrived"),
    ] {
        let rows = report.list("series").iter();
        let sum: u64 = rows.map(|row| row[column].as_u64().expect("a count")).sum();
        assert_eq!(sum, report.count(total), "the rows' {column}");
    }
}

/// Each stage is there, with the time of `sampled` messages.
fn assert_stages(report: &Report, sampled: u64) {
    let stages = report.list("stages").iter();
    let seen: Vec<_> = stages.map(|s| json!([s["from"], s["to"], s["count"]])).collect();
    assert_eq!(seen, STAGES.map(|(from, to)| json!([from, to, sampled])));
}

fn components(report: &Report) -> Vec<&str> {
    report.list("resources").iter().filter_map(|row| row["component"].as_str()).collect()
}

/// A run with a stack of its own that must lose nothing. `told` are words that a child is started
/// with, to see that a setting reaches it.
fn deliver(words: &str, planned: Option<u64>, told: &[(&str, &str)]) -> Option<Report> {
    if !require_stack() {
        return None;
    }
    let (finished, report) = report_of(words, |process| {
        for (child, wanted) in told {
            eventually(&format!("a child {child} with '{wanted}'"), || {
                let words = command_line(child_called(process.pid(), child)?);
                words.join(" ").contains(wanted).then_some(())
            });
        }
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_whole(&report, planned);
    Some(report)
}

#[test]
fn the_main_job_delivers_everything_and_reports_every_part() {
    let Some(report) = deliver("-R 500 -d 2s --sample 10 --stack spawned", Some(1_000), &[]) else {
        return;
    };
    assert_eq!(report.count("schema_version"), 1);
    assert_stages(&report, 100);
    let all = ["generator", "subscriber", "api", "push", "redis", "mosquitto"];
    assert_eq!(components(&report), all);
    for row in report.list("resources") {
        assert!(row["pid"].as_u64() > Some(1) && row["rss_max_bytes"].as_u64() > Some(100_000));
    }
    assert_eq!(report.list("series").len(), 2);
    assert_eq!(report.text("run.mode"), "open");
    for server in ["queue", "broker"] {
        assert_eq!(report.text(&format!("run.stack.{server}.kind")), "spawned");
    }
    assert_eq!(report.text("run.clock.source"), "redis");
}

#[test]
fn qos_1_delivers_everything() {
    deliver("-R 500 -d 1s --qos 1", Some(500), &[("push", "--qos 1")]);
}

#[test]
fn direct_coupling_delivers_everything() {
    deliver("-R 500 -d 1s --coupling direct", Some(500), &[("push", "--coupling direct")]);
}

#[test]
fn several_push_workers_and_api_threads_deliver_everything() {
    let told = [("push", "--workers 3 --threads 2"), ("api", "--threads 2")];
    let words = "-R 500 -d 1s --push-workers 3 --push-threads 2 --api-threads 2";
    deliver(words, Some(500), &told);
}

#[test]
fn poisson_arrivals_deliver_everything() {
    let words = "-R 500 -d 1s --arrivals poisson --seed 7";
    let Some(report) = deliver(words, Some(500), &[]) else { return };
    assert_eq!(report.text("run.arrivals"), "poisson");
}

#[test]
fn a_closed_loop_delivers_everything() {
    let Some(report) = deliver("-c 4 -t 2 -d 1s", None, &[]) else { return };
    assert_eq!((report.text("run.mode"), report.count("run.connections")), ("closed", 4));
    assert_eq!(*report.value("run.rate_target"), Value::Null);
}

#[test]
fn a_number_of_requests_ends_the_run_exactly() {
    deliver("-c 3 -n 301", Some(301), &[]);
    deliver("-R 1000 -n 201", Some(201), &[]);
}

#[test]
fn a_warm_up_is_not_counted() {
    let words = "-R 400 -d 1s --warmup 1s --sample 10";
    let Some(report) = deliver(words, Some(400), &[]) else { return };
    assert_stages(&report, 40);
}

#[test]
fn reqwest_delivers_everything() {
    let Some(report) = deliver("-R 300 -d 1s --engine reqwest", Some(300), &[]) else { return };
    assert_eq!(report.text("run.engine"), "reqwest");
}

#[test]
fn servers_with_passwords_are_used_and_the_passwords_never_shown() {
    const SECRETS: [&str; 2] = ["tulip-and-thorn", "onyx-lantern"];
    let Some(redis) = Redis::with_password(SECRETS[0]) else { return };
    let Some(broker) = Mosquitto::with_login("sender", SECRETS[1]) else { return };
    let mut seen = String::new();
    let words = format!("-R 300 -d 1s --redis {} --mqtt {}", redis.url(), broker.url());
    let (finished, report) = report_of(&words, |process| {
        for child in ["api", "push"] {
            let pid = eventually("a child", || child_called(process.pid(), child));
            assert!(command_line(pid).len() > 2, "a command line was read");
        }
        children_of(process.pid()).into_iter().for_each(|pid| seen += &command_line(pid).join(" "));
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_whole(&report, Some(300));
    assert_eq!(components(&report), ["generator", "subscriber", "api", "push"]);
    for server in ["queue", "broker"] {
        assert_eq!(report.text(&format!("run.stack.{server}.kind")), "external");
    }
    seen = [seen, finished.stdout, finished.stderr, report.json()].join("\n");
    for secret in SECRETS {
        assert!(!seen.contains(secret), "a password is shown: {seen}");
    }
    // What is given is used, and what was given away is a number that only grows.
    assert!(redis.cli(&["GET", "loadgen:msgid"]).parse::<u64>().is_ok_and(|end| end >= 300));
}

#[test]
fn two_processes_with_eight_workers_each_never_make_an_id_twice() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let recorder = Recorder::start(&broker, "/channel");
    let words = format!("-R 250 -d 2s -t 8 -c 8 --redis {} --mqtt {}", redis.url(), broker.url());
    let one = || report_of(&words, |_| ());
    let reports = std::thread::scope(|threads| {
        [threads.spawn(one), threads.spawn(one)].map(|run| run.join().expect("a report"))
    });
    for (finished, report) in &reports {
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(report.count("run.threads"), 8);
        for (name, count) in [("accepted", 500), ("arrived", 500), ("lost", 0), ("duplicated", 0)] {
            assert_eq!(report.count(&format!("messages.{name}")), count, "{name}");
        }
    }
    let ids = recorder.ids(&broker);
    let different: HashSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), different.len()), (1_000, 1_000));
}

#[test]
fn foreign_messages_on_the_topic_are_told_apart() {
    let Some(broker) = Mosquitto::start() else { return };
    if !require_stack() {
        return;
    }
    let recorder = Recorder::start(&broker, "/channel");
    let words = format!("-R 200 -d 3s --mqtt {}", broker.url());
    let foreign = ["", "not JSON", r#"{"MsgID":9007199254740991}"#, r#"{"MsgID":-1}"#, "{}"];
    let (finished, report) = report_of(&words, |_| {
        eventually("a message of the run", || recorder.payloads().first().map(|_| ()));
        foreign.iter().for_each(|payload| broker.publish("/channel", payload));
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(report.count("messages.unexpected"), foreign.len() as u64);
    assert_eq!(report.count("messages.arrived"), 600);
    assert_eq!((report.count("messages.lost"), report.count("messages.duplicated")), (0, 0));
}

#[test]
fn what_is_lost_when_push_is_killed_is_what_is_really_missing() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let recorder = Recorder::start(&broker, "/channel");
    // One worker, so that its ids are one row without gaps.
    let words = format!(
        "-R 2000 -d 4s --drain 2s -t 1 --redis {} --mqtt {}",
        redis.url(),
        broker.url()
    );
    let (finished, report) = report_of(&words, |process| {
        let push = eventually("the push child", || child_called(process.pid(), "push"));
        eventually("a third of the run", || (recorder.payloads().len() > 2_600).then_some(()));
        signal_to(push, Signal::KILL);
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let (accepted, lost) = (report.count("messages.accepted"), report.count("messages.lost"));
    assert_eq!((report.count("requests.planned"), accepted), (8_000, 8_000));
    assert_eq!(report.count("messages.unknown"), 0);

    let arrived: HashSet<_> = recorder.ids(&broker).into_iter().collect();
    assert_eq!(report.count("messages.arrived"), arrived.len() as u64);
    let first = *arrived.iter().min().expect("some arrived");
    let missing: Vec<_> = (first..first + accepted).filter(|id| !arrived.contains(id)).collect();
    assert_eq!((lost, accepted), (missing.len() as u64, arrived.len() as u64 + lost));
    assert!(lost > 0, "push was killed in the middle");
    let examples: Vec<_> = report.list("messages.examples.lost").iter().map(Value::as_u64).collect();
    assert_eq!(examples, missing.iter().take(10).copied().map(Some).collect::<Vec<_>>());
    // Most of them still wait in Redis, where nobody took them.
    let queued = redis.list("myapp");
    assert!(!queued.is_empty() && queued.len() as u64 <= lost);
    let notes = report.list("verdict.notes").iter().filter_map(Value::as_str);
    assert_eq!(notes.filter(|note| note.starts_with("push ended: signal: 9")).count(), 1);
}

#[test]
fn a_message_leaves_one_stamp_with_each_component() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let (queue, mqtt) = (redis.url(), broker.url());
    let subscribe = Service::start(&format!("subscribe --redis {queue} --mqtt {mqtt}"));
    let push = Service::start(&format!("push --redis {queue} --mqtt {mqtt}"));
    let (api, address) = Service::api(&format!("--redis {queue}"));
    // One in a hundred is stamped: the second is not.
    for body in [r#"{"data":"news","id":12000}"#, r#"{"data":"news","id":12001}"#] {
        assert_eq!(post(address, body).status, 200);
    }
    const LISTS: [&str; 3] = ["apiserver", "pushserver", "mqttclient"];
    for list in LISTS {
        eventually(&format!("a stamp in {list}"), || (redis.len(list) > 0).then_some(()));
    }
    // Stopping writes whatever stamps there may still be.
    for service in [api, push, subscribe] {
        let finished = service.process.terminate();
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
    let times = LISTS.map(|list| match redis.list(list).as_slice() {
        [stamp] => stamp_time(stamp),
        other => panic!("{list}: {other:?}"),
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(times.iter().all(|(seconds, _)| now.abs_diff(*seconds) < 120), "{times:?}, now {now}");
    // Their clock is one: what comes later is not stamped earlier by more than its error.
    assert!(times[0] < times[2], "{times:?}");
}

/// Reads `{"id":12000,"time":"SECONDS.MICROS"}` byte by byte: the original's tools do.
fn stamp_time(stamp: &str) -> (u64, u64) {
    let time = stamp.strip_prefix(r#"{"id":12000,"time":""#).and_then(|s| s.strip_suffix(r#""}"#));
    let parts = time.and_then(|time| time.split_once('.'));
    let (seconds, micros) = parts.unwrap_or_else(|| panic!("{stamp}"));
    assert_eq!(micros.len(), 6, "{stamp}");
    (seconds.parse().expect("seconds"), micros.parse().expect("microseconds"))
}

#[test]
fn a_target_and_a_broker_of_ones_own_are_driven_and_measured() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let (queue, mqtt) = (redis.url(), broker.url());
    let (_api, address) = Service::api(&format!("--redis {queue}"));
    let _push = Service::start(&format!("push --redis {queue} --mqtt {mqtt}"));
    let words = format!("http://{address}/ -R 300 -d 1s --redis {queue} --mqtt {mqtt}");
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_whole(&report, Some(300));
    assert_eq!(components(&report), ["generator", "subscriber"]);
    let accepted = "loadgen_api_accepted_total 300\n";
    assert!(get(address, "/metrics").body.contains(accepted));
}

#[test]
fn json_on_stdout_is_the_report() {
    if !require_stack() {
        return;
    }
    let mut command = loadgen("-c 2 -n 50 --format json --allow-limited --timeout 30s");
    let finished = Process::start("loadgen", &mut command).finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report: Value = serde_json::from_str(&finished.stdout).expect("JSON and nothing else");
    assert_eq!(report["messages"]["arrived"], 50);
}
