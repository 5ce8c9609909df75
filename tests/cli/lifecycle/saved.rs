//! Reports in files: written by a run, and rendered later.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::process::Command;

use super::assert_refused;
use crate::support::{Process, Service, loadgen, run, start};

/// A report that is long enough to be compared.
const SAVED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/run.json");
/// A device that refuses every write.
const FULL: &str = "/dev/full";

const ENDINGS: [&str; 10] =
    ["txt", "json", "md", "csv", "tsv", "xml", "hlog", "hgrm", "arrival.hgrm", "lateness.hgrm"];

#[test]
fn a_saved_report_gives_the_same_forms_as_the_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, ending: &str| folder.path().join(format!("{name}.{ending}"));
    let outputs = |name: &str| {
        let files = ENDINGS.map(|ending| format!("-o {}", file(name, ending).display()));
        files.join(" ")
    };
    let summary = folder.path().join("summary.md");
    fs::write(&summary, "from another step").expect("space");
    let words = "-n 40 -c 2 --stack embedded --allow-limited --timeout 30s";
    let mut command = loadgen(&format!("{words} {}", outputs("run")));
    command.env("GITHUB_STEP_SUMMARY", &summary);
    let ran = Process::start("loadgen", &mut command).finish();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let json = file("run", "json").display().to_string();
    let shown = run(&format!("report {json} {}", outputs("again")));
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(0), ran.stdout.as_str()), "{shown:?}");
    let read = |name, ending| fs::read_to_string(file(name, ending)).expect("it was written");
    for ending in ENDINGS {
        assert!(!read("run", ending).is_empty(), "{ending}");
        assert_eq!(read("run", ending), read("again", ending), "{ending}");
    }
    assert_eq!(read("run", "txt"), ran.stdout);
    for (form, ending) in [("text", "txt"), ("txt", "txt"), ("md", "md"), ("hgrm", "hgrm")] {
        let shown = run(&format!("report {json} --format {form}"));
        assert_eq!(shown.stdout, read("run", ending), "{shown:?}");
    }
    let summary = fs::read_to_string(summary).expect("it was there before");
    assert_eq!(summary, format!("from another step\n{}\n", read("run", "md")));
}

#[test]
fn one_unwritable_file_does_not_prevent_the_others_and_links_are_followed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(path("gone")).expect("space");
    fs::write(path("real.json"), "old").expect("space");
    std::os::unix::fs::symlink("real.json", path("link.json")).expect("a link");
    let outputs = ["gone/a.json", "link.json", "b.txt"].map(|name| format!("-o {}", path(name)));
    // It goes when the run has begun.
    let script = path("it.lua");
    fs::write(&script, format!("function init() os.execute('rmdir {}') end", path("gone")))
        .expect("space");
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", server.local_addr().expect("bound"));
    let words = format!("-d 200ms -c 1 -t 1 --drain 0s -s {script} {url} {}", outputs.join(" "));
    let ran = run(&words);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("gone/a.json"), "{ran:?}");
    assert_eq!(fs::read_to_string(path("b.txt")).expect("it was written"), ran.stdout);
    assert!(fs::read_to_string(path("real.json")).expect("it is there").starts_with('{'));
    assert!(fs::symlink_metadata(path("link.json")).expect("it is there").is_symlink());
}

/// The exit code and stderr of a run whose stdout takes nothing.
fn with_full_stdout(words: &str) -> (Option<i32>, String) {
    let full = fs::OpenOptions::new().write(true).open(FULL).expect("Linux has it");
    let ended = loadgen(words).stdout(full).output().expect("it runs");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn a_report_that_cannot_be_printed_is_still_saved() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("ramp.toml"), "stack = 'embedded'\nconnections = 1\n[sweep]\nrequests = [5]\n")
        .expect("space");
    let json = path("run.json");
    for (words, file) in [
        ("-n 10 -c 1 --node 0/2 --stack embedded --timeout 30s".to_owned(), "run.json"),
        (format!("ramp {} --timeout 30s", path("ramp.toml")), "ramp.txt"),
        (format!("report {json}"), "again.json"),
        (format!("compare {SAVED} {SAVED}"), "compared.json"),
        (format!("merge {json}"), "merged.json"),
    ] {
        let (code, stderr) = with_full_stdout(&format!("{words} --output {}", path(file)));
        assert_eq!(code, Some(1), "{words}: {stderr}");
        assert!(stderr.contains("could not be printed"), "{words}: {stderr}");
        assert!(fs::read_to_string(path(file)).is_ok_and(|text| !text.is_empty()), "{words}");
    }
}

