//! The manifests as people read them, and as shells, Kubernetes and compose read them.

use clap::Parser as _;
use proptest::prelude::*;
use saphyr::{LoadableYamlNode as _, Yaml};

use super::*;
use crate::cli::args::{Cli, Command};
use crate::fleet::LaunchedAs;

/// Part of every secret.
const CANARY: &str = "onyx";

/// The manifest of a command line after `loadgen manifest`, or its error.
fn written(words: &[&str]) -> Result<Manifest, String> {
    let line = ["loadgen", "manifest"].iter().chain(words);
    let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
    let Some(Command::Manifest(args)) = cli.command else { return Err("not a manifest".into()) };
    write(&args).map_err(|error| format!("{error:#}"))
}

/// The same, of words between spaces.
fn of(line: &str) -> Manifest {
    written(&line.split(' ').collect::<Vec<_>>()).expect(line)
}

fn refusal(line: &str) -> String {
    match written(&line.split(' ').collect::<Vec<_>>()) {
        Ok(_) => panic!("{line} is not refused"),
        Err(error) => error,
    }
}

/// Text and steps in one.
fn shown(manifest: &Manifest) -> String {
    format!("{}-- stderr\n{}\n", manifest.text, manifest.steps.join("\n"))
        .replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

macro_rules! assert_manifest {
    ($name:literal, $text:expr) => {
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots"),
            prepend_module_to_snapshot => false,
        }, { insta::assert_snapshot!($name, $text) })
    };
}

/// Flags of a run through a pipeline, with secrets in several places.
const FLAGS: &str = "-R 400k -d 60s http://api.example/send --redis redis://u:onyx@queue --mqtt mqtt://broker \
                     -HAuthorization:Bearer-onyx -H Accept:*/* --fail-if arrival.p99>5ms -qk";

#[test]
fn the_manifests_read_well() {
    assert_manifest!(
        "manifest_kubernetes",
        shown(&of(&format!("kubernetes --nodes 8 -- {FLAGS}")))
    );
    assert_manifest!(
        "manifest_slurm",
        shown(&of(&format!("slurm --nodes 4 --memory 2G -- {FLAGS}")))
    );
    assert_manifest!(
        "manifest_compose",
        shown(&of(&format!("compose --nodes 3 --cpus 1 --memory 1G -- {FLAGS}")))
    );
}

#[test]
fn no_secret_is_in_a_manifest() {
    for flags in [
        "http://u:onyx@h/ --redis redis://h",
        "http://h/?token=onyx --redis redis://h",
        "http://h/ --redis redis://:onyx@h",
        "http://h/ --redis redis://h --mqtt mqtt://u:onyx@h",
        "http://h/ --redis redis://h --log-server rediss://u:onyx@h",
        "http://h/ --fleet-redis redis://u:onyx@h",
        "http://h/ --redis redis://h -H Authorization:onyx",
        "http://h/ --redis redis://h -HX-Any:onyx -H Accept:a",
        r#"http://h/ --redis redis://h -b {"password":"onyx"}"#,
        "http://h/ --redis redis://h --engine reqwest --proxy http://u:onyx@p:1/",
    ] {
        for launcher in ["kubernetes", "slurm", "compose"] {
            let manifest = of(&format!("{launcher} --nodes 2 -- {flags}"));
            let shown = shown(&manifest);
            assert!(!shown.contains(CANARY), "{launcher} {flags}: {shown}");
            assert!(manifest.text.contains("LOADGEN_"), "{launcher} {flags}: {shown}");
            assert!(shown.contains("secrets are not in the manifest"), "{shown}");
        }
    }
    let plain = of("kubernetes --nodes 2 -- http://h --redis redis://h -H Accept:a").text;
    assert!(plain.contains("- \"http://h\"") && !plain.contains("secretKeyRef"), "{plain}");
}

