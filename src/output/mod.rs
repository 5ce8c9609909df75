//! Reports, ramps and comparisons in the forms that people and other tools read. Every form is made from the report alone,
//! so all contain the same results.

mod comparison;
pub mod forms;
#[cfg(feature = "html")]
pub mod html;
mod machine;
mod nodes;
mod number;
mod ramp;
mod requests;
mod style;
mod table;
mod text;
mod wrk;

pub(crate) use comparison::{comparison_text, styled_comparison_text};
#[cfg(feature = "cli")]
pub(crate) use ramp::step_verdict;
pub(crate) use ramp::{ramp_text, styled_ramp_text};
pub(crate) use style::TextStyle;
#[cfg(feature = "cli")]
pub(crate) use style::{Characters, Tone};
#[cfg(feature = "cli")]
pub(crate) use table::fitted;
#[cfg(feature = "cli")]
pub(crate) use text::result_words;
pub(crate) use text::styled_text;
pub use text::{TextOptions, text};
