//! Several processes that send one load together.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::assert_whole;
use crate::support::{Mosquitto, Recorder, Redis, Report, Service, report_of};

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
    fn run(&self, words: &str, with_redis: bool) -> [Report; 2] {
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
fn a_closed_loops_requests_are_shared_by_the_nodes() {
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