#[test]
fn a_report_can_be_written_to_a_named_pipe() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let pipe = path("pipe.json");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("coreutils");
    assert!(made.success());
    std::os::unix::fs::symlink(&pipe, path("link.json")).expect("a link");
    for (name, words) in [
        ("pipe.json", "-n 10 -c 1 --stack embedded --timeout 30s"),
        ("link.json", "-n 10 -c 1 --stack embedded --timeout 30s"),
    ] {
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || fs::read_to_string(pipe).expect("it is read"))
        };
        let ran = run(&format!("{words} --allow-limited --output {}", path(name).display()));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(reader.join().expect("no panic").starts_with('{'));
        assert!(fs::metadata(&pipe).expect("it is there").file_type().is_fifo());
    }
    let unread = run(&format!("-n 10 -c 1 --stack embedded --output {}", pipe.display()));
    assert_eq!(unread.code, Some(1), "{unread:?}");
    assert!(unread.stderr.contains("the pipe has no reader"), "{unread:?}");
}

#[test]
fn an_unwritable_step_summary_does_not_fail_the_run() {
    let mut command = loadgen("-n 10 -c 1 --stack embedded --allow-limited --timeout 30s");
    command.env("GITHUB_STEP_SUMMARY", "/proc/nowhere/summary.md");
    let ran = Process::start("loadgen", &mut command).finish();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("/proc/nowhere/summary.md"), "{ran:?}");
}

#[test]
fn a_file_that_is_not_a_report_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let foreign = folder.path().join("foreign.json");
    for text in ["", "{}", "not json", "{\"schema_version\":1}", "[1]", "\u{0}"] {
        fs::write(&foreign, text).expect("space");
        let name = foreign.display().to_string();
        assert_refused(&run(&format!("report {name}")), 1, &[&name, "not a report"]);
    }
    fs::write(&foreign, "{\"schema_version\":9}").expect("space");
    let name = foreign.display().to_string();
    assert_refused(&run(&format!("report {name}")), 1, &["schema version 9"]);
    assert_refused(&run("report /nowhere/r.json"), 1, &["/nowhere/r.json"]);
    let mut report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(SAVED).expect("a report")).expect("JSON");
    report["requests"]["sent"] = 1.into();
    fs::write(&foreign, report.to_string()).expect("space");
    let edited = run(&format!("report {name}"));
    assert_refused(&edited, 1, &["requests.sent is 1, less than"]);
    assert_eq!(edited.stderr.matches("requests.sent is 1").count(), 1, "once: {edited:?}");
}

#[test]
fn reports_of_nodes_are_merged_and_a_missing_one_is_noted() {
    let mut queue = start("embedded queue");
    let address = queue.await_line(|line| line.strip_prefix("listening on ").map(str::to_owned));
    let (_api, address) = Service::api(&format!("--redis redis://{address}"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let node = |k: u64| {
        let words = "-m POST -d 1s -c 2 --allow-limited --timeout 30s";
        start(&format!("http://{address}/ {words} --node {k}/2 -o {}", file(&format!("{k}.json"))))
    };
    let running = [node(0), node(1)];
    for ran in running.map(Process::finish) {
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(file(name)).expect("it was written"))
            .expect("JSON")
    };
    let completed = |name: &str| json(name)["requests"]["completed"].as_u64().expect("a count");

    let (zero, one) = (file("0.json"), file("1.json"));
    let merged = run(&format!("merge {zero} {one} --allow-limited -o {}", file("all.json")));
    assert_eq!(merged.code, Some(0), "{merged:?}");
    let parts = "Parts     node 0, 1 of 2; started within ";
    assert!(merged.stdout.contains(parts), "{merged:?}");
    assert!(merged.stdout.contains(" by their own clocks\n"), "they have no Redis: {merged:?}");
    assert_eq!(completed("all.json"), completed("0.json") + completed("1.json"));
    // The last line says what --allow-limited made of it.
    let numbers = |text: &str| text.split("\nRESULT").next().map(str::to_owned);
    let reported = run(&format!("report {}", file("all.json"))).stdout;
    assert_eq!(numbers(&reported), numbers(&merged.stdout));

    let mut merge = loadgen(&format!("merge {one}"));
    let partial = Process::start("loadgen", merge.env_remove("LOADGEN_ALLOW_LIMITED")).finish();
    assert_eq!(partial.code, Some(3), "{partial:?}");
    assert!(partial.stdout.contains("Parts     node 1 of 2: PARTIAL\n"), "{partial:?}");
    assert_refused(&run(&format!("merge {zero} {zero}")), 2, &["0.json", "both of node 0"]);
}
