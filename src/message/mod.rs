//! Messages: their ids, the template that carries an id, reading the id back, and the account of
//! which ids were sent, accepted and arrived.

pub(crate) mod account;
pub(crate) mod checkpoint;
pub(crate) mod data;
pub(crate) mod due;
pub(crate) mod extract;
pub(crate) mod id;
pub(crate) mod idset;
pub(crate) mod mix;
pub(crate) mod outages;
pub(crate) mod rendered;
pub(crate) mod shape;
pub mod template;
pub(crate) mod unjoined;

pub(crate) use account::SentMessages;
pub use account::{Arrival, ArrivalTracker, MessageAccount};
pub use checkpoint::{Checkpoint, StagePair};
pub use data::Data;
pub use due::{DueTable, IdWriter};
pub use extract::IdFields;
pub use id::{IdSpace, MsgId};
pub use idset::IdSet;
pub use mix::{Assignment, Mix};
pub use outages::MissedSpan;
pub use rendered::{MessageBody, Rendered};
pub use template::{Template, Values};
pub(crate) use unjoined::Expected;
pub use unjoined::Unjoined;

/// Largest body in bytes that every component of the pipeline accepts.
pub(crate) const MAX_BODY: usize = 16 * 1024 * 1024;
