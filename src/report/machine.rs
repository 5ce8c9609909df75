//! The machine under the generator, as the report has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::remark::Starvation;
use crate::core::clock::Nanos;
use crate::core::units::round;

/// Shortages of this machine among the causes of failures.
pub(crate) const SHORTAGES: [&str; 3] = ["no_local_port", "too_many_open_files", "out_of_memory"];

/// Machine of the generator over the measured time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Generator {
    /// Name of the host; `null` if it is not known, in reports of versions that did not save it, and for several hosts.
    #[serde(default)]
    pub host: Option<String>,
    /// Model of the CPUs; `null` as for `host`.
    #[serde(default)]
    pub cpu_model: Option<String>,
    /// Name and release of the kernel; `null` as for `host`.
    #[serde(default)]
    pub kernel: Option<String>,
    /// Memory of the machine; `null` as for `host`.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// CPUs of the machine.
    pub cores: u64,
    /// CPUs that loadgen may use at a time, by its affinity and its cgroup's quota; `null` in reports of versions
    /// that did not save it.
    #[serde(default)]
    pub available_cores: Option<u64>,
    /// Measured time in seconds.
    pub measured_s: f64,
    /// Seconds that the load threads waited for a CPU, added over the threads.
    pub run_queue_s: f64,
    /// `run_queue_s` as a share of the threads' time, in percent.
    pub run_queue_percent: f64,
    /// Share of all CPUs' time that processes outside the experiment used; `null` where the target's own
    /// part cannot be told, as it runs on this machine under another user.
    pub other_cpu_percent: Option<f64>,
    /// Share of all CPUs' time that a hypervisor gave to others.
    pub steal_percent: f64,
    /// Periods of the cgroup's CPU quota; 0 without a quota.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// Seconds in which the cgroup was throttled, added over its CPUs.
    pub throttled_s: f64,
    /// Seconds in which the whole process was stopped.
    pub stopped_s: f64,
    /// Share of the connections' time in which they were closed or being made again.
    pub reconnecting_percent: f64,
    /// Seconds of it that were a pause of loadgen before the next attempt, added over the connections.
    pub reconnect_pause_s: f64,
    /// Failures because this machine ran out of something, by cause.
    pub out_of: BTreeMap<String, u64>,
}

pub(crate) fn seconds(span: Nanos) -> f64 {
    round(span.as_secs_f64(), 1e6)
}

pub(crate) fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { round(part / whole * 100.0, 1e2) } else { 0.0 }
}

impl Generator {
    /// Several machines' sections as one: times and counts added, shares weighted by what they are of.
    pub(super) fn sum(parts: &[&Self]) -> Option<Self> {
        let mut sum =
            Self { other_cpu_percent: Some(0.0), available_cores: Some(0), ..Self::default() };
        let cores: f64 = parts.iter().map(|part| part.cores as f64).sum();
        for part in parts {
            let weight = part.cores as f64 / cores.max(1.0);
            let even = 1.0 / parts.len() as f64;
            sum.cores += part.cores;
            sum.available_cores =
                sum.available_cores.zip(part.available_cores).map(|(sum, part)| sum + part);
            sum.measured_s = sum.measured_s.max(part.measured_s);
            sum.run_queue_s += part.run_queue_s;
            sum.run_queue_percent += part.run_queue_percent * even;
            sum.other_cpu_percent = (sum.other_cpu_percent.zip(part.other_cpu_percent))
                .map(|(sum, part)| sum + part * weight);
            sum.steal_percent += part.steal_percent * weight;
            sum.periods += part.periods;
            sum.throttled_periods += part.throttled_periods;
            sum.throttled_s += part.throttled_s;
            sum.stopped_s += part.stopped_s;
            sum.reconnecting_percent += part.reconnecting_percent * even;
            sum.reconnect_pause_s += part.reconnect_pause_s;
            for (cause, count) in &part.out_of {
                *sum.out_of.entry(cause.clone()).or_default() += count;
            }
        }
        for share in
            [&mut sum.run_queue_percent, &mut sum.steal_percent, &mut sum.reconnecting_percent]
        {
            *share = round(*share, 1e2);
        }
        sum.other_cpu_percent = sum.other_cpu_percent.map(|share| round(share, 1e2));
        let first = parts.first()?;
        if parts.iter().all(|part| part.host == first.host) {
            sum.host.clone_from(&first.host);
            sum.cpu_model.clone_from(&first.cpu_model);
            sum.kernel.clone_from(&first.kernel);
            sum.memory_bytes = first.memory_bytes;
        }
        Some(sum)
    }

