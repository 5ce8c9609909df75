//! Reports, ramps and comparisons in the forms that people and other tools read. Every form is made from the report alone,
//! so all contain the same results.

mod comparison;
pub mod forms;
#[cfg(feature = "html")]
pub mod html;
mod machine;
mod number;
mod ramp;
mod requests;
mod table;
mod text;
mod wrk;

pub(crate) use comparison::comparison_text;
pub(crate) use ramp::ramp_text;
pub use text::{TextOptions, text};
