//! CPU time and memory of one process.

use std::collections::HashMap;

use procfs::process::{Process, Stat};

use super::ProcessId;
use super::thread_times::ThreadTimes;
use crate::core::clock::Nanos;

/// Most threads of a process whose times are read: reading more would take time from the generator.
const MOST_THREADS: i64 = 256;

/// CPU time of a process so far, in seconds.
#[derive(Debug)]
pub(super) struct ProcessUse {
    pub(super) process: ProcessId,
    pub(super) first: Option<f64>,
    pub(super) last: f64,
    /// Times of its threads, if they are watched.
    pub(super) threads: Option<ThreadTimes>,
    /// Time at which it was seen to have ended.
    pub(super) ended: Option<Nanos>,
}

impl ProcessUse {
    pub(super) fn new(process: ProcessId) -> Self {
        Self { process, first: None, last: 0.0, threads: None, ended: None }
    }

    /// Reads its CPU time. Returns its resident bytes; `None` once it has ended.
    pub(super) fn sample(
        &mut self,
        now: Nanos,
        threads: Option<&'static str>,
        named: &[NamedThreads],
    ) -> Option<u64> {
        let Some(usage) = read_usage(self.process, threads, named) else {
            self.ended = Some(now).filter(|_| self.process.started.is_some());
            return None;
        };
        self.first = self.first.or(Some(usage.cpu_s));
        self.last = usage.cpu_s;
        if let Some(times) = usage.threads {
            self.threads = Some(ThreadTimes::after(self.threads.take(), times));
        }
        Some(usage.rss)
    }
}

/// Threads that a component of its own stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedThreads {
    pub(super) pid: u32,
    pub(super) prefix: &'static str,
}

/// One reading of a process.
struct ProcessUsage {
    cpu_s: f64,
    rss: u64,
    /// CPU time of each thread, if it is a process that this run did not start.
    threads: Option<HashMap<i32, f64>>,
}

/// Reads a process; `None` once it has ended.
fn read_usage(
    id: ProcessId,
    threads: Option<&'static str>,
    named: &[NamedThreads],
) -> Option<ProcessUsage> {
    let process = Process::new(id.pid.cast_signed()).ok()?;
    let stat = process.stat().ok()?;
    if stat.state == 'Z' || id.started.is_some_and(|started| started != stat.starttime) {
        return None;
    }
    let rss = stat.rss * procfs::page_size();
    let threads_cpu = |prefix: &str| -> f64 {
        let named = thread_stats(&process).filter(|stat| stat.comm.starts_with(prefix));
        named.map(|stat| seconds(&stat)).sum()
    };
    let cpu_s = match threads {
        Some(prefix) => threads_cpu(prefix),
        None => {
            let others = named.iter().filter(|threads| threads.pid == id.pid);
            seconds(&stat) - others.map(|threads| threads_cpu(threads.prefix)).sum::<f64>()
        }
    };
    let is_watched = id.started.is_some() && stat.num_threads <= MOST_THREADS;
    let times = || thread_stats(&process).map(|stat| (stat.pid, seconds(&stat))).collect();
    Some(ProcessUsage { cpu_s, rss, threads: is_watched.then(times) })
}

fn thread_stats(process: &Process) -> impl Iterator<Item = Stat> {
    process.tasks().into_iter().flatten().flatten().filter_map(|task| task.stat().ok())
}

fn seconds(stat: &Stat) -> f64 {
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
}
