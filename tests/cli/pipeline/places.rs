//! Places of the id in messages of services that were not made for loadgen (`--id-from`).

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use super::ids::assert_messages;
use crate::support::{Act, Mosquitto, OK, Request, Target, report_of};

/// A message that a service makes of a request: its topic and its payload.
type Publish = fn(&Request) -> (String, Vec<u8>);

/// A service that publishes one message for each request.
fn service(broker: &Arc<Mosquitto>, publish: Publish) -> Target {
    let broker = Arc::clone(broker);
    Target::scripted(move |request| {
        let (topic, payload) = publish(request);
        let mut command = broker.client("mosquitto_pub");
        command.args(["-q", "1", "-t", &topic, "-s"]).stdin(Stdio::piped());
        let mut publisher = command.spawn().expect("mosquitto_pub starts");
        let mut input = publisher.stdin.take().expect("a pipe was asked for");
        input.write_all(&payload).expect("it reads");
        drop(input);
        assert!(publisher.wait().expect("it ends").success());
        Act::Say(OK)
    })
}

/// The number after `"n":` in the body of a request.
fn number(request: &Request) -> u64 {
    let (_, rest) = request.body.split_once("\"n\":").expect("a number");
    rest.trim_end_matches('}').parse().expect("a number")
}

fn text_of(request: &Request, name: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
    body[name].as_str().expect("a text").to_owned()
}

#[test]
fn an_id_is_found_wherever_a_service_puts_it() {
    let Some(broker) = Mosquitto::start().map(Arc::new) else { return };
    let by_number = r#"-b {"n":{{msg_id}}}"#;
    let cases: [(&str, &str, Publish); 6] = [
        (by_number, r"--id-from json:data.items.1.ref", |request| {
            let ref_ = format!("order-{}", number(request));
            let payload = serde_json::json!({"data": {"items": [0, {"ref": ref_}]}});
            ("m/t".to_owned(), payload.to_string().into_bytes())
        }),
        (by_number, "--id-from topic:m/dev-{id}/inbox", |request| {
            (format!("m/dev-{}/inbox", number(request)), b"\xff\x00".to_vec())
        }),
        (by_number, "--id-from bytes:2..10:le", |request| {
            ("m/t".to_owned(), [&b"ab"[..], &number(request).to_le_bytes(), b"\xff"].concat())
        }),
        (by_number, r"--id-from json:id --id-from regex:run=(\d+);", |request| {
            ("m/t".to_owned(), format!("at=17;run={};to=18", number(request)).into_bytes())
        }),
        (r#"-b {"ref":"{{msg_uuid}}"}"#, "--id-from json:ref", |request| {
            let upper = text_of(request, "ref").to_uppercase();
            ("m/t".to_owned(), serde_json::json!({"ref": upper}).to_string().into_bytes())
        }),
        // The service replaces the payload, and passes the trace on with a span of its own.
        (r#"-b {"n":1} --traceparent --sample 1"#, "--id-from json:trace", |request| {
            let trace = request.field("traceparent").expect("the header");
            assert!(trace.ends_with("-01"), "one in one is sampled: {trace}");
            let next = format!("{}-00f067aa0ba902b7-00", &trace[..35]);
            ("m/t".to_owned(), serde_json::json!({"trace": next}).to_string().into_bytes())
        }),
    ];
    for (body, place, publish) in cases {
        let target = service(&broker, publish);
        let words = format!(
            "{} --mqtt {} --topic m/# -n 20 -c 2 {body} {place}",
            target.url(),
            broker.url()
        );
        let (finished, report) = report_of(&words, |_| ());
        assert_eq!(finished.code, Some(0), "{place}: {finished:?}");
        assert_messages(&report, &[("accepted", 20), ("arrived", 20), ("unexpected", 0)]);
    }
}

#[test]
fn a_place_without_the_id_is_noted_with_one_that_has_it() {
    let Some(broker) = Mosquitto::start().map(Arc::new) else { return };
    let target = service(&broker, |request| {
        let payload = serde_json::json!({"data": {"ref": number(request).to_string()}});
        ("m/t".to_owned(), payload.to_string().into_bytes())
    });
    let words = format!(
        r#"{} --mqtt {} --topic m/# -n 10 -c 1 --drain 1s -b {{"n":{{{{msg_id}}}}}}"#,
        target.url(),
        broker.url()
    );
    let (finished, _) = report_of(&words, |_| ());
    let text = finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("take it with --id-from 'json:data.ref'"), "{text}");
    let (finished, report) = report_of(&format!("{words} --id-from json:data.ref"), |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_messages(&report, &[("accepted", 10), ("arrived", 10)]);
}
