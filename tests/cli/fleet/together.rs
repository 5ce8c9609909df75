//! Nodes that send one load and make one report.

use std::collections::HashSet;

use super::{Meeting, ended, index_of};
use crate::support::{
    Act, Mosquitto, OK, Process, Recorder, Redis, Service, Target, clear_settings, eventually,
    loadgen, loadgen_with_wrong_clock, matches_schema, require, run,
};

#[test]
fn nodes_with_different_threads_send_the_load_once_and_make_one_report() {
    let Some(meeting) = Meeting::start() else { return };
    let words = "-R 500 -d 3s --warmup 1s --nodes 3";
    let nodes = ["-t 1", "-t 3", "-t 2"].map(|threads| meeting.node(&format!("{words} {threads}")));
    let all = ended(nodes.into_iter().collect());
    assert!(all.iter().all(|node| node.code == Some(0)), "{all:?}");
    assert!(all[1].stderr.contains("passed; the report is that of node 0"), "{all:?}");
    let report = meeting.report();
    for count in ["planned", "sent", "completed"] {
        assert_eq!(report.count(&format!("/requests/{count}")), 1_500);
    }
    assert_eq!(report.count("/run/threads"), 6);
    assert_eq!(report.count("/latency/response/count"), 1_500);
    let mut sent: Vec<_> = report.nodes().iter().map(|node| node["sent"].as_u64()).collect();
    sent.sort_unstable();
    assert_eq!(sent, [250, 500, 750].map(Some), "each node has the part of its threads");
    let series = report.0["series"].as_array().expect("rows");
    assert_eq!(series.iter().filter_map(|row| row["sent"].as_u64()).sum::<u64>(), 1_500);
    let whole = series.iter().filter(|row| row["response_p50"].is_number()).count();
    assert!(whole >= 3, "each second has the percentiles of all nodes: {series:?}");
    assert_eq!(report.0["run"]["fleet"]["name"], "f");
    assert!(report.0["run"]["fleet"]["clock_bound_us"].as_f64().is_some_and(|us| us > 0.0));
    let left: u64 = meeting.redis.cli(&["TTL", "{loadgen:f}:verdict"]).parse().expect("seconds");
    assert!((86_000..=86_400).contains(&left), "the name is refused for a day: {left}");
}

/// The servers of a pipeline, and an independent subscriber.
struct Pipeline {
    redis: Redis,
    broker: Mosquitto,
    address: std::net::SocketAddr,
    recorder: Recorder,
    folder: tempfile::TempDir,
    _services: [Service; 2],
}

impl Pipeline {
    fn start() -> Option<Self> {
        let (redis, broker) = (Redis::start()?, Mosquitto::start()?);
        let (api, address) = Service::api(&format!("--redis {}", redis.url()));
        let push = Service::start(&format!("push --redis {} --mqtt {}", redis.url(), broker.url()));
        let recorder = Recorder::start(&broker, "/channel");
        let folder = tempfile::tempdir().expect("a temporary folder");
        Some(Self { redis, broker, address, recorder, folder, _services: [api, push] })
    }

    /// The report of three nodes that send 600 messages.
    fn report(&self, more: &str) -> serde_json::Value {
        let file = self.folder.path().join("all.json");
        let words = format!(
            "http://{}/ -R 300 -d 2s -t 2 -c 4 --redis {} --mqtt {} --nodes 3 -o {} {more}",
            self.address,
            self.redis.url(),
            self.broker.url(),
            file.display()
        );
        let node = |_| Process::start("node", &mut loadgen(&words));
        let all = ended((0..3).map(node).collect());
        assert!(all.iter().all(|node| node.code == Some(0)), "{all:?}");
        let text = std::fs::read_to_string(file).expect("a report");
        let report = serde_json::from_str(&text).expect("JSON");
        matches_schema(&report, "report.schema.json");
        report
    }
}

