//! Requests on the wire when their content comes from lines, rows or a mix of requests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use loadgen::report::Report;

use crate::support::{Act, OK, Request, Target, report_from_stdout};

const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// Files that are there as long as this is.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

/// A message that says which line or row it was made of.
#[derive(serde::Deserialize)]
struct LineMessage {
    worker: u64,
    seq: u64,
    line: u64,
}

/// Each slot once, and each with its line.
fn assert_lines(requests: &[Request], workers: u64, lines: u64) {
    let mut slots = BTreeSet::new();
    for request in requests {
        let message: LineMessage = serde_json::from_str(&request.body).expect(&request.body);
        let slot = message.seq * workers + message.worker;
        assert!(slots.insert(slot), "slot {slot} twice");
        assert_eq!(message.line, slot % lines, "slot {slot}");
    }
    assert!(slots.into_iter().eq(0..requests.len() as u64), "a slot is missing");
}

#[test]
fn lines_are_sent_in_order_by_all_workers_together() {
    let files = Files::new();
    let line = |n| format!(r#"{{"worker":{{{{worker}}}},"seq":{{{{seq}}}},"line":{n}}}"#);
    let text: Vec<_> = (0..7).map(|n| line(n) + &" ".repeat(n)).collect();
    let file = files.write("lines.ndjson", text.join("\r\n") + "\r\n");
    for engine in ["raw", "reqwest"] {
        for load in ["", "-R 1000"] {
            let target = Target::always(Act::Say(OK));
            let args = format!("--engine {engine} {load} -n 230 -c 6 -t 2");
            report_from_stdout(&format!("{args} --body-lines {} {}", file.display(), target.url()));
            let requests = target.requests();
            assert_eq!(requests.len(), 230, "{args}");
            assert_lines(&requests, 2, 7);
            assert!(requests.iter().all(|r| !r.body.ends_with('\r')), "the line's end was sent");
        }
    }
}

#[test]
fn nodes_share_the_lines() {
    let files = Files::new();
    let rows: Vec<_> = (0..5).map(|n| format!("{n}\n")).collect();
    let data = files.write("rows.csv", format!("line\n{}", rows.concat()));
    let target = Target::always(Act::Say(OK));
    for node in ["0/2", "1/2"] {
        let body = r#"{"worker":{{worker}},"seq":{{seq}},"line":{{line}}}"#;
        let args = format!("-R 1000 -n 200 -c 4 -t 2 --node {node} --body {body}");
        report_from_stdout(&format!("{args} --data {} {}", data.display(), target.url()));
    }
    let requests = target.requests();
    assert_eq!(requests.len(), 200);
    assert_lines(&requests, 4, 5);
}

#[test]
fn rows_fill_path_query_headers_and_body() {
    let files = Files::new();
    let csv = "id,full name\n1,\"O\"\"Neil, Bo\"\n2,Zoë & co/\n";
    let csv = files.write("people.csv", [b"\xEF\xBB\xBF", csv.as_bytes()].concat());
    let ndjson = "{\"id\":1,\"full name\":\"O\\\"Neil, Bo\",\"more\":0}\n{\"full name\":\"Zoë & co/\",\"id\":2,\"more\":0}\n";
    let ndjson = files.write("people.ndjson", ndjson);
    // Words of the command line are split at spaces.
    let profile = |data: &PathBuf| {
        let text = "header = ['X-Name: {{full name}}']\nmethod = 'PUT'\n\
                    body = '{\"id\":{{id}},\"name\":\"{{full name}}\"}'\n";
        files.write("profile.toml", format!("data = '{}'\n{text}", data.display()))
    };
    for (engine, data) in [("raw", &csv), ("raw", &ndjson), ("reqwest", &csv)] {
        let target = Target::always(Act::Say(OK));
        let args = format!("--engine {engine} -n 4 -c 1 --profile {}", profile(data).display());
        report_from_stdout(&format!(
            "{args} {}p/{{{{id}}}}?name={{{{full%20name}}}}",
            target.url()
        ));
        let seen: Vec<_> = target.requests();
        assert_eq!(seen.len(), 4, "{engine}");
        for (n, request) in seen.iter().enumerate() {
            let (id, name, encoded) = match n % 2 {
                0 => (1, "O\"Neil, Bo", "O%22Neil%2C%20Bo"),
                _ => (2, "Zoë & co/", "Zo%C3%AB%20%26%20co%2F"),
            };
            let line = format!("PUT /p/{id}?name={encoded} HTTP/1.1");
            assert_eq!(request.head.lines().next(), Some(line.as_str()), "{engine}");
            assert_eq!(request.field("X-Name"), Some(name), "{engine}");
            let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
            assert_eq!(body, serde_json::json!({ "id": id, "name": name }), "{engine}");
        }
    }
}

const SHOP: &str = "\
header = ['X-All: 1']
[[request]]
name = 'view'
weight = 5
method = 'GET'
path = '/items/{{item}}?n={{seq}}'
data = 'DIR/items.csv'
[[request]]
name = 'buy'
weight = 3
path = '/orders'
body-lines = 'DIR/orders.txt'
header = ['Content-Type: text/plain']
[[request]]
name = 'gone'
weight = 2
method = 'DELETE'
path = '/gone'
body = ''
";

/// Ten cycles of ten: five views, three orders, two of what is not there.
fn shop(args: &str) -> (Report, Vec<Request>) {
    let files = Files::new();
    files.write("items.csv", "item\na b\nc\nd\n");
    files.write("orders.txt", "order 1\norder 2\norder 3\norder 4\n");
    let folder = files.0.path().display().to_string();
    let profile = files.write("shop.toml", SHOP.replace("DIR", &folder));
    let answer = |r: &Request| Act::Say(if r.head.contains("/gone") { NOT_FOUND } else { OK });
    let target = Target::scripted(answer);
    let args = format!("-n 100 -c 6 -t 2 --profile {} {args}", profile.display());
    let report = report_from_stdout(&format!("{args} {}", target.url()));
    assert!(report.run.command.contains("--profile /"), "{}", report.run.command);
    (report, target.requests())
}

/// Number of requests with each first line, or body.
fn counts(texts: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    texts.for_each(|text| *counts.entry(text).or_default() += 1);
    counts
}

#[test]
fn several_requests_are_sent_by_their_weights() {
    for engine in ["raw", "reqwest"] {
        for load in ["", "-R 1000", "-R 1000 --arrivals poisson --seed 7"] {
            let (report, seen) = shop(&format!("--engine {engine} {load}"));
            let path = |r: &Request| {
                let target = r.head.split(' ').nth(1).unwrap_or_default();
                target.split('?').next().unwrap_or_default().to_owned()
            };
            let paths = counts(seen.iter().map(path));
            // A request goes through its own rows: 50 views of three items.
            let wanted = [("/gone", 20), ("/items/a%20b", 17), ("/items/c", 17), ("/items/d", 16)];
            let mut wanted = BTreeMap::from(wanted.map(|(p, n)| (p.to_owned(), n)));
            wanted.insert("/orders".to_owned(), 30);
            assert_eq!(paths, wanted, "{engine} {load}");
            let orders =
                counts(seen.iter().filter(|r| path(r) == "/orders").map(|r| r.body.clone()));
            let wanted = [("order 1", 8), ("order 2", 8), ("order 3", 7), ("order 4", 7)];
            assert_eq!(orders, wanted.map(|(o, n)| (o.to_owned(), n)).into(), "{engine} {load}");
            for request in &seen {
                let kind = (path(request) == "/orders").then_some("text/plain");
                assert_eq!(request.field("Content-Type"), kind, "{request:?}");
                assert_eq!(request.field("X-All"), Some("1"));
            }

            let told: Vec<_> = (report.by_request.iter())
                .map(|r| (r.name.as_str(), r.sent, r.completed, r.response.count, r.status.clone()))
                .collect();
            let status = |code: &str, n| BTreeMap::from([(code.to_owned(), n)]);
            let wanted = [
                ("view", 50, 50, 50, status("200", 50)),
                ("buy", 30, 30, 30, status("200", 30)),
                ("gone", 20, 20, 20, status("404", 20)),
            ];
            assert_eq!(told, wanted, "{engine} {load}");
            assert!(
                report.by_request.iter().all(|r| r.arrival.is_none()),
                "the run had no subscriber"
            );
        }
    }
}

#[test]
fn a_single_request_has_no_results_by_name() {
    let files = Files::new();
    let profile = files.write("one.toml", "[[request]]\nname = 'only'\npath = '/x'\n");
    let target = Target::always(Act::Say(OK));
    let args = format!("-n 1 -c 1 --profile {} {}", profile.display(), target.url());
    assert_eq!(report_from_stdout(&args).by_request, []);
    assert!(target.requests()[0].head.starts_with("GET /x HTTP/1.1"));
}
