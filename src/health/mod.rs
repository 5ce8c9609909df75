//! The machine under the generator: CPU time that others took, limits of the cgroup, time in which the
//! process was stopped. It tells a generator that was starved from a target that is slow.

mod cgroup;
mod processes;
mod watchdog;

use std::net::SocketAddr;
use std::path::PathBuf;

use cgroup::Throttling;
use processes::{Processes, experiment};
use procfs::{CurrentSI as _, KernelStats};
use watchdog::Watchdog;

use crate::clock::{self, Nanos};

/// The machine over the measured part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Machine {
    /// Length of the measured part.
    pub span: Nanos,
    /// CPUs of the machine.
    pub cores: u64,
    /// CPU seconds of processes outside the experiment; `None` where the target runs here under another
    /// user, so that its part cannot be told.
    pub other_cpu_s: Option<f64>,
    /// CPU seconds that a hypervisor gave to others.
    pub steal_s: f64,
    /// Periods of the cgroup's CPU quota; 0 without a quota.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// Time in which the cgroup was throttled, added over its CPUs.
    pub throttled: Nanos,
    /// Time in which the whole process was stopped.
    pub stopped: Nanos,
}

/// Servers that belong to the experiment although they may not be children of this process.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    /// Addresses they listen on.
    pub addresses: Vec<SocketAddr>,
    /// The unix socket of the target.
    pub unix: Option<PathBuf>,
}

/// Time that the calling thread has waited for a CPU so far: zero where the kernel does not count it.
pub fn run_queue_delay() -> Nanos {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let delay = text.split_whitespace().nth(1).and_then(|delay| delay.parse().ok());
    Nanos(delay.unwrap_or_default())
}

/// One reading of the machine.
#[derive(Debug)]
struct Reading {
    at: Nanos,
    busy_ticks: u64,
    steal_ticks: u64,
    processes: Processes,
    throttling: Throttling,
    stopped: Nanos,
}

/// Watches the machine from one reading to the next.
#[derive(Debug)]
pub struct MachineWatch {
    watchdog: Watchdog,
    first: Reading,
    last: Option<Reading>,
}

impl MachineWatch {
    /// Begins to watch now.
    pub fn new() -> Self {
        let watchdog = Watchdog::start();
        Self { first: read(&watchdog), last: None, watchdog }
    }

    /// Begins again: what was so far does not count.
    pub fn restart(&mut self) {
        self.first = read(&self.watchdog);
    }

    /// Ends the measured part now.
    pub fn close(&mut self) {
        self.last = Some(read(&self.watchdog));
    }

    /// The measured part, while the processes of the experiment still run.
    pub fn finish(&mut self, servers: &Servers) -> Machine {
        let last = self.last.take().unwrap_or_else(|| read(&self.watchdog));
        let first = &self.first;
        let ticks = procfs::ticks_per_second() as f64;
        let (members, all_known) = experiment(&last.processes, servers);
        let own = last.processes.ticks_since(&first.processes, &members);
        let other = last.busy_ticks.saturating_sub(first.busy_ticks).saturating_sub(own);
        let cpus = KernelStats::current().map_or(0, |stats| stats.cpu_time.len());
        Machine {
            span: last.at - first.at,
            cores: cpus.max(1) as u64,
            other_cpu_s: all_known.then_some(other as f64 / ticks),
            steal_s: last.steal_ticks.saturating_sub(first.steal_ticks) as f64 / ticks,
            periods: last.throttling.periods.saturating_sub(first.throttling.periods),
            throttled_periods: last.throttling.throttled.saturating_sub(first.throttling.throttled),
            throttled: last.throttling.time - first.throttling.time,
            stopped: last.stopped - first.stopped,
        }
    }
}

impl Default for MachineWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn read(watchdog: &Watchdog) -> Reading {
    let total = KernelStats::current().ok().map(|stats| stats.total);
    let busy = total.as_ref().map_or(0, |cpu| {
        let interrupts = cpu.irq.unwrap_or_default() + cpu.softirq.unwrap_or_default();
        // Time of guests is in that of their user already.
        cpu.user + cpu.nice + cpu.system + interrupts
    });
    Reading {
        at: clock::now(),
        busy_ticks: busy,
        steal_ticks: total.and_then(|cpu| cpu.steal).unwrap_or_default(),
        processes: Processes::read(),
        throttling: cgroup::own(),
        stopped: watchdog.stopped(),
    }
}
