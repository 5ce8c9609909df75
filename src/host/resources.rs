//! CPU time and memory of each component, from `/proc`; and the limit on open files.

use std::sync::Arc;

use procfs::process::{Process, Stat};
use rustix::process::{Resource as Limit, Rlimit, getrlimit, setrlimit};

use serde::{Deserialize, Serialize};

use crate::core::clock::{self, Nanos};
use crate::core::units::round;

/// A process, or those of its threads whose names begin with a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    /// The report's word for it.
    pub name: Arc<str>,
    /// Its process.
    pub pid: u32,
    /// Only threads whose name begins with this; `None` is the whole process less the threads that
    /// another component of the same process names.
    pub threads: Option<&'static str>,
}

/// Resources that a component used over the measured time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Resource {
    /// Name of the component.
    pub component: String,
    /// Its process.
    pub pid: u32,
    /// User and system time in seconds; resolution 10 ms.
    pub cpu_s: f64,
    /// Mean share of one core, in percent.
    pub cpu_percent_mean: f64,
    /// Largest share of one core in a second, in percent.
    pub cpu_percent_max: f64,
    /// Largest resident memory of the process in bytes.
    pub rss_max_bytes: u64,
}

/// Each component's share of one core, in percent. A run keeps one for every second: names are shared.
pub(crate) type Shares = Vec<(Arc<str>, f64)>;

#[derive(Debug)]
struct Watched {
    component: Component,
    first_cpu: Option<f64>,
    last_cpu: f64,
    /// CPU between the last two samples.
    percent: Option<f64>,
    percent_max: f64,
    rss_max: u64,
}

/// CPU time comes in steps of 10 ms: of a shorter span, in seconds, a share would be noise.
const SHORTEST_SPAN: f64 = 0.05;

/// Samples components. Those that have ended keep what they had used.
#[derive(Debug)]
pub(crate) struct Sampler {
    watched: Vec<Watched>,
    started: Nanos,
    sampled: Nanos,
}

impl Sampler {
    /// Begins to watch now.
    pub(crate) fn new(components: Vec<Component>) -> Self {
        let watched = |component| Watched {
            component,
            first_cpu: None,
            last_cpu: 0.0,
            percent: None,
            percent_max: 0.0,
            rss_max: 0,
        };
        let now = clock::now();
        let watched = components.into_iter().map(watched).collect();
        let mut sampler = Self { watched, started: now, sampled: now };
        sampler.sample();
        sampler
    }

    /// Begins again: what was used so far does not count.
    pub(crate) fn restart(&mut self) {
        self.watched.iter_mut().for_each(|watched| {
            (watched.first_cpu, watched.percent_max, watched.rss_max) = (None, 0.0, 0);
        });
        self.started = clock::now();
        self.sample();
    }

    /// Takes a sample and gives each component's share of a core since the last one, in percent: none
    /// where the time between is too short to tell, or the component has ended.
    pub(crate) fn sample(&mut self) -> Shares {
        let now = clock::now();
        let span = (now - self.sampled).as_secs_f64();
        self.sampled = now;
        let named: Vec<_> = (self.watched.iter())
            .filter_map(|w| Some((w.component.pid, w.component.threads?)))
            .collect();
        for watched in &mut self.watched {
            watched.percent = None;
            let Some((cpu, rss)) = usage(&watched.component, &named) else { continue };
            if watched.first_cpu.is_none() {
                watched.first_cpu = Some(cpu);
            } else if span >= SHORTEST_SPAN {
                let percent = (cpu - watched.last_cpu).max(0.0) / span * 100.0;
                watched.percent = Some(percent);
                watched.percent_max = watched.percent_max.max(percent);
            }
            watched.last_cpu = cpu;
            watched.rss_max = watched.rss_max.max(rss);
        }
        let mut shares: Shares = self
            .watched
            .iter()
            .filter_map(|w: &Watched| Some((Arc::clone(&w.component.name), w.percent?)))
            .collect();
        shares.shrink_to_fit();
        shares
    }

    /// When the last sample was taken.
    pub(crate) fn sampled(&self) -> Nanos {
        self.sampled
    }

