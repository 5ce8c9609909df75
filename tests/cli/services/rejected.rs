//! `loadgen push` and messages that the broker does not take; `loadgen dead`.

use crate::support::{
    Durable, Misbehaviour, Mosquitto, Redis, ScriptedBroker, Service, eventually, run,
};

use super::push::{enqueue, messages};

/// Key of the rejected messages.
const DEAD: &str = "{myapp}:dead";
/// Text in a message that the scripted broker closes the connection on.
const BAD: &str = "not for you";

fn start(redis: &Redis, broker: &str, flags: &str) -> Service {
    Service::start(&format!("push --redis {} --mqtt {broker} {flags}", redis.url()))
}

/// A message that the scripted broker does not take.
fn bad(id: u64) -> String {
    format!(r#"{{"MsgID":{id},"data":"{BAD}"}}"#)
}

fn await_dead(redis: &Redis, count: u64) {
    eventually("the rejected messages", || (redis.len(DEAD) == count).then_some(()));
}

/// One of five messages is larger than the broker takes. It says so by MQTT 5.
fn sets_aside_what_is_too_large(flags: &str) {
    let Some(redis) = Redis::start() else { return };
    let Some(broker) = Mosquitto::with_packet_limit(1_000) else { return };
    let kept = Durable::subscribe(&broker, "/channel");
    let push = start(&redis, &broker.url(), flags);
    let mut all = messages(1, 5, 0);
    all[1] = messages(2, 1, 5_000).remove(0);
    enqueue(&redis, &all);
    let rejected = all.remove(1);
    assert_eq!(kept.take(&broker, 4), all);
    await_dead(&redis, 1);
    assert_eq!(redis.list(DEAD), [rejected]);
    let finished = push.process.terminate();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for part in [
        "message with MsgID 2 (5,021 bytes) is not published: the broker or --max-message takes",
        "5 popped, 4 published, 0 sent again, 0 put back, 0 lost, 1 dead, 0 unaccounted",
    ] {
        assert!(finished.stderr.contains(part), "{part}: {finished:?}");
    }
}

#[test]
fn a_message_above_the_brokers_limit_is_set_aside_at_qos_0() {
    sets_aside_what_is_too_large("--qos 0");
}

#[test]
fn a_message_above_the_brokers_limit_is_set_aside_at_qos_1() {
    sets_aside_what_is_too_large("--qos 1 --coupling direct");
}

#[test]
fn a_message_above_max_message_is_set_aside() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let push = start(&redis, &broker.url(), "--max-message 1K");
    enqueue(&redis, &[messages(1, 1, 1_100), messages(2, 1, 100)].concat());
    await_dead(&redis, 1);
    let finished = push.process.terminate();
    assert!(finished.stderr.contains("takes 1,024 bytes at most"), "{finished:?}");
    assert!(finished.stderr.contains("2 popped, 1 published"), "{finished:?}");
}

/// Messages are few enough to be sent one at a time within the limit of a test.
#[test]
fn a_message_that_the_broker_closes_on_is_found_at_qos_1() {
    let Some(redis) = Redis::start() else { return };
    let broker = ScriptedBroker::start(Misbehaviour::ClosesOn(BAD));
    let mut all = messages(1, 400, 0);
    all[1] = bad(2);
    all[300] = bad(301);
    enqueue(&redis, &all);
    let push = start(&redis, &broker.url(), "--qos 1");
    await_dead(&redis, 2);
    all.retain(|message| !message.contains(BAD));
    eventually("the others", || {
        let taken = broker.payloads();
        all.iter().all(|message| taken.contains(message)).then_some(())
    });
    let finished = push.process.terminate();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("400 popped, 398 published"), "{finished:?}");
    assert!(finished.stderr.contains("0 put back, 0 lost, 2 dead"), "{finished:?}");
    assert!(finished.stderr.contains("MsgID 301 (34 bytes) is not published"), "{finished:?}");
    assert!(finished.stderr.lines().count() < 60, "{finished:?}");
}

