//! `loadgen push`: brokers that go, come back or hang, and what becomes of the messages.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Durable, Finished, Mosquitto, Recorder, Redis, Service, eventually};

/// A push server between a Redis and a broker.
pub(super) struct Bench {
    pub(super) redis: Redis,
    pub(super) broker: Mosquitto,
    pub(super) push: Service,
}

impl Bench {
    pub(super) fn start(flags: &str) -> Option<Self> {
        Self::on(Redis::start()?, flags)
    }

    pub(super) fn on(redis: Redis, flags: &str) -> Option<Self> {
        let broker = Mosquitto::start()?;
        let servers = format!("--redis {} --mqtt {}", redis.url(), broker.url());
        let push = Service::start(&format!("push {servers} {flags}"));
        Some(Self { redis, broker, push })
    }

    /// Puts messages into the queue, as the api does.
    pub(super) fn enqueue(&self, messages: &[String]) {
        enqueue(&self.redis, messages);
    }

    pub(super) fn await_popped(&self) {
        eventually("an empty queue", || (self.redis.len("myapp") == 0).then_some(()));
    }

    /// Waits until push takes no more out of the queue for a while.
    fn await_standstill(&self) {
        let mut before = None;
        eventually("a standstill", || {
            let now = Some(self.redis.len("myapp"));
            let still = std::mem::replace(&mut before, now) == now;
            std::thread::sleep(Duration::from_millis(300));
            still.then_some(())
        });
    }

    /// Stops push, which must end in time and in good order; the queue is left.
    pub(super) fn stop(self) -> (Redis, Finished) {
        let finished = self.push.process.terminate();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(!finished.stderr.contains("without finishing"), "{finished:?}");
        (self.redis, finished)
    }
}

pub(super) fn enqueue(redis: &Redis, messages: &[String]) {
    let mut words = vec!["LPUSH", "myapp"];
    words.extend(messages.iter().map(String::as_str));
    redis.cli(&words);
}

/// Messages in the queue, the next one first.
pub(super) fn queued(redis: &Redis) -> Vec<String> {
    redis.list("myapp").into_iter().rev().collect()
}