    /// CPUs that processes outside the experiment used on average.
    fn other_cores(&self) -> f64 {
        self.other_cpu_percent.unwrap_or_default() / 100.0 * self.cores as f64
    }

    /// Returns true if the quota of the cgroup was used up in more than this share of its periods.
    fn is_throttled(&self, percent: f64) -> bool {
        self.throttled_periods as f64 > self.periods as f64 * percent / 100.0
    }

    /// The cause that took CPU time from the generator, if it took at least this share of the measured time.
    pub(crate) fn starved_by(&self, least_percent: f64) -> Option<Starvation> {
        let share = least_percent / 100.0;
        if self.stopped_s > self.measured_s * share {
            let Self { stopped_s, measured_s, .. } = *self;
            return Some(Starvation::Stopped { stopped_s, measured_s });
        }
        if self.steal_percent > least_percent {
            return Some(Starvation::Steal { percent: self.steal_percent });
        }
        if self.run_queue_percent <= least_percent {
            return None;
        }
        if self.is_throttled(least_percent) {
            let (periods, of) = (self.throttled_periods, self.periods);
            return Some(Starvation::Throttled { periods, of });
        }
        let other_s = self.other_cores() * self.measured_s;
        // Threads of the experiment wait for each other as well: others must have had a good part of it.
        let are_others = self.other_cores() > share && other_s * 3.0 > self.run_queue_s;
        are_others.then(|| Starvation::Others {
            waited_percent: self.run_queue_percent,
            used_percent: self.other_cpu_percent.unwrap_or_default(),
            cores: self.cores,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Generator {
        let other_cpu_percent = Some(2.0);
        Generator { cores: 2, measured_s: 4.0, other_cpu_percent, ..Generator::default() }
    }

    #[test]
    fn only_time_that_others_took_starves_a_generator() {
        assert_eq!(machine().starved_by(20.0), None);
        // A pipeline on the same machine makes the load threads wait.
        let waits = Generator { run_queue_s: 3.0, run_queue_percent: 75.0, ..machine() };
        assert_eq!(waits.starved_by(20.0), None);
        let busy = Generator { other_cpu_percent: Some(50.0), ..waits.clone() };
        let said = busy.starved_by(20.0).map(|cause| cause.to_string()).unwrap_or_default();
        assert!(said.contains("other processes used 50% of the 2 CPUs"), "{said}");
        let unknown = Generator { other_cpu_percent: None, ..waits.clone() };
        assert_eq!(unknown.starved_by(20.0), None);
        let throttled = Generator { periods: 41, throttled_periods: 40, ..waits };
        let said = throttled.starved_by(20.0).map(|cause| cause.to_string()).unwrap_or_default();
        assert!(said.contains("throttled in 40 of 41 periods"), "{said}");
        let stopped = Generator { stopped_s: 1.5, ..machine() };
        let said = stopped.starved_by(20.0).map(|cause| cause.to_string()).unwrap_or_default();
        assert!(said.contains("stopped for 1.5 s of 4.0 s"), "{said}");
        assert_eq!(Generator { stopped_s: 0.5, ..machine() }.starved_by(20.0), None);
        let stolen = Generator { steal_percent: 30.0, ..machine() };
        let said = stolen.starved_by(20.0).map(|cause| cause.to_string()).unwrap_or_default();
        assert!(said.contains("hypervisor gave 30%"), "{said}");
    }

    #[test]
    fn machines_are_added_and_shares_weighted() {
        let large =
            Generator { cores: 6, other_cpu_percent: Some(10.0), stopped_s: 1.0, ..machine() };
        let sum = Generator::sum(&[&machine(), &large]).expect("two");
        assert_eq!((sum.cores, sum.other_cpu_percent, sum.stopped_s), (8, Some(8.0), 1.0));
        let named = |name: &str| Generator { host: Some(name.to_owned()), ..machine() };
        let same = Generator::sum(&[&named("a"), &named("a")]).expect("two");
        let other = Generator::sum(&[&named("a"), &named("b")]).expect("two");
        assert_eq!((same.host.as_deref(), other.host), (Some("a"), None));
        assert_eq!(Generator::sum(&[]), None);
    }
}
