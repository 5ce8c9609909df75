//! The result of the whole: a run that proves nothing fails, and its last line, its exit code and its
//! documents say the same.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::process::Signal;

use super::assert_refused;
use crate::support::{Finished, Mosquitto, Process, eventually, loadgen, require, run, start};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// Serves the same answer until the test ends; its URL.
fn serve(answer: &'static str) -> String {
    serve_counted(answer).0
}

/// Does the same as [`serve`] and counts the answered requests.
fn serve_counted(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || serve_connection(stream, answer, &count));
        }
    });
    (url, answered)
}

/// Each request comes in one piece: there is one at a time, and it is small.
fn serve_connection(mut stream: TcpStream, answer: &str, count: &AtomicUsize) {
    let mut bytes = [0; 4096];
    while matches!(stream.read(&mut bytes), Ok(1..)) {
        let _ = stream.write_all(answer.as_bytes());
        count.fetch_add(1, Relaxed);
    }
}

/// Runs to the end, and again where other processes kept the generator from the CPU: that has a result of
/// its own, which is not what these tests are about.
fn run_valid(words: &str) -> Finished {
    eventually("a run with a valid generator", || {
        Some(run(words)).filter(|ran| !ran.stdout.contains("Generator LIMITED"))
    })
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).expect("it was written")
}

#[test]
fn a_run_with_only_404_gives_exit_1_and_fails_in_every_form() {
    let url = serve(NOT_FOUND);
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["r.json", "r.xml", "r.md", "r.html", "r.txt"];
    let outputs = names.map(|name| format!("-o {}", folder.path().join(name).display()));
    let ran =
        run_valid(&format!("{url} -n 20 -c 1 {} --fail-if requests.failed>0", outputs.join(" ")));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let result = "RESULT  FAILED (nothing succeeded), exit 1";
    assert_eq!(last_line(&ran.stdout), result, "{ran:?}");
    let words: Vec<_> = ran.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains("all were 404. Check the path of the URL"), "{ran:?}");
    assert_eq!(last_line(&read(folder.path(), "r.txt")), result);
    let json: serde_json::Value =
        serde_json::from_str(&read(folder.path(), "r.json")).expect("a report");
    assert_eq!(json["verdict"]["generator"], "valid");
    assert_eq!(json["verdict"]["pass"], false);
    let failure = json["verdict"]["failures"][0].as_str().expect("a failure");
    assert!(failure.starts_with("nothing succeeded: "), "{failure}");
    assert!(read(folder.path(), "r.xml").contains("failures=\"1\""));
    let short = "RESULT FAILED (nothing succeeded), exit 1";
    assert!(read(folder.path(), "r.md").contains(short));
    assert!(read(folder.path(), "r.html").contains(short));
}

#[test]
fn allow_failed_lets_a_failed_run_pass_unless_a_condition_holds() {
    let url = serve(NOT_FOUND);
    let words = format!("{url} -n 20 -c 1");
    let allowed = run_valid(&format!("{words} --allow-failed"));
    let result = "RESULT  FAILED (nothing succeeded), exit 0 with --allow-failed";
    assert_eq!((allowed.code, last_line(&allowed.stdout)), (Some(0), result), "{allowed:?}");

    // As other programs' variables are set.
    let mut by_variable = loadgen(&words);
    by_variable.env("LOADGEN_ALLOW_FAILED", "1");
    let by_variable = Process::start("loadgen", &mut by_variable).finish();
    assert_eq!(by_variable.code, Some(0), "{by_variable:?}");

    let condition = "--fail-if requests.status.404>0 --fail-if requests.failed>0";
    let both = run_valid(&format!("{words} {condition}"));
    let result = "RESULT  FAILED (nothing succeeded; 1 of 2 conditions), exit 1";
    assert_eq!((both.code, last_line(&both.stdout)), (Some(1), result), "{both:?}");
    let held = run_valid(&format!("{words} {condition} --allow-failed"));
    assert_eq!(held.code, Some(99), "{held:?}");
    assert!(last_line(&held.stdout).ends_with("exit 99 with --allow-failed"), "{held:?}");
}

#[test]
fn the_last_line_names_the_conditions_or_the_pass() {
    let url = serve(OK);
    let words = format!("{url} -n 20 -c 1");
    let passed = run_valid(&words);
    assert_eq!((passed.code, last_line(&passed.stdout)), (Some(0), "RESULT  passed"), "{passed:?}");
    let conditions =
        "--fail-if requests.sent>0 --fail-if requests.failed>0 --fail-if requests.sent==20";
    let held = run_valid(&format!("{words} {conditions}"));
    let result = "RESULT  FAILED (2 of 3 conditions), exit 99";
    assert_eq!((held.code, last_line(&held.stdout)), (Some(99), result), "{held:?}");
}

#[test]
fn a_run_without_arrivals_gives_exit_1() {
    let Some(broker) = Mosquitto::start() else { return };
    let url = serve(OK);
    let words = format!("{url} -m POST --mqtt {} -n 20 -c 1 --drain 300ms", broker.url());
    let ran = run_valid(&words);
    let result = "RESULT  FAILED (nothing arrived), exit 1";
    assert_eq!((ran.code, last_line(&ran.stdout)), (Some(1), result), "{ran:?}");
    assert!(ran.stdout.contains("nothing arrived: 20 messages were accepted. Does the"), "{ran:?}");
}

