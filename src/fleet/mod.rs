//! A fleet: several nodes that send one load together and meet in Redis. No process coordinates them: each node claims a
//! place, the load is divided by a roster that is written once, and all start at one time of Redis. While the load lasts, each node
//! writes a heartbeat a second. Whichever node holds the lease of the collector adds them up, and makes one report of all.

mod barrier;
mod collector;
mod exchange;
mod heartbeat;
mod heartbeat_loop;
mod join;
mod keys;
mod launcher;
mod member;
mod result;
mod roster;
mod seconds;
#[cfg(any(test, feature = "internals"))]
pub(crate) mod simulation;
mod size;
mod store;
mod terms;
mod visitor;

pub(crate) use join::{ArrivalsAt, JoinCount, JoinRequest, join};
pub(crate) use launcher::LaunchedAs;
pub(crate) use member::{Announcement, FleetEnd, Member, RampEnd};
pub(crate) use size::FleetSize;
pub(crate) use visitor::{FleetSight, Visitor};

/// Why a node does not take part in a fleet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    /// The command does not fit the fleet.
    #[error("{0}")]
    Usage(String),
    /// The fleet has begun without this node.
    #[error("{0}")]
    Begun(String),
    /// Another node failed, or too few nodes came.
    #[error("{0}")]
    Failed(String),
    /// Redis is away.
    #[error("{0}")]
    Away(String),
}
