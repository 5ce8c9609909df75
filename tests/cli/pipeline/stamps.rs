//! Stamps in Redis: who writes them, from which end they are read, and which stages come of them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use serde_json::Value;

use super::STAGES;
use crate::support::{
    JsonReport, Mosquitto, Recorder, Redis, Service, eventually, post, report_of, require_stack,
    run,
};

/// From, to and count of each row.
fn rows(report: &JsonReport) -> Vec<(String, u64)> {
    let row = |stage: &Value| {
        let text = |key: &str| stage[key].as_str().expect("a checkpoint").to_owned();
        (format!("{}-{}", text("from"), text("to")), stage["count"].as_u64().expect("a count"))
    };
    report.list("stages").iter().map(row).collect()
}

fn count_of(report: &JsonReport, stage: &str) -> Option<u64> {
    rows(report).into_iter().find(|(name, _)| name == stage).map(|(_, count)| count)
}

/// Counts of the list of a checkpoint in the report: read, joined, foreign, unreadable.
fn list_of(report: &JsonReport, checkpoint: &str) -> [u64; 4] {
    let list = report.list("stamps").iter().find(|list| list["name"] == checkpoint);
    let list = list.expect("a list of the checkpoint");
    ["read", "joined", "foreign", "unreadable"].map(|key| list[key].as_u64().expect("a count"))
}

fn notes(report: &JsonReport) -> Vec<&str> {
    report.list("verdict.notes").iter().filter_map(Value::as_str).collect()
}

/// An MQTT client under test: it stamps each message that it gets, in its own way.
struct StampingClient<'a> {
    redis: &'a Redis,
    recorder: &'a Recorder,
    stamped: usize,
    /// Command for each stamp in turn, which chooses the end of the list.
    ends: &'static [&'static str],
}

/// Ids of the run begin above those that a test stamps by itself.
fn begin_ids_at_a_million(redis: &Redis) {
    redis.cli(&["SET", "loadgen:msgid", "1000000"]);
}

impl StampingClient<'_> {
    /// Stamps received messages until `most` are stamped.
    fn stamp_up_to(&mut self, most: usize) {
        eventually("messages to stamp", || {
            let payloads = self.recorder.payloads();
            for payload in payloads.iter().skip(self.stamped).take(most - self.stamped) {
                let message: Value = serde_json::from_str(payload).expect("JSON");
                self.stamp(message["MsgID"].as_u64().expect("an id"));
            }
            (self.stamped == most).then_some(())
        });
    }

    fn stamp(&mut self, id: u64) {
        let time = self.redis.cli(&["TIME"]);
        let (seconds, micros) = time.split_once('\n').expect("two lines");
        let time = format!("{seconds}.{:0>6}", micros.trim());
        // Each writer its way: text or number, six digits or nine, at the head or at the tail.
        let time = match self.stamped % 3 {
            0 => format!("\"{time}\""),
            1 => time,
            _ => format!("\"{time}000\""),
        };
        let end = self.ends[self.stamped % self.ends.len()];
        self.redis.cli(&[end, "mqttclient", &format!("{{\"id\":{id},\"time\":{time}}}")]);
        self.stamped += 1;
    }
}