#[test]
fn messages_of_all_nodes_arrive_under_ids_of_their_own() {
    let Some(pipeline) = Pipeline::start() else { return };
    let report = pipeline.report("--fleet m");
    let messages = &report["messages"];
    assert_eq!([&messages["accepted"], &messages["arrived"]], [600, 600], "{messages}");
    assert_eq!([&messages["lost"], &messages["foreign"]], [0, 0], "{messages}");
    assert_eq!(report["arrival"]["count"], 600);
    let ids = pipeline.recorder.ids(&pipeline.broker);
    assert_eq!((ids.len(), ids.iter().collect::<HashSet<_>>().len()), (600, 600));
    let codes = report["verdict"]["codes"]["notes"].to_string();
    assert!(codes.contains("arrivals_multiplied") && codes.contains("nodes_share_host"), "{codes}");

    let shared = pipeline.report("--fleet s --arrivals-at shared");
    let messages = &shared["messages"];
    assert_eq!([&messages["accepted"], &messages["arrived"]], [600, 600], "{messages}");
    for count in ["lost", "missed", "unknown", "duplicated", "foreign"] {
        assert_eq!(messages[count], 0, "{count}: {messages}");
    }
    assert_eq!(shared["arrival"]["count"], 600);
    // The broker takes the nodes in turn, in the order in which they came: between none and two thirds of the messages reach
    // their own sender.
    let others = shared["run"]["fleet"]["shared_arrivals"]["timed_by_others"].as_u64();
    assert!(others.is_some_and(|others| (200..=600).contains(&others)), "{others:?}");
    let codes = shared["verdict"]["codes"]["notes"].to_string();
    assert!(codes.contains("arrivals_shared") && !codes.contains("multiplied"), "{codes}");
}

#[test]
fn a_node_whose_clock_is_minutes_off_changes_nothing() {
    if !require("faketime") {
        return;
    }
    let Some(meeting) = Meeting::start() else { return };
    let words = meeting.words("-R 200 -d 2s --nodes 2");
    let wrong = Process::start("node", &mut loadgen_with_wrong_clock("+200s", &words));
    let all = ended(vec![meeting.node("-R 200 -d 2s --nodes 2"), wrong]);
    assert!(all.iter().all(|node| node.code == Some(0)), "{all:?}");
    let report = meeting.report();
    assert_eq!(report.count("/requests/completed"), 400);
    assert_eq!(report.count("/run/parts/start_skew_us"), 0);
    assert!(report.verdict("reasons").is_empty(), "{:?}", report.verdict("reasons"));
    let began = report.0["run"]["started_at"].as_str().expect("a time");
    let began = humantime::parse_rfc3339(began).expect("a time");
    let apart = std::time::SystemTime::now().duration_since(began).expect("it has begun");
    assert!(apart.as_secs() < 100, "the time of Redis counts, not that of the node");
}

#[test]
fn rank_and_size_are_those_of_the_launcher() {
    let Some(meeting) = Meeting::start() else { return };
    let node = |rank: u64| {
        let mut command = meeting.command("-R 100 -d 1s");
        command.env("PMI_RANK", rank.to_string()).env("PMI_SIZE", "2");
        Process::start("node", &mut command)
    };
    // The second one comes first.
    let second = node(1);
    second.await_complaint("1 of 2 nodes");
    let first = node(0);
    for (node, rank) in [(&first, 0), (&second, 1)] {
        assert_eq!(eventually("its place", || index_of(node)), rank);
    }
    assert!(ended(vec![first, second]).iter().all(|node| node.code == Some(0)));
}

#[test]
fn a_fleet_of_a_range_begins_with_those_that_are_there() {
    let Some(meeting) = Meeting::start() else { return };
    let words = "-R 100 -d 1s --nodes 2..5 --join-timeout 3s";
    let all = ended(vec![meeting.node(words), meeting.node(words)]);
    assert!(all.iter().all(|node| node.code == Some(0)), "{all:?}");
    assert_eq!(meeting.report().nodes().len(), 2);
}

