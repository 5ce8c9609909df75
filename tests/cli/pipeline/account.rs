//! Messages counted independently of loadgen: ids, losses, foreign messages and stamps.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    Mosquitto, Recorder, Redis, Service, child_called, eventually, post, report_of, require_stack,
    signal_to,
};

#[test]
fn two_processes_with_eight_workers_each_make_unique_ids() {
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
fn foreign_messages_on_the_topic_are_counted_separately() {
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
fn the_lost_count_after_a_kill_of_push_is_the_true_count() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let recorder = Recorder::start(&broker, "/channel");
    // One worker, so that its ids are one row without gaps.
    let words =
        format!("-R 1000 -d 4s --drain 3s -t 1 --redis {} --mqtt {}", redis.url(), broker.url());
    let (finished, report) = report_of(&words, |process| {
        let push = eventually("the push child", || child_called(process.pid(), "push"));
        eventually("a third of the run", || (recorder.payloads().len() > 1_300).then_some(()));
        signal_to(push, Signal::KILL);
    });
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let (accepted, lost) = (report.count("messages.accepted"), report.count("messages.lost"));
    assert_eq!((report.count("requests.planned"), accepted), (4_000, 4_000));
    assert_eq!(report.count("messages.unknown"), 0);

    let arrived: HashSet<_> = recorder.ids(&broker).into_iter().collect();
    assert_eq!(report.count("messages.arrived"), arrived.len() as u64);
    let first = *arrived.iter().min().expect("some arrived");
    let missing: Vec<_> = (first..first + accepted).filter(|id| !arrived.contains(id)).collect();
    assert_eq!((lost, accepted), (missing.len() as u64, arrived.len() as u64 + lost));
    assert!(lost > 0, "push was killed in the middle");
    let examples: Vec<_> =
        report.list("messages.examples.lost").iter().map(Value::as_u64).collect();
    assert_eq!(examples, missing.iter().take(10).copied().map(Some).collect::<Vec<_>>());
    // Most of them still wait in Redis, as push no longer takes them.
    let queued = redis.list("myapp");
    assert!(!queued.is_empty() && queued.len() as u64 <= lost);
    let failures: Vec<_> = report.list("verdict.failures").iter().map(Value::as_str).collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(
        failures[0].is_some_and(|why| why.starts_with("push ended: signal: 9")),
        "{failures:?}"
    );
    assert!(finished.stdout.contains("\nRESULT  FAILED (push ended"), "{finished:?}");
}

#[test]
fn a_redis_that_dies_during_a_run_is_noted() {
    let (Some(mut redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let (queue, mqtt) = (redis.url(), broker.url());
    let words = format!("-R 200 -d 3s --drain 500ms --redis {queue} --mqtt {mqtt}");
    let (finished, report) = report_of(&words, |_| {
        eventually("a stamp", || (redis.len("pushserver") > 0).then_some(()));
        redis.kill();
    });
    let notes: Vec<_> = report.list("verdict.notes").iter().filter_map(Value::as_str).collect();
    let lost = format!("lost Redis at {queue} 1 time: ");
    assert!(notes.iter().any(|note| note.starts_with(&lost)), "{notes:?} {finished:?}");
}

#[test]
fn stages_continue_after_redis_returns_with_shorter_lists() {
    let (Some(mut redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    // Of earlier runs: more than this one will ever stamp.
    let old = ["x"; 2_000];
    let lists = ["apiserver", "apiserver:queued", "pushserver:popped", "pushserver", "mqttclient"];
    for list in lists {
        redis.cli(&[&["RPUSH", list][..], &old].concat());
    }
    let (queue, mqtt) = (redis.url(), broker.url());
    let words = format!("-R 200 -d 5s --sample 1 --drain 500ms --redis {queue} --mqtt {mqtt}");
    let mut before = 0;
    let (finished, report) = report_of(&words, |_| {
        eventually("a hundred stamps", || (redis.len("pushserver") > 2_100).then_some(()));
        before = redis.len("pushserver") - 2_000;
        redis.restart();
    });
    let after = redis.len("pushserver");
    assert!(after > 100, "{after} messages stamped after the restart: {finished:?}");
    let last = report.list("stages").iter().find(|stage| stage["from"] == "published");
    let count = last.and_then(|stage| stage["count"].as_u64()).expect("a stage");
    // Some stamps were on their way when Redis went.
    assert!(count > before + after / 2, "{count} of {before} before and {after} after");
}

#[test]
fn each_component_stamps_a_message_once() {
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