#[test]
fn stamps_at_both_ends_of_a_clients_list_are_joined() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    begin_ids_at_a_million(&redis);
    // Of earlier runs.
    let old = [r#"{"id":7,"time":"1426087754.105100"}"#; 30];
    redis.cli(&[&["RPUSH", "mqttclient"][..], &old].concat());
    let recorder = Recorder::start(&broker, "/channel");
    let words = format!(
        "-R 40 -d 6s --sample 1 --redis {} --mqtt {} --fail-if stages.api-mqttclient.p50>1m",
        redis.url(),
        broker.url()
    );
    let (finished, report) = report_of(&words, |_| {
        let ends = &["LPUSH", "RPUSH"];
        let mut client = StampingClient { redis: &redis, recorder: &recorder, stamped: 0, ends };
        client.stamp_up_to(60);
        redis.cli(&["LPUSH", "mqttclient", r#"{"id":7,"time":"1426087754.105100"}"#]);
        redis.cli(&["LPUSH", "mqttclient", r#"{"id":8,"time":"2026-11-27"}"#]);
        client.stamp_up_to(90);
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(list_of(&report, "mqttclient"), [92, 90, 1, 1]);
    assert_eq!(list_of(&report, "api"), [240, 240, 0, 0]);
    assert_eq!(count_of(&report, "api-mqttclient"), Some(90));
    for stage in ["api-arrived", "sent-arrived", "published-arrived", "sent-api"] {
        assert_eq!(count_of(&report, stage), Some(240), "{stage}");
    }
    let note = "1 of 92 stamps in the Redis list 'mqttclient' cannot be read; the first has the form \
                {\"id\":integer,\"time\":\"9999-99-99\"}";
    assert!(notes(&report).iter().any(|n| n.starts_with(note)), "{:?}", notes(&report));
    assert!(finished.stdout.contains("Stages of 1 message in 1,"), "{finished:?}");
    assert_eq!(redis.len("mqttclient"), 122, "a run writes no stamps");
}

#[test]
fn a_list_that_its_owner_trims_is_still_read() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let recorder = Recorder::start(&broker, "/channel");
    let words = format!("-R 40 -d 10s --sample 1 --redis {} --mqtt {}", redis.url(), broker.url());
    let (finished, report) = report_of(&words, |_| {
        let ends = &["LPUSH"];
        let mut client = StampingClient { redis: &redis, recorder: &recorder, stamped: 0, ends };
        for count in 1..=115 {
            client.stamp_up_to(count);
            // More than what comes between two readings.
            redis.cli(&["LTRIM", "mqttclient", "0", "99"]);
        }
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(count_of(&report, "api-mqttclient"), Some(115));
    assert_eq!(list_of(&report, "mqttclient"), [115, 115, 0, 0]);
}

#[test]
fn stamps_of_other_ids_are_not_joined_and_are_noted() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    begin_ids_at_a_million(&redis);
    let recorder = Recorder::start(&broker, "/channel");
    let words = format!("-R 40 -d 3s --sample 1 --redis {} --mqtt {}", redis.url(), broker.url());
    let (finished, report) = report_of(&words, |_| {
        eventually("a message", || recorder.payloads().first().map(|_| ()));
        for _ in 0..5 {
            redis.cli(&["LPUSH", "mqttclient", r#"{"id":7,"time":"1426087754.105100"}"#]);
        }
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(list_of(&report, "mqttclient"), [5, 0, 5, 0]);
    assert_eq!(count_of(&report, "api-mqttclient"), None);
    let note = "none of the 5 stamps in the Redis list 'mqttclient' has an id of this run";
    assert!(notes(&report).iter().any(|n| n.starts_with(note)), "{:?}", notes(&report));
}

#[test]
fn the_newest_stamp_is_at_the_head_and_each_service_writes_its_clock_bound() {
    let Some(redis) = Redis::start() else { return };
    let (api, address) = Service::api(&format!("--redis {} --sample 1", redis.url()));
    for id in 1..=20 {
        assert_eq!(post(address, format!("{{\"id\":{id}}}")).status, 200);
    }
    eventually("all stamps", || (redis.len("apiserver") == 20).then_some(()));
    let ids: Vec<_> = redis.list("apiserver").iter().map(|stamp| id_of(stamp)).collect();
    assert_eq!(ids, (1..=20).rev().collect::<Vec<_>>());
    let expires = || redis.cli(&["TTL", "loadgen:clock:api"]).parse::<i64>().ok();
    eventually("a bound that expires", || expires().filter(|s| (1..=60).contains(s)));
    assert_eq!(api.process.terminate().code, Some(0));
    let counter = "loadgen:stamps:apiserver";
    let mut left: Vec<_> = redis.cli(&["KEYS", "loadgen:*"]).lines().map(str::to_owned).collect();
    left.retain(|key| key != counter && key != "loadgen:stamps:apiserver:queued");
    assert_eq!(left, Vec::<String>::new(), "the clock's bound is gone");
    assert_eq!(redis.cli(&["GET", counter]), "20");
    let seconds = |key: &str| redis.cli(&["TTL", key]).parse::<i64>().expect("a number");
    assert!((1..=60).contains(&seconds(counter)) && seconds("apiserver") > 86_000);
}

fn id_of(stamp: &str) -> u64 {
    let stamp: Value = serde_json::from_str(stamp).expect("JSON");
    stamp["id"].as_u64().expect("an id")
}

#[test]
fn only_the_newest_stamps_are_kept() {
    let Some(redis) = Redis::start() else { return };
    let words = format!("--redis {} --sample 1 --stamps-keep 10", redis.url());
    let (api, address) = Service::api(&words);
    for id in 1..=60 {
        assert_eq!(post(address, format!("{{\"id\":{id}}}")).status, 200);
    }
    let newest = || {
        let ids: Vec<_> = redis.list("apiserver").iter().map(|stamp| id_of(stamp)).collect();
        assert!(ids.len() <= 10, "{ids:?}");
        (ids == (51..=60).rev().collect::<Vec<_>>()).then_some(())
    };
    eventually("the newest stamps", newest);
    assert_eq!(redis.cli(&["GET", "loadgen:stamps:apiserver"]), "60");
    assert_eq!(api.process.terminate().code, Some(0));
}

#[test]
fn stamps_that_were_trimmed_before_they_were_read_are_counted() {
    for stack in ["spawned", "embedded"] {
        if stack == "spawned" && !require_stack() {
            continue;
        }
        let words = format!("-R 2000 -d 2s --sample 1 --stamps-keep 10 --stack {stack}");
        let (finished, report) = report_of(&words, |_| ());
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let lists = report.list("stamps").iter().filter(|list| list["name"] != "mqttclient");
        for list in lists {
            let count = |key: &str| list[key].as_u64().expect("a count");
            assert_eq!(count("read") + count("unread"), 4_000, "{stack}: {list}");
            assert!(count("unread") > 1_000 && count("joined") == count("read"), "{stack}: {list}");
        }
        let noted =
            |note: &&str| note.contains("were gone from the Redis list 'pushserver' before");
        assert!(notes(&report).iter().any(noted), "{:?}", notes(&report));
    }
}

#[test]
fn a_redis_user_without_the_right_to_trim_still_stamps() {
    let Some(redis) = Redis::start() else { return };
    let rights = ["+@connection", "+time", "+lpush", "+llen", "+rpush", "+del", "~*"];
    redis.cli(&[&["ACL", "SETUSER", "writer", "on", ">secret"][..], &rights].concat());
    let url = redis.url().replace("redis://", "redis://writer:secret@");
    let (api, address) = Service::api(&format!("--redis {url} --sample 1 --stamps-keep 2"));
    for id in 1..=5 {
        assert_eq!(post(address, format!("{{\"id\":{id}}}")).status, 200);
    }
    eventually("all stamps", || (redis.len("apiserver") == 5).then_some(()));
    let complaint = "grow without a bound";
    api.process.await_complaint(complaint);
    let finished = api.process.terminate();
    assert_eq!(finished.stderr.matches(complaint).count(), 1, "{finished:?}");
}

#[test]
fn a_run_on_external_servers_writes_neither_stamps_nor_a_clock() {
    let (Some(queue), Some(mine)) = (Redis::start(), Redis::start()) else { return };
    let Some(broker) = Mosquitto::start() else { return };
    let (_api, address) = Service::api(&format!("--redis {}", queue.url()));
    let _push = Service::start(&format!("push --redis {} --mqtt {}", queue.url(), broker.url()));
    let words = format!(
        "http://{address}/ -m POST -R 200 -d 2s --sample 1 --redis {} --mqtt {}",
        mine.url(),
        broker.url()
    );
    let mut seen = Vec::new();
    let (finished, report) = report_of(&words, |process| {
        while process.is_running() {
            seen.extend(mine.cli(&["KEYS", "*"]).lines().map(str::to_owned));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(report.count("messages.arrived"), 400);
    // Ids are given out in Redis.
    seen.retain(|key| !key.starts_with("loadgen:msgid") && !key.starts_with("loadgen:ids"));
    assert_eq!(seen, Vec::<String>::new());
}

#[test]
fn a_separate_log_server_has_the_stamps_and_the_queue_server_the_depth() {
    let (Some(queue), Some(log)) = (Redis::start(), Redis::start()) else { return };
    let Some(broker) = Mosquitto::start() else { return };
    let subscribe = Service::start(&format!(
        "subscribe --sample 1 --log-server {} --mqtt {}",
        log.url(),
        broker.url()
    ));
    let words = format!(
        "-R 300 -d 2s --sample 1 --push-limit 200 --redis {} --log-server {} --mqtt {}",
        queue.url(),
        log.url(),
        broker.url()
    );
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let depths = report.list("series").iter().filter_map(|row| row["queue_depth"].as_u64());
    assert!(depths.max() > Some(50), "{:?}", report.list("series"));
    for (stage, _) in rows(&report) {
        assert_eq!(count_of(&report, &stage), Some(600), "{stage}");
    }
    assert_eq!(rows(&report).len(), STAGES.len() + 1, "with the other subscriber's");
    assert_eq!(subscribe.process.terminate().code, Some(0));
    assert_eq!(
        (log.len("apiserver"), log.len("pushserver"), log.len("mqttclient")),
        (600, 600, 600)
    );
    assert_eq!((queue.len("apiserver"), log.len("myapp")), (0, 0));
}

#[test]
fn a_read_only_log_server_gives_all_stages() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let rights = ["+@read", "+time", "+info", "+ping", "+hello", "+client"];
    let user = ["ACL", "SETUSER", "reader", "on", ">secret", "~*"];
    redis.cli(&[&user[..], &rights].concat());
    let (_api, address) = Service::api(&format!("--redis {} --sample 1", redis.url()));
    let push = format!("push --redis {} --mqtt {} --sample 1", redis.url(), broker.url());
    let _push = Service::start(&push);
    let words = format!(
        "http://{address}/ -m POST -R 100 -d 2s --sample 1 --mqtt {} --log-server redis://reader:secret@{}",
        broker.url(),
        redis.address()
    );
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let expected = STAGES.map(|(from, to)| (format!("{from}-{to}"), 200));
    assert_eq!(rows(&report), expected);
    assert!(!notes(&report).iter().any(|note| note.contains("cannot be read")));
    assert!(!report.json().contains("secret"));
}

#[test]
fn stages_are_reported_as_requested() {
    let Some(redis) = Redis::start() else { return };
    let words = format!(
        "-R 100 -d 1s --sample 1 --redis {} --stages popped-arrived,api-mqttclient --stages due-api \
         --fail-if stages.queued-published.p50>1m --fail-if stages.popped-arrived.count<100",
        redis.url()
    );
    if !crate::support::require("mosquitto") {
        return;
    }
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let expected = [
        ("popped-arrived", 100),
        ("api-mqttclient", 0),
        ("due-api", 100),
        ("queued-published", 100),
    ];
    let seen = rows(&report);
    let seen: Vec<_> = seen.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(seen, expected);
    assert!(report.text("run.command").contains("--stages popped-arrived,api-mqttclient,due-api"));
    for (words, part) in [
        ("--stages nosuch-api", "--stages: 'nosuch' is not a checkpoint; there are due, sent, api"),
        (
            "--stages arrived-api",
            "--stages: 'arrived-api' ends before it begins; write api-arrived",
        ),
        ("--fail-if stages.nosuch.p50>1ms", "'nosuch' is not a stage; write FROM-TO"),
        ("--fail-if stages.api-nosuch.p50>1ms", "'nosuch' is not a checkpoint"),
        ("--log-server mqtt://h", "--log-server begins with mqtt://; write redis://"),
    ] {
        let finished = run(&format!("-R 100 -d 1s {words}"));
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains(part), "{part}: {finished:?}");
    }
}

/// A proxy before a Redis whose clock can be set: it changes the seconds in each answer to `TIME`.
fn with_settable_clock(redis: &Redis, ahead: &Arc<AtomicI64>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("redis://{}", listener.local_addr().expect("it is bound"));
    let (server, ahead) = (redis.address(), Arc::clone(ahead));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&server) else { return };
            client.set_nodelay(true).expect("a socket");
            server.set_nodelay(true).expect("a socket");
            let (there, back) = (client.try_clone(), server.try_clone());
            let ahead = Arc::clone(&ahead);
            std::thread::spawn(move || copy(client, &server, |_| ()));
            std::thread::spawn(move || {
                copy(back.expect("a socket"), &there.expect("a socket"), |bytes| {
                    set_seconds(bytes, ahead.load(Relaxed));
                });
            });
        }
    });
    url
}

fn copy(mut from: TcpStream, mut to: &TcpStream, change: impl Fn(&mut [u8])) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        change(&mut bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// `*2 $10 1795759097 $6 123456`: an answer to `TIME`.
fn set_seconds(bytes: &mut [u8], ahead: i64) {
    const HEAD: &[u8] = b"*2\r\n$10\r\n";
    let ends = HEAD.len() + 10;
    if bytes.starts_with(HEAD) && bytes.get(ends..ends + 3) == Some(b"\r\n$") {
        let text = String::from_utf8_lossy(&bytes[HEAD.len()..ends]);
        let seconds = text.parse::<i64>().expect("seconds") + ahead;
        bytes[HEAD.len()..ends].copy_from_slice(seconds.to_string().as_bytes());
    }
}

#[test]
fn a_jump_of_the_redis_clock_does_not_distort_stages() {
    for jump in [100, -100] {
        let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
        let ahead = Arc::new(AtomicI64::new(0));
        let url = with_settable_clock(&redis, &ahead);
        let words = format!("-R 100 -d 8s --sample 1 --redis {url} --mqtt {}", broker.url());
        let (finished, report) = report_of(&words, |_| {
            eventually("stamps", || (redis.len("pushserver") > 100).then_some(()));
            ahead.store(jump, Relaxed);
        });
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let way = if jump > 0 { "forward" } else { "back" };
        let note = format!("the clock of Redis at {url} jumped {way} by 100.0 s about ");
        let noted = notes(&report).into_iter().filter(|n| n.starts_with(&note)).count();
        assert_eq!(noted, 1, "{:?}", notes(&report));
        assert!(notes(&report).iter().any(|n| n.contains("left out of the stages")));
        for stage in report.list("stages") {
            let (max, count) = (stage["max"].as_f64(), stage["count"].as_u64());
            assert!(max < Some(60e6), "{jump}: {stage}");
            assert!(count >= Some(200), "on both sides of the jump: {stage}");
        }
        assert_eq!(count_of(&report, "sent-answered"), Some(800));
    }
}
