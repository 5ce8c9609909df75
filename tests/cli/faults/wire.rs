//! Requests on the wire are those that the command line describes.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{
    Act, Finished, LARGEST_BODY, OK, Request, Target, report_from_stdout, run_json,
};

/// A message of these tests.
#[derive(serde::Deserialize)]
struct NumberedMessage {
    id: u64,
    worker: u64,
    seq: u64,
}

#[test]
fn every_message_has_a_unique_id_and_a_correct_length() {
    let body = r#"{"id":{{msg_id}},"worker":{{worker}},"seq":{{seq}}}"#;
    for engine in ["raw", "reqwest"] {
        for load in ["", "-R 1000"] {
            let target = Target::always(Act::Say(OK));
            let args = format!("--engine {engine} {load} -n 230 -c 6 -t 2 -b {body}");
            let report = report_from_stdout(&format!("{args} {}", target.url()));
            assert_eq!(report.requests.completed, 230, "{args}");
            let mut ids = BTreeSet::new();
            let mut seqs = BTreeMap::<u64, BTreeSet<u64>>::new();
            for Request { body, .. } in target.requests() {
                // A length off by one would cut it, or take in the next request.
                let message: NumberedMessage = serde_json::from_str(&body).expect(&body);
                assert!(ids.insert(message.id), "{args}: {} twice", message.id);
                assert!(seqs.entry(message.worker).or_default().insert(message.seq), "{args}");
            }
            assert_eq!(ids.len(), 230, "{args}");
            assert_eq!(seqs.len(), 2, "{args}: {seqs:?}");
            for seqs in seqs.into_values() {
                let last = *seqs.last().expect("not empty");
                assert!(seqs.into_iter().eq(0..=last), "{args}: a gap below {last}");
            }
        }
    }
}

/// The one request that a run with `args` sends.
fn sent(args: &str) -> Request {
    let target = Target::always(Act::Say(OK));
    let url = target.url();
    report_from_stdout(&format!("-n 1 -c 1 {args}").replace("URL/", &url));
    target.requests().remove(0)
}

#[test]
fn method_path_headers_and_body_are_sent_as_given() {
    let body = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(body.path(), "a=1\r\n\r\nseq {{seq}}").expect("written");
    for engine in ["raw", "reqwest"] {
        let file = body.path().display();
        let options =
            "-m PUT -H X-One:1 -H x-one:2 -H Host:other.example -H Content-Type:text/plain";
        let request = sent(&format!("--engine {engine} {options} -f {file} URL/a%20b/?c=d&e={{}}"));
        let line = request.head.lines().next();
        let target = line.and_then(|l| l.strip_prefix("PUT ")).expect("the method");
        assert_eq!(target, "/a%20b/?c=d&e={} HTTP/1.1", "{engine}");
        let lower = request.head.to_ascii_lowercase();
        for expected in ["x-one: 1", "x-one: 2", "host: other.example", "content-type: text/plain"]
        {
            let named = |line: &&str| line.split(':').next() == expected.split(':').next();
            let fields: Vec<_> = lower.lines().filter(named).collect();
            assert!(fields.contains(&expected), "{engine}: {expected} in {lower}");
            assert!(fields.len() <= 2 - usize::from(!expected.starts_with("x-one")), "{lower}");
        }
        assert_eq!(request.body, "a=1\r\n\r\nseq 0", "{engine}");
    }
}

#[test]
fn a_get_has_no_body() {
    for engine in ["raw", "reqwest"] {
        let request = sent(&format!("--engine {engine} -m GET URL/"));
        assert!(request.head.starts_with("GET / HTTP/1.1"), "{request:?}");
        assert_eq!(request.field("Content-Length"), None, "{engine}");
        assert_eq!(request.field("Content-Type"), None, "{engine}");
    }
}

#[test]
fn unusual_urls_are_sent_in_their_plain_form() {
    for engine in ["raw", "reqwest"] {
        let request = sent(&format!("--engine {engine} URL/x#fragment"));
        assert!(request.head.starts_with("GET /x HTTP/1.1"), "{request:?}");
    }
}

