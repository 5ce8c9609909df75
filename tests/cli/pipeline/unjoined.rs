//! Runs of which no message can be joined to its request: arrival is not measured, and the report says
//! what came instead and which setting to change. And topics that are read with wildcards.

use serde_json::Value;

use crate::support::{Finished, JsonReport, Mosquitto, Redis, Service, report_of, run};

/// A pipeline whose services read the id from the field `seq`.
struct Pipeline {
    redis: Redis,
    broker: Mosquitto,
    _services: [Service; 2],
    api: String,
}

impl Pipeline {
    fn start(topic: &str) -> Option<Self> {
        let (redis, broker) = (Redis::start()?, Mosquitto::start()?);
        let (api, address) = Service::api(&format!("--redis {} --id-field seq", redis.url()));
        let servers = format!("--redis {} --mqtt {}", redis.url(), broker.url());
        let push = Service::start(&format!("push {servers} --topic {topic} --id-field seq"));
        let api_url = format!("http://{address}/");
        Some(Self { redis, broker, _services: [api, push], api: api_url })
    }

    /// Sends 100 messages in a second, and listens as `words` say.
    fn run(&self, words: &str) -> (Finished, JsonReport) {
        let Self { redis, broker, api, .. } = self;
        let servers = format!("--redis {} --mqtt {}", redis.url(), broker.url());
        report_of(&format!("{api} -R 100 -d 1s --drain 500ms {servers} {words}"), |_| ())
    }
}

/// The run has accepted all, joined nothing, and measured no arrival.
#[track_caller]
fn assert_not_measured((finished, report): &(Finished, JsonReport), unexpected: u64) -> String {
    let count = |name: &str| report.count(&format!("messages.{name}"));
    let all = (count("accepted"), count("arrived"), count("lost"), count("unexpected"));
    assert_eq!(all, (100, 0, 100, unexpected), "{report:?}");
    assert_eq!(report.count("arrival.count"), 0);
    for figure in ["p50", "p99", "mean", "max"] {
        assert_eq!(report.value(&format!("arrival.{figure}")), &Value::Null, "{figure}");
    }
    assert_eq!(finished.code, Some(1), "it proves nothing: {finished:?}");
    let notes = report.list("verdict.notes").iter().filter_map(Value::as_str);
    notes.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_wrong_topic_is_noted_with_the_topics_of_the_messages() {
    let Some(pipeline) = Pipeline::start("devices/7/inbox") else { return };
    let seen = pipeline.run("--id-field seq --topic /channel");
    let notes = assert_not_measured(&seen, 0);
    assert!(notes.contains("nothing came on '/channel': is --topic right?"), "{notes}");
    assert!(notes.contains(" on 'devices/7/inbox'"), "{notes}");
}

#[test]
fn an_id_that_is_not_found_is_noted_with_the_shape_of_the_payload_but_not_its_values() {
    let Some(pipeline) = Pipeline::start("/channel") else { return };
    for (body, parts) in [
        (r#"{"seq":{{msg_id}},"who":"s3cret"}"#, ["none has MsgID or id", "if seq is the id"]),
        (r#"{"seq":{{msg_id}},"id":"s3cret"}"#, [r#""id":string"#, "its id is not an integer"]),
    ] {
        let seen = pipeline.run(&format!("-b {body}"));
        let notes = assert_not_measured(&seen, 100);
        for part in parts.into_iter().chain(["100 messages came (100 on '/channel')"]) {
            assert!(notes.contains(part), "'{part}' is missing: {notes}");
        }
        let (finished, report) = &seen;
        let said = [finished.stdout.as_str(), &notes].concat();
        assert!(!said.contains("s3cret"), "{said} {report:?}");
        let shown = pipeline.run(&format!("-b {body} --show-payload"));
        assert!(assert_not_measured(&shown, 100).contains("s3cret"));
    }
}

#[test]
fn wildcards_and_several_topics_can_be_subscribed_without_publishing() {
    let Some(pipeline) = Pipeline::start("devices/7/inbox") else { return };
    for topics in
        ["--topic devices/+/inbox", "--topic devices/7/inbox --topic /other", "--topic devices/#"]
    {
        let (finished, report) = pipeline.run(&format!("--id-field seq {topics}"));
        assert_eq!(finished.code, Some(0), "{topics}: {finished:?}");
        let arrived = (report.count("messages.arrived"), report.count("messages.duplicated"));
        assert_eq!(arrived, (100, 0), "{topics}");
        assert!(report.text("run.command").contains("--topic "), "{report:?}");
    }
}

#[test]
fn topics_that_cannot_be_used_are_refused() {
    for (words, part) in [
        ("-n 1 --topic a --topic b", "--topic is given 2 times"),
        ("push --topic a --topic b", "--topic is given 2 times"),
        ("-n 1 --topic a/#", "without the wildcards"),
        ("push --topic a/+", "without the wildcards"),
        (
            "http://127.0.0.1:1/ -n 1 --mqtt mqtt://127.0.0.1 --topic a#",
            "'a#' cannot be subscribed to",
        ),
        ("subscribe --topic a --topic b+", "'b+' cannot be subscribed to"),
    ] {
        let finished = run(words);
        assert_ne!(finished.code, Some(0), "{words}");
        assert!(finished.stderr.contains(part), "{words}: {finished:?}");
    }
}
