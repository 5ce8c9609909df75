//! Reports, ramps and comparisons as people and other tools read them. Every form is made from the data alone, so all say the same.

mod comparison;
pub mod forms;
pub mod html;
mod ramp;
mod requests;
mod table;
mod text;
mod wrk;

pub use comparison::comparison_text;
pub use ramp::ramp_text;
pub use text::{TextOptions, text};
