//! CPU time and memory of each component, from `/proc`; and the limit on open files.

use std::sync::Arc;

use rustix::process::{Resource as Limit, Rlimit, getrlimit, setrlimit};

use serde::{Deserialize, Serialize};

use crate::core::clock::{self, Nanos};
use crate::core::units::round;

mod process_use;
mod thread_times;

use process_use::{NamedThreads, ProcessUse};

/// Processes, or those of their threads whose names begin with a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    /// The report's word for it.
    pub name: Arc<str>,
    /// Its processes, at least one.
    pub processes: Vec<ProcessId>,
    /// Only threads whose name begins with this; `None` is the whole process less the threads that
    /// another component of the same process names.
    pub threads: Option<&'static str>,
}

impl Component {
    /// A component of this run with one process.
    pub(crate) fn new(name: &str, pid: u32, threads: Option<&'static str>) -> Self {
        Self { name: name.into(), processes: vec![ProcessId { pid, started: None }], threads }
    }

    /// Returns true if this run did not start it.
    fn is_foreign(&self) -> bool {
        self.processes.iter().any(|process| process.started.is_some())
    }
}

/// Number of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessId {
    pub pid: u32,
    /// Its start in clock ticks after that of the machine: it tells a process that this run did not start from a later
    /// one with the same number.
    pub started: Option<u64>,
}

/// Resources that a component used over the measured time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Resource {
    /// Name of the component.
    pub component: String,
    /// Its process; the first, if there are several.
    pub pid: u32,
    /// Processes of a component that `--process` names; absent for loadgen's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// User and system time in seconds; resolution 10 ms.
    pub cpu_s: f64,
    /// Mean share of one core, in percent.
    pub cpu_percent_mean: f64,
    /// Largest share of one core in a second, in percent.
    pub cpu_percent_max: f64,
    /// Largest mean share of one core of a thread, in percent; only for a component that `--process` names, with at most
    /// 256 threads in a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busiest_thread_percent: Option<f64>,
    /// Largest resident memory of the process in bytes; the sum, if there are several.
    pub rss_max_bytes: u64,
}

/// Each component's share of one core, in percent. A run keeps one for every second: names are shared.
pub(crate) type Shares = Vec<(Arc<str>, f64)>;

#[derive(Debug)]
struct Watched {
    component: Component,
    uses: Vec<ProcessUse>,
    /// CPU between the last two samples.
    percent: Option<f64>,
    percent_max: f64,
    rss_max: u64,
}

impl Watched {
    fn new(component: Component) -> Self {
        let uses = component.processes.iter().map(|process| ProcessUse::new(*process)).collect();
        Self { component, uses, percent: None, percent_max: 0.0, rss_max: 0 }
    }

    /// Begins again: what was used so far does not count.
    fn restart(&mut self) {
        (self.percent_max, self.rss_max) = (0.0, 0);
        self.uses.iter_mut().for_each(|used| (used.first, used.threads) = (None, None));
    }

    /// Takes a sample, `span` seconds after the last one. `named` are the threads that components of their own stand
    /// for.
    fn sample(&mut self, now: Nanos, span: f64, named: &[NamedThreads]) {
        self.percent = None;
        let (mut rss, mut cpu_s, mut is_known) = (0, 0.0, false);
        for used in self.uses.iter_mut().filter(|used| used.ended.is_none()) {
            let before = used.last;
            let is_first = used.first.is_none();
            let Some(resident) = used.sample(now, self.component.threads, named) else { continue };
            rss += resident;
            if !is_first {
                cpu_s += (used.last - before).max(0.0);
                is_known = true;
            }
        }
        if is_known && span >= SHORTEST_SPAN {
            let percent = cpu_s / span * 100.0;
            self.percent = Some(percent);
            self.percent_max = self.percent_max.max(percent);
        }
        self.rss_max = self.rss_max.max(rss);
    }

    /// Resources used in `span` seconds; `None` if no process was seen in them.
    fn used(&self, span: f64) -> Option<Resource> {
        let seen = self.uses.iter().filter_map(|used| Some((used.last - used.first?).max(0.0)));
        let cpu_s = seen.reduce(|all, one| all + one)?;
        let mean = cpu_s / span * 100.0;
        let is_foreign = self.component.is_foreign();
        let busiest = self.uses.iter().filter_map(|used| used.threads.as_ref()?.busiest());
        let busiest = busiest.max_by(f64::total_cmp).filter(|_| is_foreign);
        Some(Resource {
            component: self.component.name.to_string(),
            pid: self.component.processes.first().map_or(0, |process| process.pid),
            processes: is_foreign.then_some(self.uses.len() as u64),
            cpu_s: round(cpu_s, 1e3),
            cpu_percent_mean: round(mean, 10.0),
            cpu_percent_max: round(self.percent_max.max(mean), 10.0),
            busiest_thread_percent: busiest.map(|cpu_s| round(cpu_s / span * 100.0, 10.0)),
            rss_max_bytes: self.rss_max,
        })
    }
}

/// Process that ended while it was watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndedProcess {
    pub(crate) component: Arc<str>,
    pub(crate) pid: u32,
    /// Time at which its end was seen.
    pub(crate) at: Nanos,
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
        let now = clock::now();
        let watched = components.into_iter().map(Watched::new).collect();
        let mut sampler = Self { watched, started: now, sampled: now };
        sampler.sample();
        sampler
    }

    /// Begins again: what was used so far does not count.
    pub(crate) fn restart(&mut self) {
        self.watched.iter_mut().for_each(Watched::restart);
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
            .filter_map(|w| {
                let (process, prefix) = (w.component.processes.first()?, w.component.threads?);
                Some(NamedThreads { pid: process.pid, prefix })
            })
            .collect();
        self.watched.iter_mut().for_each(|watched| watched.sample(now, span, &named));
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
        self.watched.iter().filter_map(|watched| watched.used(span)).collect()
    }

    /// Processes of `--process` that have ended.
    pub(crate) fn ended(&self) -> Vec<EndedProcess> {
        let ended = self.watched.iter().flat_map(|watched| {
            let component = &watched.component.name;
            watched.uses.iter().filter_map(|used| {
                let (component, pid) = (Arc::clone(component), used.process.pid);
                Some(EndedProcess { component, pid, at: used.ended? })
            })
        });
        ended.collect()
    }
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
        let component = |name: &str, threads| Component::new(name, pid, threads);
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
        let nobody = Component::new("x", u32::MAX >> 2, None);
        assert_eq!(Sampler::new(vec![nobody]).used(), []);
    }

    #[test]
    fn too_many_files_are_refused_with_the_cure() {
        assert_eq!(ensure_descriptors(3), Ok(()));
        let error = ensure_descriptors(1 << 40).expect_err("no system allows it").to_string();
        assert!(error.contains("ulimit -n 1099511627776"), "{error}");
    }
}
