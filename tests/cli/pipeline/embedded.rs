//! The main job on a machine that has neither Redis nor Mosquitto.

use std::time::Duration;

use loadgen::config::plan::Plan;
use loadgen::config::settings::{Settings, StackChoice};
use loadgen::run::Runner;

use super::{assert_stages, assert_whole, components};
use crate::support::{
    JsonReport, Mosquitto, Process, children_of, eventually, is_alive, loadgen as program,
    report_of, report_of_command,
};

/// A run of that many messages, with a `PATH` on which there is nothing.
fn alone(words: &str) -> JsonReport {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = program(words);
    command.env("PATH", folder.path());
    let (finished, report) = report_of_command(command, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    report
}

fn assert_kinds(report: &JsonReport, queue: &str, broker: &str) {
    let kind = |server: &str| report.text(&format!("run.stack.{server}.kind")).to_owned();
    assert_eq!((kind("queue"), kind("broker")), (queue.to_owned(), broker.to_owned()));
}

fn warns(report: &JsonReport) -> bool {
    let mut notes = report.list("verdict.notes").iter().filter_map(|note| note.as_str());
    notes.any(|note| note.contains("not the figures of a real deployment"))
}

#[test]
fn a_run_without_installed_servers_delivers_everything() {
    let report = alone("-R 500 -d 2s --sample 10 --stack auto");
    assert_whole(&report, Some(1_000));
    assert_stages(&report, 100);
    assert_kinds(&report, "embedded", "embedded");
    let all = ["generator", "subscriber", "api", "push", "queue", "broker"];
    assert_eq!(components(&report), all);
    for server in ["queue", "broker"] {
        let version = report.text(&format!("run.stack.{server}.version")).to_owned();
        assert!(version.contains("loadgen"), "{version}");
    }
    assert!(warns(&report), "{report:?}");
}

#[test]
fn every_setting_works_on_the_embedded_servers() {
    for (words, planned) in [
        ("-R 500 -d 1s --qos 1", Some(500)),
        ("-R 500 -d 1s --coupling direct", Some(500)),
        ("-R 500 -d 1s --push-workers 3 --push-threads 2 --api-threads 2", Some(500)),
        ("-c 4 -t 2 -d 1s", None),
    ] {
        assert_whole(&alone(&format!("{words} --stack embedded")), planned);
    }
}

#[test]
fn a_named_server_is_used_beside_an_embedded_one() {
    let Some(broker) = Mosquitto::start() else { return };
    let words = format!("-R 300 -d 1s --stack embedded --mqtt {}", broker.url());
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_whole(&report, Some(300));
    assert_kinds(&report, "embedded", "external");
    assert!(warns(&report), "{report:?}");
}

#[test]
fn embedded_servers_end_with_a_killed_run() {
    let mut run = Process::start("loadgen", &mut program("-R 100 -d 1h --stack embedded"));
    let servers = eventually("queue, broker, api and push", || {
        let children = children_of(run.pid());
        (children.len() == 4).then_some(children)
    });
    run.kill();
    for pid in servers {
        eventually("the end of a server", || (!is_alive(pid)).then_some(()));
    }
}

#[tokio::test]
async fn in_the_library_the_embedded_servers_are_threads() {
    let plan = Plan::new(Settings {
        rate: "300".parse().ok(),
        duration: Some(Duration::from_secs(1)),
        stack: Some(StackChoice::Embedded),
        ..Settings::default()
    });
    let report = Runner::new().run(&plan.expect("valid")).await.expect("it needs nothing");
    let messages = report.messages.expect("it listens");
    assert_eq!((messages.arrived, messages.lost), (300, 0));
    let own = report.resources.iter().filter(|row| row.pid == std::process::id());
    let names: Vec<_> = own.map(|row| row.component.as_str()).collect();
    assert_eq!(names, ["generator", "subscriber", "api", "push", "queue", "broker"]);
}
