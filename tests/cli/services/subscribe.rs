//! `loadgen subscribe`: its line per second, and its recovery after a broker restart.

use std::process::Command;

use crate::support::{Mosquitto, Process, Service, eventually};

/// Waits for a line with these counts of messages and of messages without an id.
fn await_count(service: &Service, messages: u64, without_id: u64) {
    let counts = format!("/s, {messages} messages, ");
    let ending = format!(" bytes, {without_id} without a MsgID");
    let is_it = |line: &str| line.contains(&counts) && line.ends_with(&ending);
    eventually(&format!("a line with {messages} messages"), || {
        service.process.stdout().lines().any(is_it).then_some(())
    });
}

#[test]
fn messages_are_counted_across_a_broker_restart() {
    for qos in [0, 1] {
        let Some(mut broker) = Mosquitto::start() else { return };
        let words = format!("subscribe --mqtt {} --qos {qos}", broker.url());
        let service = Service::start(&words);
        broker.publish("/channel", r#"{"MsgID":1}"#);
        broker.publish("/other", r#"{"MsgID":2}"#);
        broker.publish("/channel", "news");
        await_count(&service, 2, 1);
        broker.stop();
        service.process.await_complaint("lost the MQTT broker");
        broker.restart();
        service.process.await_complaint("again");
        broker.publish("/channel", r#"{"id":3}"#);
        await_count(&service, 3, 1);
        let finished = service.process.terminate();
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
}

#[test]
fn a_broker_outage_does_not_delay_the_stop() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let service = Service::start(&format!("subscribe --mqtt {}", broker.url()));
    broker.stop();
    service.process.await_complaint("lost the MQTT broker");
    let finished = service.process.terminate();
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn a_closed_output_pipe_ends_it_without_a_panic() {
    let Some(broker) = Mosquitto::start() else { return };
    let program = env!("CARGO_BIN_EXE_loadgen");
    let line = format!("'{program}' subscribe --mqtt {} | head -n 1", broker.url());
    let finished = Process::start("sh", Command::new("sh").args(["-c", &line])).finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "ready\n"));
    assert!(!finished.stderr.contains("panicked"), "{finished:?}");
}
