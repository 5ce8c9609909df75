//! Signs that a step's messages came slower than they were accepted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::per_second;
use crate::core::units::{format_count, format_some};

/// An observation of a step that accepted more messages than the pipeline delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum OverloadSign {
    /// Messages had not arrived when the drain ended.
    Lost {
        /// Number of messages.
        messages: u64,
    },
    /// The queue grew while the step sent.
    QueueGrew {
        /// Messages a second.
        per_s: f64,
        /// The most messages seen in it.
        to: u64,
    },
}

impl OverloadSign {
    /// The sign as the verdict on a step: `lost 2,697`.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Lost { messages } => format!("lost {}", format_count(*messages)),
            Self::QueueGrew { .. } => "queue grew".to_owned(),
        }
    }
}

impl fmt::Display for OverloadSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { messages } => {
                f.write_str(&format_some(*messages, "message is lost", "messages are lost"))
            }
            Self::QueueGrew { per_s, to } => {
                let (per_s, to) = (per_second(*per_s), format_count(*to));
                write!(f, "the queue grows by {per_s}, to {to}")
            }
        }
    }
}
