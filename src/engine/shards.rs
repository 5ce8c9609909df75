//! Shares of the load: the part of each worker of each node.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::load::{LoadConfig, Mode};
use super::schedule::{Schedule, ScheduleConfig};
use super::slot_source::{WorkerIndex, WorkerLoad};
use crate::core::clock::Nanos;
use crate::message::{Assignment, IdSpace, Mix};

/// Messages per second that one worker cannot exceed on any machine; limits the ids of a closed loop.
const MOST_PER_SECOND: f64 = 1_000_000.0;

/// Share of this process if several nodes send one load together: `k/N`, k from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeShare {
    /// Index of this node, 0 to `count` − 1.
    pub index: u64,
    /// Number of nodes, at least 1.
    pub count: u64,
}

impl std::str::FromStr for NodeShare {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed =
            text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match parsed {
            Some((index, count)) if index < count && count <= 10_000 => Ok(Self { index, count }),
            _ => Err(format!("'{text}' is not k/N with k from 0 to N-1, such as 0/4")),
        }
    }
}

impl<'de> Deserialize<'de> for NodeShare {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Division of a load among the workers of all nodes. Workers are numbered over all nodes: worker number
/// w of W sends the slots n with n mod W = w, so that together they send every slot once.
#[derive(Debug, Clone)]
pub(crate) struct LoadShards {
    load: LoadConfig,
    node: NodeShare,
    /// The slots of all workers; `None` in a closed loop.
    schedule: Option<Arc<Schedule>>,
}

/// Returns the part of worker `index` of `workers` in a total; the first ones take the remainder.
fn share(total: u64, index: usize, workers: usize) -> u64 {
    let (index, workers) = (index as u64, workers as u64);
    total / workers + u64::from(index < total % workers)
}

/// Returns the messages that one worker can send in `time` at most.
fn most_in(time: Duration) -> u64 {
    (time.as_secs_f64() * MOST_PER_SECOND).ceil() as u64 + 1
}

impl LoadShards {
    /// Divides the load among the workers of `node` and of the other nodes, which have as many each.
    pub(crate) fn new(load: &LoadConfig, node: NodeShare) -> Self {
        let schedule = match load.mode {
            Mode::Closed => None,
            Mode::Open { rate, arrivals, seed } => Some(Arc::new(Schedule::new(ScheduleConfig {
                rates: rate,
                arrivals,
                seed,
                warmup: load.warmup.into(),
                duration: load.duration.map(Nanos::from),
                requests: load.requests,
            }))),
        };
        Self { load: load.clone(), node, schedule }
    }

    /// The load of all workers.
    pub(crate) fn load(&self) -> &LoadConfig {
        &self.load
    }

    /// Number of this node's worker `worker` among the workers of all nodes.
    pub(super) fn index(&self, worker: usize) -> WorkerIndex {
        WorkerIndex {
            worker: self.load.threads * self.node.index as usize + worker,
            workers: self.load.threads * self.node.count as usize,
        }
    }

    /// Requests of `mix` by slot and id, for ids in `space`.
    pub(crate) fn assignment(&self, mix: &Arc<Mix>, space: IdSpace) -> Assignment {
        let WorkerIndex { worker, workers } = self.index(0);
        Assignment::new(Arc::clone(mix), space, worker as u64, workers as u64)
    }

    /// Part of `worker` in a total that this node has alone.
    pub(super) fn own_share(&self, total: u64, worker: usize) -> u64 {
        share(total, worker, self.load.threads)
    }

    /// Part of `worker` in a total of all nodes.
    fn common_share(&self, total: u64, worker: usize) -> u64 {
        let WorkerIndex { worker, workers } = self.index(worker);
        share(total, worker, workers)
    }

    /// Largest number of messages that one worker can send in the run, with the warm-up.
    pub(crate) fn most_per_worker(&self) -> u64 {
        if let Some(schedule) = &self.schedule {
            return schedule.total_slots() / self.index(0).workers as u64 + 1;
        }
        let counted = self.load.requests.map_or(u64::MAX, |n| self.common_share(n, 0));
        let timed = self.load.duration.map_or(u64::MAX, most_in);
        counted.min(timed).saturating_add(most_in(self.load.warmup))
    }

