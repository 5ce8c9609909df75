//! The crate as another project uses it: a run with progress and a stop, and the services as functions.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use loadgen::analysis::compare::compare;
use loadgen::core::Address;
use loadgen::output::forms::{Document, Form};
use loadgen::output::{TextOptions, text};
use loadgen::pipeline::api::{self, ApiCounts, ApiSettings, ClientLimits};
use loadgen::pipeline::push::{self, PushCounts, PushSettings};
use loadgen::pipeline::settings::{BrokerSettings, MessageSettings, QueueSettings};
use loadgen::pipeline::subscribe::{self, SubscribeCounts, SubscribeSettings};
use loadgen::report::{Node, merge, number};
use loadgen::{Phase, Plan, Progress, Runner, Saved, Services, Settings};
use tokio::sync::watch;

use crate::support::{Act, OK, Target};

#[tokio::test]
async fn a_run_reports_its_progress_and_stops_on_request() {
    let target = Target::always(Act::Say(OK));
    let plan = Plan::new(Settings {
        url: Some(target.url()),
        rate: "500".parse().ok(),
        // Without the stop the test would not end in time.
        duration: Some(Duration::from_secs(600)),
        ..Settings::default()
    });
    let (stop, stopped) = watch::channel(false);
    let phases = Arc::<Mutex<Vec<Phase>>>::default();
    let seen = Arc::clone(&phases);
    let report = Runner::new()
        .services(Services::InProcess)
        .start_at(SystemTime::now() + Duration::from_millis(500))
        .stop_on(stopped)
        .on_progress(move |progress: &Progress| {
            seen.lock().expect("not poisoned").push(progress.phase);
            if progress.sent > 0 {
                let _ = stop.send(true);
            }
        })
        .run(&plan.expect("a valid plan"))
        .await
        .expect("a run");
    assert!(report.run.interrupted && report.requests.sent > 0, "{:?}", report.requests);
    assert!(phases.lock().expect("not poisoned").contains(&Phase::Measuring));
    let error = report.assert_ok().expect_err("an interrupted run did not pass").to_string();
    assert!(error.contains("INTERRUPTED"), "{error}");
}

/// An address on which nothing listens.
fn nowhere(scheme: &str) -> Address {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.expect("a free port").port();
    Address::parse(&format!("--{scheme}"), &format!("{scheme}://127.0.0.1:{port}"))
        .expect("an address")
}

#[tokio::test]
async fn a_service_whose_server_does_not_answer_is_an_error_with_the_address() {
    let message = MessageSettings { sample: 100, stamps_keep: 100_000, id_field: None };
    let queue = QueueSettings { redis: nowhere("redis"), log_server: None, queue: "myapp".into() };
    let broker =
        BrokerSettings { mqtt: nowhere("mqtt"), topics: vec!["/channel".to_owned()], qos: 0 };
    let (redis, mqtt) = (queue.redis.to_string(), broker.mqtt.to_string());
    let (_stop, shutdown) = watch::channel(false);
    let was_ready = Arc::new(AtomicBool::new(false));
    let ready = || was_ready.store(true, Relaxed);

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let settings = ApiSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        queue: queue.clone(),
        message: message.clone(),
        max_queue: None,
        max_body: 1_000,
        limits: ClientLimits::default(),
        access: Default::default(),
        own_user_only: false,
        threads: 1,
    };
    let counts = Arc::<ApiCounts>::default();
    let error = api::run(listener, settings, counts, ready, shutdown.clone()).await;
    let error = error.expect_err("there is no Redis").to_string();
    assert!(error.contains(&redis), "{error}");

    let settings = PushSettings {
        queue,
        message: message.clone(),
        broker: broker.clone(),
        workers: 1,
        threads: 1,
        coupling: Default::default(),
        limit: None,
        max_message: None,
    };
    let error = push::run(settings, Arc::<PushCounts>::default(), ready, shutdown.clone()).await;
    let error = error.expect_err("there is no Redis").to_string();
    assert!(error.contains(&redis), "{error}");

    let settings = SubscribeSettings { broker, redis: None, log_server: None, message };
    let error = subscribe::run(settings, Arc::<SubscribeCounts>::default(), ready, shutdown).await;
    let error = error.expect_err("there is no broker").to_string();
    assert!(error.contains(&mqtt), "{error}");
    assert!(!was_ready.load(Relaxed));
}

#[test]
fn saved_reports_are_read_merged_compared_and_shown() {
    let text_of_file = include_str!("../data/run.json");
    let Ok(Saved::Run(report)) = Saved::from_json(text_of_file) else { panic!("a run") };
    assert_eq!(number(&report, "messages.lost"), Some(0.0));
    assert_eq!(Saved::from_json(&report.to_json()).expect("our own"), Saved::Run(report.clone()));
    let mut parts = Vec::new();
    for index in 0..2 {
        let mut part = (*report).clone();
        (part.run.node, part.run.id) =
            (Some(Node { index, count: 2, ..Node::default() }), index.to_string());
        parts.push((format!("{index}.json"), part));
    }
    assert_eq!(report.verdict.notes.first().map(|note| note.code()), None);
    let merged = merge(parts).expect("two nodes of one load");
    assert_eq!(merged.requests.sent, 2 * report.requests.sent);
    let (p50, arrival) = (merged.latency.response.p50, merged.arrival.expect("it was measured"));
    assert!(p50.is_some() && arrival.count > 0);
    assert!(arrival.p50.is_some());

    let side = [("a.json".to_owned(), Saved::Run(report.clone()))];
    let comparison = compare(&side, &side, 5.0).expect("one run beside itself");
    let options = TextOptions::default();
    let shown = Document::Comparison(&comparison).render(Form::Markdown, options);
    assert!(shown.is_ok_and(|page| page.contains("p99")));
    let shown = Document::Run(&report).render(Form::Html, options).expect("a page");
    assert!(shown.starts_with("<!doctype html>"), "{}", &shown[..50]);
    assert!(text(&report, options).contains("RESULT"));
}

#[test]
fn settings_are_read_from_a_profile() {
    let settings = Settings::from_toml("rate = 500\nduration = '2s'\n").expect("a profile");
    assert_eq!(settings.duration, Some(Duration::from_secs(2)));
    let error = Settings::from_toml("raet = 500\n").expect_err("no such key").to_string();
    assert!(error.contains("raet") && error.contains("rate"), "{error}");
}
