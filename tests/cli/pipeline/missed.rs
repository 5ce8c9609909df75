//! A subscriber of ours that loses its connection while the pipeline is healthy: what it could not hear
//! is not lost.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Cutter, Finished, JsonReport, Mosquitto, Recorder, Redis, Service, eventually, report_of,
};

const MESSAGES: u64 = 600;

struct Run {
    finished: Finished,
    report: JsonReport,
    /// Messages that an independent subscriber had.
    observed: u64,
    /// Log of the broker so far.
    log: String,
}

/// A run of 3 s whose subscriber is cut off for half a second, beside an observer that is not.
fn cut_off(broker: &Mosquitto, qos: u8, words: &str) -> Option<Run> {
    let redis = Redis::start()?;
    let cutter = Cutter::start(&broker.address());
    let observer = Recorder::start(broker, "/channel");
    let (_api, address) = Service::api(&format!("--redis {}", redis.url()));
    let servers = format!("--redis {} --mqtt {}", redis.url(), broker.url());
    let _push = Service::start(&format!("push {servers} --qos {qos}"));
    let words = format!(
        "http://{address}/ -R 200 -d 3s --drain 2s --redis {} --mqtt mqtt://{} --qos {qos} {words}",
        redis.url(),
        cutter.address()
    );
    let (finished, report) = report_of(&words, |_| {
        let has = |count: usize| (observer.payloads().len() > count).then_some(());
        eventually("messages", || has(100));
        cutter.cut();
        thread::sleep(Duration::from_millis(500));
        cutter.mend();
    });
    let observed = observer.ids(broker).len() as u64;
    Some(Run { finished, report, observed, log: broker.log() })
}

#[track_caller]
fn note(report: &JsonReport, part: &str) -> String {
    let mut notes = report.list("verdict.notes").iter().filter_map(Value::as_str);
    let found = notes.find(|note| note.contains(part));
    found.unwrap_or_else(|| panic!("no note with '{part}': {report:?}")).to_owned()
}

#[test]
fn at_qos_0_messages_published_during_a_disconnect_are_missed_and_not_lost() {
    let Some(broker) = Mosquitto::start() else { return };
    let Some(run) = cut_off(&broker, 0, "--fail-if messages.lost>0") else { return };
    let Run { finished, report, observed, .. } = run;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let count = |name: &str| report.count(&format!("messages.{name}"));
    assert_eq!((count("accepted"), observed, count("lost")), (MESSAGES, MESSAGES, 0));
    assert!(count("missed") > 0, "{report:?}");
    assert_eq!(count("arrived") + count("missed") + count("unknown"), MESSAGES);
    assert_eq!(report.count("arrival.count"), count("arrived"), "a missed one has no latency");
    let [window] = report.list("messages.missed_windows") else { panic!("one: {report:?}") };
    let end = |name: &str| window[name].as_f64().expect("seconds");
    let due = count("missed") as f64 / 200.0;
    assert!(end("to_s") - end("from_s") >= due - 0.01, "{window}: {due} s were missed");
    assert!(end("from_s") > 0.0 && end("to_s") < 3.0, "{window}");
    let note = note(&report, "lost its connection to the broker once");
    assert!(note.contains("at QoS 0") && note.contains("missed, not as lost"), "{note}");
    assert!(finished.stdout.contains(&format!("{} missed", count("missed"))), "{finished:?}");
}

#[test]
fn at_qos_1_the_broker_keeps_messages_published_during_a_disconnect() {
    let Some(broker) = Mosquitto::start() else { return };
    let Some(run) = cut_off(&broker, 1, "--fail-if messages.lost>0") else { return };
    let Run { finished, report, observed, log } = run;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let count = |name: &str| report.count(&format!("messages.{name}"));
    let all = (count("accepted"), count("arrived"), count("lost"), count("missed"));
    assert_eq!((all, observed), ((MESSAGES, MESSAGES, 0, 0), MESSAGES), "{report:?}");
    let note = note(&report, "lost its connection to the broker once");
    assert!(!note.contains("QoS 0") && note.contains("no message was missed"), "{note}");
    // Each connection is logged with its client id and whether its session is clean.
    let sessions: Vec<_> =
        log.lines().filter(|line| line.contains(" as loadgen-subscribe")).collect();
    let is_clean = |line: &&str| line.contains(" c1,");
    let last = sessions.last().expect("it connected");
    assert!(is_clean(last) && !is_clean(&sessions[0]), "the session is deleted: {sessions:?}");
    let id = |line: &&str| {
        line.split(" as ").nth(1).and_then(|rest| rest.split(' ').next().map(str::to_owned))
    };
    assert!(sessions.iter().all(|line| id(line) == id(last)), "one id: {sessions:?}");
}

#[test]
fn messages_dropped_by_the_brokers_queue_limit_are_missed() {
    let Some(broker) = Mosquitto::with_queue_limit(20) else { return };
    let Some(run) = cut_off(&broker, 1, "--fail-if messages.lost>0") else { return };
    let Run { finished, report, observed, .. } = run;
    assert_eq!((finished.code, observed), (Some(0), MESSAGES), "{finished:?}");
    let count = |name: &str| report.count(&format!("messages.{name}"));
    assert_eq!((count("lost"), count("arrived") + count("missed")), (0, MESSAGES), "{report:?}");
    assert!(count("missed") > 0, "{report:?}");
    let note_on_missed = note(&report, "had its queue full");
    assert!(
        note_on_missed.contains("or they were lost before they reached it"),
        "{note_on_missed}"
    );
    note(&report, "the broker dropped");
}
