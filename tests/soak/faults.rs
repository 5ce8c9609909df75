//! Faults, one in a pipeline of its own: true losses beside told ones.

use std::sync::Mutex;
use std::thread::{self, sleep};
use std::time::Duration;

use rustix::process::Signal;

use super::link::{Edit, Link};
use super::pipeline::{Load, Outcome, Pipeline, head};
use super::support::{LIMIT, Misbehaviour, Mosquitto, Redis, ScriptedBroker, eventually, post};

/// Pipelines at a time. Most of the time they wait.
const AT_A_TIME: usize = 4;
/// Longer than push waits for an answer of Redis before it looks why none comes.
const LONG: Duration = Duration::from_millis(12_500);
/// The time of a short fault.
const SHORT: Duration = Duration::from_millis(1_500);

/// Largest packet of a broker that takes the messages of the load, and not [`send_large_message`]'s.
const PACKET_LIMIT: u64 = 4_000;

/// A fault.
struct Fault {
    name: &'static str,
    qos: u8,
    /// Does it while the generator sends.
    act: fn(&mut Pipeline),
}

impl Fault {
    const fn at_qos_0(name: &'static str, act: fn(&mut Pipeline)) -> Self {
        Self { name, qos: 0, act }
    }

    const fn at_qos_1(name: &'static str, act: fn(&mut Pipeline)) -> Self {
        Self { name, qos: 1, act }
    }
}

/// Faults that CI plays, the longest first.
const QUICK: &[Fault] = &[
    Fault::at_qos_0("Redis SIGSTOP 12.5 s while draining", pause_redis_in_backlog),
    Fault::at_qos_0("push kill -9", Pipeline::kill_push),
    Fault::at_qos_1("push kill -9 while draining", kill_push_in_backlog),
    Fault::at_qos_1("push SIGTERM while the broker is away", restart_push_without_broker),
    Fault::at_qos_0("Redis fails over (READONLY)", fail_over),
    Fault::at_qos_0("push - Redis reset within an answer, 10 times", break_answers),
    Fault::at_qos_0("push gets one -ERR syntax error", syntax_error),
    Fault::at_qos_0("push - MQTT frozen, then cut", swallow_publishes),
    Fault::at_qos_0("generator - MQTT cut, 10 times", cut_subscriber),
    Fault::at_qos_1("mosquitto kill -9", kill_broker),
    Fault::at_qos_0("a broker that closes after CONNACK", close_after_connack),
    Fault::at_qos_0("a message above the broker's packet limit", send_large_message),
    Fault::at_qos_1("a message above the broker's packet limit", send_large_message),
];

/// The other faults.
const MORE: &[Fault] = &[
    Fault::at_qos_0("none", |_| {}),
    Fault::at_qos_0("push SIGSTOP 12.5 s", pause_push),
    Fault::at_qos_1("push kill -9", Pipeline::kill_push),
    Fault::at_qos_0("push SIGTERM", Pipeline::restart_push),
    Fault::at_qos_1("push SIGTERM", Pipeline::restart_push),
    Fault::at_qos_0("api SIGSTOP", pause_api),
    Fault::at_qos_0("Redis kill -9 with AOF", kill_redis),
    Fault::at_qos_0("Redis out of memory", fill_redis),
    Fault::at_qos_0("Redis CLIENT KILL, 5 times", kill_clients),
    Fault::at_qos_0("push - Redis cut, 10 times", cut_pops),
    Fault::at_qos_0("push - Redis frozen, then cut", swallow_pops),
    Fault::at_qos_0("push gets one -ERR unknown command", unknown_command),
    Fault::at_qos_0("api - Redis cut, 10 times", cut_api),
    Fault::at_qos_0("push - MQTT cut, 10 times", cut_publishes),
    Fault::at_qos_1("push - MQTT cut, 10 times", cut_publishes),
    Fault::at_qos_1("push - MQTT frozen, then cut", swallow_publishes),
    Fault::at_qos_0("push - MQTT +50 ms", delay_publishes),
    Fault::at_qos_1("generator - MQTT cut, 10 times", cut_subscriber),
    Fault::at_qos_0("mosquitto kill -9", kill_broker),
    Fault::at_qos_0("mosquitto SIGTERM", restart_broker),
    Fault::at_qos_1("mosquitto SIGTERM", restart_broker),
    Fault::at_qos_0("mosquitto SIGSTOP", pause_broker),
    Fault::at_qos_1("mosquitto SIGSTOP", pause_broker),
    Fault::at_qos_1("a broker that closes after CONNACK", close_after_connack),
];

/// A fault of the soak.
#[derive(Clone, Copy)]
pub(crate) struct RandomFault {
    pub(crate) name: &'static str,
    pub(crate) act: fn(&mut Pipeline),
}

impl RandomFault {
    const fn new(name: &'static str, act: fn(&mut Pipeline)) -> Self {
        Self { name, act }
    }
}

