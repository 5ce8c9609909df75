//! Private servers, processes, HTTP and `/proc` for the tests.

mod cutter;
mod http;
mod json_runs;
mod loadgen;
mod metrics;
mod proc;
mod process;
mod recorder;
mod servers;
mod targets;

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub(crate) use cutter::Cutter;
pub(crate) use http::{Answer, exchange, get, post};
pub(crate) use json_runs::{SLACK, assert_adds_up, json_command, report_from_stdout, run_json};
pub(crate) use loadgen::{
    JsonReport, Service, clear_settings, loadgen, loadgen_with_wrong_clock, matches_schema,
    report_of, report_of_command, run, start,
};
pub(crate) use metrics::{Samples, samples};
pub(crate) use proc::{child_called, children_of, command_line, is_alive};
pub(crate) use process::{Finished, Process, signal_to};
pub(crate) use recorder::{Durable, Recorder};
pub(crate) use servers::{Mosquitto, Nginx, Redis, data};
pub(crate) use targets::{Act, LARGEST_BODY, OK, Request, Target, read_request, stalling};

/// Longer than anything here takes, so that a hang is a failure and not a stuck job.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// What has to happen at once, on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(3);

/// Where a program is: on `PATH`, or where Debian puts servers.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Whether a program is installed. Where it is not, a test in CI fails and any other says aloud that
/// it is skipped.
pub(crate) fn require(program: &str) -> bool {
    if find_program(program).is_some() {
        return true;
    }
    skip_unless_ci(&format!("{program} is not installed"));
    false
}

/// Says on the real stderr, past the test harness's capture, that the current test is skipped.
pub(crate) fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED {test}: {why} ***");
}

/// Skips the current test because this machine lacks something. With CI=true that is a failure.
pub(crate) fn skip_unless_ci(why: &str) {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "{why}; with CI=true no test is skipped");
    skip(why);
}

/// Whether a run can bring up its own servers.
pub(crate) fn require_stack() -> bool {
    require("redis-server") && require("mosquitto")
}

/// A loopback port that nobody has: below the range of outgoing connections, not given twice by this
/// process, and far from where another one begins.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    const APART: u32 = 97;
    let begin = std::process::id() % COUNT * APART;
    let mut ports = (0..COUNT).map(|_| {
        let n = u32::from(NEXT.fetch_add(1, Relaxed));
        u16::try_from(FIRST + (begin + n) % COUNT).expect("below 32,000")
    });
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.find(is_free).expect("some port is free")
}

/// Looks until there is something, and fails the test when there is nothing for [`LIMIT`].
#[track_caller]
pub(crate) fn eventually<R>(what: &str, look: impl FnMut() -> Option<R>) -> R {
    within(LIMIT, look).unwrap_or_else(|| panic!("{what} did not happen within {LIMIT:?}"))
}

/// Looks until there is something or the time is over.
pub(crate) fn within<R>(limit: Duration, mut look: impl FnMut() -> Option<R>) -> Option<R> {
    let deadline = Instant::now() + limit;
    loop {
        let found = look();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
