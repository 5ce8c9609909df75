//! Running loadgen, as a program with a time bound and as a library, and what every report must hold.

use std::ffi::OsString;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use loadgen::config::plan::Plan;
use loadgen::config::settings::Settings;
use loadgen::report::{Errors, Report};
use loadgen::run::Runner;

/// No run here takes half as long; one that does hangs.
const BOUND: Duration = Duration::from_secs(60);
/// What a busy machine may need beside a run's own time.
pub(super) const SLACK: Duration = Duration::from_secs(8);

/// A run that has ended.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) took: Duration,
}

impl Ran {
    /// The report on stdout, which adds up; nothing else was printed.
    pub(super) fn report(&self) -> Report {
        assert_eq!(self.stderr, "", "a run with a report is quiet");
        let report = Report::from_json(&self.stdout);
        let report = report.unwrap_or_else(|e| panic!("no report ({e}): {self:?}"));
        adds_up(&report);
        report
    }

    /// What it said when it could not run: one line, and no report.
    pub(super) fn complaint(&self) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        assert!(self.stderr.starts_with("loadgen: ") && self.stderr.lines().count() == 1);
        &self.stderr
    }
}

/// A run in progress.
pub(super) struct Running {
    child: Child,
    begun: Instant,
    outputs: [JoinHandle<String>; 2],
}

impl Running {
    /// Starts a command without any setting from this process's environment.
    pub(super) fn start(mut command: Command) -> Self {
        clean(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().expect("it starts");
        let stdout = collect(child.stdout.take().expect("piped"));
        let stderr = collect(child.stderr.take().expect("piped"));
        Self { child, begun, outputs: [stdout, stderr] }
    }

    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    /// Waits for its end; one that does not come is a failure.
    pub(super) fn finish(mut self) -> Ran {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                break Some(status);
            }
            if self.begun.elapsed() > BOUND {
                let _ = self.child.kill();
                break None;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let took = self.begun.elapsed();
        let [stdout, stderr] = self.outputs.map(|thread| thread.join().expect("no panic"));
        let ran = Ran { code: status.and_then(|s| s.code()), stdout, stderr, took };
        assert!(status.is_some(), "it hangs: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        ran
    }
}

/// Takes everything away that would change a run from outside.
pub(super) fn clean(command: &mut Command) {
    let ours = |name: &OsString| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        name.starts_with("LOADGEN_") || name.ends_with("_PROXY")
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        let _ = pipe.read_to_string(&mut text);
        text
    })
}

/// The program with a JSON report, and `args` as typed, split at spaces.
pub(super) fn command(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(["--format", "json", "-q"]).args(args.split_whitespace());
    command
}

/// Runs the program to its end.
pub(super) fn run(args: &str) -> Ran {
    Running::start(command(args)).finish()
}

/// Runs the program, which must end well, and gives its report. On a busy machine a valid generator
/// may be called limited, and some targets never answer; where that is not the question, it is allowed.
pub(super) fn report(args: &str) -> Report {
    let ran = run(&format!("--allow-limited --allow-failed {args}"));
    assert_eq!(ran.code, Some(0), "{args}: {ran:?}");
    ran.report()
}

/// Runs the library in this process.
pub(super) async fn library(settings: Settings) -> Report {
    let plan = Plan::new(settings).expect("a valid plan");
    let seen = Runner::new().run(&plan).await.expect("a run");
    let report = Report::from(&seen);
    adds_up(&report);
    report
}

/// What holds of every report, whatever happened.
pub(super) fn adds_up(report: &Report) {
    let r = &report.requests;
    let Errors { connect, read, write, timeout, protocol, ref by_cause } = r.errors;
    assert_eq!(r.planned, r.sent + r.dropped, "{r:?}");
    assert_eq!(r.sent, r.completed + r.failed + r.unfinished, "{r:?}");
    assert_eq!(r.completed, r.status.values().sum::<u64>(), "{r:?}");
    // The raw engine connects apart from requests, but where each has a connection of its own.
    let is_apart = report.run.engine == "raw" && report.latency.connect.is_none();
    let apart = if is_apart { connect } else { 0 };
    assert_eq!(r.failed, connect + read + write + timeout + protocol - apart, "{r:?}");
    assert_eq!(r.failed + apart, by_cause.values().sum::<u64>(), "{r:?}");

    let latency = &report.latency;
    let waited = r.completed + timeout + r.unfinished;
    assert_eq!(latency.service.count, waited, "{r:?}");
    assert_eq!(latency.response.count, waited + r.dropped, "{r:?}");
    assert_eq!(latency.lateness.count, r.sent, "{r:?}");
    assert_eq!(latency.pacing.count, r.planned, "{r:?}");
    let waited = latency.waiting.as_ref().map(|waiting| waiting.count);
    assert_eq!(waited, (report.run.mode == "open").then_some(r.sent), "{r:?}");

    let rows = |value: fn(&loadgen::report::Row) -> u64| report.series.iter().map(value).sum();
    let series: [u64; 3] = [rows(|r| r.sent), rows(|r| r.completed), rows(|r| r.failed)];
    assert_eq!(series, [r.sent, r.completed, r.failed], "{:?}", report.series);
}
