//! Runs whose report is read as the library reads it: the program with JSON on standard output.

use std::process::Command;
use std::time::Duration;

use loadgen::report::{Errors, Report};

use super::{Finished, Process, clear_settings};

/// Time that a busy machine may need beside a run's own.
pub(crate) const SLACK: Duration = Duration::from_secs(8);

impl Finished {
    /// The report on standard output, whose sums are right. Nothing else was printed.
    #[track_caller]
    pub(crate) fn report(&self) -> Report {
        assert_eq!(self.stderr, "", "a run with a report is quiet");
        let report = Report::from_json(&self.stdout);
        let report = report.unwrap_or_else(|e| panic!("no report ({e}): {self:?}"));
        assert_adds_up(&report);
        report
    }

    /// The error of a run that could not start: one line, and no report.
    #[track_caller]
    pub(crate) fn error_line(&self) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        assert!(self.stderr.starts_with("loadgen: ") && self.stderr.lines().count() == 1);
        &self.stderr
    }
}

/// The program with a JSON report on standard output. A limited generator fails the run.
pub(crate) fn json_command(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(["--format", "json", "-q"]).args(args.split_whitespace());
    clear_settings(&mut command);
    command
}

/// Runs [`json_command`] to its end.
pub(crate) fn run_json(args: &str) -> Finished {
    Process::start("loadgen", &mut json_command(args)).finish()
}

/// Runs the program, which must succeed, and returns its report. On a busy machine a valid generator may be called
/// limited, and some targets never answer; both are allowed.
#[track_caller]
pub(crate) fn report_from_stdout(args: &str) -> Report {
    let finished = run_json(&format!("--allow-limited --allow-failed {args}"));
    assert_eq!(finished.code, Some(0), "{args}: {finished:?}");
    finished.report()
}

/// Checks the sums that hold in every report, also after failures.
#[track_caller]
pub(crate) fn assert_adds_up(report: &Report) {
    let r = &report.requests;
    let Errors { connect, read, write, timeout, protocol, ref by_cause } = r.errors;
    assert_eq!(r.planned, r.sent + r.dropped, "{r:?}");
    assert_eq!(r.sent, r.completed + r.failed + r.unfinished, "{r:?}");
    assert_eq!(r.completed, r.status.values().sum::<u64>(), "{r:?}");
    // The raw engine connects apart from requests, but where each has a connection of its own.
    let is_apart =
        report.run.engine == loadgen::report::EngineName::Raw && report.latency.connect.is_none();
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
    assert_eq!(
        waited,
        (report.run.mode == loadgen::report::LoopMode::Open).then_some(r.sent),
        "{r:?}"
    );

    let rows = |value: fn(&loadgen::report::Row) -> u64| report.series.iter().map(value).sum();
    let series: [u64; 3] = [rows(|r| r.sent), rows(|r| r.completed), rows(|r| r.failed)];
    assert_eq!(series, [r.sent, r.completed, r.failed], "{:?}", report.series);
}
