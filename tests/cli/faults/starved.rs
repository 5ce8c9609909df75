//! A closed loop has no due times, so lateness cannot show a lack of CPU. The generator is still limited, and the
//! reason names the cause.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use loadgen::report::sentences;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Act, Finished, OK, Process, Target, json_command, skip_unless_ci};

/// Runs a closed loop behind a program that starts it.
fn behind(program: &str, words: &[&str], load: &str, target: &Target) -> Finished {
    let inner = json_command(&format!("{load} {}", target.url()));
    let mut outer = Command::new(program);
    outer.args(words).arg(inner.get_program()).args(inner.get_args());
    Process::start("loadgen", &mut outer).finish()
}

/// The only reason for the verdict of a limited run.
#[track_caller]
fn reason(ran: &Finished) -> String {
    let report = ran.report();
    let verdict = &report.verdict;
    let state = (ran.code, verdict.generator.is_valid(), verdict.reasons.len());
    assert_eq!(state, (Some(3), false, 1), "{verdict:?} {:?}", report.generator);
    verdict.reasons[0].to_string()
}

/// A process that keeps the first CPU busy. It is not a child of the test, as loadgen counts those apart.
struct BusyCore(Pid);

impl BusyCore {
    fn start() -> Self {
        let script = "taskset -c 0 sh -c 'while :; do :; done' >/dev/null 2>&1 & echo $!";
        let mut shell = Command::new("sh");
        let started = Process::start("sh", shell.args(["-c", script])).finish();
        let pid = started.stdout.trim().parse().ok().and_then(Pid::from_raw);
        Self(pid.expect("the number of a process"))
    }
}

impl Drop for BusyCore {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn a_closed_loop_beside_a_busy_core_is_limited() {
    let target = Target::always(Act::Say(OK));
    let _busy = BusyCore::start();
    // About a quarter of the CPU: with less, loadgen would hardly come to its start on a busy machine.
    let words = ["-c", "0", "nice", "-n", "5"];
    let ran = behind("taskset", &words, "-d 2s -c 2 -t 1", &target);
    let reason = reason(&ran);
    assert!(reason.contains("other processes used"), "{reason}");
}

#[test]
fn a_closed_loop_that_was_stopped_is_limited() {
    let target = Target::always(Act::Say(OK));
    let run = Process::start("loadgen", &mut json_command(&format!("-d 3s -c 2 {}", target.url())));
    target.wait_for_load();
    run.signal(Signal::STOP);
    thread::sleep(Duration::from_millis(1_500));
    run.signal(Signal::CONT);
    let reason = reason(&run.finish());
    assert!(reason.contains("loadgen was stopped for 1."), "{reason}");
}

#[test]
fn a_short_stop_of_a_closed_loop_is_noted() {
    let target = Target::always(Act::Say(OK));
    let run = Process::start(
        "loadgen",
        &mut json_command(&format!("--allow-limited -d 4s -c 2 {}", target.url())),
    );
    target.wait_for_load();
    run.signal(Signal::STOP);
    thread::sleep(Duration::from_millis(300));
    run.signal(Signal::CONT);
    let report = run.finish().report();
    let notes = sentences(&report.verdict.notes).join("; ");
    assert!(notes.contains("loadgen was stopped for 0."), "{notes} {:?}", report.generator);
}

/// A cgroup whose processes get a tenth of one CPU.
struct TenPercent(PathBuf);

impl TenPercent {
    /// `None` where this user may make none.
    fn new() -> Option<Self> {
        let quota = |folder: &Path| {
            let one = fs::write(folder.join("cpu.cfs_period_us"), "100000")
                .and_then(|()| fs::write(folder.join("cpu.cfs_quota_us"), "10000"));
            one.or_else(|_| fs::write(folder.join("cpu.max"), "10000 100000"))
        };
        let name = format!("loadgen-test-{}", std::process::id());
        ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"].iter().find_map(
            |root| {
                let folder = Path::new(root).join(&name);
                fs::create_dir(&folder).ok()?;
                let group = Self(folder);
                quota(&group.0).is_ok().then_some(group)
            },
        )
    }
}

impl Drop for TenPercent {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_closed_loop_with_a_tenth_of_a_cpu_is_limited() {
    let Some(group) = TenPercent::new() else {
        skip_unless_ci("this user may not make a cgroup");
        return;
    };
    let target = Target::always(Act::Say(OK));
    let join = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
    let ran = behind("sh", &["-c", &join, "sh"], "-d 3s -c 2 -t 1", &target);
    let reason = reason(&ran);
    assert!(reason.contains("its cgroup was throttled in"), "{reason}");
}

#[test]
fn a_closed_loop_beside_the_server_that_it_drives_is_valid() {
    let target = Target::always(Act::Say(OK));
    // Generator and target share the CPUs on purpose.
    let run = format!("--allow-limited -d 2s -c 8 -t 2 {}", target.url());
    let report = Process::start("loadgen", &mut json_command(&run)).finish().report();
    let machine = report.generator.as_ref().expect("it is measured");
    assert!(machine.measured_s > 1.5 && machine.cores > 0, "{machine:?}");
    // Other programs may run on this machine. Without them nothing limits the generator.
    let is_quiet =
        machine.other_cpu_percent.is_some_and(|other| other * machine.cores as f64 <= 20.0);
    assert!(
        !is_quiet || machine.stopped_s > 0.0 || report.verdict.reasons.is_empty(),
        "{:?} {machine:?}",
        report.verdict
    );
}
