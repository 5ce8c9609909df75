//! One child process, run to its end: its output, its CPU time, and the load of the machine beside it.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use procfs::{CurrentSI as _, KernelStats};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// CPU seconds of one run, with a resolution of 10 ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// User and system time of the child, its threads and its children.
    pub(crate) cpu_s: f64,
    /// CPU seconds of all cores during the run.
    offered_s: f64,
    /// CPU seconds that the cores were busy, for any process.
    busy_s: f64,
}

impl Cost {
    /// CPU share of processes that do not belong to the bench, in percent. `own_s` is the CPU time of its servers.
    pub(crate) fn others(&self, own_s: f64) -> f64 {
        ((self.busy_s - self.cpu_s - own_s) / self.offered_s * 100.0).max(0.0)
    }
}

/// Runs a command to its end. Returns its standard output and its cost. Fails if it cannot start, exits with an error,
/// or still runs after `limit`, when it is killed.
///
/// The bench only waits meanwhile, so that it takes no CPU time from the measured program.
pub(crate) fn run(command: &mut Command, limit: Duration) -> anyhow::Result<(String, Cost)> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let (cpu_before, idle_before, began) = (cpu_of_children()?, idle()?, Instant::now());
    let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    if !ends_within(&child, limit)? {
        child.kill()?;
        child.wait()?;
        bail!("it still ran after {limit:?}");
    }
    let status = child.wait()?;
    let cpu_s = cpu_of_children()? - cpu_before;
    let cores = available_parallelism().map_or(1, usize::from);
    let offered_s = began.elapsed().as_secs_f64() * cores as f64;
    let busy_s = offered_s - (idle()? - idle_before);
    let complaint = text(&mut stderr)?;
    ensure!(status.success(), "{status}: {}", complaint.lines().next().unwrap_or("no message"));
    Ok((text(&mut stdout)?, Cost { cpu_s, offered_s, busy_s }))
}

fn ends_within(child: &Child, limit: Duration) -> anyhow::Result<bool> {
    let handle = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit)?;
    Ok(poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit))? > 0)
}

/// CPU seconds of all children that have ended and been waited for.
fn cpu_of_children() -> anyhow::Result<f64> {
    let stat = procfs::process::Process::myself()?.stat()?;
    Ok((stat.cutime + stat.cstime) as f64 / procfs::ticks_per_second() as f64)
}

/// Seconds that all cores together had nothing to do.
fn idle() -> anyhow::Result<f64> {
    let total = KernelStats::current()?.total;
    let ticks = total.idle + total.iowait.unwrap_or_default();
    Ok(ticks as f64 / procfs::ticks_per_second() as f64)
}

fn text(file: &mut File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
