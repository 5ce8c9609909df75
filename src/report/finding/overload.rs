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

/// Messages of earlier steps that a step measured with its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct StepBacklog {
    /// Name of the step.
    pub(crate) step: String,
    /// Messages in the queue when it began; 0 if there were hardly any, or if the queue is not known.
    pub(crate) queued: u64,
    /// Messages of earlier steps that arrived while it ran; 0 if there were hardly any.
    pub(crate) arrived: u64,
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

impl fmt::Display for StepBacklog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, queued, arrived } = self;
        if *queued > 0 {
            let queued = format_some(*queued, "message", "messages");
            write!(f, "{step} began with {queued} in the queue")?;
        }
        if *arrived > 0 {
            let earlier = if *queued > 0 { "; " } else { "" };
            let arrived = format_some(*arrived, "message", "messages");
            write!(f, "{earlier}{arrived} of earlier steps arrived during {step}")?;
        }
        Ok(())
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