/// Faults of at most a few seconds.
pub(crate) const RANDOM: &[RandomFault] = &[
    RandomFault::new("push kill -9", Pipeline::kill_push),
    RandomFault::new("push SIGTERM", Pipeline::restart_push),
    RandomFault::new("api SIGSTOP", pause_api),
    RandomFault::new("Redis kill -9", kill_redis),
    RandomFault::new("Redis out of memory", fill_redis),
    RandomFault::new("Redis CLIENT KILL", kill_clients),
    RandomFault::new("push - Redis cut", cut_pops),
    RandomFault::new("push - Redis reset within an answer", break_answers),
    RandomFault::new("push - Redis frozen, then cut", swallow_pops),
    RandomFault::new("push gets one -ERR", syntax_error),
    RandomFault::new("api - Redis cut", cut_api),
    RandomFault::new("push - MQTT cut", cut_publishes),
    RandomFault::new("push - MQTT frozen, then cut", swallow_publishes),
    RandomFault::new("push - MQTT +50 ms", delay_publishes),
    RandomFault::new("generator - MQTT cut", cut_subscriber),
    RandomFault::new("mosquitto kill -9", kill_broker),
    RandomFault::new("mosquitto SIGTERM", restart_broker),
    RandomFault::new("mosquitto SIGSTOP", pause_broker),
    RandomFault::new("a broker that closes after CONNACK", close_after_connack),
];

/// Faults of more than ten seconds.
pub(crate) const RANDOM_LONG: &[RandomFault] = &[
    RandomFault::new("push SIGSTOP 12.5 s", pause_push),
    RandomFault::new("Redis SIGSTOP 12.5 s while draining", pause_redis_in_backlog),
];

#[test]
fn each_missing_message_is_told() {
    play_all(QUICK);
}

#[test]
#[ignore = "takes minutes"]
fn each_missing_message_is_told_in_more_faults() {
    play_all(MORE);
}

