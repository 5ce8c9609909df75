//! `loadgen push`: pauses and outages in which messages may be lost, and its account of them.

use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::push::{Bench, messages};
use crate::support::{Durable, eventually};

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
