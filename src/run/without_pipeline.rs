//! A run in a build without the feature `pipeline`: a target that the user names, and neither servers, services, Redis
//! nor arrivals. The plan refuses settings that need them. The names are those of the modules with the feature.

#![allow(clippy::unused_async, reason = "the same signatures as with the feature")]

use crate::config::plan::Plan;
use crate::core::Address;
use crate::run::RunError;

/// Deletes nothing, as no server is named.
pub(crate) async fn clear(_: &Plan) -> Result<(), RunError> {
    Ok(())
}

/// Waits for nothing, as no server is named.
pub(crate) async fn wait_for_empty_queue(_: &Plan) {}

/// There is no queue.
pub(super) async fn queued_messages(_: &Plan) -> Option<u64> {
    None
}

pub(super) use NoBrokerFacts as BrokerFacts;
pub(super) use NoBrokerStatus as BrokerStatus;

/// Facts about a broker: none.
#[derive(Debug, Default)]
pub(super) struct NoBrokerFacts {
    pub(super) version: Option<String>,
}

impl NoBrokerFacts {
    pub(super) fn dropped(&self) -> u64 {
        0
    }
}

/// A client of the broker's status: there is none.
#[derive(Debug)]
pub(super) struct NoBrokerStatus;

impl NoBrokerStatus {
    pub(super) fn watch(_: Address) -> Self {
        Self
    }

    pub(super) async fn finish(self) -> NoBrokerFacts {
        NoBrokerFacts::default()
    }
}

/// The target, without servers and services.
pub(super) mod environment {
    use url::Url;

    use crate::config::plan::{Plan, Target};
    use crate::core::Address;
    use crate::host::resources::Component;
    use crate::report::ServerKind;
    use crate::run::RunError;
    use crate::run::services::{EndedChild, Services};

    pub(crate) use NamedTarget as Environment;

    /// The target.
    #[derive(Debug)]
    pub(crate) struct NamedTarget {
        pub(crate) target: Url,
        /// Processes to measure that this run does not start.
        pub(crate) processes: Vec<Component>,
        pub(crate) queued_before: Option<u64>,
        pub(crate) redis: Option<(ServerKind, Address)>,
        pub(crate) mqtt: Option<(ServerKind, Address)>,
    }

    impl NamedTarget {
        pub(crate) async fn up(plan: &Plan, _: &Services) -> Result<Self, RunError> {
            match &plan.target {
                Target::Url(url) => Ok(Self {
                    target: url.clone(),
                    processes: Vec::new(),
                    queued_before: None,
                    redis: None,
                    mqtt: None,
                }),
                Target::Pipeline => Err(RunError::Lost("a plan without a URL")),
            }
        }

        pub(crate) fn components(&self) -> Vec<Component> {
            Vec::new()
        }

        pub(crate) fn ended_children(&mut self) -> Vec<EndedChild> {
            Vec::new()
        }

        pub(crate) async fn stop_services(&mut self) {}

        pub(crate) async fn down(self) {}
    }
}

/// The ids of a run without a Redis, and the wall clock.
pub(super) mod redis_log {
    use std::time::{Duration, SystemTime};

    use super::environment::NamedTarget;
    use crate::config::plan::Plan;
    use crate::core::clock::Nanos;
    use crate::message::IdSpace;
    use crate::report::{Clock, Remark, StampList};
    use crate::run::RunError;
    use crate::run::ids::NeededIds;
    use crate::run::stages::StageJoin;

    pub(crate) use NoLogServer as LogServer;

    /// The log server, which this build does not have.
    #[derive(Debug)]
    pub(crate) struct NoLogServer;

    /// Facts of a log server: none.
    #[derive(Debug)]
    pub(crate) struct NoRedisSummary {
        pub(crate) clock: Clock,
        pub(crate) stamps: Vec<StampList>,
        pub(crate) notes: Vec<Remark>,
    }

    impl NoLogServer {
        pub(crate) async fn open(_: &Plan, _: &NamedTarget) -> Result<Self, RunError> {
            Ok(Self)
        }

        pub(crate) async fn lease(&mut self, needed: &NeededIds, first: Option<u64>) -> IdSpace {
            needed.space(first.unwrap_or_else(|| needed.random_base()))
        }

        pub(crate) async fn release_ids(&mut self) {}

        pub(crate) async fn compare_clocks(&mut self) {}

        pub(crate) fn time_until(&self, at: SystemTime) -> Result<Duration, RunError> {
            at.duration_since(SystemTime::now()).map_err(|late| RunError::Late(late.duration()))
        }

        pub(crate) async fn queue_depth(&mut self) -> Option<u64> {
            None
        }

        pub(crate) async fn resume(&mut self) {}

        pub(crate) async fn read_stamps(&mut self, _: &mut StageJoin) {}

        pub(crate) async fn version(&mut self) -> Option<String> {
            None
        }

        pub(crate) async fn read_bounds(&mut self) {}

        pub(crate) async fn close(&mut self, _: &mut StageJoin, _: Nanos) -> NoRedisSummary {
            NoRedisSummary { clock: Clock::default(), stamps: Vec::new(), notes: Vec::new() }
        }
    }
}

/// A look at other topics: there is no broker.
pub(super) mod other_topics {
    use crate::core::Address;
    use crate::message::{IdPlaces, Unjoined};

    pub(crate) use NoOtherTopics as OtherTopics;

    /// A look at other topics.
    #[derive(Debug)]
    pub(crate) struct NoOtherTopics;

    impl NoOtherTopics {
        pub(crate) fn look(_: Address, _: IdPlaces) -> Self {
            Self
        }

        pub(crate) async fn finish(self) -> Unjoined {
            Unjoined::default()
        }
    }
}
