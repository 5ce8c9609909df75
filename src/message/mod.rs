//! Messages: their ids, the template that carries an id, reading the id back, and the account of
//! which ids were sent, accepted and arrived.

pub mod account;
pub mod due;
pub mod extract;
pub mod id;
pub mod idset;
pub mod template;

pub use account::{Arrival, Arrivals, MessageAccount};
pub use due::{DueTable, IdWriter};
pub use extract::{IdError, IdFields};
pub use id::{IdSpace, MsgId};
pub use idset::IdSet;
pub use template::{Rendered, Template, TemplateError, Values};