#[test]
fn what_a_run_would_refuse_is_refused() {
    for (line, part) in [
        ("kubernetes --nodes 2 -- -R 5 --redis redis://h", "needs the URL of a target"),
        ("kubernetes --nodes 2 -- http://h/", "needs a Redis in which the nodes meet"),
        ("slurm --nodes 2 -- -R 0 http://h/ --redis redis://h", "after --: "),
        ("slurm --nodes 2 -- -d 0 http://h/ --redis redis://h", "--duration must be above zero"),
        ("slurm --nodes 2 -- --frobnicate", "after --: unexpected argument '--frobnicate'"),
        ("slurm --nodes 2 -- --help", "see loadgen run --help"),
        ("slurm --nodes 2 -- http://h/ --fleet x", "--fleet after --: the manifest names"),
        ("slurm --nodes 2 -- http://h/ --fleet=x", "--fleet after --"),
        ("slurm --nodes 2 -- http://h/ --nodes 3", "--nodes after --: the number of nodes"),
        ("slurm --nodes 2 -- http://h/ --node 0/2", "--node after --: the nodes of a fleet"),
        ("slurm --nodes 2 -- http://h/ --start-at 14:30:00Z", "--start-at after --"),
        ("slurm --nodes 2 --image a -- http://h/ --redis redis://h", "leave --image out"),
        (
            "slurm --nodes 2 -- -R 10k --max-per-node 1k http://h/ --redis redis://h",
            "10 nodes are needed",
        ),
        ("slurm --nodes 2 -- http://h/ --redis redis://h --fail-if a.b>1", "--fail-if"),
        ("kubernetes --nodes 2 -- http://h/ --redis redis://h -o r.json", "use --format json"),
        ("kubernetes --nodes 2 -- http://h/ --redis redis://h -f Cargo.toml", "with --body"),
        (
            "compose --nodes 2 -- https://h/ --redis redis://h --cacert tests/data/ca.pem",
            "--cacert tests/data/ca.pem: this file is not in the container",
        ),
        ("compose --nodes 2 -- http://h/ --profile profiles/smoke.toml", "flags"),
        ("compose --nodes 0 -- http://h/", "number of nodes"),
        ("compose --nodes 2", "FLAGS"),
    ] {
        let error = refusal(line);
        assert!(error.contains(part), "{line}: {error}");
    }
}

#[test]
fn files_are_those_of_the_cluster_under_slurm() {
    let text = of("slurm --nodes 2 -- http://h/ --redis redis://h -f Cargo.toml").text;
    assert!(text.contains("--body-file=Cargo.toml"), "{text}");
}

#[test]
fn a_run_that_only_a_count_ends_has_no_deadline() {
    let flags = "-n 100k http://h/ --redis redis://h";
    assert!(!of(&format!("kubernetes --nodes 2 -- {flags}")).text.contains("activeDeadline"));
    let slurm = of(&format!("slurm --nodes 2 -- {flags}"));
    assert!(!slurm.text.contains("--time"), "{}", slurm.text);
    assert!(slurm.steps.concat().contains("sbatch --time=MINUTES"), "{:?}", slurm.steps);
    // 100 s at this rate, 5 min to join, 5 min to spare, drain, timeout and the report.
    let open = of(&format!("kubernetes --nodes 2 -- -R 1k {flags}")).text;
    assert!(open.contains("activeDeadlineSeconds: 727\n"), "{open}");
}

/// Replaces `$(NAME)` by the variable, as Kubernetes does in arguments, and `$$` by `$`.
fn expanded(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out += &rest[..at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            out += &format!("<value of {name}>");
            rest = after;
        } else {
            out.push('$');
        }
    }
    out + rest
}

/// The words of a list in a document.
fn list(node: &Yaml<'_>) -> Vec<String> {
    let items = node.as_vec().expect("a list");
    items.iter().map(|item| item.as_str().expect("a string").to_owned()).collect()
}

