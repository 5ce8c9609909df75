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

use super::identity::HostFacts;
use crate::core::clock::{self, Nanos};

/// The machine over the measured part.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Machine {
    /// Length of the measured part.
    pub span: Nanos,
    /// CPUs of the machine.
    pub cores: u64,
    /// CPUs that this process may use at a time, by its affinity and its cgroup's quota; at least 1.
    pub available_cores: u64,
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
    /// Name, CPU, kernel and memory.
    pub facts: HostFacts,
}

/// Servers that belong to the experiment although they may not be children of this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Servers {
    /// Addresses they listen on.
    pub addresses: Vec<SocketAddr>,
    /// The unix socket of the target.
    pub unix: Option<PathBuf>,
    /// Processes that the user names.
    pub processes: Vec<i32>,
}

/// Time that the calling thread has waited for a CPU so far: zero where the kernel does not count it.
pub(crate) fn run_queue_delay() -> Nanos {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let delay = text.split_whitespace().nth(1).and_then(|delay| delay.parse().ok());
    Nanos(delay.unwrap_or_default())
}

/// One reading of the machine.
#[derive(Debug)]
struct CpuReading {
    at: Nanos,
    /// CPU time of all processes, without interrupts.
    task_ticks: u64,
    /// CPU time of interrupts, among them most work of the network.
    interrupt_ticks: u64,
    steal_ticks: u64,
    processes: Processes,
    throttling: Throttling,
    stopped: Nanos,
}

/// Watches the machine from one reading to the next.
#[derive(Debug)]
pub(crate) struct MachineWatch {
    facts: HostFacts,
    watchdog: Watchdog,
    first: CpuReading,
    last: Option<CpuReading>,
}

impl MachineWatch {
    /// Begins to watch now.
    pub(crate) fn new() -> Self {
        let watchdog = Watchdog::start();
        Self { facts: HostFacts::read(), first: read(&watchdog), last: None, watchdog }
    }

    /// Begins again: what was so far does not count.
    pub(crate) fn restart(&mut self) {
        self.first = read(&self.watchdog);
    }

    /// Ends the measured part now.
    pub(crate) fn close(&mut self) {
        self.last = Some(read(&self.watchdog));
    }

    /// The measured part, while the processes of the experiment still run.
    pub(crate) fn finish(&mut self, servers: &Servers) -> Machine {
        let last = self.last.take().unwrap_or_else(|| read(&self.watchdog));
        let first = &self.first;
        let ticks = procfs::ticks_per_second() as f64;
        let (members, all_known) = experiment(&last.processes, servers);
        let busy = Busy {
            tasks: last.task_ticks.saturating_sub(first.task_ticks),
            interrupts: last.interrupt_ticks.saturating_sub(first.interrupt_ticks),
            own: last.processes.ticks_since(&first.processes, &members),
            others: last
                .processes
                .ticks_since(&first.processes, &last.processes.others_than(&members)),
        };
        let other = busy.of_others();
        let cpus = KernelStats::current().map_or(0, |stats| stats.cpu_time.len());
        Machine {
            span: last.at - first.at,
            cores: cpus.max(1) as u64,
            available_cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
            other_cpu_s: all_known.then_some(other as f64 / ticks),
            steal_s: last.steal_ticks.saturating_sub(first.steal_ticks) as f64 / ticks,
            periods: last.throttling.periods.saturating_sub(first.throttling.periods),
            throttled_periods: last.throttling.throttled.saturating_sub(first.throttling.throttled),
            throttled: last.throttling.time - first.throttling.time,
            stopped: last.stopped - first.stopped,
            facts: self.facts.clone(),
        }
    }
}

/// CPU time in ticks.
#[derive(Debug, Clone, Copy)]
struct Busy {
    /// All processes, without interrupts.
    tasks: u64,
    /// Interrupts, among them most work of the network.
    interrupts: u64,
    /// Processes of the experiment.
    own: u64,
    /// The other processes that can be seen.
    others: u64,
}

impl Busy {
    /// CPU time of processes outside the experiment. A kernel adds interrupts to the processes that they
    /// interrupt, or not (`CONFIG_IRQ_TIME_ACCOUNTING`). So the difference of all and the experiment is only
    /// known up to the interrupts, which are mostly the experiment's own traffic. Within that, the processes
    /// that can be seen decide.
    fn of_others(self) -> u64 {
        let least = self.tasks.saturating_sub(self.own);
        let most = (self.tasks + self.interrupts).saturating_sub(self.own);
        self.others.clamp(least, most)
    }
}

impl Default for MachineWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn read(watchdog: &Watchdog) -> CpuReading {
    let total = KernelStats::current().ok().map(|stats| stats.total);
    // Time of guests is in that of their user already.
    let tasks = total.as_ref().map_or(0, |cpu| cpu.user + cpu.nice + cpu.system);
    let interrupts = total
        .as_ref()
        .map_or(0, |cpu| cpu.irq.unwrap_or_default() + cpu.softirq.unwrap_or_default());
    CpuReading {
        at: clock::now(),
        task_ticks: tasks,
        interrupt_ticks: interrupts,
        steal_ticks: total.and_then(|cpu| cpu.steal).unwrap_or_default(),
        processes: Processes::read(),
        throttling: cgroup::own(),
        stopped: watchdog.stopped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_of_the_experiment_are_not_the_time_of_others() {
        // The kernel does not add interrupts to processes, and nothing else runs.
        let busy = Busy { tasks: 448, interrupts: 108, own: 448, others: 0 };
        assert_eq!(busy.of_others(), 0);
        // It adds them, and another process has a part.
        let busy = Busy { tasks: 448, interrupts: 108, own: 506, others: 50 };
        assert_eq!(busy.of_others(), 50);
        // The processes of others cannot be seen.
        let hidden = Busy { tasks: 500, interrupts: 20, own: 200, others: 0 };
        assert_eq!(hidden.of_others(), 300);
        // The time of a process that has ended is not counted twice.
        let ended = Busy { tasks: 500, interrupts: 20, own: 400, others: 900 };
        assert_eq!(ended.of_others(), 120);
    }
}
