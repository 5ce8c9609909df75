//! The main job in all its settings: each must deliver everything.

use serde_json::Value;

use super::{assert_stages, assert_whole, components, deliver};
use crate::support::{
    Mosquitto, Redis, Service, child_called, children_of, command_line, eventually, get, report_of,
    require_stack, run,
};

#[test]
fn a_default_run_delivers_everything_and_reports_every_part() {
    let Some(report) = deliver("-R 500 -d 2s --sample 10 --stack spawned", Some(1_000), &[]) else {
        return;
    };
    assert_eq!(report.count("schema_version"), 1);
    assert_stages(&report, 100);
    let all = ["generator", "subscriber", "api", "push", "redis", "mosquitto"];
    assert_eq!(components(&report), all);
    for row in report.list("resources") {
        assert!(row["pid"].as_u64() > Some(1) && row["rss_max_bytes"].as_u64() > Some(100_000));
    }
    assert!(report.list("series").len() >= 2, "a row a second");
    assert_eq!(report.text("run.mode"), "open");
    for server in ["queue", "broker"] {
        assert_eq!(report.text(&format!("run.stack.{server}.kind")), "spawned");
    }
    assert_eq!(report.text("run.clock.source"), "redis");
}

#[test]
fn qos_1_delivers_everything() {
    deliver("-R 500 -d 1s --qos 1", Some(500), &[("push", "--qos 1")]);
}

#[test]
fn direct_coupling_delivers_everything() {
    deliver("-R 500 -d 1s --coupling direct", Some(500), &[("push", "--coupling direct")]);
}

#[test]
fn several_push_workers_and_api_threads_deliver_everything() {
    let told = [("push", "--workers 3 --threads 2"), ("api", "--threads 2")];
    let words = "-R 500 -d 1s --push-workers 3 --push-threads 2 --api-threads 2";
    deliver(words, Some(500), &told);
}

#[test]
fn poisson_arrivals_deliver_everything() {
    let words = "-R 500 -d 1s --arrivals poisson --seed 7";
    let Some(report) = deliver(words, Some(500), &[]) else { return };
    assert_eq!(report.text("run.arrivals"), "poisson");
}

#[test]
fn a_closed_loop_delivers_everything() {
    let Some(report) = deliver("-c 4 -t 2 -d 1s", None, &[]) else { return };
    assert_eq!((report.text("run.mode"), report.count("run.connections")), ("closed", 4));
    assert_eq!(*report.value("run.rate_target"), Value::Null);
}

#[test]
fn a_number_of_requests_ends_the_run_exactly() {
    deliver("-c 3 -n 301", Some(301), &[]);
    deliver("-R 1000 -n 201", Some(201), &[]);
}

#[test]
fn a_warm_up_is_not_counted() {
    let words = "-R 400 -d 1s --warmup 1s --sample 10";
    let Some(report) = deliver(words, Some(400), &[]) else { return };
    assert_stages(&report, 40);
}

#[test]
fn reqwest_delivers_everything() {
    let Some(report) = deliver("-R 300 -d 1s --engine reqwest", Some(300), &[]) else { return };
    assert_eq!(report.text("run.engine"), "reqwest");
}

#[test]
fn servers_with_passwords_are_used_and_the_passwords_are_not_shown() {
    const SECRETS: [&str; 2] = ["tulip-and-thorn", "onyx-lantern"];
    let Some(redis) = Redis::with_password(SECRETS[0]) else { return };
    let Some(broker) = Mosquitto::with_login("sender", SECRETS[1]) else { return };
    let mut seen = String::new();
    let words = format!("-R 300 -d 1s --redis {} --mqtt {}", redis.url(), broker.url());
    let (finished, report) = report_of(&words, |process| {
        for child in ["api", "push"] {
            let pid = eventually("a child", || child_called(process.pid(), child));
            assert!(command_line(pid).len() > 2, "a command line was read");
        }
        children_of(process.pid()).into_iter().for_each(|pid| seen += &command_line(pid).join(" "));
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_whole(&report, Some(300));
    assert_eq!(components(&report), ["generator", "subscriber", "api", "push"]);
    for server in ["queue", "broker"] {
        assert_eq!(report.text(&format!("run.stack.{server}.kind")), "external");
    }
    seen = [seen, finished.stdout, finished.stderr, report.json()].join("\n");
    for secret in SECRETS {
        assert!(!seen.contains(secret), "a password is shown: {seen}");
    }
    // What is given is used, and the reservation of the ids is removed.
    assert!(redis.len("apiserver") > 0);
    assert_eq!(redis.cli(&["EXISTS", "loadgen:ids"]), "0");
}

#[test]
fn an_external_target_and_broker_are_driven_and_measured() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let (queue, mqtt) = (redis.url(), broker.url());
    let (_api, address) = Service::api(&format!("--redis {queue}"));
    let _push = Service::start(&format!("push --redis {queue} --mqtt {mqtt}"));
    let words = format!("http://{address}/ -R 300 -d 1s --redis {queue} --mqtt {mqtt}");
    let (finished, report) = report_of(&words, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_whole(&report, Some(300));
    assert_eq!(components(&report), ["generator", "subscriber"]);
    let accepted = "loadgen_api_accepted_total 300\n";
    assert!(get(address, "/metrics").body.contains(accepted));
}

#[test]
fn json_on_stdout_is_the_report() {
    if !require_stack() {
        return;
    }
    let finished = run("-c 2 -n 50 --format json --allow-limited --timeout 30s");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report: Value = serde_json::from_str(&finished.stdout).expect("JSON and nothing else");
    assert_eq!(report["messages"]["arrived"], 50);
}