#[test]
fn kubernetes_reads_the_job() {
    let text =
        of(&format!("kubernetes --nodes 6..8 --name soak-1 --image r.example/l:1 -- {FLAGS}")).text;
    let documents = Yaml::load_from_str(&text).expect("YAML");
    let job = &documents[0];
    let spec = &job["spec"];
    assert_eq!((job["apiVersion"].as_str(), job["kind"].as_str()), (Some("batch/v1"), Some("Job")));
    assert_eq!(job["metadata"]["name"].as_str(), Some("soak-1"));
    // Fewer pods at once than the fleet has would wait for each other.
    assert_eq!(spec["parallelism"].as_integer(), Some(8));
    assert_eq!(spec["completions"].as_integer(), Some(8));
    assert_eq!(spec["completionMode"].as_str(), Some("Indexed"));
    // A limit for the Job would end the pod that reports.
    assert_eq!(spec["backoffLimitPerIndex"].as_integer(), Some(0));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"].as_str(), Some("Never"));
    assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true));
    let container = &pod["containers"][0];
    assert_eq!(container["image"].as_str(), Some("r.example/l:1"));
    assert_eq!(container["resources"]["requests"]["cpu"].as_integer(), Some(2));
    let words = list(&container["args"]);
    assert!(words.contains(&"--nodes=6..8".to_owned()), "{words:?}");
    assert!(words.contains(&"--threads=2".to_owned()), "{words:?}");
    assert!(words.contains(&"http://api.example/send".to_owned()), "{words:?}");
    let variables = container["env"].as_vec().expect("variables");
    let names: Vec<_> = variables.iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert_eq!(names, ["LOADGEN_FLEET", "LOADGEN_HEADER", "LOADGEN_REDIS"]);
    let secret = &variables[2]["valueFrom"]["secretKeyRef"];
    assert_eq!(secret["name"].as_str(), Some("soak-1-secrets"));
    assert_eq!(secret["key"].as_str(), Some("redis"));
}

#[test]
fn a_pod_finds_its_rank_in_the_environment_that_the_job_makes() {
    // Kubernetes adds the index; the name is a variable of the flag.
    let pod = |name: &str| match name {
        "JOB_COMPLETION_INDEX" => Some("3".to_owned()),
        "LOADGEN_FLEET" => Some("0f7a3f0e-7d5c-4b0e-8f5c-2f4b7b1d9a11".to_owned()),
        _ => None,
    };
    let launched = LaunchedAs::detect(pod).expect("usable variables").expect("a launcher");
    assert_eq!((launched.rank, launched.size, launched.name), (Some(3), None, None));
}

/// A flag whose value has words that shells, YAML, Kubernetes and compose read in a way of their own.
fn any_flag() -> impl Strategy<Value = String> {
    let special = proptest::sample::select(vec![
        "$(LOADGEN_REDIS)",
        "${HOME}",
        "$$",
        "$",
        "'",
        "\"",
        "\\",
        "\n",
        "\t",
        " ",
        "#",
        ": ",
        "- ",
        "&a",
        "*a",
        "!x",
        "%",
        "@",
        "`id`",
        "~",
        "yes",
        "null",
        "0x1f",
        "1e3",
        "\u{2028}",
        "\u{feff}",
        "\u{7f}",
        "\u{85}",
        "é",
        "日本",
        "🦀",
    ]);
    let part = prop_oneof![special.prop_map(str::to_owned), "[ -~]{0,4}"];
    let parts = proptest::collection::vec(part, 0..6);
    parts.prop_map(|parts| format!("--id-field=f{}", parts.concat()))
}

/// The manifest of a run with a flag.
fn with_flag(launcher: &str, flag: &str) -> String {
    let words = [launcher, "--nodes", "2", "--", "http://h/", "--redis", "redis://h", flag];
    written(&words).expect("a manifest").text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn words_survive_yaml_and_the_references_of_kubernetes_and_compose(flag in any_flag()) {
        let text = with_flag("kubernetes", &flag);
        let job = Yaml::load_from_str(&text).expect("YAML");
        let mut words = list(&job[0]["spec"]["template"]["spec"]["containers"][0]["args"]);
        prop_assert!(words.iter().any(|word| expanded(word) == flag), "{text}");
        let text = with_flag("compose", &flag);
        let file = Yaml::load_from_str(&text).expect("YAML");
        words = list(&file[0]["services"]["loadgen"]["command"]);
        prop_assert!(words.iter().any(|word| expanded(word) == flag), "{text}");
    }

    #[test]
    fn words_survive_the_shell_of_slurm(flag in any_flag()) {
        let text = with_flag("slurm", &flag);
        let (_, line) = text.split_once("exec srun").expect("the last command");
        let mut shell = std::process::Command::new("sh");
        let output = shell.arg("-c").arg(format!("printf '%s\\0' {line}")).output();
        let read = String::from_utf8(output.expect("a shell").stdout).expect("UTF-8");
        prop_assert!(read.split('\0').any(|word| word == flag), "{text}");
    }
}
