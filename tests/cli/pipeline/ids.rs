//! MsgIDs: where a request may carry one, and whose they are.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::support::{
    JsonReport, Mosquitto, Recorder, Redis, Service, eventually, report_of, require_stack, run,
};

/// A service that takes the id from the header `X-Request-Id`, else from the last part of the path,
/// publishes it as `{"request_id":N}`, and drops every tenth message.
struct CopyingApi {
    address: SocketAddr,
    publisher: Child,
}

/// The number of requests so far, and where messages go.
struct Publishing {
    requests: u64,
    lines: ChildStdin,
}

impl CopyingApi {
    fn start(broker: &Mosquitto) -> Self {
        let mut command = broker.client("mosquitto_pub");
        command.args(["-l", "-q", "1", "-t", "/channel"]).stdin(Stdio::piped());
        let mut publisher = command.spawn().expect("mosquitto_pub starts");
        let lines = publisher.stdin.take().expect("a pipe was asked for");
        let publishing = Arc::new(Mutex::new(Publishing { requests: 0, lines }));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let publishing = Arc::clone(&publishing);
                thread::spawn(move || serve(stream, &publishing));
            }
        });
        Self { address, publisher }
    }
}

impl Drop for CopyingApi {
    fn drop(&mut self) {
        let _ = self.publisher.kill();
        let _ = self.publisher.wait();
    }
}