    /// Returns the resources that each component used between the beginning and the last sample.
    pub(crate) fn used(&self) -> Vec<Resource> {
        let span = (self.sampled - self.started).as_secs_f64().max(1e-9);
        self.watched
            .iter()
            .filter_map(|watched: &Watched| {
                let first = watched.first_cpu?;
                let cpu_s = (watched.last_cpu - first).max(0.0);
                let mean = cpu_s / span * 100.0;
                Some(Resource {
                    component: watched.component.name.to_string(),
                    pid: watched.component.pid,
                    cpu_s: round(cpu_s, 1e3),
                    cpu_percent_mean: round(mean, 10.0),
                    cpu_percent_max: round(watched.percent_max.max(mean), 10.0),
                    rss_max_bytes: watched.rss_max,
                })
            })
            .collect()
    }
}

/// CPU seconds and resident bytes; `None` once it has ended. `named` are the threads that components
/// of their own stand for.
fn usage(component: &Component, named: &[(u32, &'static str)]) -> Option<(f64, u64)> {
    let process = Process::new(component.pid.cast_signed()).ok()?;
    let stat = process.stat().ok()?;
    if stat.state == 'Z' {
        return None;
    }
    let rss = stat.rss * procfs::page_size();
    let threads_cpu = |prefix: &str| -> f64 {
        let tasks = process.tasks().into_iter().flatten().flatten();
        let stats = tasks.filter_map(|task| task.stat().ok());
        stats.filter(|stat| stat.comm.starts_with(prefix)).map(|stat| seconds(&stat)).sum()
    };
    let cpu = match component.threads {
        Some(prefix) => threads_cpu(prefix),
        None => {
            let others = named.iter().filter(|(pid, _)| *pid == component.pid);
            seconds(&stat) - others.map(|(_, prefix)| threads_cpu(prefix)).sum::<f64>()
        }
    };
    Some((cpu, rss))
}

fn seconds(stat: &Stat) -> f64 {
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
}

/// The number of open files is too small for the plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{needed} open files are needed for --connections, and the system allows {allowed}; \
     raise it with `ulimit -n {needed}` or take fewer connections"
)]
pub struct TooFewDescriptors {
    needed: u64,
    allowed: u64,
}

/// Makes room for `needed` open files: raises this process's limit as far as it may itself.
pub(crate) fn ensure_descriptors(needed: u64) -> Result<(), TooFewDescriptors> {
    let limit = getrlimit(Limit::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    let raised =
        Rlimit { current: Some(allowed.min(needed.next_power_of_two())), maximum: limit.maximum };
    if setrlimit(Limit::Nofile, raised).is_err() || allowed < needed {
        return Err(TooFewDescriptors { needed, allowed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(millis: u64) {
        let end = clock::now() + Nanos::from_millis(millis);
        while clock::now() < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_busy_thread_is_told_from_its_process() {
        let pid = std::process::id();
        let component = |name: &str, threads| Component { name: name.into(), pid, threads };
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let busy = std::thread::Builder::new().name("busy-0".to_owned());
        let busy = busy.spawn(move || {
            spin(300);
            // Stays until it was looked at: a thread that has ended is no longer listed.
            let _ = stopped.recv();
        });
        let mut sampler =
            Sampler::new(vec![component("busy", Some("busy-")), component("gone", Some("none-"))]);
        std::thread::sleep(std::time::Duration::from_millis(350));
        let shares = sampler.sample();
        let used = sampler.used();
        drop(stop);
        busy.expect("a thread").join().expect("no panic");
        assert_eq!(used.len(), 2);
        assert!(used[0].cpu_s >= 0.02 && used[0].rss_max_bytes > 100_000, "{used:?}");
        assert_eq!(used[1].cpu_s, 0.0);
        let named = |name: &str| shares.iter().find(|(n, _)| **n == *name).map(|(_, share)| *share);
        assert!(named("busy") > Some(5.0) && named("gone") == Some(0.0), "{shares:?}");
    }

    #[test]
    fn a_process_that_has_ended_is_left_out() {
        let nobody = Component { name: "x".into(), pid: u32::MAX >> 2, threads: None };
        assert_eq!(Sampler::new(vec![nobody]).used(), []);
    }

    #[test]
    fn too_many_files_are_refused_with_the_cure() {
        assert_eq!(ensure_descriptors(3), Ok(()));
        let error = ensure_descriptors(1 << 40).expect_err("no system allows it").to_string();
        assert!(error.contains("ulimit -n 1099511627776"), "{error}");
    }
}
