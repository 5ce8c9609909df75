//! `loadgen push`: pauses and outages in which messages may be lost, and its account of them.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::push::{Bench, messages};
use crate::support::{Cutter, Durable, Finished, Mosquitto, Recorder, Redis, Service, eventually};

/// Longer than push waits for an answer of Redis before it looks why none comes.
const LONG_PAUSE: Duration = Duration::from_secs(12);

#[test]
fn a_pause_of_push_loses_nothing() {
    let Some(bench) = Bench::start("") else { return };
    let kept = Durable::subscribe(&bench.broker, "/channel");
    bench.push.process.signal(Signal::STOP);
    // Redis answers the pops that wait; the answers stay in the socket.
    let all = messages(1, 300, 0);
    bench.enqueue(&all);
    sleep(LONG_PAUSE);
    bench.push.process.signal(Signal::CONT);
    assert_eq!(kept.take(&bench.broker, 300), all);
    let (redis, finished) = bench.stop();
    assert_eq!(redis.len("myapp"), 0);
    let account =
        "300 popped, 300 published, 0 sent again, 0 put back, 0 lost, 0 dead, 0 unaccounted";
    assert!(finished.stderr.contains(account), "{finished:?}");
}

#[test]
fn a_stall_of_redis_loses_nothing() {
    let Some(bench) = Bench::start("") else { return };
    bench.push.process.signal(Signal::STOP);
    let fill = r#"for i = 1, 300000 do redis.call('LPUSH', 'myapp', '{"MsgID":' .. i .. '}') end"#;
    bench.redis.cli(&["EVAL", fill, "0"]);
    bench.push.process.signal(Signal::CONT);
    eventually("the first messages", || (bench.redis.len("myapp") < 290_000).then_some(()));
    // Pops are waiting; Redis answers them when it goes on.
    bench.redis.signal(Signal::STOP);
    sleep(LONG_PAUSE);
    bench.redis.signal(Signal::CONT);
    bench.await_popped();
    let (_, finished) = bench.stop();
    let account = "300,000 popped, 300,000 published, 0 sent again, 0 put back, 0 lost, 0 dead, 0 unaccounted";
    assert!(finished.stderr.contains(account), "{finished:?}");
}

#[test]
fn messages_that_are_lost_fail_push() {
    let Some(mut bench) = Bench::start("") else { return };
    bench.broker.stop();
    bench.push.process.await_complaint("lost the MQTT broker");
    bench.enqueue(&messages(1, 50, 0));
    bench.await_popped();
    bench.redis.kill();
    bench.push.process.await_complaint("lost Redis");
    let finished = bench.push.process.terminate();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("50 popped, 0 published"), "{finished:?}");
    assert!(finished.stderr.contains("50 lost"), "{finished:?}");
}

#[test]
fn a_bound_alone_does_not_fail_push() {
    let Some(mut bench) = Bench::start("") else { return };
    bench.redis.kill();
    bench.push.process.await_complaint("asked for from myapp did not come");
    bench.redis.restart();
    bench.push.process.await_complaint("connected to Redis");
    let finished = bench.push.process.terminate();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let bound = finished.stderr.contains("0 lost, 0 dead, up to 512 unaccounted");
    assert!(bound, "{finished:?}");
}

/// Number before a word of push's last line, `N popped, …`.
fn told(finished: &Finished, word: &str) -> u64 {
    let line = finished.stderr.lines().find(|line| line.contains(" popped, "));
    let line = line.unwrap_or_else(|| panic!("no account: {finished:?}"));
    let parts = line.trim_start_matches("loadgen: ").split(", ");
    let part = parts.into_iter().find(|part| part.ends_with(word));
    let number = part.and_then(|part| part.trim_end_matches(word).split_whitespace().last());
    number.and_then(|number| number.replace(',', "").parse().ok()).expect("a number")
}

/// Cuts connections again and again until `is_done`.
fn cut_until(cutter: &Cutter, mut is_done: impl FnMut() -> bool) {
    let mut cuts = 0;
    eventually("the end", || {
        sleep(Duration::from_millis(100));
        if cuts < 15 {
            cutter.cut();
            cutter.mend();
            cuts += 1;
            return None;
        }
        is_done().then_some(())
    });
}

const FILL: &str =
    r#"for i = 1, 60000 do redis.call('LPUSH', 'myapp', '{"MsgID":' .. i .. '}') end"#;

#[test]
fn what_cuts_of_redis_take_is_within_the_bound() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    redis.cli(&["EVAL", FILL, "0"]);
    let cutter = Cutter::start(&redis.address());
    let servers = format!("--redis redis://{} --mqtt {}", cutter.address(), broker.url());
    let push = Service::start(&format!("push {servers} --log-server {}", redis.url()));
    cut_until(&cutter, || redis.len("myapp") == 0);
    let finished = push.process.terminate();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let popped = told(&finished, "popped");
    assert_eq!(told(&finished, "published"), popped, "{finished:?}");
    let (missing, bound) = (60_000 - popped, told(&finished, "unaccounted"));
    assert!(missing <= bound, "{missing} are missing, up to {bound} unaccounted");
}

#[test]
fn what_cuts_of_the_broker_take_is_within_the_bound() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let recorder = Recorder::start(&broker, "/channel");
    redis.cli(&["EVAL", FILL, "0"]);
    let cutter = Cutter::start(&broker.address());
    let servers = format!("--redis {} --mqtt mqtt://{}", redis.url(), cutter.address());
    let push = Service::start(&format!("push {servers}"));
    cut_until(&cutter, || redis.len("myapp") == 0);
    let finished = push.process.terminate();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(told(&finished, "popped"), 60_000, "{finished:?}");
    let arrived: BTreeSet<_> = recorder.ids(&broker).into_iter().collect();
    let missing = 60_000 - arrived.len() as u64;
    let bound = told(&finished, "unaccounted") + told(&finished, "lost") + told(&finished, "dead");
    assert!(missing <= bound, "{missing} are missing, up to {bound} told");
    assert_eq!(redis.len("{myapp}:dead"), 0);
}
