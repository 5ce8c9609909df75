//! Several processes that send one load together.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::assert_whole;
use crate::support::{
    Finished, JsonReport, Mosquitto, Recorder, Redis, Service, loadgen, loadgen_with_wrong_clock,
    report_of, report_of_command, require, run,
};

/// A body that says which slot it is: number `s` of worker `w`.
const BODY: &str = r#"{"MsgID":{{msg_id}},"w":{{worker}},"s":{{seq}}}"#;

/// The servers and services that all nodes share.
struct Common {
    redis: Redis,
    broker: Mosquitto,
    recorder: Recorder,
    _services: [Service; 2],
    url: String,
}

impl Common {
    fn start() -> Option<Self> {
        let (redis, broker) = (Redis::start()?, Mosquitto::start()?);
        let (api, address) = Service::api(&format!("--redis {}", redis.url()));
        let push = format!("push --redis {} --mqtt {}", redis.url(), broker.url());
        let services = [api, Service::start(&push)];
        let recorder = Recorder::start(&broker, "/channel");
        Some(Self {
            redis,
            broker,
            recorder,
            _services: services,
            url: format!("http://{address}/"),
        })
    }

    /// Runs both of two nodes at once; with `redis` they take their ids from it.
    fn run(&self, words: &str, with_redis: bool) -> [JsonReport; 2] {
        let redis =
            if with_redis { format!("--redis {}", self.redis.url()) } else { String::new() };
        let (url, mqtt) = (&self.url, self.broker.url());
        let node = |k: u64| {
            let words =
                format!("{url} {words} -t 2 --mqtt {mqtt} {redis} --node {k}/2 --body {BODY}");
            let (finished, report) = report_of(&words, |_| ());
            assert_eq!(finished.code, Some(0), "{finished:?}");
            report
        };
        std::thread::scope(|scope| {
            let second = scope.spawn(|| node(1));
            [node(0), second.join().expect("the second node")]
        })
    }

    /// Worker and place of all that was published since `seen` messages, in order; each id once.
    fn slots(&self, seen: usize) -> Vec<(u64, u64)> {
        let ids = self.recorder.ids(&self.broker);
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "an id was given twice");
        let slot = |payload: &String| {
            let message: Value = serde_json::from_str(payload).expect("JSON");
            let field = |name: &str| message[name].as_u64().expect("a number");
            (field("w"), field("s"))
        };
        let mut slots: Vec<_> = self.recorder.payloads()[seen..].iter().map(slot).collect();
        slots.sort_unstable();
        slots
    }
}

#[test]
fn two_nodes_together_send_every_slot_once() {
    let Some(common) = Common::start() else { return };
    let mut seen = 0;
    for (arrivals, with_redis) in [("constant", true), ("poisson", false)] {
        let words = format!("-R 500 -n 501 --arrivals {arrivals} --seed 7");
        let reports = common.run(&words, with_redis);
        // Four workers: slot n is worker n mod 4's.
        let mut all: Vec<_> = (0..501).map(|n| (n % 4, n / 4)).collect();
        all.sort_unstable();
        assert_eq!(common.slots(seen), all, "{arrivals}");
        for (report, planned) in reports.iter().zip([251, 250]) {
            assert_whole(report, Some(planned));
            assert_eq!(*report.value("run.rate_target"), 250.0);
        }
        seen += all.len();
    }
}

#[test]
fn nodes_share_the_requests_of_a_closed_loop() {
    let Some(common) = Common::start() else { return };
    let reports = common.run("-n 102 -c 3", true);
    for (report, planned) in reports.iter().zip([52, 50]) {
        assert_whole(report, Some(planned));
        assert_eq!(report.count("run.connections"), 3, "connections are each node's own");
    }
    assert_eq!(common.slots(0).len(), 102);
}

#[test]
fn the_schedule_begins_at_the_agreed_time() {
    let Some(common) = Common::start() else { return };
    let soon = SystemTime::now() + Duration::from_secs(6);
    let at = humantime::format_rfc3339_seconds(soon).to_string();
    let reports = common.run(&format!("-R 100 -d 1s --start-at {at}"), true);
    for report in &reports {
        assert_whole(report, Some(50));
        assert_eq!(report.text("run.started_at"), at.replace('Z', ".000Z"));
    }
}

/// Merges two nodes' reports.
fn merge(reports: &[JsonReport; 2]) -> (Finished, Option<Value>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let names = [file("0.json"), file("1.json")];
    for (name, report) in names.iter().zip(reports) {
        std::fs::write(name, report.json()).expect("a file");
    }
    let out = file("all.json");
    let words = format!("merge --allow-limited --output {out} {}", names.join(" "));
    let finished = run(&words);
    let merged = std::fs::read_to_string(&out).ok();
    (finished, merged.map(|text| serde_json::from_str(&text).expect("JSON")))
}

#[test]
fn nodes_whose_clocks_are_two_seconds_apart_start_together_in_redis_time() {
    if !require("faketime") {
        return;
    }
    let Some(common) = Common::start() else { return };
    let soon = SystemTime::now() + Duration::from_secs(7);
    let words = |k: u64| {
        format!(
            "{} -R 200 -d 1s -t 2 --mqtt {} --redis {} --body {BODY} --node {k}/2 --start-at {}",
            common.url,
            common.broker.url(),
            common.redis.url(),
            humantime::format_rfc3339_seconds(soon)
        )
    };
    let commands = [loadgen(&words(0)), loadgen_with_wrong_clock("-2s", &words(1))];
    let reports = std::thread::scope(|threads| {
        let node = |command| threads.spawn(move || report_of_command(command, |_| ()));
        commands.map(node).map(|run| run.join().expect("a report").1)
    });
    for report in &reports {
        assert_whole(report, Some(100));
    }
    let (finished, merged) = merge(&reports);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let merged = merged.expect("a merged report");
    let parts = &merged["run"]["parts"];
    assert_eq!(parts["start_clock"], "redis");
    assert!(finished.stdout.contains("by the time of their Redis"), "{finished:?}");
    let verdict = merged["verdict"].to_string();
    assert!(!verdict.contains("started"), "they start within 10 ms: {parts} {verdict}");
}

#[test]
fn nodes_that_ran_at_different_times_are_refused_by_redis_time() {
    if !require("faketime") {
        return;
    }
    let Some(common) = Common::start() else { return };
    let words = |k: u64| {
        format!(
            "{} -R 200 -d 1s -t 2 --mqtt {} --redis {} --body {BODY} --node {k}/2",
            common.url,
            common.broker.url(),
            common.redis.url()
        )
    };
    let (_, first) = report_of_command(loadgen(&words(0)), |_| ());
    // By their own clocks they ran at the same time, more or less.
    let (_, second) = report_of_command(loadgen_with_wrong_clock("-1.5s", &words(1)), |_| ());
    let (finished, merged) = merge(&[first, second]);
    assert_eq!((finished.code, merged), (Some(2), None), "{finished:?}");
    let why = "they did not run at the same time: by the time of their Redis, node 1 began ";
    assert!(finished.stderr.contains(why), "{finished:?}");
}

#[test]
fn a_start_in_the_past_by_redis_time_is_refused() {
    let Some(redis) = Redis::start() else { return };
    let past = SystemTime::now() - Duration::from_secs(5);
    let at = humantime::format_rfc3339_seconds(past);
    let finished =
        run(&format!("http://127.0.0.1:1/ -R 10 -d 1s --redis {} --start-at {at}", redis.url()));
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("agree on a later time"), "{finished:?}");
}