#[test]
fn credentials_in_the_url_are_sent_and_not_shown() {
    let secret_in = |ran: &Finished| {
        let said = format!("{}{}", ran.stdout, ran.stderr);
        ["p%40ss", "p@ss", "dXNlcjpwQHNz"].iter().any(|secret| said.contains(secret))
    };
    for engine in ["raw", "reqwest"] {
        let target = Target::always(Act::Say(OK));
        let args = |host: &str| format!("--engine {engine} -n 1 -c 1 http://us%65r:p%40ss@{host}/");
        let ran = run_json(&args(&target.address.to_string()));
        // As curl sends it: decoded from the URL, then user:p@ss in base64.
        let request = target.requests().remove(0);
        assert_eq!(request.field("Authorization"), Some("Basic dXNlcjpwQHNz"), "{engine}");
        assert_eq!(ran.report().run.target, target.url());
        assert!(!secret_in(&ran), "{ran:?}");
        for host in ["127.0.0.1:1", "nobody.invalid", "[::1"] {
            let failed = run_json(&args(host));
            assert!(failed.code != Some(0) && !secret_in(&failed), "{failed:?}");
        }
    }
}

#[test]
fn a_large_body_is_sent_completely() {
    let body = tempfile::NamedTempFile::new().expect("a file");
    // More than any socket buffer takes at once.
    let text = "x".repeat(6 << 20);
    std::fs::write(body.path(), format!("{text}{{{{seq}}}}")).expect("written");
    for engine in ["raw", "reqwest"] {
        let target = Target::always(Act::Say(OK));
        let file = body.path().display();
        let report = report_from_stdout(&format!(
            "--engine {engine} -n 2 -c 1 -T 20s -f {file} {}",
            target.url()
        ));
        assert_eq!(report.requests.completed, 2, "{engine}: {:?}", report.requests);
        let ends: Vec<_> =
            target.requests().iter().map(|r| r.body[text.len()..].to_owned()).collect();
        assert_eq!(ends, ["0", "1"], "{engine}");
        assert!(report.requests.bytes_written > 2 * text.len() as u64);
    }
}

#[test]
fn an_answer_before_the_end_of_the_body_is_completed() {
    const TOO_LARGE: &[u8] = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
    let body = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(body.path(), "x".repeat(LARGEST_BODY + 1)).expect("written");
    for engine in ["raw", "reqwest"] {
        // It closes with most of the body unread, which resets the connection.
        let target = Target::always(Act::SayAndClose(TOO_LARGE));
        let args = format!("--engine {engine} -n 20 -c 2 -f {}", body.path().display());
        let report = report_from_stdout(&format!("{args} {}", target.url()));
        let r = &report.requests;
        assert_eq!(r.failed, r.errors.read + r.errors.write, "{engine}: {r:?}");
        // hyper gives up at the failed write as often as not.
        assert!(engine != "raw" || r.status.get("413") == Some(&20), "{engine}: {r:?}");
    }
}

/// The method and the body of what is sent, by either engine.
fn method_and_body(args: &str) -> (String, String) {
    let mut found: Vec<_> = ["raw", "reqwest"]
        .map(|engine| {
            let request = sent(&format!("--engine {engine} {args}"));
            let method = request.head.split(' ').next().unwrap_or_default().to_owned();
            (method, request.body)
        })
        .to_vec();
    let first = found.remove(0);
    assert_eq!(found[0].0, first.0, "{args}");
    first
}

#[test]
fn the_default_method_is_get_and_post_with_a_body() {
    let (method, body) = method_and_body("URL/");
    assert_eq!((method.as_str(), body.as_str()), ("GET", ""));
    let (method, body) = method_and_body("URL/ -b hello");
    assert_eq!((method.as_str(), body.as_str()), ("POST", "hello"));
    let (method, body) = method_and_body("-m POST URL/");
    assert!(method == "POST" && body.starts_with("{\"MsgID\":"), "{method} {body}");
    let (method, body) = method_and_body("-m get URL/");
    assert_eq!((method.as_str(), body.as_str()), ("GET", ""));
    let (method, _) = method_and_body("-m PURGE URL/");
    assert_eq!(method, "PURGE");
}