/// Plays faults and prints a line of a table for each. `LOADGEN_SOAK_ONLY` selects them by a part of their name.
fn play_all(faults: &[Fault]) {
    let only = std::env::var("LOADGEN_SOAK_ONLY").unwrap_or_default();
    let waiting = Mutex::new(faults.iter().filter(|fault| fault.name.contains(&only)));
    let wrong = Mutex::new(Vec::new());
    println!("{}", head());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no panic").next();
                    let Some(found) = next.and_then(play_and_print) else { return };
                    wrong.lock().expect("no panic").extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with the account of a fault; `None` if it was skipped.
fn play_and_print(fault: &Fault) -> Option<Vec<String>> {
    let name = format!("{}, QoS {}", fault.name, fault.qos);
    let outcome = play(fault)?;
    println!("{}", outcome.row(&name));
    Some(outcome.faults().into_iter().map(|text| format!("{name}: {text}")).collect())
}

/// Does a fault after a second of load.
fn play(fault: &Fault) -> Option<Outcome> {
    let rate = super::soak::variable("LOADGEN_SOAK_RATE").unwrap_or(2_000);
    let broker = if fault.name.contains("packet limit") {
        Mosquitto::with_packet_limit(PACKET_LIMIT)
    } else {
        Mosquitto::start()
    };
    let mut pipeline = Pipeline::with_broker(Load { rate, seconds: 3, qos: fault.qos }, broker?)?;
    if fault.name.contains("AOF") {
        pipeline.persist_redis();
    }
    pipeline.generate();
    pipeline.await_observed(rate / 2);
    (fault.act)(&mut pipeline);
    Some(pipeline.finish(LIMIT))
}

fn pause_push(pipeline: &mut Pipeline) {
    pause(LONG, |signal| pipeline.push.process.signal(signal));
}

fn pause_api(pipeline: &mut Pipeline) {
    pause(SHORT, |signal| pipeline.api.process.signal(signal));
}

fn pause_broker(pipeline: &mut Pipeline) {
    pause(SHORT, |signal| pipeline.broker.signal(signal));
}

fn pause(time: Duration, signal: impl Fn(Signal)) {
    signal(Signal::STOP);
    sleep(time);
    signal(Signal::CONT);
}

/// Stops push until the queue has messages, and lets it go on. Returns after it popped some.
fn make_backlog(pipeline: &Pipeline) {
    pipeline.push.process.signal(Signal::STOP);
    let most = pipeline.load.rate * 3 / 2;
    eventually("a backlog", || (pipeline.redis.len("myapp") > most).then_some(()));
    pipeline.push.process.signal(Signal::CONT);
    eventually("pops", || (pipeline.redis.len("myapp") < most).then_some(()));
}

fn pause_redis_in_backlog(pipeline: &mut Pipeline) {
    make_backlog(pipeline);
    pause(LONG, |signal| pipeline.redis.signal(signal));
}

fn kill_push_in_backlog(pipeline: &mut Pipeline) {
    make_backlog(pipeline);
    pipeline.kill_push();
}

fn restart_push_without_broker(pipeline: &mut Pipeline) {
    pipeline.broker.stop();
    sleep(SHORT / 3);
    let stopped = &pipeline.push.process;
    stopped.signal(Signal::TERM);
    eventually("the end of push", || stopped.stderr().contains(" unaccounted").then_some(()));
    pipeline.broker.restart();
    pipeline.restart_push();
}

fn cut_pops(pipeline: &mut Pipeline) {
    cut_often(&pipeline.push_redis);
}

fn swallow_pops(pipeline: &mut Pipeline) {
    pipeline.push_redis.swallow_for(SHORT);
}

fn cut_api(pipeline: &mut Pipeline) {
    cut_often(&pipeline.api_redis);
}

fn cut_publishes(pipeline: &mut Pipeline) {
    cut_often(&pipeline.push_mqtt);
}

fn swallow_publishes(pipeline: &mut Pipeline) {
    pipeline.push_mqtt.swallow_for(SHORT);
}

fn delay_publishes(pipeline: &mut Pipeline) {
    pipeline.push_mqtt.delay_for(SHORT / 30, SHORT);
}

fn cut_subscriber(pipeline: &mut Pipeline) {
    cut_often(&pipeline.generator_mqtt);
}

fn kill_broker(pipeline: &mut Pipeline) {
    pipeline.broker.restart();
}

fn kill_redis(pipeline: &mut Pipeline) {
    pipeline.redis.restart();
}

fn fill_redis(pipeline: &mut Pipeline) {
    pipeline.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    sleep(SHORT);
    pipeline.redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
}

fn fail_over(pipeline: &mut Pipeline) {
    let Some(next) = Redis::start() else { return };
    let old = &pipeline.redis;
    let address = |redis: &Redis| redis.address().replace(':', " ");
    let master = address(old);
    let [host, port]: [&str; 2] = split(&master);
    next.cli(&["REPLICAOF", host, port]);
    let is_replica = || old.cli(&["INFO", "replication"]).contains("state=online").then_some(());
    eventually("the replica", is_replica);
    let replica = address(&next);
    let [host, port] = split(&replica);
    old.cli(&["FAILOVER", "TO", host, port]);
    let is_done = || next.cli(&["ROLE"]).starts_with("master").then_some(());
    eventually("the failover", is_done);
    pipeline.api_redis.lead_to(&next.address());
    pipeline.push_redis.lead_to(&next.address());
    pipeline.redis = next;
}

fn split(address: &str) -> [&str; 2] {
    let (host, port) = address.split_once(' ').expect("host and port");
    [host, port]
}

fn kill_clients(pipeline: &mut Pipeline) {
    for _ in 0..5 {
        pipeline.redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        sleep(SHORT / 5);
    }
}

fn cut_often(link: &Link) {
    for _ in 0..10 {
        link.cut();
        sleep(SHORT / 10);
    }
}

fn break_answers(pipeline: &mut Pipeline) {
    for _ in 0..10 {
        edit(pipeline, Edit::BreakAnswer);
        sleep(SHORT / 10);
    }
}

fn unknown_command(pipeline: &mut Pipeline) {
    edit(pipeline, Edit::Rewrite("BLMPOP", "BLMPOX"));
}

fn syntax_error(pipeline: &mut Pipeline) {
    edit(pipeline, Edit::Rewrite("RIGHT", "RIGHX"));
}

fn edit(pipeline: &Pipeline, edit: Edit) {
    pipeline.push_redis.edit(edit);
    eventually("traffic to edit", || pipeline.push_redis.is_edited().then_some(()));
}

/// Sends one message that the broker does not take, with an id that the load does not use.
fn send_large_message(pipeline: &mut Pipeline) {
    let Load { rate, seconds, .. } = pipeline.load;
    let (id, filling) = (rate * seconds + 1_000, "x".repeat(PACKET_LIMIT as usize));
    let answer = post(pipeline.tap.address(), format!(r#"{{"MsgID":{id},"data":"{filling}"}}"#));
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn restart_broker(pipeline: &mut Pipeline) {
    pipeline.broker.stop();
    pipeline.broker.restart();
}

fn close_after_connack(pipeline: &mut Pipeline) {
    let closing = ScriptedBroker::start(Misbehaviour::ClosesAtOnce);
    let url = closing.url();
    pipeline.push_mqtt.lead_to(url.trim_start_matches("mqtt://"));
    pipeline.push_mqtt.cut();
    sleep(SHORT);
    pipeline.push_mqtt.lead_to(&pipeline.broker.address());
    // Pauses double from 20 ms to 1 s.
    assert!((1..60).contains(&closing.accepted()), "{} connections", closing.accepted());
}
