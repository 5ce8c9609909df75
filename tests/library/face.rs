//! The crate as another project uses it: a run with progress and a stop, and the services as functions.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use loadgen::core::Address;
use loadgen::pipeline::api::{self, ApiCounts, ApiSettings, ClientLimits};
use loadgen::pipeline::push::{self, PushCounts, PushSettings};
use loadgen::pipeline::settings::{BrokerSettings, MessageSettings, QueueSettings};
use loadgen::pipeline::subscribe::{self, SubscribeCounts, SubscribeSettings};
use loadgen::{Phase, Plan, Progress, Runner, Services, Settings};
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