#[test]
fn a_condition_that_holds_is_the_exit_code_of_all_nodes() {
    let Some(meeting) = Meeting::start() else { return };
    // No node alone has sent so many.
    let words = "-R 200 -d 1s --nodes 2 --fail-if requests.sent>150";
    let all = ended(vec![meeting.node(words), meeting.node(words)]);
    assert!(all.iter().all(|node| node.code == Some(99)), "{all:?}");
    let redis = meeting.redis.url();
    let watched = run(&format!("watch f --redis {redis}"));
    assert_eq!(watched.code, Some(99), "{watched:?}");
    assert!(watched.stderr.contains("exit 99; the report is that of node "), "{watched:?}");
}

/// A target that publishes each body on the topic that the request names.
fn publishing(broker: &std::sync::Arc<Mosquitto>) -> Target {
    let broker = std::sync::Arc::clone(broker);
    Target::scripted(move |request| {
        let topic = request.field("x-topic").unwrap_or_default().to_owned();
        broker.publish(&topic, &request.body);
        Act::Say(OK)
    })
}

#[test]
fn each_node_hears_its_own_topic_alone() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let broker = std::sync::Arc::new(broker);
    let target = publishing(&broker);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("all.json");
    let words = format!(
        "{} -R 20 -d 1s -t 1 -c 2 --header X-Topic:to/{{{{node}}}} --mqtt {} --topic to/{{{{node}}}} \
         --fleet t --nodes 2 --fleet-redis {} -o {}",
        target.url(),
        broker.url(),
        redis.url(),
        file.display()
    );
    let node = |_| Process::start("node", &mut loadgen(&words));
    let all = ended((0..2).map(node).collect());
    assert!(all.iter().all(|node| node.code == Some(0)), "{all:?}");
    let text = std::fs::read_to_string(file).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let messages = &report["messages"];
    assert_eq!([&messages["accepted"], &messages["arrived"]], [20, 20], "{messages}");
    assert_eq!(messages["foreign"], 0, "{messages}");
    let codes = report["verdict"]["codes"]["notes"].to_string();
    assert!(!codes.contains("arrivals_multiplied"), "{codes}");
    for node in 0..2 {
        assert_eq!(report["nodes"][node]["arrived"], 10);
    }
}

/// Runs a launcher to its end.
fn launched(command: &mut std::process::Command) -> crate::support::Finished {
    clear_settings(command);
    command.env("LOADGEN_ALLOW_LIMITED", "true");
    Process::start("launcher", command).finish()
}

#[test]
fn mpi_and_slurm_start_a_fleet() {
    let Some(meeting) = Meeting::start() else { return };
    let program = env!("CARGO_BIN_EXE_loadgen");
    let words = meeting.words("-R 400 -d 2s").replace("--fleet f ", "");
    let words: Vec<_> = words.split_whitespace().collect();
    if require("mpiexec") {
        let mut command = std::process::Command::new("mpiexec");
        command.args(["-n", "4", program]).args(&words);
        let nameless = launched(command.arg("--fleet"));
        assert_eq!(nameless.code, Some(2), "{nameless:?}");
        assert!(nameless.stderr.contains("MPICH gives none"), "{nameless:?}");
        let mut command = std::process::Command::new("mpiexec");
        command.args(["-n", "4", program]).args(&words).arg("--fleet=mpi");
        let finished = launched(&mut command);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(meeting.report().count("/requests/completed"), 800);
    }
    // The script needs root for munge.
    if rustix::process::geteuid().is_root() && require("srun") && require("munged") {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slurm");
        let mut command = std::process::Command::new(script);
        command.args(["srun", "-n4", "--overcommit", program]).args(&words).arg("--fleet");
        let finished = launched(&mut command);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let report = meeting.report();
        assert_eq!(report.count("/requests/completed"), 800);
        assert_eq!(report.0["run"]["fleet"]["name"], "slurm-1.0");
    }
}
