//! Messages: their ids, the template that carries an id, reading the id back, and the account of
//! which ids were sent, accepted and arrived.

pub mod account;
pub mod checkpoint;
pub mod data;
pub mod due;
pub mod extract;
pub mod id;
pub mod idset;
pub mod mix;
pub mod outages;
pub mod rendered;
pub mod shape;
pub mod template;
pub mod unjoined;

pub use account::{Arrival, ArrivalTracker, MessageAccount, SentMessages};
pub use checkpoint::{Checkpoint, StagePair};
pub use data::Data;
pub use due::{DueTable, IdWriter};
pub use extract::{IdError, IdFields};
pub use id::{IdSpace, MsgId};
pub use idset::IdSet;
pub use mix::{Assignment, Mix};
pub use outages::MissedSpan;
pub use rendered::{MessageBody, Rendered};
pub use template::{Template, TemplateError, Values};
pub use unjoined::{Expected, Unjoined};

/// Largest body in bytes that every component of the pipeline accepts.
pub const MAX_BODY: usize = 16 * 1024 * 1024;
