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

/// Place of this process among the nodes that send one load together. The nodes may have different numbers of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodePlace {
    /// Index of this node, and number of nodes.
    pub(crate) share: NodeShare,
    /// Number of this node's first worker among the workers of all nodes.
    pub(crate) first_worker: u64,
    /// Workers of all nodes, at least 1.
    pub(crate) workers: u64,
}

impl NodePlace {
    /// The place among nodes that have `threads` workers each.
    pub(crate) fn of_equal_nodes(share: NodeShare, threads: usize) -> Self {
        let threads = threads as u64;
        Self { share, first_worker: threads * share.index, workers: threads * share.count }
    }

    /// The part of a rate that `threads` workers of this node have.
    pub(crate) fn part_of(self, rate: f64, threads: usize) -> f64 {
        rate * threads as f64 / self.workers as f64
    }
}

/// Division of a load among the workers of all nodes. Workers are numbered over all nodes: worker number
/// w of W sends the slots n with n mod W = w, so that together they send every slot once.
#[derive(Debug, Clone)]
pub(crate) struct LoadShards {
    load: LoadConfig,
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
    /// Divides the load among the workers of this node and of the other nodes.
    pub(crate) fn new(load: &LoadConfig) -> Self {
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
        Self { load: load.clone(), schedule }
    }

    /// The load of all workers.
    pub(crate) fn load(&self) -> &LoadConfig {
        &self.load
    }

    /// Number of this node's worker `worker` among the workers of all nodes.
    pub(super) fn index(&self, worker: usize) -> WorkerIndex {
        WorkerIndex {
            worker: self.load.node.first_worker as usize + worker,
            workers: self.load.node.workers as usize,
            node: self.load.node.share.index,
        }
    }

    /// Requests of `mix` by slot and id, for ids in `space`.
    pub(crate) fn assignment(&self, mix: &Arc<Mix>, space: IdSpace) -> Assignment {
        let WorkerIndex { worker, workers, .. } = self.index(0);
        Assignment::new(Arc::clone(mix), space, worker as u64, workers as u64)
    }

    /// Part of `worker` in a total that this node has alone.
    pub(super) fn own_share(&self, total: u64, worker: usize) -> u64 {
        share(total, worker, self.load.threads)
    }

    /// Part of `worker` in a total of all nodes.
    fn common_share(&self, total: u64, worker: usize) -> u64 {
        let WorkerIndex { worker, workers, .. } = self.index(worker);
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

    /// Number of slots of the measured part that this node has; `None` in a closed loop.
    #[cfg_attr(not(all(feature = "cli", feature = "pipeline")), allow(dead_code))]
    pub(crate) fn measured_slots(&self) -> Option<u64> {
        let schedule = self.schedule.as_ref()?;
        let own = |total: u64| -> u64 {
            (0..self.load.threads).map(|worker| self.common_share(total, worker)).sum()
        };
        Some(own(schedule.total_slots()) - own(schedule.warmup_slots()))
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
            width: 4,
            node: NodePlace::of_equal_nodes(NodeShare { index: 0, count: NODES }, 2),
        };
        change(&mut load);
        load
    }

    fn shards_of_all_nodes(load: &LoadConfig) -> Vec<LoadShards> {
        let place = |index| NodePlace::of_equal_nodes(NodeShare { index, count: NODES }, 2);
        (0..NODES)
            .map(|index| LoadShards::new(&LoadConfig { node: place(index), ..load.clone() }))
            .collect()
    }

    fn schedule(shards: &LoadShards) -> &Schedule {
        shards.schedule.as_ref().expect("open loop")
    }

    fn slots(shards: &LoadShards, worker: usize) -> Vec<Slot> {
        let WorkerIndex { worker, workers, .. } = shards.index(worker);
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
    fn nodes_with_different_numbers_of_workers_send_each_slot_once() {
        let threads = [1, 4, 2];
        let base = load(|load| {
            let rate = "1000".parse().expect("a rate");
            load.mode = Mode::Open { rate, arrivals: ArrivalProcess::Constant, seed: 1 };
            load.requests = Some(1_000);
        });
        let mut sent = Vec::new();
        let mut rate = 0.0;
        for (index, own) in threads.into_iter().enumerate() {
            let first_worker = threads[..index].iter().sum::<usize>() as u64;
            let share = NodeShare { index: index as u64, count: NODES };
            let node = NodePlace { share, first_worker, workers: 7 };
            let node = LoadShards::new(&LoadConfig { threads: own, node, ..base.clone() });
            (0..own).for_each(|worker| sent.extend(slots(&node, worker)));
            rate += node.load().node.part_of(1_000.0, own);
        }
        sent.sort_by_key(|slot| slot.number);
        assert!(sent.iter().map(|slot| slot.number).eq(0..1_000));
        assert!((rate - 1_000.0).abs() < 1e-9, "{rate}");
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