#[test]
fn the_last_line_of_an_interrupted_run_says_so() {
    let (url, answered) = serve_counted(NOT_FOUND);
    let process = start(&format!("{url} -c 1 -d 1h"));
    // One connection looks whether the target is there.
    eventually("a request", || (answered.load(Relaxed) > 1).then_some(()));
    process.signal(Signal::INT);
    let ran = process.finish();
    let result = last_line(&ran.stdout);
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(result.starts_with("RESULT  INTERRUPTED") && result.ends_with(", exit 130"), "{ran:?}");
}

#[test]
fn a_comparison_with_a_failed_run_gives_exit_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    for (name, answer) in [("good.json", OK), ("bad.json", NOT_FOUND)] {
        let url = serve(answer);
        let ran = run_valid(&format!("{url} -n 3000 -c 1 --allow-failed -o {}", file(name)));
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let words = format!("compare {} {}", file("good.json"), file("bad.json"));
    // Two runs of each side tell chance, however short they are.
    let words = format!("{words} --base {} --new {}", file("good.json"), file("bad.json"));
    let refused = run_valid(&words);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stdout.contains("bad.json: nothing succeeded: "), "{refused:?}");
    let allowed = run_valid(&format!("{words} --allow-failed"));
    assert!(allowed.code != Some(1), "{allowed:?}");
}

/// Runs the words in a terminal of their own, and gives what it showed.
fn shown_in_a_terminal(words: &str, term: &str) -> Option<String> {
    if !require("script") {
        return None;
    }
    let mut command = Command::new("script");
    let line = format!("{} {words}", env!("CARGO_BIN_EXE_loadgen"));
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    command.env("TERM", term).env_remove("NO_COLOR").env("LC_ALL", "C.UTF-8");
    Some(eventually("a run with a valid generator", || {
        let shown = Process::start("script", &mut command).finish().stdout;
        Some(shown).filter(|shown| !shown.contains("LIMITED: do not trust"))
    }))
}

#[test]
fn colours_and_marks_are_for_terminals_only() {
    let (good, bad) = (serve(OK), serve(NOT_FOUND));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("r.txt");
    let words = format!("{good} -n 20 -c 1 --fail-if requests.failed>0 -o {}", file.display());
    let words = words.replace('>', "\\>");
    let Some(passed) = shown_in_a_terminal(&words, "xterm") else { return };
    assert!(passed.contains("\x1b[32mRESULT  \x1b[0m\x1b[32m✓ passed\x1b[0m"), "{passed}");
    assert!(
        passed.contains("✓ requests.failed>0\x1b[0m: \x1b[32mdoes not hold\x1b[0m (it is 0)"),
        "{passed}"
    );
    assert!(passed.contains(&format!("loadgen: wrote {}", file.display())), "{passed}");
    let text = read(folder.path(), "r.txt");
    assert_eq!(last_line(&text), "RESULT  passed");
    assert!(text.contains("  Fail if   requests.failed>0: does not hold (it is 0)\n"), "{text}");
    let failed = shown_in_a_terminal(&format!("{bad} -q -n 20 -c 1"), "xterm").expect("as before");
    assert!(failed.contains("\x1b[1;31m✗ FAILED (nothing succeeded), exit 1\x1b[0m"), "{failed}");
    let dumb = shown_in_a_terminal(&words, "dumb").expect("as before");
    assert!(dumb.contains("RESULT  ✓ passed") && !dumb.contains("\x1b[32m"), "{dumb}");
}

#[test]
fn the_smoke_profile_fails_on_a_dead_pipeline() {
    let Some(broker) = Mosquitto::start() else { return };
    let url = serve(NOT_FOUND);
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/smoke.toml");
    let words = format!("{url} --profile {profile} --mqtt {} -d 200ms --drain 200ms", broker.url());
    let ran = run_valid(&words);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(last_line(&ran.stdout).starts_with("RESULT  FAILED (nothing succeeded; "), "{ran:?}");
    assert!(ran.stdout.contains("error_percent>0: FAILED (it is 100%)"), "{ran:?}");
    assert!(ran.stdout.contains("messages.arrived<1: FAILED (it is 0)"), "{ran:?}");
}

#[test]
fn conditions_in_percent_are_judged_and_wrong_ones_refused_before_the_run() {
    let url = serve(NOT_FOUND);
    let held = run_valid(&format!("{url} -n 20 -c 1 --allow-failed --fail-if error_percent>1%"));
    assert_eq!(held.code, Some(99), "{held:?}");
    assert!(held.stdout.contains("error_percent>1%: FAILED (it is 100%)"), "{held:?}");
    let unit = run_valid(&format!("{url} --fail-if messages.lost>1%"));
    assert_refused(&unit, 2, &["messages.lost is not a percentage", "lost_percent"]);
    let unheard = run_valid(&format!("{url} --fail-if lost_percent>1%"));
    assert_refused(&unheard, 2, &["'lost_percent'", "give its address with --mqtt"]);
    // The name is what is wrong with it, not how few values there will be.
    let name = run_valid(&format!("{url} -R 10 -d 1s --fail-if nosuch.p99>5ms"));
    assert_refused(&name, 2, &["no number 'nosuch.p99'"]);
    let stage = run_valid(&format!("{url} --fail-if stages.nosuch.p50>1ms"));
    assert_refused(&stage, 2, &["'nosuch' is not a stage", "api-arrived"]);
    let stage = run_valid(&format!("{url} --fail-if stages.api-nosuch.p50>1ms"));
    assert_refused(&stage, 2, &["'nosuch' is not a checkpoint; there are due, sent, api"]);
}