#[test]
fn a_message_that_the_broker_closes_on_is_found_at_qos_0() {
    let Some(redis) = Redis::start() else { return };
    let broker = ScriptedBroker::start(Misbehaviour::ClosesOn(BAD));
    let push = start(&redis, &broker.url(), "");
    // QoS 0 loses what was in flight at a close. push says how much that may be.
    for connections in 1..=2 {
        eventually("a connection", || (broker.accepted() == connections).then_some(()));
        enqueue(&redis, &[bad(connections as u64)]);
    }
    eventually("a connection", || (broker.accepted() == 3).then_some(()));
    let all = messages(10, 50, 0);
    enqueue(&redis, &[&all[..20], &[bad(3)], &all[20..]].concat());
    await_dead(&redis, 1);
    eventually("the others", || (broker.payloads().len() == all.len()).then_some(()));
    assert_eq!(broker.payloads(), all);
    assert_eq!(redis.list(DEAD), [bad(3)]);
    let finished = push.process.terminate();
    let account = "53 popped, 52 published, 2 sent again, 0 put back, 0 lost, 1 dead, up to 2";
    assert!(finished.stderr.contains(account), "{finished:?}");
    let told = "up to 1 of the messages that it was sent at QoS 0 may be lost";
    assert!(finished.stderr.contains(told), "{finished:?}");
}

#[test]
fn restarts_of_the_broker_are_no_fault_of_a_message() {
    let (Some(redis), Some(mut broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let push = start(&redis, &broker.url(), "--qos 1");
    for restart in 0..20 {
        for some in messages(1_000 * restart, 1_000, 0).chunks(50) {
            enqueue(&redis, some);
        }
        broker.restart();
    }
    eventually("an empty queue", || (redis.len("myapp") == 0).then_some(()));
    let finished = push.process.terminate();
    assert_eq!(redis.len(DEAD), 0);
    let account = "20,000 popped, 20,000 published";
    assert!(finished.stderr.contains(account), "{finished:?}");
    assert!(finished.stderr.contains("0 lost, 0 dead"), "{finished:?}");
}

#[test]
fn rejected_messages_are_listed_and_put_back() {
    let Some(redis) = Redis::start() else { return };
    for id in 1..=3 {
        redis.cli(&["LPUSH", DEAD, &format!(r#"{{"MsgID":{id}}}"#)]);
    }
    redis.cli(&["LPUSH", "myapp", "first"]);
    let listed = run(&format!("dead list --redis {}", redis.url()));
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let lines: Vec<_> = listed.stdout.lines().collect();
    assert_eq!(lines[0], "3 rejected messages in {myapp}:dead");
    assert_eq!(lines[1], r#"MsgID 1, 11 bytes: {"MsgID":1}"#);
    assert_eq!(lines.len(), 4);
    let moved = run(&format!("dead requeue --most 2 --redis {}", redis.url()));
    assert_eq!(moved.stdout, "2 messages moved to the end of myapp\n", "{moved:?}");
    assert_eq!(redis.list("myapp"), [r#"{"MsgID":2}"#, r#"{"MsgID":1}"#, "first"]);
    assert_eq!(redis.list(DEAD), [r#"{"MsgID":3}"#]);
}

#[test]
fn the_list_of_rejected_messages_is_bounded() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let fill = r"for i = 1, 9999 do redis.call('LPUSH', KEYS[1], i) end";
    redis.cli(&["EVAL", fill, "1", DEAD]);
    let push = start(&redis, &broker.url(), "--max-message 10");
    enqueue(&redis, &messages(1, 3, 0));
    push.process.await_complaint("2 rejected messages lost");
    assert_eq!(redis.len(DEAD), 10_000);
    let finished = push.process.terminate();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("2 lost, 1 dead"), "{finished:?}");
}
