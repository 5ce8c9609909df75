//! Servers that go in the middle of a run and come back: nothing hangs, and every message is
//! accounted for.

use serde_json::Value;

use crate::support::{Finished, JsonReport, Mosquitto, Redis, eventually, report_of};

struct Servers {
    redis: Redis,
    broker: Mosquitto,
}

impl Servers {
    fn start() -> Option<Self> {
        Some(Self { redis: Redis::start()?, broker: Mosquitto::start()? })
    }

    /// Waits until messages go all the way: each of them leaves a stamp where it arrives.
    fn await_arrivals(&self) {
        let before = self.redis.len("pushserver");
        let more = || (self.redis.len("pushserver") > before).then_some(());
        eventually("messages that arrive", more);
    }
}

/// A run of 800 messages, stamped each, and what happens to its servers meanwhile.
fn run_through(outage: impl FnOnce(&mut Servers)) -> Option<(Finished, JsonReport)> {
    let mut servers = Servers::start()?;
    let urls = format!("--redis {} --mqtt {}", servers.redis.url(), servers.broker.url());
    let words = format!("-R 200 -d 4s --drain 1s --sample 1 {urls}");
    Some(report_of(&words, |_| {
        servers.await_arrivals();
        outage(&mut servers);
    }))
}

#[track_caller]
fn assert_adds_up((finished, report): &(Finished, JsonReport)) {
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let requests = |name: &str| report.count(&format!("requests.{name}"));
    let messages = |name: &str| report.count(&format!("messages.{name}"));
    let sent = requests("sent");
    assert_eq!((requests("planned"), sent + requests("dropped")), (800, 800));
    assert_eq!(sent, requests("completed") + requests("failed") + requests("unfinished"));
    let missing = messages("lost") + messages("missed") + messages("unknown");
    assert_eq!(sent, messages("arrived") + missing);
    assert!(messages("arrived") > 0, "{report:?}");
}

#[test]
fn a_redis_restart_is_counted_by_the_refused_requests() {
    let Some(run) = run_through(|servers| {
        servers.redis.kill();
        std::thread::sleep(std::time::Duration::from_millis(200));
        servers.redis.restart();
        // The queue is served again, by connections made again.
        eventually("messages that arrive again", || {
            (servers.redis.len("apiserver") > 0 && servers.redis.len("myapp") == 0).then_some(())
        });
    }) else {
        return;
    };
    assert_adds_up(&run);
    let (_, report) = run;
    assert!(report.count("requests.status.503") > 0, "{report:?}");
    let answered = report.count("requests.status.200") + report.count("requests.status.503");
    assert_eq!(report.count("requests.completed"), answered);
    assert_eq!(report.count("messages.accepted"), report.count("requests.status.200"));
}

#[test]
fn a_broker_restart_is_noted_and_missed_messages_are_counted() {
    let Some(run) = run_through(|servers| {
        servers.broker.stop();
        servers.broker.restart();
        servers.await_arrivals();
    }) else {
        return;
    };
    assert_adds_up(&run);
    let (_, report) = run;
    assert_eq!(report.count("messages.accepted"), 800, "the api does not mind");
    let notes = report.list("verdict.notes").iter().filter_map(Value::as_str);
    assert_eq!(
        notes.filter(|note| note.contains("lost its connection to the broker once")).count(),
        1
    );
}
