use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use saphyr::{LoadableYamlNode as _, Yaml};

use crate::support::{
    Finished, Mosquitto, Nginx, Process, Redis, find_program, free_port, loadgen, matches_schema,
    prepared, run, skip,
};

/// Password of the Redis in which the nodes meet.
const PASSWORD: &str = "onyx";

/// The servers of a fleet of two, and flags of its run.
struct Cluster {
    redis: Redis,
    nginx: Nginx,
}

impl Cluster {
    fn start() -> Option<Self> {
        Some(Self { redis: Redis::with_password(PASSWORD)?, nginx: Nginx::start()? })
    }

    /// The manifest for a launcher, and what is said beside it.
    fn manifest(&self, launcher: &str) -> Finished {
        let (redis, target) = (self.redis.url(), self.nginx.secure());
        let flags =
            format!("-R 500 -d 1s -c 4 -t 1 -k --format json --fleet-redis {redis} {target}");
        let finished = run(&format!("manifest {launcher} --nodes 2 -- {flags}"));
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(!format!("{finished:?}").contains(PASSWORD), "{finished:?}");
        finished
    }

    /// A process with the words and the variables of a container.
    fn container(&self, words: &[String], variables: &[(&str, &str)]) -> Process {
        let mut command = loadgen("");
        command.args(words).envs(variables.iter().copied());
        command.env("LOADGEN_FLEET_REDIS", self.redis.url());
        Process::start("node", &mut command)
    }
}

/// Words of a list in a document, as Kubernetes and compose read them.
fn list(node: &Yaml<'_>) -> Vec<String> {
    let items = node.as_vec().expect("a list");
    let words = items.iter().map(|item| item.as_str().expect("a string"));
    words.map(|word| word.replace("$$", "$")).collect()
}

/// Checks that one of the nodes prints the report of both.
fn assert_one_report(outputs: &[String]) {
    let reports: Vec<_> = outputs.iter().filter(|text| text.starts_with('{')).collect();
    assert_eq!(reports.len(), 1, "{outputs:?}");
    let report: serde_json::Value = serde_json::from_str(reports[0]).expect("JSON");
    matches_schema(&report, "report.schema.json");
    assert_eq!(report["requests"]["planned"], 500, "{report}");
    assert_eq!(report["requests"]["sent"], 500, "{report}");
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(2), "{report}");
}

#[test]
fn pods_of_the_job_are_one_fleet() {
    let Some(cluster) = Cluster::start() else { return };
    let manifest = cluster.manifest("kubernetes");
    assert!(
        manifest.stderr.contains("--from-literal=fleet-redis=\"$LOADGEN_FLEET_REDIS\""),
        "{manifest:?}"
    );
    let documents = Yaml::load_from_str(&manifest.stdout).expect("YAML");
    let words = list(&documents[0]["spec"]["template"]["spec"]["containers"][0]["args"]);
    let fleet = ("LOADGEN_FLEET", "0f7a3f0e-7d5c-4b0e-8f5c-2f4b7b1d9a11");
    let pods = ["0", "1"]
        .map(|index| cluster.container(&words, &[fleet, ("JOB_COMPLETION_INDEX", index)]));
    let ended = pods.map(Process::finish);
    assert!(ended.iter().all(|node| node.code == Some(0)), "{ended:?}");
    for (index, node) in ended.iter().enumerate() {
        assert!(node.stderr.contains(&format!("this is node {index}")), "{node:?}");
    }
    assert_one_report(&ended.map(|node| node.stdout));
}

#[test]
fn containers_of_compose_are_one_fleet() {
    let Some(cluster) = Cluster::start() else { return };
    let manifest = cluster.manifest("compose");
    let documents = Yaml::load_from_str(&manifest.stdout).expect("YAML");
    let service = &documents[0]["services"]["loadgen"];
    let words = list(&service["command"]);
    assert_eq!(service["deploy"]["replicas"].as_integer(), Some(2));
    let nodes = [0, 1].map(|_| cluster.container(&words, &[("LOADGEN_FLEET", "smoke-17")]));
    let ended = nodes.map(Process::finish);
    assert!(ended.iter().all(|node| node.code == Some(0)), "{ended:?}");
    assert_one_report(&ended.map(|node| node.stdout));
}

/// A stand-in for srun: starts its command twice with the variables of a step, and exits with the highest code.
const SRUN: &str = r#"#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
export SLURM_JOB_ID=17 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2
SLURM_PROCID=0 "$@" & first=$!
SLURM_PROCID=1 "$@" & second=$!
code=0
wait $first || code=$?
wait $second || code=$?
exit $code
"#;

