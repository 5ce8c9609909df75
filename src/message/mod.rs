//! Messages: their ids, the template that carries an id, reading the id back, and the account of
//! which ids were sent, accepted and arrived.

pub(crate) mod account;
pub(crate) mod checkpoint;
pub(crate) mod data;
pub(crate) mod due;
pub(crate) mod extract;
pub(crate) mod id;
pub(crate) mod id_form;
mod id_place;
mod idset;
pub(crate) mod mix;
pub(crate) mod outages;
pub(crate) mod rendered;
pub(crate) mod shape;
pub mod template;
pub(crate) mod unjoined;

pub(crate) use account::{Arrival, ArrivalTracker, HeardBy, MessageAccount, SentMessages};
pub use checkpoint::{Checkpoint, StagePair};
pub(crate) use data::Data;
pub(crate) use due::{DueTable, IdWriter};
pub use extract::IdFields;
pub(crate) use id::{IdSpace, MsgId};
pub(crate) use id_place::{IdPlace, IdPlaces, PlaceError};
pub(crate) use idset::IdSet;
pub(crate) use mix::Assignment;
pub use mix::Mix;
pub(crate) use outages::MissedSpan;
pub use rendered::MessageBody;
pub(crate) use rendered::Rendered;
pub use template::Template;
pub(crate) use template::Values;
pub(crate) use unjoined::{Diagnosis, Unjoined};

/// Largest body in bytes that every component of the pipeline accepts.
pub(crate) const MAX_BODY: usize = 16 * 1024 * 1024;