/// Distinct messages, each with `ballast` extra bytes.
pub(super) fn messages(first: u64, count: u64, ballast: usize) -> Vec<String> {
    let ballast = "x".repeat(ballast);
    (first..first + count).map(|id| format!(r#"{{"MsgID":{id},"data":"{ballast}"}}"#)).collect()
}

/// The broker stops and starts again; what was put into the queue meanwhile is all delivered, once
/// and in order.
fn survives_a_broker_restart(flags: &str) {
    let Some(mut bench) = Bench::start(flags) else { return };
    let kept = Durable::subscribe(&bench.broker, "/channel");
    let witness = Recorder::start(&bench.broker, "/channel");
    let all = messages(1, 40, 0);
    bench.enqueue(&all[..10]);
    eventually("the first ten", || (witness.payloads().len() == 10).then_some(()));
    bench.broker.stop();
    bench.push.process.await_complaint("lost the MQTT broker");
    // In two parts: each is a batch of its own.
    bench.enqueue(&all[10..20]);
    bench.await_standstill();
    bench.enqueue(&all[20..30]);
    bench.broker.restart();
    bench.push.process.await_complaint("again");
    bench.enqueue(&all[30..]);
    assert_eq!(kept.take(&bench.broker, 40), all);
    let (redis, finished) = bench.stop();
    assert_eq!(redis.len("myapp"), 0);
    assert!(finished.stderr.contains("40 popped, 40 published"), "{finished:?}");
}

#[test]
fn a_broker_restart_loses_nothing_with_a_channel_at_qos_0() {
    survives_a_broker_restart("--coupling channel --qos 0");
}

#[test]
fn a_broker_restart_loses_nothing_with_a_channel_at_qos_1() {
    survives_a_broker_restart("--coupling channel --qos 1");
}

#[test]
fn a_broker_restart_loses_nothing_in_direct_coupling_at_qos_0() {
    survives_a_broker_restart("--coupling direct --qos 0");
}

#[test]
fn a_broker_restart_loses_nothing_in_direct_coupling_at_qos_1() {
    survives_a_broker_restart("--coupling direct --qos 1");
}

/// Stopped while the broker is away: what was popped is back in the queue, in its order.
fn gives_back_what_it_cannot_publish(flags: &str) {
    let Some(mut bench) = Bench::start(flags) else { return };
    bench.broker.stop();
    bench.push.process.await_complaint("lost the MQTT broker");
    let all = messages(1, 100, 0);
    bench.enqueue(&all[..50]);
    bench.await_standstill();
    bench.enqueue(&all[50..]);
    let (redis, _) = bench.stop();
    assert_eq!(queued(&redis), all);
}

#[test]
fn a_stop_during_a_broker_outage_returns_messages_with_a_channel() {
    gives_back_what_it_cannot_publish("--coupling channel");
}

#[test]
fn a_stop_during_a_broker_outage_returns_messages_in_direct_coupling() {
    gives_back_what_it_cannot_publish("--coupling direct");
}

#[test]
fn a_stop_during_a_broker_outage_returns_popped_messages() {
    let Some(bench) = Bench::start("--qos 1") else { return };
    // It hangs: connected, but it acknowledges nothing.
    bench.broker.signal(Signal::STOP);
    let all = messages(1, 100, 0);
    bench.enqueue(&all);
    bench.await_popped();
    let (redis, finished) = bench.stop();
    assert_eq!(queued(&redis), all);
    assert!(finished.stderr.contains("100 put back, 0 lost"), "{finished:?}");
}

/// Stopped while messages come in: each is either published or still in the queue.
fn a_stop_in_the_middle_loses_nothing(flags: &str) {
    let Some(Bench { redis, broker, push }) = Bench::start(flags) else { return };
    let witness = Recorder::start(&broker, "/channel");
    let all = messages(1, 2_000, 0);
    let finished = std::thread::scope(|scope| {
        scope.spawn(|| all.chunks(10).for_each(|some| enqueue(&redis, some)));
        let begun = || (witness.payloads().len() > 100).then_some(());
        eventually("the first messages", begun);
        push.process.terminate()
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let published = witness.ids(&broker).len();
    assert_eq!([witness.payloads(), queued(&redis)].concat(), all, "{published} were published");
}

#[test]
fn a_stop_under_load_loses_nothing_with_a_channel() {
    a_stop_in_the_middle_loses_nothing("--coupling channel");
}

#[test]
fn a_stop_under_load_loses_nothing_in_direct_coupling() {
    a_stop_in_the_middle_loses_nothing("--coupling direct");
}

#[test]
fn queued_messages_are_published_in_order() {
    for redis in [Redis::start(), Redis::without_blmpop()] {
        let Some(bench) = redis.and_then(|redis| Bench::on(redis, "")) else { return };
        let witness = Recorder::start(&bench.broker, "/channel");
        let all = messages(1, 5_000, 0);
        // At once, many times what one pop takes.
        bench.enqueue(&all);
        bench.await_popped();
        eventually("all", || (witness.payloads().len() >= all.len()).then_some(()));
        assert_eq!(witness.payloads(), all);
        let (redis, finished) = bench.stop();
        assert_eq!(redis.len("myapp"), 0);
        assert!(finished.stderr.contains("5,000 popped, 5,000 published"), "{finished:?}");
    }
}

/// A broker that hangs takes what fits into the sockets' buffers; all others are given back.
fn gives_back_what_a_hanging_broker_does_not_take(flags: &str) {
    let Some(bench) = Bench::start(flags) else { return };
    bench.broker.signal(Signal::STOP);
    // Several times what the buffers hold, and little enough to be put back in time on a full machine.
    let all = messages(1, 150, 100_000);
    // More at once make too long a command line.
    all.chunks(10).for_each(|some| bench.enqueue(some));
    bench.await_standstill();
    let (redis, finished) = bench.stop();
    let queued = queued(&redis);
    assert!(!queued.is_empty() && all.ends_with(&queued), "{} of 150", queued.len());
    assert!(finished.stderr.contains(" 0 lost"), "{finished:?}");
}

#[test]
fn a_hanging_broker_does_not_delay_the_stop_with_a_channel() {
    gives_back_what_a_hanging_broker_does_not_take("--coupling channel");
}

#[test]
fn a_hanging_broker_does_not_delay_the_stop_in_direct_coupling() {
    gives_back_what_a_hanging_broker_does_not_take("--coupling direct");
}

#[test]
fn push_recovers_after_a_redis_restart() {
    let Some(mut bench) = Bench::start("") else { return };
    let kept = Durable::subscribe(&bench.broker, "/channel");
    bench.redis.kill();
    bench.push.process.await_complaint("lost Redis");
    bench.redis.restart();
    let all = messages(1, 20, 0);
    bench.enqueue(&all);
    assert_eq!(kept.take(&bench.broker, 20), all);
}

#[test]
fn payloads_that_are_not_messages_are_still_published() {
    let Some(bench) = Bench::start("") else { return };
    let kept = Durable::subscribe(&bench.broker, "/channel");
    let all = ["news", "{}", r#"{"MsgID":-1}"#, r#"{"MsgID":100}"#].map(str::to_owned);
    bench.enqueue(&all);
    assert_eq!(kept.take(&bench.broker, 4), all);
    let (redis, _) = bench.stop();
    assert_eq!(redis.len("pushserver"), 1, "one carries a sampled id");
}
