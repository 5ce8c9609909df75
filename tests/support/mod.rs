//! Helpers of all test binaries: private servers, processes, HTTP and `/proc`.

mod cutter;
mod http;
mod json_runs;
mod loadgen;
mod metrics;
mod proc;
mod process;
mod recorder;
mod scripted_broker;
mod servers;
mod targets;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(crate) use cutter::Cutter;
pub(crate) use http::{Answer, exchange, get, post};
pub(crate) use json_runs::{SLACK, assert_adds_up, json_command, report_from_stdout, run_json};
pub(crate) use loadgen::{
    JsonReport, Service, clear_settings, loadgen, loadgen_with_wrong_clock, matches_schema,
    prepared, report_of, report_of_command, run, start,
};
pub(crate) use metrics::{Samples, samples};
pub(crate) use proc::{child_called, children_of, command_line, is_alive, peak_memory};
pub(crate) use process::{Finished, Process, fill_pipe, signal_to};
pub(crate) use recorder::{Durable, Recorder};
pub(crate) use scripted_broker::{Misbehaviour, ScriptedBroker};
pub(crate) use servers::{Certificates, Mosquitto, Nginx, Redis, Sentinel, data};
pub(crate) use targets::{Act, LARGEST_BODY, OK, Request, Target, read_request, stalling};

/// Limit of every wait: longer than any step takes, so that a hang fails the test.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// Limit for steps that should happen at once, on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Path of a program on `PATH` or in the folder where Debian installs servers.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// `true` if a program is installed. Otherwise the test fails with CI=true, and prints elsewhere that it is skipped.
pub(crate) fn require(program: &str) -> bool {
    if find_program(program).is_some() {
        return true;
    }
    skip_unless_ci(&format!("{program} is not installed"));
    false
}

/// Prints on the real standard error, not captured by the test harness, that the current test is skipped.
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

/// `true` if a run can start its own servers.
pub(crate) fn require_stack() -> bool {
    require("redis-server") && require("mosquitto")
}

/// A free loopback port that this process has not returned before. Linux chooses it. It
/// gives listeners ports of one parity and outgoing connections those of the other as long as there are any, so the
/// port stays free until a server is started on it, and while a server is restarted.
pub(crate) fn free_port() -> u16 {
    static RETURNED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let port = listener.local_addr().expect("it is bound").port();
        let mut returned = RETURNED.lock().unwrap_or_else(PoisonError::into_inner);
        if returned.insert(port) {
            return port;
        }
    }
}

/// Calls `look` until it returns a value, and fails the test after [`LIMIT`].
#[track_caller]
pub(crate) fn eventually<R>(what: &str, look: impl FnMut() -> Option<R>) -> R {
    within(LIMIT, look).unwrap_or_else(|| panic!("{what} did not happen within {LIMIT:?}"))
}

/// Calls `look` until it returns a value or `limit` is over.
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

/// Raises the limit on open files of this process. Returns false if the system does not allow as many.
pub(crate) fn allow_open_files(count: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= count);
    let raised = Rlimit { current: Some(count), maximum: limit.maximum };
    is_enough(limit.current)
        || is_enough(limit.maximum) && setrlimit(Resource::Nofile, raised).is_ok()
}
