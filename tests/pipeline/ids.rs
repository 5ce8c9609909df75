//! MsgIDs: where a request may carry one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::support::{Mosquitto, Report, report_of, require_stack};

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
fn assert_messages(report: &Report, counts: &[(&str, u64)]) {
    for (name, count) in counts {
        assert_eq!(report.count(&format!("messages.{name}")), *count, "{name}: {report:?}");
    }
}

fn notes(report: &Report) -> Vec<&str> {
    report.list("verdict.notes").iter().filter_map(|note| note.as_str()).collect()
}

#[test]
fn a_loss_is_told_where_the_id_is_in_a_header_or_in_the_url() {
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
fn the_default_body_has_the_field_of_id_field() {
    if !require_stack() {
        return;
    }
    let (finished, report) = report_of("--id-field order -R 100 -d 1s", |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(report.count("requests.status.200"), 100);
    assert_messages(&report, &[("accepted", 100), ("arrived", 100), ("lost", 0)]);
}

#[test]
fn requests_without_an_id_are_not_messages_and_the_note_comes_before_the_run_too() {
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