#[test]
fn tasks_of_the_batch_script_are_one_fleet() {
    let Some(cluster) = Cluster::start() else { return };
    let script = cluster.manifest("slurm").stdout;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
    };
    write("srun", SRUN);
    write("job.sh", &script);
    let program = Path::new(env!("CARGO_BIN_EXE_loadgen")).parent().expect("its folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let batch = || {
        let mut command = prepared(Command::new(folder.path().join("job.sh")), "");
        command.env("PATH", format!("{}:{}:{path}", folder.path().display(), program.display()));
        command
    };
    let unset = Process::start("batch", &mut batch()).finish();
    assert_eq!(unset.code, Some(2), "{unset:?}");
    assert!(unset.stderr.contains("LOADGEN_FLEET_REDIS: export it before sbatch"), "{unset:?}");
    let set =
        Process::start("batch", batch().env("LOADGEN_FLEET_REDIS", cluster.redis.url())).finish();
    assert_eq!(set.code, Some(0), "{set:?}");
    assert!(set.stderr.contains("fleet slurm-17.0"), "{set:?}");
    assert_one_report(&[set.stdout]);
}

#[test]
fn a_manifest_is_refused_with_exit_2_and_nothing_printed() {
    for (words, part) in [
        ("manifest", "LAUNCHER"),
        ("manifest nomad --nodes 2 -- http://h/", "nomad"),
        ("manifest slurm --nodes 2 -- http://h/", "--fleet-redis URL"),
        ("manifest slurm --nodes 2 -- http://h/ --rate 5x --redis redis://h", "5x"),
        ("manifest slurm --nodes 2 -- http://h/ --fleet f --redis redis://h", "leave --fleet out"),
    ] {
        let finished = run(words);
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (Some(2), ""),
            "{words}: {finished:?}"
        );
        assert!(finished.stderr.contains(part), "{words}: {finished:?}");
    }
}

#[test]
fn settings_of_the_environment_are_in_the_manifest() {
    let mut command = loadgen("manifest kubernetes --nodes 2 -- http://h/");
    command.env("LOADGEN_REDIS", "redis://:onyx@h").env("LOADGEN_RATE", "7k");
    let finished = Process::start("manifest", &mut command).finish();
    assert!(finished.stdout.contains("- \"--rate=7k\""), "{finished:?}");
    assert!(finished.stdout.contains("- name: LOADGEN_REDIS"), "{finished:?}");
    assert!(!format!("{finished:?}").contains(PASSWORD), "{finished:?}");
}

#[test]
fn the_schema_of_kubernetes_accepts_the_job() {
    let Some(validate) = find_program("kubernetes-validate") else {
        skip("kubernetes-validate is not installed (pip install kubernetes-validate)");
        return;
    };
    let flags = "http://h/ --redis redis://:onyx@h -H A:b --fail-if arrival.p99>5ms";
    let job = run(&format!("manifest kubernetes --nodes 8 -- {flags}")).stdout;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("job.yaml");
    fs::write(&file, job).expect("a manifest");
    let output = Command::new(validate).arg("--strict").arg(&file).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
}

/// Replaces `${NAME:-value}` by the variable, or by the value.
fn interpolated(text: &str, variables: &[(&str, &str)]) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (reference, after) = rest.split_once('}').expect("a closed reference");
    let (name, default) = reference.split_once(":-").expect("a default");
    let given = variables.iter().find(|(given, _)| *given == name);
    let value = given.map_or(default, |(_, value)| value);
    format!("{before}{value}{}", interpolated(after, variables))
}

#[test]
fn the_services_of_the_compose_file_are_a_pipeline_and_its_load() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let text = include_str!("../../compose.yaml");
    let documents = Yaml::load_from_str(text).expect("YAML");
    let services = &documents[0]["services"];
    let image = concat!("loadgen:", env!("CARGO_PKG_VERSION"));
    let port = free_port().to_string();
    let hosts = [
        ("redis://redis", redis.url()),
        ("mqtt://mosquitto", broker.url()),
        ("0.0.0.0:8080", format!("127.0.0.1:{port}")),
        ("api:8080", format!("127.0.0.1:{port}")),
    ];
    let variables = [("NODES", "2"), ("RATE", "200"), ("DURATION", "1s")];
    let start = |name: &str, more: &[&str]| {
        let service = &services[name];
        assert_eq!(service["image"].as_str(), Some(image), "{name}");
        let mut words = list(&service["command"]);
        for (name, address) in &hosts {
            words.iter_mut().for_each(|word| *word = word.replace(name, address));
        }
        let words = words.iter().map(|word| interpolated(word, &variables));
        let mut command = loadgen("");
        command.args(words).args(more);
        let environment = service.as_mapping_get("environment").and_then(Yaml::as_mapping);
        for (name, value) in environment.into_iter().flatten() {
            let (name, value) = (name.as_str().expect("a name"), value.as_str().expect("a text"));
            command.env(name, interpolated(value, &variables));
        }
        Process::start(name, &mut command)
    };
    let _services = ["api", "push"].map(|name| start(name, &[]));
    let ended = [0, 1].map(|_| start("loadgen", &["--format", "json"])).map(Process::finish);
    assert!(ended.iter().all(|node| node.code == Some(0)), "{ended:?}");
    let reports: Vec<_> = ended.iter().filter(|node| !node.stdout.is_empty()).collect();
    assert_eq!(reports.len(), 1, "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&reports[0].stdout).expect("JSON");
    assert_eq!(report["messages"]["arrived"], 200, "{report}");
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(2), "{report}");
}