    /// Begin of the measured part, from the start of the run.
    pub(crate) fn measure_from(&self) -> Nanos {
        self.schedule.as_ref().map_or(self.load.warmup.into(), |schedule| schedule.measure_from())
    }

    /// Planned length of the measured part; `None` if only a number of requests ends a closed loop.
    pub(crate) fn measured_span(&self) -> Option<Nanos> {
        match &self.schedule {
            Some(schedule) => Some(schedule.end() - schedule.measure_from()),
            None => self.load.duration.map(Nanos::from),
        }
    }

    /// The load of one worker in a run that starts at `start` on the clock.
    pub(super) fn worker_load(&self, worker: usize, start: Nanos) -> WorkerLoad {
        match &self.schedule {
            Some(schedule) => WorkerLoad::Open {
                schedule: Arc::clone(schedule),
                max_in_flight: self.load.max_in_flight.map(|most| self.own_share(most, worker)),
            },
            None => WorkerLoad::Closed {
                until: self.load.end().map(|end| start + end),
                requests: self.load.requests.map(|n| self.common_share(n, worker)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::units::Rates;
    use crate::engine::load::{ArrivalProcess, Pace};
    use crate::engine::schedule::Slot;

    const NODES: u64 = 3;

    /// A load for two workers, by default a closed loop of five connections for 10 s.
    fn load(change: impl FnOnce(&mut LoadConfig)) -> LoadConfig {
        let mut load = LoadConfig {
            mode: Mode::Closed,
            connections: 5,
            threads: 2,
            duration: None,
            requests: None,
            warmup: Duration::ZERO,
            drain: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            max_in_flight: None,
            pace: Pace::Tick(Nanos::ZERO),
        };
        change(&mut load);
        load
    }

    fn shards_of_all_nodes(load: &LoadConfig) -> Vec<LoadShards> {
        (0..NODES).map(|index| LoadShards::new(load, NodeShare { index, count: NODES })).collect()
    }

    fn schedule(shards: &LoadShards) -> &Schedule {
        shards.schedule.as_ref().expect("open loop")
    }

    fn slots(shards: &LoadShards, worker: usize) -> Vec<Slot> {
        let WorkerIndex { worker, workers } = shards.index(worker);
        schedule(shards).slots(worker as u64, workers as u64).collect()
    }

    #[test]
    fn the_slots_of_all_nodes_are_the_schedule() {
        let rate: Rates = "1000".parse().expect("a rate");
        for arrivals in [ArrivalProcess::Constant, ArrivalProcess::Poisson] {
            let nodes = shards_of_all_nodes(&load(|load| {
                load.mode = Mode::Open { rate, arrivals, seed: 1 };
                load.warmup = Duration::from_millis(50);
                load.requests = Some(1_000);
            }));
            let mut sent: Vec<_> =
                nodes.iter().flat_map(|node| [slots(node, 0), slots(node, 1)].concat()).collect();
            sent.sort_by_key(|slot| slot.number);
            let all: Vec<_> = schedule(&nodes[0]).slots(0, 1).collect();
            assert_eq!((all.len(), sent == all), (1_050, true), "{arrivals:?}");
            let most = slots(&nodes[0], 0).len() as u64;
            assert!(nodes.iter().all(|node| node.most_per_worker() >= most));
        }
    }

    #[test]
    fn nodes_share_the_requests_and_each_has_all_connections() {
        let nodes = shards_of_all_nodes(&load(|load| load.requests = Some(17)));
        let (mut requests, mut connections) = (Vec::new(), Vec::new());
        for node in &nodes {
            for worker in [0, 1] {
                match node.worker_load(worker, Nanos::ZERO) {
                    WorkerLoad::Closed { requests: own, .. } => {
                        requests.push(own.expect("a number"))
                    }
                    WorkerLoad::Open { .. } => panic!("a closed loop"),
                }
                connections.push(node.own_share(5, worker));
            }
        }
        assert_eq!(requests, [3, 3, 3, 3, 3, 2]);
        assert_eq!(connections, [3, 2, 3, 2, 3, 2]);
    }
}
