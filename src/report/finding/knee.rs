//! The result of a search.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::ramp::SearchAxis;

/// The highest value at which the condition holds, and how often it was confirmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct KneeFinding {
    /// The setting that was varied.
    pub(crate) axis: SearchAxis,
    /// The condition as written.
    pub(crate) condition: String,
    /// The highest value that holds, below all that fail.
    pub(crate) holds: Option<KneeEnd>,
    /// The lowest value that does not hold.
    pub(crate) fails: Option<KneeEnd>,
    /// The reasons if no trial at `fails` could be judged.
    pub(crate) not_known: Option<String>,
    /// The reasons of the last failed trial at `fails`.
    pub(crate) because: Option<String>,
    /// Runs in all.
    pub(crate) runs: u64,
    /// The search came to its end.
    pub(crate) complete: bool,
}

/// An end of the bracket, with its trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct KneeEnd {
    /// The setting's value.
    pub(crate) value: f64,
    /// Trials that held.
    pub(crate) held: u64,
    /// All trials.
    pub(crate) trials: u64,
}

impl KneeFinding {
    fn value(&self, tried: &KneeEnd) -> String {
        self.axis.value_text(tried.value)
    }

    fn votes(&self, tried: &KneeEnd) -> String {
        format!("{} in {} of {} runs", self.value(tried), tried.held, tried.trials)
    }

    fn result(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = &self.condition;
        if let (Some(fails), Some(why)) = (&self.fails, &self.not_known) {
            if let Some(holds) = &self.holds {
                write!(f, "'{condition}' held at {}; ", self.votes(holds))?;
            }
            let at = self.value(fails);
            return write!(f, "it is not known whether '{condition}' holds at {at} ({why})");
        }
        match (&self.holds, &self.fails) {
            (Some(holds), Some(fails)) => write!(
                f,
                "the knee is between {} and {}: '{condition}' held at {}, and at {}",
                self.value(holds),
                self.value(fails),
                self.votes(holds),
                self.votes(fails)
            ),
            (Some(holds), None) => write!(
                f,
                "there is no knee up to {}: '{condition}' held at {}",
                self.value(holds),
                self.votes(holds)
            ),
            (None, Some(fails)) => {
                let votes = self.votes(fails);
                write!(f, "there is no value at which '{condition}' holds: it held at {votes}")?;
                self.because.iter().try_for_each(|why| write!(f, " ({why})"))
            }
            (None, None) => f.write_str("no value was tried"),
        }
    }
}

impl fmt::Display for KneeFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.result(f)?;
        write!(f, "; {} runs in all", self.runs)?;
        if self.complete { Ok(()) } else { f.write_str(", and the search is not complete") }
    }
}