fn serve(mut stream: TcpStream, publishing: &Mutex<Publishing>) {
    let (mut text, mut chunk) = (String::new(), [0; 65_536]);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        text += std::str::from_utf8(&chunk[..count]).expect("these tests send text");
        while let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length =
                field(head, "Content-Length").map_or(0, |length| length.parse().expect("a number"));
            let Some(next) = rest.get(length..) else { break };
            let path = head.split(' ').nth(1).expect("a path");
            let id = field(head, "X-Request-Id").or(path.rsplit('/').next()).expect("an id");
            publish(publishing, id);
            text = next.to_owned();
            if stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn publish(publishing: &Mutex<Publishing>, id: &str) {
    let mut publishing = publishing.lock().unwrap_or_else(PoisonError::into_inner);
    publishing.requests += 1;
    if !publishing.requests.is_multiple_of(10) {
        writeln!(publishing.lines, "{{\"request_id\":{id}}}").expect("mosquitto_pub reads");
    }
}

#[track_caller]
pub(super) fn assert_messages(report: &JsonReport, counts: &[(&str, u64)]) {
    for (name, count) in counts {
        assert_eq!(report.count(&format!("messages.{name}")), *count, "{name}: {report:?}");
    }
}

fn notes(report: &JsonReport) -> Vec<&str> {
    report.list("verdict.notes").iter().filter_map(|note| note.as_str()).collect()
}

#[test]
fn a_loss_is_found_with_the_id_in_a_header_or_the_url() {
    let Some(broker) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let profile = folder.path().join("mix.toml");
    let common = "id-field = 'request_id'\nbody = '{\"target\":\"dev\"}'\n";
    let mix = "[[request]]\nname = 'header'\nheader = ['X-Request-Id: {{msg_id}}']\n\
               [[request]]\nname = 'url'\npath = '/messages/{{msg_id}}'\n";
    let one = "header = ['X-Request-Id: {{msg_id}}']\n";
    for (requests, kind) in [(mix, "mix"), (one, "one request")] {
        let api = CopyingApi::start(&broker);
        fs::write(&profile, format!("{common}{requests}")).expect("written");
        let words = format!(
            "http://{}/ --mqtt {} --profile {} -R 300 -n 600 --drain 2s --fail-if messages.lost>0",
            api.address,
            broker.url(),
            profile.display()
        );
        let (finished, report) = report_of(&words, |_| ());
        assert_eq!(finished.code, Some(99), "{kind}: {finished:?}");
        assert_messages(&report, &[("accepted", 600), ("arrived", 540), ("lost", 60)]);
        assert!(!notes(&report).iter().any(|note| note.contains("msg_id")), "{report:?}");
    }
}

#[test]
fn the_default_body_contains_the_id_field() {
    if !require_stack() {
        return;
    }
    let (finished, report) = report_of("--id-field order -R 100 -d 1s", |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(report.count("requests.status.200"), 100);
    assert_messages(&report, &[("accepted", 100), ("arrived", 100), ("lost", 0)]);
}

#[test]
fn requests_without_an_id_are_not_messages_and_are_noted_before_the_run() {
    let Some(broker) = Mosquitto::start() else { return };
    let api = CopyingApi::start(&broker);
    let words = format!("http://{}/x --mqtt {} -b hello -n 50 -c 2", api.address, broker.url());
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(report.count("requests.status.202"), 50);
    assert_messages(&report, &[("accepted", 0), ("arrived", 0), ("lost", 0), ("unknown", 0)]);
    assert_messages(&report, &[("unexpected", 45)]);
    assert_eq!((report.count("arrival.count"), report.value("arrival.p50").is_null()), (0, true));
    let said = "{{msg_id}} is not in the body, a header or the URL of any request";
    assert!(notes(&report).iter().any(|note| note.starts_with(said)), "{report:?}");
    assert!(finished.stderr.contains(said), "{finished:?}");
}

/// An api on this Redis, and its URL.
fn api_on(redis: &Redis) -> (Service, String) {
    let (api, address) = Service::api(&format!("--redis {}", redis.url()));
    (api, format!("http://{address}/"))
}

fn push_on(redis: &Redis, broker: &Mosquitto) -> Service {
    Service::start(&format!("push --redis {} --mqtt {}", redis.url(), broker.url()))
}

/// A run whose 400 messages wait in the queue, and what is to happen when they do.
fn run_of_400(
    url: &str,
    redis: &Redis,
    broker: &Mosquitto,
    meanwhile: impl FnOnce(),
) -> JsonReport {
    let (queue, mqtt) = (redis.url(), broker.url());
    let words = format!("{url} --redis {queue} --mqtt {mqtt} -c 2 -n 400 --drain 12s");
    let (_, report) = report_of(&words, |_| {
        eventually("400 messages in the queue", || (redis.len("myapp") == 400).then_some(()));
        meanwhile();
    });
    report
}

#[test]
fn a_run_on_another_redis_does_not_hide_a_loss() {
    let (Some(own), Some(other), Some(broker)) =
        (Redis::start(), Redis::start(), Mosquitto::start())
    else {
        return;
    };
    let ((_own_api, url), (_other_api, other_url)) = (api_on(&own), api_on(&other));
    let _push = push_on(&other, &broker);
    let report = run_of_400(&url, &own, &broker, || {
        let (queue, mqtt) = (other.url(), broker.url());
        let words = format!("{other_url} --redis {queue} --mqtt {mqtt} -c 2 -n 400");
        let (finished, report) = report_of(&words, |_| ());
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_messages(&report, &[("arrived", 400), ("lost", 0), ("foreign", 0)]);
    });
    assert_messages(&report, &[("accepted", 400), ("arrived", 0), ("lost", 400)]);
    assert_messages(&report, &[("duplicated", 0), ("unexpected", 400), ("foreign", 400)]);
    assert_eq!(own.len("myapp"), 400);
}

#[test]
fn a_run_after_a_restart_of_redis_does_not_hide_a_loss() {
    let (Some(mut redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let (queue, mqtt) = (redis.url(), broker.url());
    let (_api, url) = api_on(&redis);
    let words = format!("{url} --redis {queue} --mqtt {mqtt} -c 2 -n 400");
    let (_, report) = report_of(&format!("{words} --drain 15s"), |_| {
        eventually("400 messages in the queue", || (redis.len("myapp") == 400).then_some(()));
        redis.restart();
        let _push = push_on(&redis, &broker);
        let (_, second) = report_of(&format!("{words} --drain 2s"), |_| ());
        assert!(second.count("messages.arrived") > 0, "{second:?}");
        assert_messages(&second, &[("foreign", 0), ("duplicated", 0)]);
    });
    assert_messages(&report, &[("accepted", 400), ("arrived", 0), ("lost", 400)]);
    let foreign = report.count("messages.foreign");
    assert!(foreign > 0 && foreign == report.count("messages.unexpected"), "{report:?}");
}

#[test]
fn ids_are_reserved_in_redis_while_runs_last_and_old_counters_are_left_alone() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    redis.cli(&["SET", "loadgen:msgid", "5"]);
    let recorder = Recorder::start(&broker, "/channel");
    let (queue, mqtt) = (redis.url(), broker.url());
    let field = |name: &str| redis.cli(&["HGET", "loadgen:ids", name]).parse::<u64>().ok();
    let words = format!("-R 100 -d 4s --redis {queue} --mqtt {mqtt}");
    let (finished, _) = report_of(&words, |_| {
        eventually("a reservation", || field("runs").filter(|runs| *runs == 1));
        let end = field("next").expect("a number");
        let (second, _) = report_of(&format!("-n 20 -c 1 --redis {queue} --mqtt {mqtt}"), |_| {
            eventually("another reservation", || field("next").filter(|next| *next > end));
            let left: u64 = redis.cli(&["TTL", "loadgen:ids"]).parse().expect("an expiry");
            assert!((80_000..100_000).contains(&left), "{left}");
        });
        assert_eq!(second.code, Some(0), "{second:?}");
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(redis.cli(&["EXISTS", "loadgen:ids"]), "0", "the last run removes the key");
    assert_eq!(redis.cli(&["GET", "loadgen:msgid"]), "5");
    let ids = recorder.ids(&broker);
    assert_eq!(ids.len(), 420);
    assert!(ids.iter().all(|id| id.to_string().len() == 16), "{ids:?}");
}

#[test]
fn a_redis_user_with_few_rights_is_enough() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let (_api, url) = api_on(&redis);
    let _push = push_on(&redis, &broker);
    let read = ["+@read", "+time", "+info", "+ping"];
    let without_time = ["+@read", "+info", "+ping"];
    let users = [("reader", &read[..]), ("untimed", &without_time), ("nobody", &[])];
    for (user, rights) in users {
        redis.cli(&[&["ACL", "SETUSER", user, "on", ">pw", "~*"], rights].concat());
        let queue = redis.url().replace("redis://", &format!("redis://{user}:pw@"));
        let words = format!("{url} --redis {queue} --mqtt {} -R 200 -n 300", broker.url());
        let (finished, report) = report_of(&words, |_| ());
        assert_eq!(finished.code, Some(0), "{user}: {finished:?}");
        assert_messages(&report, &[("accepted", 300), ("arrived", 300), ("lost", 0)]);
        assert_eq!(redis.cli(&["EXISTS", "loadgen:ids"]), "0");
        let depths = report.list("series").iter().filter(|row| row["queue_depth"].is_u64());
        let denied: Vec<_> =
            notes(&report).into_iter().filter(|note| note.contains("may not run")).collect();
        if user == "reader" {
            assert!(depths.count() > 0 && denied.is_empty(), "{report:?}");
        } else if user == "untimed" {
            assert!(depths.count() > 0, "{report:?}");
            // Not one about a clock that was set, nor one about the queue depth.
            let [note] = &notes(&report)[..] else { panic!("one note: {report:?}") };
            let all = "may not run TIME, so the report lacks the stages of services' stamps; grant";
            assert!(note.contains(all), "{note}");
        } else {
            assert_eq!((depths.count(), denied.len()), (0, 1), "{report:?}");
            assert_eq!(notes(&report).len(), 2, "one more about the stamps: {report:?}");
            let all = ["LLEN of the queue", "TIME", "INFO", "ACL SETUSER"];
            assert!(all.iter().all(|part| denied[0].contains(part)), "{denied:?}");
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let profile = folder.path().join("r.toml");
    let queue = redis.url().replace("redis://", "redis://reader:pw@");
    let text = format!("url = '{url}'\nredis = '{queue}'\nclear = true\nrequests = 5\n");
    fs::write(&profile, text).expect("written");
    let finished = run(&format!("ramp {} --allow-limited", profile.display()));
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let said = format!("{}{}", finished.stdout, finished.stderr);
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words.matches("no permissions").count(), 1, "said once: {said}");
}

#[test]
fn a_queue_key_that_is_not_a_list_is_noted() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let (_api, url) = api_on(&redis);
    let _push = push_on(&redis, &broker);
    redis.cli(&["XADD", "events", "*", "a", "b"]);
    let servers = format!("--redis {} --mqtt {}", redis.url(), broker.url());
    let words = format!("{url} {servers} --queue events -R 100 -d 1s");
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let [note] = &notes(&report)[..] else { panic!("one note: {report:?}") };
    assert!(note.starts_with("'events' of Redis at ") && note.contains("--queue"), "{note}");
    assert!(report.list("series").iter().all(|row| row["queue_depth"].is_null()), "{report:?}");
}

#[test]
fn first_id_sets_the_first_id() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let recorder = Recorder::start(&broker, "/channel");
    let stack = format!("--redis {} --mqtt {}", redis.url(), broker.url());
    let (finished, report) =
        report_of(&format!("--first-id 70000 -t 1 -c 2 -n 300 {stack}"), |_| {
            // Not a moment in which it is there.
            assert_eq!(redis.cli(&["EXISTS", "loadgen:ids"]), "0");
        });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_messages(&report, &[("accepted", 300), ("arrived", 300)]);
    let mut ids = recorder.ids(&broker);
    ids.sort_unstable();
    assert_eq!(ids, (70_000..70_300).collect::<Vec<_>>());
}
